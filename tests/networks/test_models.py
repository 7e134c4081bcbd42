"""Classifiers and their weights, right ones and wrong ones."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from resilience.data.preprocessing import Preprocessing
from resilience.data.sources import Digits
from resilience.data.spec import Dataset
from resilience.networks.models import (
    Model,
    choose_preprocessing,
    load_classifier,
    resolve_device,
    torchvision_network,
)
from resilience.system.tensors import state_sha256
from tests.conftest import SmallNetwork

CPU = torch.device("cpu")
DIGITS = Dataset("digits", partial(Digits, "test"), None, {}, image_size=32)
IMAGENET = Dataset("imagenet", list, None, {})


def model(name: str, weights: str = "none", **options: Any) -> Model:
    build = partial(torchvision_network, name)
    return Model(name, build, weights, {"name": name}, architecture=name, **options)


def small(weights: str) -> Model:
    return Model("small", SmallNetwork, weights, {}, preprocessing=Preprocessing(8, 8))


@pytest.mark.parametrize(
    ("name", "dataset", "sides"),
    [
        ("vgg19", DIGITS, (32, 32)),
        ("inception_v3", DIGITS, (75, 75)),
        ("vgg19", IMAGENET, (256, 224)),
        ("inception_v3", IMAGENET, (342, 299)),
    ],
)
def test_preprocessing_suits_model_and_dataset(
    name: str, dataset: Dataset, sides: tuple[int, int]
) -> None:
    chosen = choose_preprocessing(model(name), dataset)
    assert (chosen.resize, chosen.crop) == sides


def test_preprocessing_goes_with_the_named_weights() -> None:
    assert choose_preprocessing(model("resnet50", "IMAGENET1K_V2"), IMAGENET).resize == 232


def test_a_model_of_ones_own_must_say_its_preprocessing() -> None:
    own = Model("own", SmallNetwork, "none", {})
    assert choose_preprocessing(own, DIGITS).crop == 32
    with pytest.raises(ValueError, match=r"set model.preprocessing \(resize, crop, mean, std\)"):
        choose_preprocessing(own, IMAGENET)


def test_a_network_is_made_ready() -> None:
    classifier = load_classifier(small("none"), DIGITS, 10, CPU)
    assert not classifier.network.training
    assert not any(parameter.requires_grad for parameter in classifier.network.parameters())
    convolution = classifier.network.get_submodule("features.2").weight
    assert convolution.is_contiguous(memory_format=torch.channels_last)  # type: ignore
    again = load_classifier(small("none"), DIGITS, 10, CPU)
    assert again.weights_sha256 == classifier.weights_sha256


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    state = SmallNetwork().state_dict()
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    classifier = load_classifier(small(str(path)), DIGITS, 10, CPU)
    assert classifier.weights_sha256 == state_sha256(state)


def test_a_file_of_inception_may_have_the_head_that_only_trains(tmp_path: Path) -> None:
    whole = torchvision.models.inception_v3(weights=None, aux_logits=True, init_weights=False)
    torch.save(whole.state_dict(), tmp_path / "inception.pth")
    named = model("inception_v3", str(tmp_path / "inception.pth"))
    classifier = load_classifier(named, IMAGENET, 1000, CPU)
    assert torch.equal(classifier.network.fc.weight, whole.fc.weight)  # type: ignore
    assert classifier.network.transform_input


def write_wrong(path: Path, kind: str) -> None:
    state = SmallNetwork().state_dict()
    if kind == "missing":
        del state["head.bias"]
    elif kind == "unexpected":
        state["tail.bias"] = torch.zeros(1)
    elif kind == "shape":
        state["head.bias"] = torch.zeros(11)
    if kind == "noise":
        path.write_bytes(b"this is no checkpoint")
    elif kind == "module":
        torch.save(nn.Linear(1, 1), path)
    elif kind == "number":
        torch.save({"epoch": 3}, path)
    else:
        torch.save(state, path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", r"do not match the network: 1 missing \(head.bias\)"),
        ("unexpected", r"1 unexpected \(tail.bias\)"),
        ("shape", r"1 of a different shape \(head.bias\)"),
        ("noise", "can't be read as weights"),
        ("module", "can't be read as weights"),
        ("number", "does not contain a state dict"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "weights.pth"
    write_wrong(path, kind)
    with pytest.raises(ValueError, match=rf"weights\.pth .*{said}") as error:
        load_classifier(small(str(path)), DIGITS, 10, CPU)
    assert "\n" not in str(error.value)


def test_weights_that_are_nothing_are_told_with_the_choices() -> None:
    with pytest.raises(ValueError, match="neither a file nor one of fit, none, IMAGENET1K_V1"):
        load_classifier(model("vgg19", "IMAGENET"), DIGITS, 10, CPU)


def test_labels_must_fit_the_model() -> None:
    with pytest.raises(ValueError, match=r"small has 10 output classes .* digits has 7"):
        load_classifier(
            Model(
                "small", lambda _: SmallNetwork(10), "none", {}, preprocessing=Preprocessing(8, 8)
            ),
            DIGITS,
            7,
            CPU,
        )


def test_fit_needs_images_to_fit_on() -> None:
    with pytest.raises(ValueError, match=r"no images to fit on; give model.weights=FILE"):
        load_classifier(small("fit"), DIGITS, 10, CPU)


def test_images_to_fit_on_must_have_the_same_classes() -> None:
    pairs = [(Image.new("L", (8, 8), 10 * label), label) for label in range(3)]
    odd = replace(DIGITS, fit=lambda: pairs)
    with pytest.raises(ValueError, match="10 classes to test on and 3 to fit on"):
        load_classifier(small("fit"), odd, 10, CPU)


def test_a_download_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ValueError, match=r"without a network, copy squeezenet1_1-.*\.pth into"):
        load_classifier(model("squeezenet1_1", "IMAGENET1K_V1"), IMAGENET, 1000, CPU)


def test_an_unknown_architecture_is_told_with_near_ones() -> None:
    with pytest.raises(ValueError, match="no classifier 'resnet51'; near: resnet50"):
        torchvision_network("resnet51", 10)


def test_devices() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda, cuda:INDEX or mps"):
        resolve_device("tpu")
    with pytest.raises(ValueError, match="device=cuda:99 is not available"):
        resolve_device("cuda:99")
