"""What networks are evaluated on: inputs in batches, with labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from resilience.data.images import Images
from resilience.data.preprocessing import Inputs, Preprocessing
from resilience.system.errors import UserError
from resilience.system.tensors import state_sha256

Batches = Sequence[tuple[Tensor]]
"""Batches of a network's input, each a tuple of one tensor, shape (images, ...)."""


class Samples(Protocol):
    """Inputs of a network and their labels."""

    @property
    def labels(self) -> Tensor:
        """Class indices, shape (images,)."""

    @property
    def sha256(self) -> str:
        """Of inputs and labels."""

    def __len__(self) -> int:
        """Number of images."""

    def example(self) -> Tensor:
        """One input, shape (1, ...)."""

    def sizes(self, size: int) -> list[int]:
        """Number of images in each batch."""

    def batches(self, size: int, device: torch.device, dtype: torch.dtype) -> Batches:
        """All inputs in order, in batches of at most `size` images."""


@dataclass(frozen=True, slots=True)
class ImageSamples:
    """Decoded images, normalised batch by batch on demand."""

    images: Images
    preprocessing: Preprocessing

    @property
    def labels(self) -> Tensor:
        """Class indices, shape (images,)."""
        return self.images.labels

    @property
    def sha256(self) -> str:
        """Of pixels and labels."""
        return self.images.sha256

    def __len__(self) -> int:
        return len(self.images)

    def example(self) -> Tensor:
        """One input, shape (1, 3, height, width)."""
        return self.preprocessing.example()

    def sizes(self, size: int) -> list[int]:
        """Number of images in each batch."""
        return [min(size, len(self) - start) for start in range(0, len(self), size)]

    def batches(self, size: int, device: torch.device, dtype: torch.dtype) -> Batches:
        """All images in order, in batches of at most `size`."""
        return Inputs(self.images.pixels, self.preprocessing, size, device, dtype)


class LoadedSamples:
    """The batches of a loader, kept as they are.

    Parameters
    ----------
    loader
        Gives pairs of inputs, shape (images, ...), and class indices, shape (images,); is iterated
        once.

    Raises
    ------
    UserError
        If it gives nothing, or anything else.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self._inputs: list[Tensor] = []
        labels: list[Tensor] = []
        for batch in loader:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise UserError("the loader must give pairs of inputs and class indices")
            inputs, classes = batch[0], torch.as_tensor(batch[1])
            if not isinstance(inputs, Tensor) or classes.shape != inputs.shape[:1]:
                raise UserError(
                    "each batch must be a tensor of inputs, shape (images, ...), and as many class "
                    "indices, shape (images,)"
                )
            self._inputs.append(inputs)
            labels.append(classes.to("cpu", torch.int64))
        if not self._inputs:
            raise UserError("the loader gives no batches; an iterator can be used only once")
        self.labels = torch.cat(labels)

    @cached_property
    def sha256(self) -> str:
        """Of inputs and labels, independent of the batches."""
        return state_sha256({"inputs": torch.cat(self._inputs), "labels": self.labels})

    @property
    def batch_size(self) -> int:
        """Images in the largest batch."""
        return max(map(len, self._inputs))

    def __len__(self) -> int:
        return len(self.labels)

    def example(self) -> Tensor:
        """One input, shape (1, ...)."""
        return self._inputs[0][:1]

    def sizes(self, size: int) -> list[int]:
        """Number of images in each batch."""
        return list(map(len, self._inputs))

    def batches(self, size: int, device: torch.device, dtype: torch.dtype) -> Batches:
        """All inputs in order, in the loader's own batches."""
        return [
            (inputs.to(device, dtype) if inputs.is_floating_point() else inputs.to(device),)
            for inputs in self._inputs
        ]
