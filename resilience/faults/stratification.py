"""Draws that take turns: over the layers of a population, or over the bits of a perturbation."""

from dataclasses import replace

from resilience.faults.bit_perturbations import BitPerturbation
from resilience.faults.formats import Format
from resilience.faults.perturbations import AnyPerturbation
from resilience.faults.sites import Population

STRATA = ("layer", "bit")


def one_layer(population: Population, turn: int) -> Population:
    """The layer whose turn it is."""
    chosen = population.layers[turn % len(population.layers)]
    return population.only(lambda layer: layer is chosen)


def one_bit(perturb: AnyPerturbation, format: Format, turn: int) -> BitPerturbation:
    """The perturbation of the bit whose turn it is, of those that it may strike.

    Raises
    ------
    ValueError
        If it does not strike bits, or several at once.
    """
    if not isinstance(perturb, BitPerturbation) or perturb.count != 1:
        raise ValueError(
            "strata=bit takes turns over the bits of a perturbation that strikes single bits; "
            "say perturb=bitflip or stuck_at, with perturb.count=1"
        )
    bits = format.positions(perturb.bits)
    return replace(perturb, bits=int(bits[turn % len(bits)]))
