"""Labelled images: where they come from, which are used, and how they are cached.

A source is what torchvision calls a dataset: `len(source)` and `source[i]`, a pair of a PIL image
and a class index. If it also has `targets` (all labels) and `samples` (pairs whose first element
is a file), they serve to choose images without decoding all of them, and to name a corrupt file.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from resilience.data.preprocessing import Preprocessing
from resilience.data.spec import Dataset, Source
from resilience.system import signals
from resilience.system.cache import cache_directory, made_once
from resilience.system.errors import UserError
from resilience.system.hashing import identity_digest
from resilience.system.tensors import load_tensors, save_tensors, state_sha256

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Decoded images.

    Attributes
    ----------
    pixels
        uint8, shape (images, 3, height, width).
    labels
        Class indices, int64, shape (images,).
    classes
        Number of classes in the dataset.
    sha256
        Of pixels and labels.
    """

    pixels: Tensor
    labels: Tensor
    classes: int
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)


def load_images(dataset: Dataset, preprocessing: Preprocessing) -> Images:
    """Decode the images of a dataset.

    Image files are decoded once for each preprocessing, then read from the cache until a file
    changes. A source without files is not cached, as changes to it would go unnoticed.

    Raises
    ------
    UserError
        If there are no images, or one is corrupt (and `skip_corrupt` is not set).
    """
    source = dataset.source()
    chosen, classes = choose_images(source, dataset)
    if not hasattr(source, "samples"):
        return _decode(source, chosen, preprocessing, dataset, classes)
    key = identity_digest(
        {
            "dataset": dict(dataset.parameters),
            "skip_corrupt": dataset.skip_corrupt,
            "pixels": [preprocessing.resize, preprocessing.crop, preprocessing.interpolation],
            "files": _listing(source, chosen),
        }
    )
    return made_once(
        cache_directory() / "images" / f"{dataset.name}-{key[:16]}.safetensors",
        make=lambda path: _write(_decode(source, chosen, preprocessing, dataset, classes), path),
        load=lambda path: _read(path, classes),
    )


def choose_images(source: Source, dataset: Dataset) -> tuple[NDArray[np.int64], int]:
    """Indices of the images to use, sorted, and the number of classes in the dataset.

    Raises
    ------
    UserError
        If there are no images.
    """
    labels = source_labels(source)
    if not len(labels):
        raise UserError(f"dataset {dataset.name} has no images")
    classes = len(source.classes) if hasattr(source, "classes") else int(labels.max()) + 1
    return balanced_choice(labels, dataset.limit, dataset.seed), classes


def source_labels(source: Source) -> NDArray[np.int64]:
    """Class index of each image of a source, shape (images,)."""
    if hasattr(source, "targets"):
        return np.asarray(source.targets, dtype=np.int64)
    return np.array([source[i][1] for i in range(len(source))], dtype=np.int64)


def balanced_choice(labels: NDArray[np.int64], limit: int | None, seed: int) -> NDArray[np.int64]:
    """Indices of at most `limit` distinct images, sorted, drawn evenly over the classes.

    No class gets two images more than another that still has some left.
    """
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    # Rank of each image within its class: first all first images, then all second ones, ...
    by_class = order[np.argsort(labels[order], kind="stable")]
    starts = np.searchsorted(labels[by_class], labels[by_class])
    turn = np.empty(len(labels), dtype=np.int64)
    turn[by_class] = np.arange(len(labels)) - starts
    return np.sort(order[np.argsort(turn[order], kind="stable")][:limit])


def _listing(source: Source, chosen: NDArray[np.int64]) -> list[tuple[str, int, int]]:
    """Name, size and modification time of the chosen images' files, so that changes are noticed."""
    files = [Path(source.samples[i][0]) for i in chosen]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _decode(
    source: Source,
    chosen: Sequence[int] | NDArray[np.int64],
    preprocessing: Preprocessing,
    dataset: Dataset,
    classes: int,
) -> Images:
    pixels, labels = [], []
    for i in tqdm(chosen, f"decoding {dataset.name}", unit="image", disable=None, leave=False):
        signals.check()
        try:
            image, label = source[int(i)]
            pixels.append(preprocessing.pixels(image))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            file = source.samples[i][0] if hasattr(source, "samples") else f"image {i}"
            if not dataset.skip_corrupt:
                raise UserError(
                    f"{file} can't be decoded ({error}); repair or remove it, "
                    "or skip such images with dataset.skip_corrupt=true"
                ) from error
            log.warning("skipped %s, which can't be decoded (%s)", file, error)
            continue
        labels.append(int(label))
    if not labels:
        raise UserError(f"no image of dataset {dataset.name} can be decoded")
    tensors = {"pixels": torch.stack(pixels), "labels": torch.tensor(labels)}
    return Images(**tensors, classes=classes, sha256=state_sha256(tensors))


def _write(images: Images, path: Path) -> None:
    save_tensors(path, {"pixels": images.pixels, "labels": images.labels})


def _read(path: Path, classes: int) -> Images:
    tensors, sha256 = load_tensors(path)
    return Images(**tensors, classes=classes, sha256=sha256)
