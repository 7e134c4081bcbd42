"""Reading files of faults, as `faults.csv` lists them."""

import hashlib
import io
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from resilience.faults.draw import BITS, COLUMNS, DRAW, FURTHER, IMAGE, PART, Draw
from resilience.faults.fault_list import FaultList
from resilience.faults.fault_plan import number_format
from resilience.faults.memory import Memory
from resilience.faults.population.layers import TRANSIENT_PARTS, Layer, Population, layer_tensors
from resilience.faults.population.tracing import find_layers
from resilience.number_formats import FORMATS
from resilience.system.errors import UserError

_NEEDED = ("layer", "index", "before_bits", "after_bits")


def read_faults(
    path: str | Path,
    network: nn.Module,
    example: Tensor | None = None,
    format: str | None = None,
    draw: int | None = None,
) -> Draw:
    """Read a `faults.csv`, checked against the network that it is to strike.

    Parameters
    ----------
    example
        An input of the network, shape (images, ...); needed for faults in activations or inputs,
        and for int8.
    format
        How the network's memory holds what is struck; None: the only one whose bits agree with
        the file's.
    draw
        Which draw, in a file of several.

    Raises
    ------
    UserError
        If the file can't be read, if a fault does not fit the network, or if there are several
        draws and none is chosen.

    Examples
    --------
    >>> import tempfile, torch
    >>> import resilience as rs
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> population = rs.find_layers(network, torch.zeros(1, 4))
    >>> faults = rs.draw_faults(population, count=2, perturb=rs.perturbations.BitFlip())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     faults.save(f"{folder}/faults.csv")
    ...     again = rs.read_faults(f"{folder}/faults.csv", network)
    >>> again.by_layer == faults.by_layer
    True
    """
    listed = read_list_file(path)
    numbers = listed.numbers()
    if draw is None and len(numbers) > 1:
        raise UserError(f"{path} has {len(numbers)} draws: say which, such as draw={numbers[0]}")
    if draw is not None and draw not in numbers:
        raise UserError(f"{path} has {len(numbers)} draws, and no draw {draw}")
    listed = listed.only(numbers[0] if draw is None else draw)
    if example is None and {*listed.parts} & {*TRANSIENT_PARTS}:
        raise UserError(
            f"{path} strikes {', '.join(listed.parts)}: give an example input of the network too"
        )
    if example is None:
        population = _stored_layers(network, listed)
    else:
        population = find_layers(network, example)
    read = _in_format(listed, population, format)
    if read.format.name == "int8" and example is None:
        raise UserError(f"{path} is of int8: give an example input of the network too")
    return read


def _stored_layers(network: nn.Module, listed: FaultList) -> Population:
    """The listed tensors of a network, in the list's order; how it uses them is not known."""
    parts = dict(listed.rows[["layer", PART]].itertuples(index=False, name=None))
    tensors = {name: tensor.detach() for name, tensor in layer_tensors(network).items()}
    layers = tuple(
        Layer(name, "linear", tuple(tensors[name].shape), part)
        for name, part in parts.items()
        if name in tensors
    )
    return Population(layers, tensors)


def _in_format(listed: FaultList, population: Population, format: str | None) -> Draw:
    """The draw of a list, in the given format or else in the only one that agrees."""
    if format is not None:
        (draw,) = listed.realise(population, Memory(population, number_format(format)))
        return draw
    digits = min(len(bits) for bits in listed.rows["before_bits"])
    agreeing: list[Draw] = []
    wrong = UserError(f"{listed.source} has before_bits of {digits} digits, as in no format")
    for candidate in FORMATS.values():
        if candidate.width == 4 * digits:
            try:
                agreeing += listed.realise(population, Memory(population, candidate))
            except UserError as error:
                wrong = error
    if not agreeing:
        raise wrong
    if len(agreeing) > 1:
        names = " or ".join(draw.format.name for draw in agreeing)
        raise UserError(f"{listed.source} agrees with several formats: say format={names}")
    return agreeing[0]


def read_list_file(path: str | Path) -> FaultList:
    """Read a `faults.csv` from a file.

    Raises
    ------
    UserError
        If the file can't be read, lacks a column, or has no row.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}") from error
    return read_list(text, str(path))


def read_list(text: str, source: str) -> FaultList:
    """Read the text of a `faults.csv`.

    Raises
    ------
    UserError
        If it lacks a column, or has no row.
    """
    try:
        rows = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UserError(f"{source} can't be read as CSV: {error}") from error
    if not isinstance(rows.index, pd.RangeIndex):  # pandas takes the first cells for row names
        raise UserError(f"{source} has lines that are longer than its header")
    lacking = [name for name in _NEEDED if name not in rows]
    if lacking:
        raise UserError(
            f"{source} has no column {' and '.join(lacking)}; a list of faults has the columns "
            f"{','.join(COLUMNS)}, and where needed {','.join(FURTHER)}"
        )
    if rows.empty:
        raise UserError(f"{source} lists no faults")
    for name, default in {PART: "weights", BITS: "", IMAGE: "", DRAW: "0"}.items():
        if name not in rows:
            rows[name] = default
    rows.index += 2  # as lines are counted, below the header
    return FaultList(source, rows, hashlib.sha256(text.encode()).hexdigest())
