"""What a campaign will do, cost and be able to show, before it is run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from resilience.analysis.power.foresight import (
    EffectForesight,
    SpreadForesight,
    Wish,
    foresee_effects,
    foresee_spread,
)
from resilience.analysis.power.statistical_injection import sample_size
from resilience.analysis.tables.model import COUNTED_ROLES, ROLES
from resilience.faults.fault_plan import fault_count
from resilience.faults.population import Population
from resilience.number_formats import FORMATS
from resilience.planning.cost import Measurement
from resilience.system.hashing import digest
from resilience.trials.workloads import ConfiguredTrial


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a campaign's design: one of its trials, and the number of replicas."""

    trial: ConfiguredTrial
    replicas: int

    @property
    def workload(self) -> str:
        """Identifies the model, images and settings that this cell runs on."""
        trial = self.trial
        parts = (dict(trial.model.parameters), dict(trial.dataset.parameters))
        return digest([*parts, asdict(trial.settings)])


@dataclass(frozen=True, slots=True)
class Proportion:
    """How precisely to estimate a proportion of critical faults."""

    margin: float = 0.01
    confidence: float = 0.99


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer, and the number of faults to draw for an estimate of this layer alone.

    Attributes
    ----------
    weight_sample
        With one possible fault per weight; also the number to draw for a single bit.
    bit_sample
        With one possible fault per bit.
    """

    layer: str
    weights: int
    weight_sample: int
    bit_sample: int


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults of one model at one choice of sites.

    Attributes
    ----------
    population
        Number of weights that can be faulty.
    counts
        Faults per draw, by failure rate; by `faults=N` where their number is exact.
    weight_sample, bit_sample
        Faults to inject one at a time to estimate the proportion of critical ones, with one
        possible fault per weight, or per bit.
    """

    model: str
    dataset: str
    sites: str
    population: int
    weight_bits: int
    counts: Mapping[float | str, int]
    weight_sample: int
    bit_sample: int
    layers: tuple[LayerPlan, ...]


@dataclass(frozen=True, slots=True)
class CostPlan:
    """Cost of one model's trials on this machine, run one after another.

    Attributes
    ----------
    seconds
        To evaluate all trials and the golden run.
    trial_seconds
        To evaluate the images of one trial, once per draw.
    memory
        Peak bytes; None if the system does not report it.
    """

    model: str
    dataset: str
    trials: int
    images: int
    batch_size: int
    device: str
    threads: int
    trial_seconds: float
    seconds: float
    memory: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign before it is run."""

    cells: int
    replicas: tuple[int, ...]
    trials: int
    seconds: float
    faults: tuple[FaultPlan, ...]
    costs: tuple[CostPlan, ...]
    wish: Wish
    effects: tuple[EffectForesight, ...]
    spread: tuple[SpreadForesight, ...]
    proportion: Proportion


def plan(
    cells: Sequence[Cell],
    measurements: Mapping[str, Measurement],
    wish: Wish,
    proportion: Proportion,
) -> Plan:
    """What a campaign of these cells will do, cost and be able to show.

    Parameters
    ----------
    measurements
        Cost of one evaluation, by the cells' `workload`.

    Raises
    ------
    UserError
        If the trials of a cell would fail: a rate too low for any fault, sites without layers.
    """
    costs = tuple(_costs(cells, measurements))
    exact = all("faults" in cell.trial.factors() for cell in cells)
    roles = COUNTED_ROLES if exact else ROLES
    rows = _observations(cells, roles)
    return Plan(
        cells=len(cells),
        replicas=tuple(sorted({cell.replicas for cell in cells})),
        trials=sum(cell.replicas for cell in cells),
        seconds=sum(cost.seconds for cost in costs),
        faults=tuple(_faults(alike, measurements, proportion) for alike in _alike(cells)),
        costs=costs,
        wish=wish,
        effects=tuple(foresee_effects(rows, roles, wish)) if len(rows) else (),
        spread=tuple(foresee_spread(rows, roles, wish)) if len(rows) else (),
        proportion=proportion,
    )


def _alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells grouped by what their faults are drawn from: model, images, sites and their options."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        plan = cell.trial.plan
        key = digest([cell.workload, plan.factors()["sites"], plan.options()["sites"]])
        groups.setdefault(key, []).append(cell)
    return list(groups.values())


def _faults(
    alike: Sequence[Cell], measurements: Mapping[str, Measurement], proportion: Proportion
) -> FaultPlan:
    def sample(possible: int) -> int:
        return sample_size(possible, proportion.margin, proportion.confidence)

    trial, measured = alike[0].trial, measurements[alike[0].workload]
    population = trial.plan.population(Population(measured.layers))
    weights = all(layer.part == "weights" for layer in population.layers)
    # int8 applies to weights only.
    held = trial.settings.format if weights or trial.settings.format != "int8" else "float32"
    bits = FORMATS[held].width
    factors = [cell.trial.factors() for cell in alike]
    rates = sorted({each["frate"] for each in factors if each["frate"] is not None})
    exact = sorted({each["faults"] for each in factors if "faults" in each})
    counts: dict[float | str, int] = {rate: fault_count(rate, population) for rate in rates}
    counts |= {f"faults={number}": number for number in exact}
    return FaultPlan(
        model=trial.model.name,
        dataset=trial.dataset.name,
        sites=trial.plan.factors()["sites"],
        population=population.size,
        weight_bits=bits,
        counts=counts,
        weight_sample=sample(population.size),
        bit_sample=sample(bits * population.size),
        layers=tuple(
            LayerPlan(layer.name, layer.size, sample(layer.size), sample(bits * layer.size))
            for layer in population.layers
        ),
    )


def _costs(cells: Sequence[Cell], measurements: Mapping[str, Measurement]) -> Iterator[CostPlan]:
    for workload, measured in measurements.items():
        here = [cell for cell in cells if cell.workload == workload]
        trial = here[0].trial
        trials = sum(cell.replicas for cell in here)
        draws = sum(cell.replicas * cell.trial.plan.draws for cell in here)
        yield CostPlan(
            model=trial.model.name,
            dataset=trial.dataset.name,
            trials=trials,
            images=measured.images,
            batch_size=measured.batch_size,
            device=measured.device,
            threads=measured.threads,
            trial_seconds=measured.seconds * draws / trials,
            seconds=measured.seconds * (draws + 1),
            memory=measured.memory,
        )


def _observations(cells: Sequence[Cell], roles: Sequence[str]) -> pd.DataFrame:
    """One row per trial that the analysis will read: its factors."""
    rows = [
        {name: cell.trial.factors()[name] for name in roles}
        for cell in cells
        if cell.trial.factors()["frate"] or "faults" in cell.trial.factors()
        for _ in range(cell.replicas)
    ]
    return pd.DataFrame(rows, columns=list(roles))
