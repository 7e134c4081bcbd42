"""Run one trial again from its own files, and check that everything agrees.

python -m resilience.replay path/to/result.json
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from resilience.config.build import build_trial
from resilience.config.schema import Config
from resilience.config.user_errors import ending_in_one_line
from resilience.results.comparison import (
    CROSS_ENTROPY_TOLERANCE,
    Difference,
    fault_differences,
    figure_differences,
    machine_differences,
    setting_differences,
    workload_differences,
)
from resilience.results.record import (
    FAULTS_FILE,
    RESULT_FILE,
    DamagedResultError,
    Result,
    read_result,
)
from resilience.system.errors import UserError
from resilience.system.former_names import in_present_names
from resilience.system.provenance import processor

SHOWN = 10
"""Maximum number of differences listed per kind."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A result, and how a new run of its trial differs from it.

    Attributes
    ----------
    damage
        What is wrong with the result's own file; empty if nothing.
    machine
        How this machine differs from the trial's; not a disagreement.
    workload, settings, faults, figures
        Disagreements, by subject.
    """

    result: Result
    damage: str
    machine: list[Difference]
    workload: list[Difference]
    settings: list[Difference]
    faults: list[Difference]
    figures: list[Difference]

    @property
    def agrees(self) -> bool:
        """Whether every fault and every metric matches the result."""
        return not (self.damage or self.workload or self.settings or self.faults or self.figures)


def replay(path: Path) -> Replay:
    """Run the trial of a `result.json` again, from the files beside it.

    Raises
    ------
    DamagedResultError
        If it is not a result at all.
    UserError
        If a file beside it, or something that the trial needs, is missing.
    """
    damage = ""
    try:
        result = read_result(path)
    except DamagedResultError as error:
        result, damage = read_result(path, verified=False), str(error)
    faults_csv = _beside(path, FAULTS_FILE).read_bytes().decode(errors="replace")
    again, again_csv = _run(_configuration(path), result)
    machine = machine_differences(result, again)
    return Replay(
        result,
        damage,
        machine,
        workload_differences(result, again),
        setting_differences(result, again),
        fault_differences(result, faults_csv, again, again_csv),
        figure_differences(result, again, exact=not machine),
    )


def report(done: Replay) -> Iterator[str]:
    """What a replay found, line by line; differing weights and images come first."""
    trial = done.result.trial
    names = ("model", "dataset", "sites", "perturb", "frate", "replica", "seed")
    yield " ".join(f"{name}={trial[name]}" for name in names if trial[name] is not None)
    if done.damage:
        yield f"Damaged: {done.damage}"
    for difference in done.workload:
        what = difference.what.removesuffix("_sha256")
        yield f"Different {what}, so that nothing else can be expected to agree: {difference}"
    yield from _listed("Setting", done.settings)
    if done.machine:
        yield (
            "Another machine than the result's, on which cross-entropies may differ by "
            f"{CROSS_ENTROPY_TOLERANCE:g}, relatively:"
        )
        yield from (f"  {difference}" for difference in done.machine)
    yield from _listed("Fault", done.faults)
    yield from _listed("Figure", done.figures)
    if done.agrees:
        count = done.result.faults["count"]
        figures = len(done.result.golden) + len(done.result.corrupted)
        how = "agree" if done.machine else "are equal"
        yield f"It agrees: {count:,} faults and {figures} figures {how}."
    else:
        kinds = {
            "weights or images": done.workload,
            "settings": done.settings,
            "faults": done.faults,
            "figures": done.figures,
        }
        found = [f"{len(of):,} in {kind}" for kind, of in kinds.items() if of]
        yield f"It does not agree; differences: {', '.join(found) or 'none, but it is damaged'}."


def _listed(kind: str, differences: Sequence[Difference]) -> Iterator[str]:
    yield from (f"{kind}: {difference}" for difference in differences[:SHOWN])
    if len(differences) > SHOWN:
        yield f"{kind}: {len(differences) - SHOWN:,} more differences"


def _configuration(path: Path) -> DictConfig:
    file = _beside(path, ".hydra/config.yaml")
    try:
        config = OmegaConf.merge(OmegaConf.structured(Config), _present(file))
    except (YAMLError, TypeError) as error:
        raise UserError(f"{file} is not whole: {error}") from error
    assert isinstance(config, DictConfig)
    return config


def _present(file: Path) -> DictConfig:
    """A configuration, possibly from an earlier version, in current names."""
    config = OmegaConf.to_container(OmegaConf.load(file))
    if not isinstance(config, dict):
        raise TypeError("it does not contain a mapping")
    present: dict[str, Any] = in_present_names(config)
    return OmegaConf.create(present)


def _beside(path: Path, name: str) -> Path:
    file = path.parent / name
    if not file.is_file():
        raise UserError(f"{path} has no {name} beside it, from which to run its trial again")
    return file


def _run(config: DictConfig, result: Result) -> tuple[Result, str]:
    from resilience.trials.workloads import Workloads

    config.batch_size = result.provenance["batch_size"]
    if processor() == result.provenance["machine"]["processor"]:
        config.threads = result.provenance["threads"]  # a launcher may have chosen them
    return Workloads().run(build_trial(config))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 if the result agrees, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m resilience.replay",
        description="Run one trial again from its own files, and check that everything agrees.",
    )
    parser.add_argument("result", type=Path, help=f"a trial's {RESULT_FILE}, or its directory")
    path = parser.parse_args(arguments).result
    with ending_in_one_line():
        done = replay(path / RESULT_FILE if path.is_dir() else path)
    print("\n".join(report(done)))
    return 0 if done.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
