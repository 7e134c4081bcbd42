"""The schema of the configuration, which Hydra checks what it composes against."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class PreprocessingConfig:
    """How images become inputs; see `resilience.data.preprocessing.Preprocessing`."""

    resize: int = MISSING
    crop: int = MISSING
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    interpolation: str = "bilinear"


@dataclass
class FitConfig:
    """How `weights=fit` trains; see `resilience.networks.training.Recipe`."""

    epochs: int = 10
    learning_rate: float = 0.002
    batch_size: int = 16
    optimizer: str = "adamw"


@dataclass
class ModelConfig:
    """A classifier; see `resilience.networks.models.Model`."""

    name: str = MISSING
    weights: str | None = None
    network: dict[str, Any] = MISSING
    preprocessing: PreprocessingConfig | None = None
    fit: FitConfig = field(default_factory=FitConfig)


@dataclass
class DatasetConfig:
    """Images; see `resilience.data.images.Dataset`."""

    name: str = MISSING
    root: str | None = None
    images: dict[str, Any] = MISSING
    fit: dict[str, Any] | None = None
    weights: str | None = None
    image_size: int | None = None
    limit: int | None = 1000
    seed: int = 0
    skip_corrupt: bool = False


@dataclass
class AnalysisConfig:
    """What is done when a sweep has ended."""

    enabled: bool = True
    critical: int = 1


@dataclass
class Config:
    """One trial."""

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
    device: str = "auto"
    format: str = "float32"
    precision: str = "float32"
    optimise: bool = True
    compile: bool = False
    batch_size: int | None = None
    threads: int | None = None
    prefix_memory: float = 1.0
    cluster: dict[str, Any] = MISSING
    workers: int = 1
    campaign: str | None = None
    shard: str | None = None
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)


ConfigStore.instance().store(name="schema", node=Config)
