"""Schema of the configuration, against which Hydra checks what it composes.

Defaults come from the classes that the options configure, so that each is written once.
"""

from dataclasses import MISSING as REQUIRED
from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from resilience.data.spec import IMAGENET_MEAN, IMAGENET_STD, INTERPOLATION, Dataset
from resilience.networks.spec import Recipe
from resilience.trials.settings import Settings


def _default(of: type, name: str) -> Any:
    """The default value of a dataclass field."""
    (found,) = (each for each in fields(of) if each.name == name)
    assert found.default is not REQUIRED
    return found.default


@dataclass
class PreprocessingConfig:
    """How images become inputs; see `resilience.data.preprocessing.Preprocessing`."""

    resize: int = MISSING
    crop: int = MISSING
    mean: list[float] = field(default_factory=lambda: list(IMAGENET_MEAN))
    std: list[float] = field(default_factory=lambda: list(IMAGENET_STD))
    interpolation: str = INTERPOLATION


@dataclass
class FitConfig:
    """How `weights=fit` trains; see `resilience.networks.spec.Recipe`."""

    epochs: int = _default(Recipe, "epochs")
    learning_rate: float = _default(Recipe, "learning_rate")
    batch_size: int = _default(Recipe, "batch_size")
    optimizer: str = _default(Recipe, "optimizer")


@dataclass
class ModelConfig:
    """A classifier; see `resilience.networks.spec.Model`."""

    name: str = MISSING
    weights: str | None = None
    network: dict[str, Any] = MISSING
    preprocessing: PreprocessingConfig | None = None
    fit: FitConfig = field(default_factory=FitConfig)


@dataclass
class DatasetConfig:
    """Images; see `resilience.data.spec.Dataset`."""

    name: str = MISSING
    root: str | None = None
    images: dict[str, Any] = MISSING
    fit: dict[str, Any] | None = None
    weights: str | None = None
    image_size: int | None = _default(Dataset, "image_size")
    limit: int | None = _default(Dataset, "limit")
    seed: int = _default(Dataset, "seed")
    skip_corrupt: bool = _default(Dataset, "skip_corrupt")


@dataclass
class AnalysisConfig:
    """What happens at the end of a sweep."""

    enabled: bool = True
    critical: int = 1


@dataclass
class Config:
    """One trial; `conf/config.yaml` explains each option."""

    model: ModelConfig = field(default_factory=ModelConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    sites: dict[str, Any] = MISSING
    perturb: dict[str, Any] = MISSING
    frate: float = MISSING
    faults: int | None = None
    faults_from: str | None = None
    draws: int = 1
    strata: str | None = None
    replica: int = 0
    seed: int = 0
    device: str = _default(Settings, "device")
    format: str = _default(Settings, "format")
    precision: str = _default(Settings, "precision")
    optimise: bool = _default(Settings, "optimise")
    compile: bool = _default(Settings, "compile")
    batch_size: int | None = _default(Settings, "batch_size")
    threads: int | None = _default(Settings, "threads")
    prefix_memory: float = _default(Settings, "prefix_memory") / 2**30
    cluster: dict[str, Any] = MISSING
    workers: int = 1
    campaign: str | None = None
    shard: str | None = None
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)


ConfigStore.instance().store(name="schema", node=Config)
