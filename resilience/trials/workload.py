"""A workload, what trials run on: a network, its samples, its layers and its golden run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from resilience.faults.activations import ActivationMemory
from resilience.faults.draw import ActivationFaults, Draw, LayerFaults
from resilience.faults.injection import RestorationError
from resilience.faults.memory import Memory
from resilience.faults.population import TRANSIENT_PARTS, Population, find_layers
from resilience.inference.autotune import (
    AVAILABLE_THREADS,
    kept_number,
    measured_batch_size,
    measured_threads,
)
from resilience.inference.engine import Engine
from resilience.inference.golden_prefix import GoldenPrefix
from resilience.inference.predict import finite, predict
from resilience.number_formats import FORMATS
from resilience.system.cache import DamagedCacheError, cache_directory, made_once
from resilience.system.errors import UserError
from resilience.system.hashing import identity_digest
from resilience.system.provenance import processor
from resilience.system.tensors import load_tensors, save_tensors, state_sha256
from resilience.trials.samples import Batches, Samples
from resilience.trials.settings import Settings


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a network, as results and cached files record it.

    Attributes
    ----------
    model
        The factor's value.
    weights_sha256
        Of the weights as they were loaded.
    network
        How the network is built, JSON.
    preprocessing
        How its inputs are made.
    kept
        Whether golden runs are kept in the user's cache.
    """

    model: str
    weights_sha256: str
    network: Any = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    kept: bool = True


class Workload:
    """A network, its samples, its layers and its golden run.

    Attributes
    ----------
    network
        As it is stored, in the format of the settings; trials only read it.
    engine
        The network as it computes, which trials strike and restore.
    population
        Every tensor of the network that faults may strike.
    memory
        The memory of the network.
    batch_size, threads
        As configured, or as measured.

    Parameters
    ----------
    network
        In evaluation mode, without gradients; the workload owns it from now on.
    exposing
        Chooses the layers that must be computed as they are stored; None: there are none.
    """

    def __init__(
        self,
        network: nn.Module,
        samples: Samples,
        settings: Settings,
        origin: Origin,
        exposing: Callable[[Population], Population] | None = None,
    ) -> None:
        self.network = network
        self.samples = samples
        self.settings = settings
        self.origin = origin
        self.device = next((tensor.device for tensor in network.parameters()), torch.device("cpu"))
        example = samples.example().to(self.device)
        self.population = find_layers(network, example)
        self.memory = Memory(self.population, FORMATS[settings.format])
        self.memory.round()
        struck = exposing(self.population).layers if exposing else ()
        # Weights are struck where they are folded, and need no network of their own.
        self._exposed = [layer for layer in struck if layer.part != "weights"]
        self.engine = Engine(
            network,
            example,
            settings.precision,
            settings.optimise,
            settings.compile,
            self._exposed,
        )
        example = example.to(self.engine.dtype)
        torch.set_num_threads(settings.threads or AVAILABLE_THREADS)
        self.batch_size = settings.batch_size or self._fastest_batch_size(example)
        self.threads = settings.threads or self._fastest_threads(example)
        self._batches = self._batched(samples)
        self._recurring = self._used_several_times()
        self._prefix = self._golden_prefix()
        self._stored_sha256 = (
            origin.weights_sha256
            if settings.format == "float32"
            else state_sha256(network.state_dict())
        )
        self._own_sha256 = state_sha256(self.engine.own_state())

    @cached_property
    def golden(self) -> Tensor:
        """Logits of the untouched network, shape (images, classes).

        Raises
        ------
        UserError
            If any is not finite.
        """
        logits = self._kept_golden() if self.origin.kept else self.evaluate(self.samples)
        if not finite(logits).all():
            raise UserError(
                f"the golden run of {self.origin.model} gives non-finite outputs for "
                f"{int((~finite(logits)).sum())} images, from which no fault could be told; "
                "its weights are not fit for evaluation"
            )
        return logits

    def corrupted(self, draw: Draw) -> Tensor:
        """Logits of the network with these faults, shape (images, classes).

        The draw observes what its faults in activations and inputs did.
        """
        self._set_up()
        memory = self._activation_memory(draw.activations)
        around = partial(memory.around, sizes=self.samples.sizes(self.batch_size))
        struck = [faults.layer for faults in draw.stored]
        struck += [faults.layer.owner for faults in draw.activations]
        struck += self._recurring if struck else []
        with self.engine.corrupted([self._as_values(faults) for faults in draw.stored]):
            if self._prefix is None or not struck:
                logits = predict(around(self.engine.run), self._batches)
            else:
                logits = self._prefix.predict([self.engine.tensor(name) for name in struck], around)
        draw.observe(memory.observed())
        return logits

    def evaluate(self, samples: Samples) -> Tensor:
        """Logits of the untouched network for these samples, shape (images, classes)."""
        return self._predict(samples, self._batched(samples))

    def identity(self) -> dict[str, Any]:
        """Everything that determines the outputs, but faults and versions."""
        exposed = sorted(layer.name for layer in self._exposed)
        return {
            "network": self.origin.network,
            "weights": self.origin.weights_sha256,
            "images": self.samples.sha256,
            "preprocessing": dict(self.origin.preprocessing),
            "device": self.device.type,
            "batch_size": self.batch_size,
            **self.settings.arithmetic(),
            **({"exposed": exposed} if exposed else {}),
        }

    def check_weights(self) -> None:
        """Verify that all weights are those that were loaded.

        Raises
        ------
        RestorationError
            If their sha256 differs.
        """
        stored = state_sha256(self.network.state_dict())
        own = state_sha256(self.engine.own_state())
        if (stored, own) != (self._stored_sha256, self._own_sha256):
            raise RestorationError("the network's weights are not those that were loaded")

    def _kept_golden(self) -> Tensor:
        """The golden run from the user's cache, computed once."""
        # No hash covers a network's code: the first batch tells whether it is still the same.
        first = self._predict(self.samples, [self._batches[0]])

        def make(path: Path) -> None:
            save_tensors(path, {"logits": self._predict(self.samples, self._batches).cpu()})

        def load(path: Path) -> Tensor:
            logits = load_tensors(path)[0]["logits"].to(first.device)
            if logits.shape != (len(self.samples), first.shape[1]) or not torch.allclose(
                logits[: self.batch_size], first, rtol=1e-3, atol=1e-3, equal_nan=True
            ):
                raise DamagedCacheError("the network's outputs are not those of this golden run")
            return logits

        key = identity_digest({**self.identity(), "torch": torch.__version__})
        name = f"{self.origin.model}-{key[:16]}.safetensors"
        return made_once(cache_directory() / "golden" / name, make, load)

    def _as_values(self, faults: LayerFaults) -> LayerFaults:
        """The same faults, with the values that the network computes with."""
        return replace(faults, after=self.memory.values(faults.layer, faults.index, faults.after))

    def _predict(self, samples: Samples, batches: Batches) -> Tensor:
        self._set_up()
        memory = self._activation_memory()
        return predict(memory.around(self.engine.run, samples.sizes(self.batch_size)), batches)

    def _activation_memory(self, faults: Sequence[ActivationFaults] = ()) -> ActivationMemory:
        passing = [layer for layer in self._exposed if layer.part in TRANSIENT_PARTS]
        owners = {layer.owner for layer in passing if layer.part == "activations"}
        names = {id(self.engine.tensor(owner)): owner for owner in owners}
        return ActivationMemory(passing, names, self.memory.format, faults)

    def _used_several_times(self) -> list[str]:
        """Exposed layers that one forward pass uses several times.

        A run that begins after such a layer's first use could not tell which use comes next.
        """
        outputs = Counter(layer.owner for layer in self.population if layer.part == "activations")
        owners = {layer.owner for layer in self._exposed if layer.part == "activations"}
        return [owner for owner in owners if outputs[owner] > 1]

    def _golden_prefix(self) -> GoldenPrefix | None:
        parts = {layer.part for layer in self._exposed}
        # A compiled network can't be split, and faults in images change every part.
        if not self.settings.prefix_memory or self.settings.compile or "inputs" in parts:
            return None
        network = self.engine.network
        if not isinstance(network, fx.GraphModule):
            return None
        return GoldenPrefix(network, self._batches, self.settings.prefix_memory)

    def _set_up(self) -> None:
        """Apply these settings to torch; those of another workload may differ."""
        torch.set_num_threads(self.threads)
        # float32 means float32: cuDNN would use fewer bits for convolutions by itself.
        torch.backends.cudnn.allow_tf32 = self.settings.precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = self.settings.precision == "tf32"

    def _batched(self, samples: Samples) -> Batches:
        return samples.batches(self.batch_size, self.device, self.engine.dtype)

    def _fastest_batch_size(self, example: Tensor) -> int:
        def measure() -> int:
            return measured_batch_size(self.engine.network, example)

        key = self._measured("batch_size")
        cached = partial(kept_number, key, measure, cache_directory() / "measured")
        campaign = self.settings.campaign
        return kept_number(key, cached, campaign / "measured") if campaign else cached()

    def _fastest_threads(self, example: Tensor) -> int:
        key = self._measured("threads")
        key |= {"processor": processor(), "available": AVAILABLE_THREADS}
        measure = partial(measured_threads, self.engine.network, example)
        return kept_number(key, measure, cache_directory() / "measured")

    def _measured(self, what: str) -> dict[str, Any]:
        """What a measurement depends on."""
        return {
            "what": what,
            "model": self.origin.model,
            "network": self.origin.network,
            "image": self.origin.preprocessing.get("crop"),
            "device": self.device.type,
            **self.settings.arithmetic(),
        }
