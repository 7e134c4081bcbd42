"""Which images are used, what becomes of them, and what happens to broken ones."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from resilience.data.images import balanced_choice, load_images
from resilience.data.preprocessing import Preprocessing
from resilience.data.sources import Digits, ImageNet, image_folder, imagenet_wnids, imagenette
from resilience.data.spec import Dataset

SMALL = Preprocessing(resize=20, crop=16)


def photograph(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    """A colourful picture file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path)


def dataset_of(source: Callable[[], Any], **options: Any) -> Dataset:
    return Dataset("test", source, None, {"name": "test"}, **options)


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=80),
    limit=st.integers(1, 100),
    seed=st.integers(0, 1000),
)
def test_a_draw_is_distinct_and_balanced(labels: list[int], limit: int, seed: int) -> None:
    chosen = balanced_choice(np.array(labels), limit, seed)
    assert len(chosen) == min(limit, len(labels))
    assert (np.diff(chosen) > 0).all()
    drawn, there = (
        np.bincount(np.array(labels)[chosen], minlength=6),
        np.bincount(labels, minlength=6),
    )
    for some in range(6):  # nobody may be behind who still had images to give
        assert drawn[some] == there[some] or drawn[some] >= drawn.max() - 1


def test_a_draw_depends_on_its_seed_only() -> None:
    labels = np.repeat(np.arange(10), 50)
    assert balanced_choice(labels, 20, 1).tolist() == balanced_choice(labels, 20, 1).tolist()
    assert balanced_choice(labels, 20, 1).tolist() != balanced_choice(labels, 20, 2).tolist()


def test_digits_are_split_without_overlap() -> None:
    test, fit = Digits("test"), Digits("fit")
    assert (len(test), len(fit)) == (1000, 797)
    assert min(np.bincount(test.targets)) >= 95
    everything = sorted([*map(bytes, test._images), *map(bytes, fit._images)])
    from sklearn.datasets import load_digits

    scaled = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    assert everything == sorted(map(bytes, scaled))


def test_pixels_and_inputs_are_those_of_torchvisions_own_transforms(tmp_path: Path) -> None:
    wanted = torchvision.models.Inception_V3_Weights.IMAGENET1K_V1.transforms()
    ours = Preprocessing(342, 299, wanted.mean, wanted.std, "bilinear")
    photograph(tmp_path / "a.png", 0, (500, 380))
    image = Image.open(tmp_path / "a.png")
    assert torch.equal(ours.normalised(ours.pixels(image)[None])[0], wanted(image))


def test_images_are_decoded_once(tmp_path: Path, own_cache: Path) -> None:
    for i in range(4):
        photograph(tmp_path / "images" / f"class{i % 2}" / f"{i}.png", i)
    opened = []

    def source() -> Any:
        folder = image_folder(str(tmp_path / "images"))
        loader = folder.loader
        folder.loader = lambda path: opened.append(path) or loader(path)
        return folder

    first = load_images(dataset_of(source), SMALL)
    assert first.pixels.shape == (4, 3, 16, 16)
    assert first.pixels.dtype == torch.uint8
    assert first.labels.tolist() == [0, 0, 1, 1]
    assert first.classes == 2
    assert len(opened) == 4
    again = load_images(dataset_of(source), SMALL)
    assert len(opened) == 4
    assert torch.equal(again.pixels, first.pixels)
    assert again.sha256 == first.sha256
    load_images(dataset_of(source), Preprocessing(resize=20, crop=18))
    assert len(opened) == 8


def test_a_file_that_changed_is_decoded_again(tmp_path: Path) -> None:
    photograph(tmp_path / "a" / "0.png", 0)
    dataset = dataset_of(lambda: image_folder(str(tmp_path)))
    before = load_images(dataset, SMALL)
    photograph(tmp_path / "a" / "0.png", 1)
    os.utime(tmp_path / "a" / "0.png", (1, 1))
    assert load_images(dataset, SMALL).sha256 != before.sha256


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_cache_file_is_made_again(tmp_path: Path, own_cache: Path, damage: str) -> None:
    for i in range(3):
        photograph(tmp_path / "a" / f"{i}.png", i)
    dataset = dataset_of(lambda: image_folder(str(tmp_path)))
    before = load_images(dataset, SMALL)
    (path,) = (own_cache / "images").glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.unlink()  # `before` still sees the old one
    path.write_bytes({"cut": content[:-100], "flip": content, "empty": b""}[damage])
    assert torch.equal(load_images(dataset, SMALL).pixels, before.pixels)


def test_a_corrupt_image_is_named_and_left_out_on_request_only(tmp_path: Path) -> None:
    for i in range(3):
        photograph(tmp_path / "a" / f"{i}.jpg", i)
    whole = (tmp_path / "a" / "1.jpg").read_bytes()
    (tmp_path / "a" / "1.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"1\.jpg can't be decoded .* dataset.skip_corrupt=true"):
        load_images(dataset_of(lambda: image_folder(str(tmp_path))), SMALL)
    skipping = dataset_of(lambda: image_folder(str(tmp_path)), skip_corrupt=True)
    assert len(load_images(skipping, SMALL)) == 2


def test_imagenet_maps_any_part_of_its_classes(tmp_path: Path) -> None:
    wnids = imagenet_wnids()
    assert len(set(wnids)) == 1000
    assert (wnids[0], wnids[999]) == ("n01440764", "n15075141")
    photograph(tmp_path / "n15075141" / "x.JPEG", 0)
    photograph(tmp_path / "n01440764_7.JPEG", 1)
    (tmp_path / "README.txt").write_text("not an image")
    source = ImageNet(str(tmp_path))
    assert dict(zip((Path(f).name for f, _ in source.samples), source.targets, strict=True)) == {
        "n01440764_7.JPEG": 0,
        "x.JPEG": 999,
    }
    assert load_images(dataset_of(lambda: source), SMALL).classes == 1000


def test_folders_that_can_not_be_used_are_told_clearly(tmp_path: Path) -> None:
    for open_source in (ImageNet, image_folder):
        with pytest.raises(ValueError, match=r"dataset.root is not set; say dataset.root=FOLDER"):
            open_source(None)
        with pytest.raises(ValueError, match="is not a folder"):
            open_source(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="contains no images"):
        ImageNet(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="any class folder"):
        image_folder(str(tmp_path))
    photograph(tmp_path / "cats" / "tom.png", 0)
    with pytest.raises(ValueError, match=r"tom\.png: neither its folder nor its name"):
        ImageNet(str(tmp_path))


def test_a_source_without_images_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no images"):
        load_images(dataset_of(list), SMALL)


def test_a_source_without_files_is_never_taken_from_the_cache() -> None:
    shades = [10, 20]
    dataset = dataset_of(lambda: [(Image.new("L", (9, 9), shade), 0) for shade in shades])
    before = load_images(dataset, SMALL)
    shades[0] = 30
    assert load_images(dataset, SMALL).sha256 != before.sha256


def test_any_sequence_of_images_and_labels_is_a_source() -> None:
    pairs = [(Image.new("L", (9, 9), shade), shade % 3) for shade in range(0, 200, 20)]
    images = load_images(dataset_of(lambda: pairs), SMALL)
    assert images.labels.tolist() == [shade % 3 for shade in range(0, 200, 20)]
    assert images.pixels[:, 0, 0, 0].tolist() == list(range(0, 200, 20))


def test_imagenette_uses_what_is_there(tmp_path: Path) -> None:
    photograph(tmp_path / "imagenette2-320" / "val" / "n03888257" / "x.JPEG", 0)
    assert imagenette(str(tmp_path), "320px").targets == [imagenet_wnids().index("n03888257")]


def test_imagenette_without_a_network_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchvision.datasets.imagenette.download_and_extract_archive", refuse)
    with pytest.raises(ValueError, match=r"can't be downloaded .* without a network"):
        imagenette(str(tmp_path), "160px")
