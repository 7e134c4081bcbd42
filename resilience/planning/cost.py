"""Cost of evaluating a network on this machine, from one measured batch."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from resilience.config.user_errors import USER_ERRORS, one_line
from resilience.data.images import Images, choose_images
from resilience.data.preprocessing import Preprocessing
from resilience.data.spec import Dataset
from resilience.faults.population.layers import Layer
from resilience.inference.allocator import keep_freed_memory
from resilience.networks.models import choose_preprocessing, load_classifier, resolve_device
from resilience.networks.spec import Model
from resilience.system.errors import UserError
from resilience.trials.samples import ImageSamples
from resilience.trials.settings import Settings
from resilience.trials.workload import Origin, Workload


@dataclass(frozen=True, slots=True)
class Measurement:
    """Cost of evaluating a network on this machine.

    Attributes
    ----------
    layers
        Every tensor of the network that can hold faults.
    images
        Number of images that a trial evaluates.
    seconds
        To evaluate all of them once.
    memory
        Peak bytes: of the GPU if there is one, else of the process with all images. None if the
        system does not report it.
    device, batch_size, threads
        Used in the measurement.
    """

    layers: tuple[Layer, ...]
    images: int
    seconds: float
    memory: int | None
    device: str
    batch_size: int
    threads: int


def measure_apart(model: Model, dataset: Dataset, settings: Settings) -> Measurement:
    """Measure in a separate process, whose memory is that of this model alone.

    Raises
    ------
    UserError
        As `measure` does, and if the process was killed.
    """
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as executor:
        try:
            return executor.submit(_measure_or_say, model, dataset, settings).result()
        except BrokenProcessPool as error:
            raise UserError(
                f"the process that measured {model.name} was killed, possibly for lack of memory; "
                "try a smaller batch_size"
            ) from error


def _measure_or_say(model: Model, dataset: Dataset, settings: Settings) -> Measurement:
    try:
        return measure(model, dataset, settings)
    except USER_ERRORS as error:  # its cause can't be sent to the other process
        raise UserError(one_line(error)) from error


def measure(model: Model, dataset: Dataset, settings: Settings) -> Measurement:
    """Measure one batch of noise on fresh weights: time depends on neither.

    Raises
    ------
    UserError
        If something that the user asked for does not exist or is incompatible with the rest.
    """
    chosen, classes = choose_images(dataset.source(), dataset)
    preprocessing = choose_preprocessing(model, dataset)
    fresh = replace(model, weights="none", preprocessing=preprocessing)
    classifier = load_classifier(fresh, dataset, classes, resolve_device(settings.device))
    origin = Origin(
        model.name,
        classifier.weights_sha256,
        fresh.parameters["network"],
        asdict(preprocessing),
    )
    keep_freed_memory()
    workload = Workload(classifier.network, _noise(1, preprocessing), settings, origin)
    batch = _noise(min(workload.batch_size, len(chosen)), preprocessing)
    for _ in range(2):  # the first batch of a process is slower than later ones
        started = time.perf_counter()
        workload.evaluate(batch)
        seconds = time.perf_counter() - started
    of_images = 3 * preprocessing.crop**2 * (len(chosen) - len(batch))
    return Measurement(
        layers=workload.population.layers,
        images=len(chosen),
        seconds=seconds * len(chosen) / len(batch),
        memory=_peak(classifier.device, of_images),
        device=str(classifier.device),
        batch_size=workload.batch_size,
        threads=workload.threads,
    )


def _noise(images: int, preprocessing: Preprocessing) -> ImageSamples:
    """Noise images, as samples for a network."""
    shape = (images, 3, preprocessing.crop, preprocessing.crop)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    labels = torch.zeros(images, dtype=torch.int64)
    return ImageSamples(Images(pixels, labels, classes=1, sha256=""), preprocessing)


def _peak(device: torch.device, more: int) -> int | None:
    """Peak bytes so far: on the GPU, or of this process plus `more`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if device.type != "cpu" or not status.exists():
        return None
    # Not getrusage: its peak includes that of the parent process.
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 + more
