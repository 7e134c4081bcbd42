"""One choice of what or where: the object that does it, and how results speak of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One choice of what or where: the object that does it, its name in results, its options.

    Attributes
    ----------
    options
        All options, by name; but those of which earlier results do not speak only where they are
        not at their defaults.
    changed
        Those that are not at their defaults. Only these enter the generator, so that an option
        that is added later changes no earlier trial.
    """

    use: T
    name: str
    options: Mapping[str, Any]
    changed: Mapping[str, Any]
