"""Ctrl-C and SIGTERM: between batches, with weights restored and nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
import torch

from resilience.faults.injection import patched
from resilience.inference.predict import predict
from resilience.results.record import find_results
from resilience.system import signals
from resilience.system.signals import Interrupted
from tests.conftest import SmallNetwork
from tests.faults.test_injection import patches_on
from tests.tiny import ROOT, TINY


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_waits_for_the_end_of_a_batch(
    number: signal.Signals, small_network: SmallNetwork
) -> None:
    before = {name: tensor.clone() for name, tensor in small_network.state_dict().items()}
    batches = []

    def run(batch: torch.Tensor) -> torch.Tensor:
        batches.append(len(batch))
        if len(batches) == 2:
            signal.raise_signal(number)
        return cast(torch.Tensor, small_network(batch))

    inputs = [(batch,) for batch in torch.zeros(50, 3, 8, 8).split(10)]
    faults = patches_on(small_network, 50, seed=0)
    with (
        pytest.raises(Interrupted) as stop,
        signals.handled(),
        signals.deferred(),
        patched(small_network, faults),
    ):
        predict(run, inputs)
    assert stop.value.status == 128 + number
    assert batches == [10, 10]
    for name, tensor in small_network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_second_signal_stops_at_once() -> None:
    with signals.handled(), signals.deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_outside_of_trials_stops_at_once() -> None:
    with signals.handled(), pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    with signals.handled(), signals.handled():
        handlers = {signal.getsignal(number) for number in signals.SIGNALS}
        assert handlers == {signals._handle}
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    with signals.handled():
        signals.check()  # what was asked of an earlier run is forgotten


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_campaign_stops_cleanly_and_says_how_to_go_on(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    slow = "model.network._target_=tests.conftest.SlowNetwork"
    command = [sys.executable, "-m", "resilience", "-m", *TINY, slow, "batch_size=1"]
    process = subprocess.Popen(
        [*command, "frate=0.01", "replica=0,1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob(".hydra")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert "Traceback" not in said
    (directory,) = (tmp_path / "multirun").glob("*/*")
    assert f"stopped by {number.name}; to resume: {sys.executable} -m resilience -m" in said
    assert f"hydra.sweep.dir={directory.relative_to(tmp_path)}" in said
    assert not find_results(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("failure.json"))
