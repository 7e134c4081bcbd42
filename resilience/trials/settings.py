"""How trials are computed, whatever they are trials of."""

from dataclasses import dataclass
from pathlib import Path

from resilience.number_formats import FORMATS
from resilience.system.errors import UserError

WORKLOADS_KEPT = 3
"""Workloads that a process keeps loaded."""

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Settings:
    """How trials are computed.

    Attributes
    ----------
    device
        `auto`, `cpu`, `cuda`, `cuda:INDEX` or `mps`.
    precision
        The arithmetic: one of `PRECISIONS`; `tf32` is float32 whose products CUDA rounds.
    optimise
        Fold batch normalisation into convolutions, and begin at the first corrupted layer.
    compile
        Compile the network with `torch.compile`.
    format
        How memory holds what faults strike: one of `FORMATS`.
    batch_size
        Images; None: measured.
    threads
        Of the processor; None: measured.
    prefix_memory
        For golden activations to begin from, bytes.
    campaign
        Its directory, which keeps the measured batch size for all its trials; None: no campaign.
    """

    device: str = "auto"
    precision: str = "float32"
    optimise: bool = True
    compile: bool = False
    format: str = "float32"
    batch_size: int | None = None
    threads: int | None = None
    prefix_memory: int = 2**30
    campaign: Path | None = None

    def __post_init__(self) -> None:
        for name, choices in (("precision", PRECISIONS), ("format", FORMATS)):
            if (chosen := getattr(self, name)) not in choices:
                raise UserError(f"{name} must be one of {', '.join(choices)}, got {chosen!r}")
        for name in ("batch_size", "threads"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise UserError(f"{name} must be at least 1, got {number}")
        if self.prefix_memory < 0:
            raise UserError(f"prefix_memory must not be negative, got {self.prefix_memory}")

    def storage(self) -> dict[str, str]:
        """The format, which results omit where it is float32."""
        return {} if self.format == "float32" else {"format": self.format}

    def arithmetic(self) -> dict[str, str | bool]:
        """The settings that determine numbers, beside batch size and type of device."""
        return {
            "precision": self.precision,
            "optimise": self.optimise,
            "compile": self.compile,
            **self.storage(),
        }
