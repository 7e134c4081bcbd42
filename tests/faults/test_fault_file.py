"""Files of faults: what was saved is read as it was, and what does not fit is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import resilience as rs
from resilience.faults.draw import LayerFaults, to_csv
from resilience.faults.memory import raw_bits
from resilience.number_formats import FORMATS
from tests.faults.test_injection import (
    IMAGES,
    Restless,
    assert_equal,
    drawn,
    logits_of,
    nothing_changes,
)
from tests.faulty import everything

PASSING = ("weights", "activations", "inputs")
Faults = tuple[LayerFaults, ...]


def equal(one: Faults, other: Faults) -> bool:
    """Whether faults are the same, bit for bit."""
    return len(one) == len(other) and all(
        (a.layer, a.part) == (b.layer, b.part)
        and all(same(getattr(a, name), getattr(b, name)) for name in ("index", "bits", "image"))
        and all(
            same(raw_bits(x), raw_bits(y)) for x, y in ((a.before, b.before), (a.after, b.after))
        )
        for a, b in zip(one, other, strict=True)
    )


def same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and torch.equal(one, other)


def with_faults(network: nn.Module, draw: rs.Draw) -> Tensor:
    with rs.injected(network, draw):
        return logits_of(network)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=8, deadline=None)
@given(
    part=st.sampled_from(["weights", ("weights", "biases"), ("weights", "norms")]),
    perturb=st.sampled_from(
        [
            rs.perturbations.BitFlip("any", 2),
            rs.perturbations.Gaussian(1.0),
            rs.perturbations.StuckAt("sign", value=1),
        ]
    ),
    seed=st.integers(0, 2**32),
)
def test_saved_faults_are_read_as_they_were(
    format: str,
    part: Any,
    perturb: Any,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    network, path = everything(), tmp_path_factory.mktemp("faults") / "faults.csv"
    draw = drawn(network, part, format, count=30, perturb=perturb, seed=seed)
    draw.save(path)
    assert path.read_text() == to_csv([draw.faults])
    for chosen in (None, format):
        with nothing_changes(network):
            again = rs.read_faults(path, network, IMAGES, chosen)
        assert again.format == draw.format
        assert equal(again.faults, draw.faults)
        assert again.by_layer == draw.by_layer
        assert_equal(with_faults(network, again), with_faults(network, draw))
    copied = path.with_name("copied.csv")
    again.save(copied)
    assert copied.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("format", ["float32", "float16", "bfloat16"])
def test_floats_are_read_without_an_example(format: str, tmp_path: Path) -> None:
    network = everything()
    draw = drawn(network, ("weights", "biases", "norms"), format, count=30)
    draw.save(tmp_path / "faults.csv")
    again = rs.read_faults(tmp_path / "faults.csv", network)
    assert again.format == draw.format
    assert equal(again.faults, draw.faults)
    assert_equal(with_faults(network, again), with_faults(network, draw))


@pytest.mark.parametrize("format", [None, "int8"])
def test_int8_needs_an_example(format: str | None, tmp_path: Path) -> None:
    """Without one nobody knows which tensors are layers' weights, and so which are quantised."""
    draw = drawn(everything(), "weights", "int8")
    draw.save(tmp_path / "faults.csv")
    with pytest.raises(rs.UserError, match="give an example input of the network"):
        rs.read_faults(tmp_path / "faults.csv", everything(), format=format)


def test_int8_may_hold_all_that_is_struck_in_float32(tmp_path: Path) -> None:
    """Then the file can't tell, and the format has to be said."""
    network = everything()
    draw = drawn(network, "biases", "int8", count=5)
    draw.save(tmp_path / "faults.csv")
    again = rs.read_faults(tmp_path / "faults.csv", network, IMAGES, format="int8")
    assert equal(again.faults, draw.faults)
    assert_equal(with_faults(network, again), with_faults(network, draw))


@pytest.mark.parametrize("duration", ["permanent", "transient"])
@pytest.mark.parametrize("part", ["activations", "inputs", PASSING])
@pytest.mark.parametrize("format", FORMATS)
def test_faults_in_activations_are_saved_after_a_run_and_read_as_they_were(
    format: str, part: Any, duration: str, tmp_path: Path
) -> None:
    network, path = everything(), tmp_path / "faults.csv"
    # So many that each layer is struck, and so held in the format when they are injected again.
    count = 100 if part == "inputs" else 400
    draw = drawn(network, part, format, count=count, duration=duration)
    with pytest.raises(rs.UserError, match="known once images have passed through"):
        draw.save(path)
    assert not path.exists()
    logits = with_faults(network, draw)
    draw.save(path)
    with pytest.raises(rs.UserError, match="give an example input of the network"):
        rs.read_faults(path, network)
    again = rs.read_faults(path, network, IMAGES, format)
    with pytest.raises(rs.UserError, match="known once images have passed through"):
        _ = again.faults
    assert_equal(with_faults(network, again), logits)
    assert equal(again.faults, draw.faults)


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_that_a_file_does_not_tell_is_not_guessed(format: str, tmp_path: Path) -> None:
    """Of activations a file has no value that the network holds, by which formats differ."""
    network, path = everything(), tmp_path / "faults.csv"
    draw = drawn(network, "activations", format, count=400)
    logits = with_faults(network, draw)
    draw.save(path)
    if FORMATS[format].width == 16:  # of which width there are two
        with pytest.raises(rs.UserError, match="format"):
            rs.read_faults(path, network, IMAGES)
    again = rs.read_faults(path, network, IMAGES, format if FORMATS[format].width == 16 else None)
    assert again.format == draw.format
    assert_equal(with_faults(network, again), logits)


def test_faults_that_change_no_bit_are_observed_all_the_same() -> None:
    network = everything()
    draw = drawn(network, "activations", perturb=rs.perturbations.Scale(1.0))
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its last digits are others
    try:
        assert_equal(with_faults(network, draw), logits_of(network))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    assert sum(len(faults.index) for faults in draw.faults) == 3 * len(IMAGES)


def test_one_of_several_draws_is_chosen(tmp_path: Path) -> None:
    network, path = everything(), tmp_path / "faults.csv"
    draws = [drawn(network, "weights", seed=seed) for seed in range(3)]
    path.write_text(to_csv([draw.faults for draw in draws]))
    for number, draw in enumerate(draws):
        assert equal(rs.read_faults(path, network, draw=number).faults, draw.faults)
    with pytest.raises(rs.UserError, match="has 3 draws: say which, such as draw=0"):
        rs.read_faults(path, network)
    for number in (3, -1):
        with pytest.raises(rs.UserError, match=f"has 3 draws, and no draw {number}"):
            rs.read_faults(path, network, draw=number)


def test_other_weights_are_refused_in_every_format(tmp_path: Path) -> None:
    path = tmp_path / "faults.csv"
    for format in FORMATS:
        drawn(everything(), "weights", format, count=30).save(path)
        for chosen in (None, format):
            with pytest.raises(rs.UserError, match="the list is of other weights or of another"):
                rs.read_faults(path, everything(seed=1), IMAGES, chosen)


def test_another_format_than_the_files_is_refused(tmp_path: Path) -> None:
    network, path = everything(), tmp_path / "faults.csv"
    drawn(network, "weights", "float16", count=30).save(path)
    with pytest.raises(rs.UserError, match="not 8 hexadecimal digits as in format=float32"):
        rs.read_faults(path, network, format="float32")
    with pytest.raises(rs.UserError, match="of other weights or of another format"):
        rs.read_faults(path, network, format="bfloat16")
    with pytest.raises(rs.UserError, match=r"format must be one of float32, .*, got 'float64'"):
        rs.read_faults(path, network, format="float64")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read"),
        ("", "can't be read as CSV"),
        ("layer,index\nstem,1\n", "has no column before_bits and after_bits"),
        ("layer,index,before_bits,after_bits\nstem,1,,\n", "before_bits"),
        ("layer,index,before_bits,after_bits\nstem,1,0000x,0\n", "before_bits"),
        ("layer,index,before_bits,after_bits\nnowhere,1,00000000,00000000\n", "no layer nowhere"),
    ],
)
def test_what_is_no_list_for_this_network_is_refused(
    text: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "faults.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(rs.UserError, match=said):
        rs.read_faults(path, everything())


@pytest.mark.parametrize("example", [None, IMAGES])
def test_reading_changes_nothing(example: Tensor | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path = Restless(), tmp_path / "faults.csv"
    drawn(network, "weights", "bfloat16").save(path)
    with nothing_changes(network):
        rs.read_faults(path, network, example)


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, path = everything(), tmp_path / "faults.csv"
    drawn(network, "weights").save(path)
    before = path.read_bytes()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        drawn(network, "weights", seed=1).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
