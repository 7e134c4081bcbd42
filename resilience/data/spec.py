"""Which images to use, before any is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from resilience.system.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INTERPOLATION = "bilinear"

Source = Any
"""What torchvision calls a dataset: images with class indices."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Which images to use.

    Attributes
    ----------
    name
        Value of the factor in results.
    source
        Opens the images to evaluate on.
    fit
        Opens the images to fit networks on, or None.
    parameters
        Identifies this choice: the configuration that it was built from.
    image_size
        Side of the images given to networks, pixels; None: the network's own.
    limit
        Maximum number of images, distinct and drawn evenly over the classes; None: all.
    seed
        For drawing them.
    skip_corrupt
        Skip images that can't be decoded instead of raising an error.
    """

    name: str
    source: Callable[[], Source]
    fit: Callable[[], Source] | None
    parameters: Mapping[str, Any]
    image_size: int | None = None
    limit: int | None = 1000
    seed: int = 0
    skip_corrupt: bool = False

    def to_fit(self) -> "Dataset":
        """The dataset of all images to fit on.

        Raises
        ------
        UserError
            If the dataset has none.
        """
        if self.fit is None:
            raise UserError(
                f"dataset {self.name} has no images to fit on; "
                "give model.weights=FILE or the name of torchvision weights, or set dataset.fit"
            )
        parameters = {**self.parameters, "part": "fit"}
        return replace(self, source=self.fit, parameters=parameters, limit=None)
