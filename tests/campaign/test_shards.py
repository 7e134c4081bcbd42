"""Shards of a sweep: disjoint, complete, of one size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.campaign.shards import share


@given(trials=st.integers(0, 300), shards=st.integers(1, 40))
def test_shards_are_disjoint_complete_in_order_and_even(trials: int, shards: int) -> None:
    parts = [share(range(trials), f"{number}/{shards}") for number in range(1, shards + 1)]
    assert [trial for part in parts for trial in part] == list(range(trials))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_no_shard_is_everything() -> None:
    assert share("abc", None) == "abc"


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1/0", "3", "a/b", "-1/3", "1/3/5", ""])
def test_what_is_no_shard_is_refused(shard: str) -> None:
    with pytest.raises(ValueError, match="shard must be I/N with I from 1 to N"):
        share(range(9), shard)
