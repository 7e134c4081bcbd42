"""Which network to use and how its weights come about, before anything is loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resilience.system.errors import UserError

if TYPE_CHECKING:  # torch takes seconds to import, and a specification needs none of it
    from torch import nn

    from resilience.data.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained: with one cycle of the learning rate.

    Attributes
    ----------
    epochs, batch_size
        Passes over the images, and images in each step.
    learning_rate
        At its highest, after three tenths of the steps.
    optimizer
        `adamw`, or `sgd` with Nesterov's momentum, for networks without normalisation.
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
        The factor's value in results.
    build
        Makes the network, with fresh weights, for a number of classes.
    weights
        `fit`, `none`, the name of torchvision weights, or a file (.pth, .safetensors).
    parameters
        What tells this choice from others: the configuration that it was made from.
    architecture
        The network's name in torchvision; None: a network of the user's own.
    preprocessing
        None: what torchvision's weights want, at the dataset's image size if it sets one.
    recipe
        How `fit` trains.
    may_fit
        Whether to train where the cache has no fitted weights, or to stop.
    """

    name: str
    build: "Callable[[int], nn.Module]"
    weights: str
    parameters: Mapping[str, Any]
    architecture: str | None = None
    preprocessing: "Preprocessing | None" = None
    recipe: Recipe = field(default_factory=Recipe)
    may_fit: bool = True
