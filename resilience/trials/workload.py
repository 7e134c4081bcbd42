"""What trials are made on: a classifier, its images, its layers and its golden run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from resilience.data.images import Images
from resilience.data.preprocessing import Inputs
from resilience.faults.activations import PassingFaults, Stream, joined
from resilience.faults.formats import FORMATS
from resilience.faults.injection import Faults, RestorationError
from resilience.faults.layers import PASSING
from resilience.faults.memory import Storage
from resilience.faults.sampling import Drawn
from resilience.faults.sites import Sites
from resilience.faults.tracing import used_layers
from resilience.inference.allocator import keep_freed_memory
from resilience.inference.autotune import (
    AVAILABLE_THREADS,
    kept_number,
    measured_batch_size,
    measured_threads,
)
from resilience.inference.engine import Engine
from resilience.inference.golden_prefix import GoldenPrefix
from resilience.metrics import finite, predict
from resilience.networks.checkpoints import state_sha256
from resilience.networks.models import Classifier, Model
from resilience.system.cache import (
    DamagedCacheError,
    cache_directory,
    load_tensors,
    made_once,
    save_tensors,
)
from resilience.system.hashing import digest
from resilience.system.provenance import processor
from resilience.trials.settings import Settings


class Subject:
    """What trials are made on.

    Attributes
    ----------
    classifier
        With the network as it is stored, which trials only read.
    engine
        The network as it computes, which trials strike and put back.
    layers
        Every tensor of the network that faults may strike.
    storage
        What the memory of the network holds.
    batch_size, threads
        As configured, or as measured.
    """

    def __init__(
        self,
        model: Model,
        classifier: Classifier,
        images: Images,
        settings: Settings,
        sites: Sites | None = None,
    ) -> None:
        keep_freed_memory()
        self.classifier = classifier
        self.images = images
        self._model = model
        self._settings = settings
        example = classifier.preprocessing.example().to(classifier.device)
        self.layers = used_layers(classifier.network, example)
        self.storage = Storage(classifier.network, self.layers, FORMATS[settings.format])
        # Weights are struck where they are folded, and need no network of their own.
        struck = sites.population(self.layers).layers if sites else ()
        self._exposed = [layer for layer in struck if layer.part != "weights"]
        self.engine = Engine(
            classifier.network,
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
        self._inputs = self._batches(images.pixels)
        self._prefix = None
        outputs = Counter(layer.owner for layer in self.layers if layer.part == "activations")
        owners = {layer.owner for layer in self._exposed if layer.part == "activations"}
        # A run that begins after a layer's first use could not tell which use of it comes next.
        self._recurring = [owner for owner in owners if outputs[owner] > 1]
        parts = {layer.part for layer in self._exposed}
        # What is compiled has no parts, and what strikes images changes all of them.
        if settings.prefix_memory and not settings.compile and "inputs" not in parts:
            network = self.engine.network
            if isinstance(network, fx.GraphModule):
                self._prefix = GoldenPrefix(network, self._inputs, settings.prefix_memory)
        self._stored_sha256 = (
            classifier.weights_sha256
            if settings.format == "float32"
            else state_sha256(classifier.network.state_dict())
        )
        self._own_sha256 = state_sha256(self.engine.own_state())

    @cached_property
    def golden(self) -> Tensor:
        """Logits of the untouched network, shape (images, classes); kept in the user's cache.

        Raises
        ------
        ValueError
            If any is not finite.
        """
        # A network's code is in no hash: the first batch tells whether it still is the same one.
        first = self.evaluate(self.images.pixels[: self.batch_size])

        def make(path: Path) -> None:
            save_tensors(path, {"logits": self._predict(self._inputs, len(self.images))})

        def load(path: Path) -> Tensor:
            logits = load_tensors(path)[0]["logits"]
            if logits.shape != (len(self.images), first.shape[1]) or not torch.allclose(
                logits[: self.batch_size], first, rtol=1e-3, atol=1e-3, equal_nan=True
            ):
                raise DamagedCacheError("the network's outputs are not those of this golden run")
            return logits

        key = digest({**self.identity(), "torch": torch.__version__})
        name = f"{self._model.name}-{key[:16]}.safetensors"
        logits = made_once(cache_directory() / "golden" / name, make, load)
        if not finite(logits).all():
            raise ValueError(
                f"the golden run of {self._model.name} gives non-finite outputs for "
                f"{int((~finite(logits)).sum())} images, so that no fault could be told from it; "
                "its weights are not fit for evaluation"
            )
        return logits

    def corrupted(self, faults: Drawn) -> tuple[Tensor, tuple[Faults, ...]]:
        """Logits of the network with these faults, shape (images, classes), and what they did."""
        self._set_up()
        stream = self._stream(faults.passing)
        around = partial(stream.around, images=len(self.images), batch_size=self.batch_size)
        struck = [fault.layer for fault in faults.stored]
        struck += [fault.layer.owner for fault in faults.passing]
        struck += self._recurring if struck else []
        with self.engine.corrupted([self._as_values(fault) for fault in faults.stored]):
            if self._prefix is None or not struck:
                logits = predict(around(self.engine.run), self._inputs)
            else:
                logits = self._prefix.predict([self.engine.tensor(name) for name in struck], around)
        # Which layer is struck first depends on the images of the first batch.
        turn = {fault.layer.name: number for number, fault in enumerate(faults.passing)}
        passed = sorted(joined(stream.struck), key=lambda fault: turn[fault.layer])
        return logits, (*faults.stored, *passed)

    def evaluate(self, pixels: Tensor) -> Tensor:
        """Logits of the untouched network for other images, shape (images, classes)."""
        self._set_up()
        return self._predict(self._batches(pixels), len(pixels))

    def _as_values(self, fault: Faults) -> Faults:
        """The same fault told in the numbers that the network computes with."""
        return replace(fault, after=self.storage.values(fault.layer, fault.index, fault.after))

    def _predict(self, inputs: Inputs, images: int) -> Tensor:
        return predict(self._stream().around(self.engine.run, images, self.batch_size), inputs)

    def _stream(self, faults: Sequence[PassingFaults] = ()) -> Stream:
        passing = [layer for layer in self._exposed if layer.part in PASSING]
        owners = {layer.owner for layer in passing if layer.part == "activations"}
        names = {id(self.engine.tensor(owner)): owner for owner in owners}
        return Stream(passing, names, self.storage.format, faults)

    def identity(self) -> dict[str, Any]:
        """All that outputs depend on, but faults and versions: networks, images, arithmetic."""
        exposed = sorted(layer.name for layer in self._exposed)
        return {
            "network": self._model.parameters["network"],
            "weights": self.classifier.weights_sha256,
            "images": self.images.sha256,
            "preprocessing": asdict(self.classifier.preprocessing),
            "device": self.classifier.device.type,
            "batch_size": self.batch_size,
            **self._settings.arithmetic(),
            **({"exposed": exposed} if exposed else {}),
        }

    def check_weights(self) -> None:
        """Prove that all weights are those that were loaded.

        Raises
        ------
        RestorationError
            If their sha256 is another.
        """
        stored = state_sha256(self.classifier.network.state_dict())
        own = state_sha256(self.engine.own_state())
        if (stored, own) != (self._stored_sha256, self._own_sha256):
            raise RestorationError("the network's weights are not those that were loaded")

    def _set_up(self) -> None:
        """Have torch compute as this subject's settings say; another one's may differ."""
        torch.set_num_threads(self.threads)
        # float32 means float32: cuDNN would use fewer bits for convolutions by itself.
        torch.backends.cudnn.allow_tf32 = self._settings.precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = self._settings.precision == "tf32"

    def _batches(self, pixels: Tensor) -> Inputs:
        classifier = self.classifier
        return Inputs(
            pixels, classifier.preprocessing, self.batch_size, classifier.device, self.engine.dtype
        )

    def _fastest_batch_size(self, example: Tensor) -> int:
        def measure() -> int:
            return measured_batch_size(self.engine.network, example)

        key = self._measured("batch_size")
        cached = partial(kept_number, key, measure, cache_directory() / "measured")
        campaign = self._settings.campaign
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
            "model": self._model.name,
            "network": self._model.parameters["network"],
            "image": self.classifier.preprocessing.crop,
            "device": self.classifier.device.type,
            **self._settings.arithmetic(),
        }
