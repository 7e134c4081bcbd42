"""Chunks: every trial once, in order, together with those that it belongs with."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.campaign.launchers.chunks import Job, chunked

SWEEP = [
    Job(number, (f"replica={replica}", f"model={model}", f"frate='{frate}'", "dataset.limit=20"))
    for number, (replica, model, frate) in enumerate(
        itertools.product(range(3), ("vgg19", "resnet50"), ("1e-05", "3e-05"))
    )
]


@given(st.permutations(SWEEP), st.sampled_from(["cell", "model", 1, 5, 12, 100]))
def test_every_trial_is_in_one_chunk_and_in_order(jobs: list[Job], group: str | int) -> None:
    chunks = chunked(jobs, group)
    assert sorted(job.number for chunk in chunks for job in chunk) == list(range(len(jobs)))
    place = {job: i for i, job in enumerate(jobs)}
    for chunk in chunks:
        assert list(chunk) == sorted(chunk, key=place.__getitem__)
    firsts = [place[chunk[0]] for chunk in chunks]
    assert firsts == sorted(firsts)


def test_a_cell_is_all_its_replicas() -> None:
    chunks = chunked(SWEEP, "cell")
    assert [len(chunk) for chunk in chunks] == [3] * 4
    for chunk in chunks:
        assert len({job.overrides[1:] for job in chunk}) == 1


def test_a_model_is_all_its_trials() -> None:
    assert [{job.overrides[1] for job in chunk} for chunk in chunked(SWEEP, "model")] == [
        {"model=vgg19"},
        {"model=resnet50"},
    ]


@pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 12), (5, [5, 5, 2]), (100, [12])])
def test_a_number_is_that_many_at_a_time(size: int, sizes: list[int]) -> None:
    assert [len(chunk) for chunk in chunked(SWEEP, size)] == sizes


@pytest.mark.parametrize("group", ["cells", 0, -1, 1.5])
def test_other_groups_are_refused(group: object) -> None:
    with pytest.raises(ValueError, match=r"cluster\.group must be cell, model or a number"):
        chunked(SWEEP, group)  # type: ignore[arg-type]
