"""Image datasets that come with the program, as sources (see `resilience.data.images`)."""

import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torchvision
from filelock import FileLock
from PIL import Image

from resilience.system.cache import cache_directory
from resilience.system.errors import UserError

_WNID = re.compile(r"n\d{8}")


class Digits:
    """Handwritten digits of the UCI repository, as shipped with scikit-learn, 8 x 8 pixels.

    `split="test"` has 1,000 of the 1,797 and `split="fit"` the other 797, stratified by digit.
    """

    def __init__(self, split: str) -> None:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        if split not in ("fit", "test"):
            raise UserError(f"split must be fit or test, got {split!r}")
        digits = load_digits()
        parts = train_test_split(
            np.arange(len(digits.target)),
            train_size=797,
            stratify=digits.target,
            random_state=0,
        )
        chosen = np.sort(parts[0] if split == "fit" else parts[1])
        self._images = np.rint(digits.images[chosen] * (255 / 16)).astype(np.uint8)
        self.targets: list[int] = digits.target[chosen].tolist()
        self.classes = [str(digit) for digit in range(10)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self._images[index]), self.targets[index]


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """WordNet ids of the 1,000 ImageNet classes, in order of class index."""
    text = resources.files("resilience.data").joinpath("imagenet_wnids.txt").read_text("ascii")
    return tuple(text.split())


class ImageNet:
    """Real ImageNet images in a folder, labelled with their indices among the 1,000 classes.

    The folder holds class folders named by WordNet id, or files whose names start with it; any
    subset of the classes will do.

    Raises
    ------
    UserError
        If the folder is not given, missing or empty, or an image's class can't be determined.
    """

    def __init__(self, root: str | None) -> None:
        folder = existing_folder(root, "; it may also be named by IMAGENET_ROOT")
        self.classes = imagenet_wnids()
        index = {wnid: i for i, wnid in enumerate(self.classes)}
        suffixes = torchvision.datasets.folder.IMG_EXTENSIONS
        self.samples: list[tuple[str, int]] = []
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() not in suffixes:
                continue
            wnid = next(filter(None, map(_WNID.match, (file.parent.name, file.name))), None)
            if wnid is None or wnid[0] not in index:
                raise UserError(
                    f"{file}: neither its folder nor its name starts with the WordNet id "
                    "of one of the 1,000 ImageNet classes"
                )
            self.samples.append((str(file), index[wnid[0]]))
        if not self.samples:
            raise UserError(f"dataset.root={root} contains no images")
        self.targets = [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        file, label = self.samples[index]
        return torchvision.datasets.folder.pil_loader(file), label


def imagenette(root: str | None, size: str) -> ImageNet:
    """Validation images of Imagenette: ten ImageNet classes, with their 1,000-way indices.

    Parameters
    ----------
    root
        Where the archive is, or will be, unpacked; None: the user's cache.
    size
        `full`, or `320px` or `160px` on the shorter side.

    Raises
    ------
    UserError
        If it is not available and can't be downloaded.
    """
    folder = Path(root) if root else cache_directory() / "imagenette"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock"):
            torchvision.datasets.Imagenette(folder, split="val", size=size, download=True)
    except OSError as error:
        raise UserError(
            f"Imagenette is not in {folder} and can't be downloaded ({error}); without a network, "
            "unpack its archive there by hand, or use dataset=digits, which needs no download"
        ) from error
    name = {"full": "imagenette2"}.get(size, f"imagenette2-{size.removesuffix('px')}")
    return ImageNet(str(folder / name / "val"))


def image_folder(root: str | None) -> Any:
    """Images in class folders; classes are numbered in order of folder name.

    Raises
    ------
    UserError
        If the folder is not given, or missing.
    FileNotFoundError
        If it has no class folders, or one of them has no images.
    """
    return torchvision.datasets.ImageFolder(existing_folder(root, ""))


def existing_folder(root: str | None, hint: str) -> Path:
    """The folder that `dataset.root` names; raises `UserError` if there is none."""
    if not root:
        raise UserError(f"dataset.root is not set; say dataset.root=FOLDER{hint}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise UserError(f"dataset.root={root} is not a folder{hint}")
    return folder
