"""Which network to use and where its weights come from, before anything is loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resilience.system.errors import UserError

if TYPE_CHECKING:  # torch takes seconds to import, and a specification does not need it
    from torch import nn

    from resilience.data.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained, with a one-cycle learning rate.

    Attributes
    ----------
    epochs, batch_size
        Passes over the images, and images per step.
    learning_rate
        Peak value, reached after three tenths of the steps.
    optimizer
        `adamw`, or `sgd` with Nesterov momentum, for networks without normalisation.
    """

    epochs: int = 10
    learning_rate: float = 0.002
    batch_size: int = 16
    optimizer: str = "adamw"

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "sgd"):
            raise UserError(f"model.fit.optimizer must be adamw or sgd, got {self.optimizer!r}")


@dataclass(frozen=True, slots=True)
class Model:
    """Which classifier to use.

    Attributes
    ----------
    name
        Value of the factor in results.
    build
        Builds the network, with fresh weights, for a number of classes.
    weights
        `fit`, `none`, the name of torchvision weights, or a file (.pth, .safetensors).
    parameters
        Identifies this choice: the configuration that it was built from.
    architecture
        The network's name in torchvision; None: a custom network.
    preprocessing
        None: that of torchvision's weights, at the dataset's image size if it sets one.
    recipe
        How `fit` trains.
    may_fit
        Whether to train if the cache has no fitted weights, instead of raising an error.
    """

    name: str
    build: "Callable[[int], nn.Module]"
    weights: str
    parameters: Mapping[str, Any]
    architecture: str | None = None
    preprocessing: "Preprocessing | None" = None
    recipe: Recipe = field(default_factory=Recipe)
    may_fit: bool = True
