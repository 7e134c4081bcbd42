"""Plans of faults: how those of a trial are drawn, and the generator that decides."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from resilience.faults.bit_perturbations import BitPerturbation
from resilience.faults.component import Component, describe
from resilience.faults.draw import Draw
from resilience.faults.memory import Memory
from resilience.faults.perturbations import AnyPerturbation
from resilience.faults.population.layers import Population
from resilience.faults.population.sites import Sites, Uniform
from resilience.faults.sampling import sample
from resilience.number_formats import FORMATS, NumberFormat
from resilience.system.errors import UserError
from resilience.system.hashing import digest

SAMPLER_VERSION = 1
"""Raised whenever the same generator would draw other faults; it enters every trial's seed."""

STRATA = ("layer", "bit")

EVERYWHERE = Uniform()
"""Every weight of all layers equally likely, as a soft error in memory strikes."""


class FaultPlan(Protocol):
    """The faults that a trial injects: sampled ones, or those of a list."""

    @property
    def draws(self) -> int:
        """Number of draws."""

    @property
    def exposing(self) -> Mapping[str, Any] | None:
        """Identifies the layers that must be computed as they are stored; None: there are none."""

    def population(self, population: Population) -> Population:
        """The part of a network's population that is struck."""

    def factors(self) -> dict[str, Any]:
        """The factors of the design that this plan sets, by name."""

    def options(self) -> dict[str, Any]:
        """The options of sites and perturbation, as results record them."""

    def changed(self) -> dict[str, Any]:
        """Those of the options that differ from their defaults."""

    def counts(self) -> dict[str, Any]:
        """Numbers of faults and draws, unless there is one draw at a rate."""

    def words(self) -> dict[str, Any]:
        """The part of the generator's seed that this plan determines."""

    def realise(
        self,
        population: Population,
        memory: Memory,
        rng: Callable[[int], np.random.Generator],
        replica: int = 0,
        images: int | None = None,
    ) -> Iterator[Draw]:
        """The draws of one replica."""


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """How the faults of a trial are drawn.

    Attributes
    ----------
    rate
        Number of faults divided by the size of the population; None where `count` is given.
    count
        Number of faults of each draw, in place of a rate.
    draws
        Number of draws, one after another, each for all images.
    strata
        `layer` or `bit`: draws are stratified, one layer or bit after the other; None: they are
        not.
    """

    sites: Component[Sites]
    perturb: Component[AnyPerturbation]
    rate: float | None = None
    count: int | None = None
    draws: int = 1
    strata: str | None = None

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.count is None):
            raise UserError("give either a failure rate or an exact number of faults")
        if self.count is not None and self.count < 1:
            raise UserError(f"faults must be at least 1, got {self.count}")
        if self.draws < 1:
            raise UserError(f"draws must be at least 1, got {self.draws}")
        if self.strata not in (None, *STRATA):
            raise UserError(f"strata must be one of {', '.join(STRATA)}, got {self.strata!r}")

    @property
    def exposing(self) -> Mapping[str, Any] | None:
        """Identifies the layers that must be computed as they are stored; None: there are none.

        Weights are struck where they are folded, and need no network of their own.
        """
        if self.sites.changed.get("part", "weights") == "weights":
            return None
        return {"sites": self.sites.name, **self.sites.changed}

    def population(self, population: Population) -> Population:
        """The part of a network's population that these faults are drawn from."""
        return self.sites.use.population(population)

    def factors(self) -> dict[str, Any]:
        """The factors of the design that this plan sets, by name."""
        return {
            "sites": self.sites.name,
            "perturb": self.perturb.name,
            "frate": None if self.rate is None else float(self.rate),
            **({} if self.count is None else {"faults": self.count}),
        }

    def options(self) -> dict[str, Any]:
        """The options of sites and perturbation, as results record them."""
        return {"sites": dict(self.sites.options), "perturb": dict(self.perturb.options)}

    def changed(self) -> dict[str, Any]:
        """Those of the options that differ from their defaults."""
        return {"sites": dict(self.sites.changed), "perturb": dict(self.perturb.changed)}

    def counts(self) -> dict[str, Any]:
        """Numbers of faults and draws, unless there is one draw at a rate."""
        counts: dict[str, Any] = {}
        if self.count is not None:
            counts["faults"] = {"count": self.count}
        if (self.draws, self.strata) != (1, None):
            counts["draws"] = {"draws": self.draws, "strata": self.strata}
        return counts

    def words(self) -> dict[str, Any]:
        """The part of the generator's seed that this plan determines."""
        return {
            "sites": {"name": self.sites.name, **self.sites.changed},
            "perturb": {"name": self.perturb.name, **self.perturb.changed},
            "frate": None if self.rate is None else repr(float(self.rate)),
            **({} if self.count is None else {"faults": self.count}),
            **({} if self.strata is None else {"strata": self.strata}),
        }

    def realise(
        self,
        population: Population,
        memory: Memory,
        rng: Callable[[int], np.random.Generator],
        replica: int = 0,
        images: int | None = None,
    ) -> Iterator[Draw]:
        """The draws of one replica.

        Parameters
        ----------
        population
            Of the whole network.
        memory
            Of the network.
        rng
            The generator of each draw, given its number.
        images
            Number of images that pass through the network; None: not known yet.

        Raises
        ------
        UserError
            If a rate gives no fault, if there are fewer sites than faults, if more elements of
            activations are struck than can be listed, or if the perturbation does not go together
            with the format or the strata.
        """
        among = self.population(population)
        if self.strata == "layer" and self.rate is not None:
            for layer in range(len(among.layers)):  # before any draw, as no later one may fail
                fault_count(self.rate, _one_layer(among, layer))
        for number in range(self.draws):
            stratum, perturb = among, self.perturb.use
            turn = replica * self.draws + number
            if self.strata == "layer":
                stratum = _one_layer(among, turn)
            elif self.strata == "bit":
                perturb = _one_bit(perturb, memory.common_format(among.layers), turn)
            count = fault_count(self.rate, stratum) if self.count is None else self.count
            drawn = sample(memory, stratum, count, self.sites.use, perturb, rng(number), images)
            yield replace(drawn, population=population, exposed=among.layers)


def draw_faults(
    population: Population,
    *,
    perturb: AnyPerturbation,
    rate: float | None = None,
    count: int | None = None,
    sites: Sites = EVERYWHERE,
    format: str = "float32",
    seed: int = 0,
    replica: int = 0,
    model: str = "",
    dataset: str = "",
) -> Draw:
    """Draw the faults of one corrupted run.

    The network is only read. The faults follow from these arguments alone; with the names of a
    model and a data set they are those of the trial that the command line runs.

    Parameters
    ----------
    population
        Of the network, from `find_layers`.
    perturb
        What a fault writes, see `resilience.perturbations`.
    rate
        Number of faults divided by the number of sites, from 0 to 1; or else `count`.
    count
        Exact number of faults; of transient ones, in each image.
    sites
        Where faults strike, see `resilience.sites`.
    format
        How memory holds what is struck: float32, float16, bfloat16 or int8.
    seed, replica
        Draws that differ in either are independent.

    Raises
    ------
    UserError
        If the arguments do not go together, or a rate gives no fault.

    Examples
    --------
    >>> import torch
    >>> import resilience as rs
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> population = rs.find_layers(network, torch.zeros(1, 4))
    >>> faults = rs.draw_faults(population, count=2, perturb=rs.perturbations.BitFlip(), seed=1)
    >>> len(faults)
    2
    """
    plan = SamplingPlan(describe(sites), describe(perturb), rate, count)
    memory = Memory(population, number_format(format))

    def rng(draw: int) -> np.random.Generator:
        return trial_generator(
            plan, model=model, dataset=dataset, replica=replica, seed=seed, format=format, draw=draw
        )

    (draw,) = plan.realise(population, memory, rng, replica)
    return draw


def number_format(name: str) -> NumberFormat:
    """The number format with this name.

    Raises
    ------
    UserError
        If there is none.
    """
    if name not in FORMATS:
        raise UserError(f"format must be one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def trial_generator(
    plan: FaultPlan,
    *,
    model: str,
    dataset: str,
    replica: int,
    seed: int,
    format: str = "float32",
    draw: int = 0,
) -> np.random.Generator:
    """The generator of a draw's faults: the same on every machine and in any order."""
    words = {
        "sampler": SAMPLER_VERSION,
        "seed": seed,
        "model": model,
        "dataset": dataset,
        **plan.words(),
        "replica": replica,
        **({} if format == "float32" else {"format": format}),
        **({"draw": draw} if draw else {}),
    }
    entropy = np.frombuffer(bytes.fromhex(digest(words)), dtype=">u4").tolist()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def fault_count(rate: float | None, population: Population) -> int:
    """Number of faults that a failure rate means: round(rate x N), by Python's rounding.

    Raises
    ------
    UserError
        For a rate outside [0, 1], or one above 0 that gives no fault.
    """
    if rate is None or not 0 <= rate <= 1:
        raise UserError(f"frate must lie in [0, 1], got {rate}")
    count = round(rate * population.size)
    if rate > 0 and count == 0:
        alone = f" of {population.layers[0].name}" if len(population.layers) == 1 else ""
        raise UserError(
            f"frate={rate:g} of {population.size:,} {population.unit}{alone} gives no fault; "
            f"frate={1 / population.size:.2g} gives one"
        )
    return count


def _one_layer(population: Population, turn: int) -> Population:
    """The layer of this turn."""
    chosen = population.layers[turn % len(population.layers)]
    return population.only(lambda layer: layer is chosen)


def _one_bit(perturb: AnyPerturbation, format: NumberFormat, turn: int) -> BitPerturbation:
    """The perturbation restricted to the bit of this turn."""
    if not isinstance(perturb, BitPerturbation) or perturb.count != 1:
        raise UserError(
            "strata=bit needs a perturbation that strikes single bits: "
            "perturb=bitflip or stuck_at, with perturb.count=1"
        )
    bits = format.positions(perturb.bits)
    return replace(perturb, bits=int(bits[turn % len(bits)]))
