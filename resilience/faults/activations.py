"""Faults in what passes through a network: the outputs of its layers, and the images."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resilience.faults.formats import FORMATS, Format, int8_scale
from resilience.faults.injection import Faults
from resilience.faults.layers import Layer
from resilience.faults.tracing import OutputTap

Run = Callable[..., Tensor]


class Rule(Protocol):
    """What the memory holds after the faults in one layer's output for one image."""

    def __call__(
        self, image: int, codes: Tensor, scale: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Codes after, shape (elements,), and the mask of the bits that were struck, if any were.

        Parameters
        ----------
        image
            Its position among all.
        codes
            Before the faults.
        scale
            Of each code, in formats that have one.
        output
            The layer's whole output for this image.
        """


@dataclass(frozen=True, slots=True, eq=False)
class PassingFaults:
    """Faults in the output of one layer, or in the network's input.

    Attributes
    ----------
    layer
        Of the part `activations` or `inputs`.
    sites
        Row-major indices in what each image gives there, by image.
    """

    layer: Layer
    sites: Sequence[NDArray[np.int64]]
    rule: Rule


class Stream:
    """What passes through a network image by image: held in a format, and with faults in it.

    Attributes
    ----------
    struck
        What the faults did, in the order in which it happened.

    Parameters
    ----------
    layers
        Whose outputs memory holds in the format; with the network's input, if it is among them.
    names
        Of layers, by the `id` of the computing network's weights.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        names: Mapping[int, str],
        format: Format,
        faults: Sequence[PassingFaults] = (),
    ) -> None:
        self.struck: list[Faults] = []
        self._layers = {layer.name: layer for layer in layers}
        self._names = names
        self._format = format
        self._faults = {fault.layer.name: fault for fault in faults}

    def around(self, run: Run, images: int, batch_size: int) -> Run:
        """The same run, batch after batch of so many images in all, through this stream."""
        if not self._layers:
            return run
        starts = iter(range(0, images, batch_size))

        def stepped(*values: Tensor) -> Tensor:
            start = next(starts)
            batch = range(start, min(start + batch_size, images))
            if "input" in self._layers:
                self._pass(batch, "input", (copied := values[0].clone()))
                values = (copied, *values[1:])
            with _Tap(self._names, partial(self._pass, batch)):
                return run(*values)

        return stepped

    def _pass(self, batch: range, name: str, output: Tensor) -> None:
        """Hold a layer's output, images first, in the format, and strike it; in place."""
        layer = self._layers.get(name)
        if layer is None:
            return
        values = _by_image(output, len(batch), layer)
        scale = _hold(values, self._format)
        if (fault := self._faults.get(name)) is not None:
            self._strike(fault, batch, values, scale)

    def _strike(
        self, faults: PassingFaults, batch: range, values: Tensor, scale: Tensor | None
    ) -> None:
        sites = [faults.sites[image] for image in batch]
        if not any(map(len, sites)):
            return
        index = torch.from_numpy(np.concatenate(sites))
        lengths = torch.tensor([len(of_image) for of_image in sites])
        row = torch.repeat_interleave(torch.arange(len(batch)), lengths)
        at = (row, *torch.unravel_index(index, faults.layer.shape))
        at = tuple(coordinate.to(values.device) for coordinate in at)
        scales = None if scale is None else scale.flatten().cpu()[row]
        before = self._format.encode(values[at].float().cpu(), scales)
        after, masks = before.clone(), list[Tensor]()
        end = 0
        for image, length in zip(batch, lengths.tolist(), strict=True):
            if not length:
                continue
            here = slice(end, end := end + length)
            own = None if scales is None else scales[here]
            after[here], mask = faults.rule(image, before[here], own, values[image - batch.start])
            masks += [] if mask is None else [mask]
        decoded = self._format.decode(after, scales)
        values[at] = decoded.to(values)
        self.struck.append(
            Faults(
                faults.layer.name,
                index,
                before,
                after,
                faults.layer.part,
                torch.cat(masks) if masks else None,
                row + batch.start,
            )
        )


class _Tap(OutputTap):
    def __init__(self, names: Mapping[int, str], show: Callable[[str, Tensor], None]) -> None:
        super().__init__(names)
        self._show = show

    def show(self, name: str, output: Tensor) -> None:
        self._show(name, output)


def _hold(values: Tensor, format: Format) -> Tensor | None:
    """Round what passes to what the format can hold, in place; the scale of each image, if any.

    int8 holds the output of a layer with one scale for each image. It has neither infinities nor
    NaN: the former saturate, the latter become 0, as when a processor converts them.
    """
    if format == FORMATS["float32"]:
        return None
    passing, scale = values.float(), None
    if format.name == "int8":
        scale = int8_scale(torch.where(passing.isfinite(), passing, 0.0))
        passing = torch.where(passing.isnan(), 0.0, passing)
    values.copy_(format.decode(format.encode(passing, scale), scale))
    return scale


def _by_image(output: Tensor, images: int, layer: Layer) -> Tensor:
    """The same memory, image by image, shape (images, *layer.shape).

    Raises
    ------
    ValueError
        If the layer does not give its images one after the other.
    """
    if output.shape[1:] != layer.shape and len(output) % images == 0:
        output = output.view(images, -1, *output.shape[1:])  # windows stand where images do
    if output.shape != (images, *layer.shape):
        raise ValueError(
            f"{layer.name} is of shape {tuple(output.shape)} for {images} images, and not images "
            f"first, so that faults in it can't be placed; leave it out of sites.targets"
        )
    return output


def joined(struck: Sequence[Faults]) -> list[Faults]:
    """One entry for each layer, in order of first use."""
    by_layer: defaultdict[str, list[Faults]] = defaultdict(list)
    for faults in struck:
        by_layer[faults.layer].append(faults)
    return [_concatenated(parts) for parts in by_layer.values()]


def _concatenated(parts: Sequence[Faults]) -> Faults:
    def whole(name: str) -> Any:
        tensors = [getattr(part, name) for part in parts]
        return None if tensors[0] is None else torch.cat(tensors)

    first = parts[0]
    return Faults(
        first.layer,
        whole("index"),
        whole("before"),
        whole("after"),
        first.part,
        whole("bits"),
        whole("image"),
    )
