"""Faults in activations and inputs: held in a format, and struck as images pass through."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resilience.faults.draw import ActivationFaults, LayerFaults
from resilience.faults.memory import FLOAT32, decode, encode, int8_scale
from resilience.faults.population.layers import Layer
from resilience.faults.population.tracing import OutputTap
from resilience.number_formats import NumberFormat
from resilience.system.errors import UserError

Run = Callable[..., Tensor]


class ActivationMemory(OutputTap):
    """The memory that activations and inputs pass through: it has a format, and faults.

    While it is entered, as a context manager, the outputs of the layers are rounded into the
    format and struck, in place, as they are computed. `begin_batch` says which images come next.

    Parameters
    ----------
    layers
        Whose outputs the memory holds; with the network's input, if it is among them.
    names
        Of layers, by the `id` of the computing network's weights.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        names: Mapping[int, str],
        format: NumberFormat,
        faults: Sequence[ActivationFaults] = (),
    ) -> None:
        super().__init__(names)
        self._layers = {layer.name: layer for layer in layers}
        self._format = format
        self._faults = {each.layer.name: each for each in faults}
        self._struck: list[LayerFaults] = []
        self._batch = range(0)

    def begin_batch(self, images: int) -> None:
        """Announce that the next `images` images are about to pass through the network."""
        self._batch = range(self._batch.stop, self._batch.stop + images)
        self.begin_pass()

    def around(self, run: Run, sizes: Sequence[int]) -> Run:
        """Wrap a run of batches of these sizes, so that they pass through this memory."""
        if not self._layers:
            return run
        remaining = iter(sizes)

        def stepped(*values: Tensor) -> Tensor:
            self.begin_batch(next(remaining))
            if "input" in self._layers:
                values = (self.input(values[0]), *values[1:])
            with self:
                return run(*values)

        return stepped

    def input(self, values: Tensor) -> Tensor:
        """The network's input after this memory, shape (images, ...)."""
        if "input" not in self._layers:
            return values
        copied = values.clone()
        self.show("input", copied)
        return copied

    def show(self, name: str, output: Tensor) -> None:
        """Round a layer's output, images first, into the format and strike it, in place."""
        layer = self._layers.get(name)
        if layer is None:
            return
        values = _by_image(output, len(self._batch), layer)
        scale = _hold(values, self._format)
        if (faults := self._faults.get(name)) is not None:
            self._strike(faults, values, scale)

    def observed(self) -> list[LayerFaults]:
        """The faults that were injected, one entry for each layer, in the order of the draw."""
        by_layer: defaultdict[str, list[LayerFaults]] = defaultdict(list)
        for faults in self._struck:
            by_layer[faults.layer].append(faults)
        return [_concatenated(by_layer[name]) for name in self._faults if name in by_layer]

    def _strike(self, faults: ActivationFaults, values: Tensor, scale: Tensor | None) -> None:
        sites = [faults.sites(image) for image in self._batch]
        if not any(map(len, sites)):
            return
        index = torch.from_numpy(np.concatenate(sites))
        lengths = torch.tensor([len(of_image) for of_image in sites])
        row = torch.repeat_interleave(torch.arange(len(self._batch)), lengths)
        at = (row, *torch.unravel_index(index, faults.layer.shape))
        at = tuple(coordinate.to(values.device) for coordinate in at)
        scales = None if scale is None else scale.flatten().cpu()[row]
        before = encode(values[at].float().cpu(), self._format, scales)
        after, masks = before.clone(), list[Tensor]()
        end = 0
        for image, length in zip(self._batch, lengths.tolist(), strict=True):
            if not length:
                continue
            here = slice(end, end := end + length)
            own = None if scales is None else scales[here]
            output = values[image - self._batch.start]
            after[here], mask = faults.rule(image, before[here], own, output)
            masks += [] if mask is None else [mask]
        values[at] = decode(after, scales).to(values)
        self._struck.append(
            LayerFaults(
                faults.layer.name,
                index,
                before,
                after,
                faults.layer.part,
                torch.cat(masks) if masks else None,
                row + self._batch.start,
            )
        )


def _hold(values: Tensor, format: NumberFormat) -> Tensor | None:
    """Round activations to what the format can hold, in place; the scale of each image, if any.

    int8 holds the output of a layer with one scale for each image. It has neither infinities nor
    NaN: the former saturate, the latter become 0, as when a processor converts them.
    """
    if format == FLOAT32:
        return None
    passing, scale = values.float(), None
    if format.name == "int8":
        scale = int8_scale(torch.where(passing.isfinite(), passing, 0.0))
        passing = torch.where(passing.isnan(), 0.0, passing)
    values.copy_(decode(encode(passing, format, scale), scale))
    return scale


def _by_image(output: Tensor, images: int, layer: Layer) -> Tensor:
    """The same memory, image by image, shape (images, *layer.shape).

    Raises
    ------
    UserError
        If the layer's output does not have one image after the other.
    """
    if output.shape[1:] != layer.shape and len(output) % images == 0:
        output = output.view(images, -1, *output.shape[1:])  # windows stand where images do
    if output.shape != (images, *layer.shape):
        raise UserError(
            f"{layer.name} has shape {tuple(output.shape)} for {images} images, which is not one "
            "image after the other, so that faults in it can't be placed; leave it out of "
            "sites.targets"
        )
    return output


def _concatenated(parts: Sequence[LayerFaults]) -> LayerFaults:
    def whole(name: str) -> Any:
        tensors = [getattr(part, name) for part in parts]
        return None if tensors[0] is None else torch.cat(tensors)

    first = parts[0]
    return LayerFaults(
        first.layer,
        whole("index"),
        whole("before"),
        whole("after"),
        first.part,
        whole("bits"),
        whole("image"),
    )
