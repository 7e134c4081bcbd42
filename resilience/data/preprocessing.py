"""From an image to a network's input, as torchvision's classifiers expect it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torchvision.transforms.functional as TF
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode

from resilience.data.spec import IMAGENET_MEAN, IMAGENET_STD, INTERPOLATION


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes a network's input.

    Attributes
    ----------
    resize
        Length of the shorter side after resizing, pixels.
    crop
        Side of the square cut from the centre, pixels.
    mean, std
        Per channel, of values in [0, 1].
    interpolation
        Of the resizing: nearest, bilinear, bicubic, ... (antialiased).
    """

    resize: int
    crop: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = INTERPOLATION

    def __post_init__(self) -> None:
        # A configuration may give lists, which are not hashable.
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        object.__setattr__(self, "std", tuple(map(float, self.std)))

    def pixels(self, image: Image.Image) -> Tensor:
        """The part of an image that the network sees: uint8, shape (3, crop, crop)."""
        resized: Image.Image = TF.resize(
            image.convert("RGB"), [self.resize], InterpolationMode(self.interpolation)
        )
        pixels: Tensor = TF.pil_to_tensor(TF.center_crop(resized, [self.crop, self.crop]))
        return pixels

    def example(self) -> Tensor:
        """A dummy network input, shape (1, 3, crop, crop)."""
        return self.normalised(torch.zeros(1, 3, self.crop, self.crop, dtype=torch.uint8))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Network input from uint8 pixels: float32, channels-last, shape (images, 3, h, w)."""
        values = TF.convert_image_dtype(pixels, torch.float32)
        inputs: Tensor = TF.normalize(values, list(self.mean), list(self.std))
        return inputs.contiguous(memory_format=torch.channels_last)


class Inputs(Sequence[tuple[Tensor]]):
    """Batches of a network's input, computed from pixels on access.

    Parameters
    ----------
    pixels
        uint8, shape (images, 3, crop, crop); kept on a GPU if they fit into half of its free
        memory.
    """

    def __init__(
        self,
        pixels: Tensor,
        preprocessing: Preprocessing,
        batch_size: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        if device.type == "cuda" and pixels.nbytes <= torch.cuda.mem_get_info(device)[0] // 2:
            pixels = pixels.to(device)
        self._batches = torch.split(pixels, batch_size)
        self._preprocessing = preprocessing
        self._device = device
        self._dtype = dtype

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: Any) -> Any:
        pixels = self._batches[index].to(self._device)
        return (self._preprocessing.normalised(pixels).to(self._dtype),)
