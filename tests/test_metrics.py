"""Figures, against what the definitions say image by image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from resilience.inference.predict import predict
from resilience.metrics import accuracy, judge

IMAGES, CLASSES = 12, 7
values = st.sampled_from([-2.5, -1.0, 0.0, 0.5, 3.0, 1e30, math.inf, -math.inf, math.nan])
logits = arrays(np.float32, (IMAGES, CLASSES), elements=values).map(torch.from_numpy)
finite_logits = arrays(np.float32, (IMAGES, CLASSES), elements=st.floats(-50, 50, width=32)).map(
    torch.from_numpy
)
labels = arrays(np.int64, IMAGES, elements=st.integers(0, CLASSES - 1)).map(torch.from_numpy)


def by_hand(row: list[float], label: int) -> tuple[bool, bool]:
    """Whether an image is top-1 and top-5 wrong, by sorting."""
    if not all(map(math.isfinite, row)):
        return True, True
    order = sorted(range(len(row)), key=lambda i: (-row[i], i))
    return order[0] != label, label not in order[:5]


@given(logits, labels)
def test_errors_are_what_sorting_says(outputs: Tensor, truth: Tensor) -> None:
    wrong = [
        by_hand(row, label) for row, label in zip(outputs.tolist(), truth.tolist(), strict=True)
    ]
    figures = accuracy(outputs, truth)
    assert figures.images == IMAGES
    assert figures.top1_error == sum(first for first, _ in wrong) / IMAGES
    assert figures.top5_error == sum(fifth for _, fifth in wrong) / IMAGES


@given(finite_logits, labels)
def test_cross_entropy_is_the_mean_of_minus_log_softmax(outputs: Tensor, truth: Tensor) -> None:
    rows = outputs.double().numpy()
    losses = np.log(np.exp(rows).sum(1)) - rows[np.arange(IMAGES), truth.numpy()]
    assert accuracy(outputs, truth).mean_cross_entropy == pytest.approx(losses.mean(), abs=1e-9)


def test_cross_entropy_leaves_out_images_without_finite_outputs() -> None:
    outputs = torch.tensor([[0.0, 0.0], [math.nan, 1.0]])
    assert accuracy(outputs, torch.tensor([0, 1])).mean_cross_entropy == pytest.approx(math.log(2))
    assert accuracy(outputs[1:], torch.tensor([1])).mean_cross_entropy is None


@given(finite_logits, logits)
def test_outcomes_are_what_comparing_classes_says(golden: Tensor, corrupted: Tensor) -> None:
    outcome = judge(golden, corrupted, torch.zeros(IMAGES, dtype=torch.int64))
    counts = dict.fromkeys(("masked", "sdc", "due"), 0)
    for before, after in zip(golden.tolist(), corrupted.tolist(), strict=True):
        if not all(map(math.isfinite, after)):
            counts["due"] += 1
        elif before.index(max(before)) == after.index(max(after)):
            counts["masked"] += 1
        else:
            counts["sdc"] += 1
    assert outcome.masked_rate == counts["masked"] / IMAGES
    assert outcome.sdc_rate == counts["sdc"] / IMAGES
    assert outcome.due_rate == counts["due"] / IMAGES
    assert outcome.masked_rate + outcome.sdc_rate + outcome.due_rate == pytest.approx(1)


@given(finite_logits)
def test_an_untouched_network_masks_everything(outputs: Tensor) -> None:
    outcome = judge(outputs, outputs, outputs.argmax(1))
    assert (outcome.masked_rate, outcome.changed_correct) == (1, 0)
    assert outcome.sdc5_rate == outcome.sdc10pct_rate == outcome.sdc20pct_rate == 0


@pytest.mark.parametrize("batch_size", [1, 3, 5, 100])
def test_every_image_is_seen_once_and_in_order(batch_size: int) -> None:
    batches = [(part,) for part in torch.arange(5.0).reshape(5, 1).split(batch_size)]
    logits = predict(lambda batch: batch.bfloat16() + 1, batches)
    assert logits.dtype == torch.float32
    assert logits.tolist() == [[1.0], [2.0], [3.0], [4.0], [5.0]]


def test_the_classes_of_silent_corruption_are_those_of_li_et_al() -> None:
    """Six images of six classes, whose golden order is that of the classes."""
    probabilities = torch.tensor([0.4, 0.25, 0.15, 0.1, 0.06, 0.04], dtype=torch.float64)
    golden = probabilities.log().expand(6, 6).float()

    def with_top(confidence: float, top: int | None = None) -> Tensor:
        others = probabilities[1:] / probabilities[1:].sum() * (1 - confidence)
        moved = torch.cat([torch.tensor([confidence]), others])
        if top is not None:
            moved[[0, top]] = moved[[top, 0]]
        return moved.log().float()

    corrupted = torch.stack(
        [
            with_top(0.4),  # nothing has happened
            with_top(0.45),  # more by an eighth
            with_top(0.3),  # less by a quarter, and still the first
            with_top(0.4, top=2),  # another one of the first five
            with_top(0.4, top=5),  # the last of all
            torch.full((6,), math.nan),
        ]
    )
    outcome = judge(golden, corrupted, torch.tensor([0, 0, 0, 0, 1, 0]))
    sixths = {
        "masked_rate": 3,
        "sdc_rate": 2,
        "due_rate": 1,
        "sdc5_rate": 1,
        "sdc10pct_rate": 4,
        "sdc20pct_rate": 3,
    }
    assert {name: round(6 * getattr(outcome, name)) for name in sixths} == sixths
    assert outcome.changed_correct == 1  # of the two, one was wrong to begin with
