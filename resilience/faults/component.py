"""Objects that a user chooses, and how results describe them: by name and options."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LISTED = "listed"
"""Name of sites and perturbation where a file lists the faults."""


@dataclass(frozen=True, slots=True)
class Component(Generic[T]):
    """A choice of sites or of a perturbation: the object, and how results describe it.

    Attributes
    ----------
    options
        All options by name, without those that results omit at their defaults.
    changed
        Options that differ from their defaults. Only these enter the generator, so that an option
        added later changes no earlier trial.
    """

    use: T
    name: str
    options: Mapping[str, Any]
    changed: Mapping[str, Any]


def describe(
    use: T,
    name: str | None = None,
    given: Mapping[str, Any] | None = None,
    made_by: Callable[..., T] | None = None,
) -> Component[T]:
    """Describe an object by its name and its options.

    Parameters
    ----------
    name
        None: that of its class, in lower case, unless the class has another `name`.
    given
        The options that it was made with; None: its fields, or its plain attributes.
    made_by
        What made it from these options; None: its class.
    """
    if inspect.isroutine(use) and given is None:
        return Component(use, name or use.__name__.strip("<>").lower(), {}, {})
    made_by = made_by or type(use)
    if given is None:
        given = _attributes(use)
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(made_by).parameters.values()
        if parameter.default is not parameter.empty
    }
    # An integer given for a float must seed the same generator as that float.
    given = {
        key: float(value) if isinstance(defaults.get(key), float) else value
        for key, value in given.items()
    }
    changed = {
        key: value for key, value in given.items() if key not in defaults or value != defaults[key]
    }
    omitted = {
        field.name
        for field in (fields(made_by) if is_dataclass(made_by) else ())
        if field.metadata.get("omitted_at_default")
    }
    options = {
        key: value
        for key, value in {**defaults, **given}.items()
        if key in changed or key not in omitted
    }
    return Component(use, name or _name_of(use), in_json(options), in_json(changed))


def _attributes(use: object) -> dict[str, Any]:
    if is_dataclass(use):
        return {field.name: getattr(use, field.name) for field in fields(use)}
    plain = (bool, int, float, str, type(None))
    return {
        k: value for k, value in getattr(use, "__dict__", {}).items() if isinstance(value, plain)
    }


def _name_of(use: object) -> str:
    return str(getattr(type(use), "name", type(use).__name__.lower()))


def in_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options in which text replaces the numbers that JSON lacks: `nan`, `inf`, `-inf`."""
    return {
        name: value if not isinstance(value, float) or math.isfinite(value) else str(value)
        for name, value in options.items()
    }
