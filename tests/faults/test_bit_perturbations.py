"""Faults in bits: they hit the bits that were asked for, and do what is said."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from resilience.faults.bit_perturbations import BitFlip, BitPerturbation, StuckAt
from resilience.faults.memory import DTYPES, raw_bits
from resilience.number_formats import FORMATS, NumberFormat

ALL = list(FORMATS.values())
formats = st.sampled_from(ALL)
seeds = st.integers(0, 2**32)


@st.composite
def choices(draw: st.DrawFn) -> tuple[NumberFormat, dict[str, Any]]:
    """A format, and options that make sense in it."""
    format = draw(formats)
    last = draw(st.integers(0, format.width - 1))
    first = draw(st.integers(0, last))
    count = draw(st.integers(1, last - first + 1))
    return format, {"bits": f"{first}-{last}", "count": count, "adjacent": draw(st.booleans())}


def codes(format: NumberFormat, seed: int, elements: int = 40) -> Tensor:
    """Any bits at all, NaN among them."""
    raw = np.random.default_rng(seed).integers(0, 256, elements * format.width // 8, np.uint8)
    return torch.from_numpy(raw).view(DTYPES[format.name])


def struck(perturb: BitPerturbation, before: Tensor, format: NumberFormat, seed: int = 0) -> Any:
    return perturb.strike(before, format, np.random.default_rng(seed))


def changed(before: Tensor, after: Tensor, format: NumberFormat) -> Tensor:
    """Bits that differ, as masks, int64."""
    differing = (raw_bits(before) ^ raw_bits(after)).to(torch.int64)
    return differing & (1 << format.width) - 1


def numbers(mask: int) -> list[int]:
    return [bit for bit in range(64) if mask >> bit & 1]


@given(choices(), seeds)
def test_flips_hit_exactly_the_bits_that_were_asked_for(
    choice: tuple[NumberFormat, dict[str, Any]], seed: int
) -> None:
    format, options = choice
    before = codes(format, seed)
    after, mask = struck(BitFlip(**options), before, format, seed)
    assert torch.equal(changed(before, after, format), mask)
    allowed = set(format.positions(options["bits"]).tolist())
    for hit in map(numbers, mask.tolist()):
        assert len(hit) == options["count"]
        assert set(hit) <= allowed
        if options["adjacent"]:
            assert hit == list(range(hit[0], hit[0] + len(hit)))


@given(choices(), seeds)
def test_flipping_twice_is_identity(choice: tuple[NumberFormat, dict[str, Any]], seed: int) -> None:
    format, options = choice
    before = codes(format, seed)
    after, _ = struck(BitFlip(**options), before, format, seed)
    again, _ = struck(BitFlip(**options), after, format, seed)
    assert torch.equal(raw_bits(again), raw_bits(before))


@given(choices(), st.sampled_from([0, 1]), seeds)
def test_stuck_bits_have_their_value_and_stay(
    choice: tuple[NumberFormat, dict[str, Any]], value: int, seed: int
) -> None:
    format, options = choice
    perturb = StuckAt(**options, value=value)
    before = codes(format, seed)
    after, mask = struck(perturb, before, format, seed)
    held = raw_bits(after).to(torch.int64) & mask
    assert torch.equal(held, mask if value else torch.zeros_like(mask))
    assert not bool((changed(before, after, format) & ~mask).any())
    again, _ = struck(perturb, after, format, seed)
    assert torch.equal(raw_bits(again), raw_bits(after))


ONES = [
    ("float32", 1.0, 30, "7f800000", float("inf")),
    ("float32", 1.0, 31, "bf800000", -1.0),
    ("float32", 1.0, 22, "3fc00000", 1.5),
    ("float16", 1.0, 14, "7c00", float("inf")),
    ("float16", 1.0, 9, "3e00", 1.5),
    ("bfloat16", 1.0, 14, "7f80", float("inf")),
    ("bfloat16", 1.0, 6, "3fc0", 1.5),
    ("int8", 1, 7, "81", -127),
    ("int8", 1, 6, "41", 65),
    ("int8", 1, 0, "00", 0),
]


@pytest.mark.parametrize(("name", "value", "bit", "bits", "expected"), ONES)
def test_known_pairs(name: str, value: float, bit: int, bits: str, expected: float) -> None:
    format = FORMATS[name]
    after, mask = struck(BitFlip(bit), torch.tensor([value], dtype=DTYPES[format.name]), format)
    assert (after.item(), mask.item()) == (expected, 1 << bit)
    assert int(raw_bits(after)) & (1 << format.width) - 1 == int(bits, 16)


@pytest.mark.parametrize("options", [{"count": 1}, {"count": 3}, {"count": 3, "adjacent": True}])
@pytest.mark.parametrize("format", ALL, ids=lambda made: made.name)
def test_all_choices_are_equally_likely(format: NumberFormat, options: dict[str, Any]) -> None:
    _, mask = struck(BitFlip("any", **options), codes(format, 0, 20_000), format, seed=1)
    if options.get("adjacent"):
        _, counts = np.unique(mask.numpy(), return_counts=True)
        assert len(counts) == format.width - 2
    else:
        counts = np.array([int((mask >> bit & 1).sum()) for bit in range(format.width)])
        # Without replacement counts vary less than independent ones, so that this is strict.
        assert counts.sum() == 20_000 * options["count"]
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BitFlip(count=0), "count must be at least 1 bit, and a whole number, got 0"),
        (lambda: BitFlip(count=1.5), "a whole number, got 1.5"),  # type: ignore[arg-type]
        (lambda: StuckAt(value=2), "value must be 0 or 1, got 2"),
        (lambda: struck(BitFlip("sign", 2), codes(ALL[0], 0), ALL[0]), "more than the 1 that"),
        (
            lambda: struck(BitFlip([0, 2, 4], 2, True), codes(ALL[0], 0), ALL[0]),
            "has no 2 adjacent bits in float32",
        ),
        (lambda: struck(BitFlip("exponent"), codes(ALL[3], 0), ALL[3]), "nothing in int8"),
    ],
)
def test_wrong_options_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_bits_may_come_as_a_list_and_still_be_hashed() -> None:
    assert hash(BitFlip(["sign", 3])) == hash(BitFlip(("sign", 3)))
