"""Start and end of a campaign, which is the directory of a sweep's trials."""

import json
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from resilience.campaign.shards import share
from resilience.results.failed_trials import Failure, find_failures
from resilience.system.atomic import remove_unfinished, replacing, set_aside
from resilience.system.errors import UserError
from resilience.system.provenance import hardware, repository, versions

log = logging.getLogger("resilience")

CAMPAIGN_FILE = "campaign.json"


@dataclass(frozen=True, slots=True)
class Run:
    """The trials of a campaign that one command runs.

    Attributes
    ----------
    directory
        Of the campaign.
    trials
        Overrides of each trial that still had no result.
    analysed
        Whether to analyse the campaign at the end.
    critical
        Number of affected images at which a draw of faults counts as critical.
    """

    directory: Path
    trials: Sequence[Sequence[str]]
    analysed: bool
    critical: int = 1

    def failures(self) -> list[Failure]:
        """The trials of this run that failed."""
        own = {tuple(trial) for trial in self.trials}
        return [found for found in find_failures(self.directory) if found.overrides in own]


def begin(config: DictConfig, run: Run, size: int, found: int, others: int) -> None:
    """Record a run in its campaign's `campaign.json`, moving the previous run to `earlier`.

    Parameters
    ----------
    config
        Of the sweep, before any sweep override is applied.
    size
        Number of trials in the sweep, over all its shards.
    found, others
        Number of results in the campaign, and of those that belong to no trial of the sweep.
    """
    of_trials = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    document = {
        "schema": 1,
        "found": found,
        "overrides": list(config.hydra.overrides.task),
        "sweep": OmegaConf.to_container(config.hydra.sweeper.params),
        "configuration": OmegaConf.to_container(of_trials),
        "versions": versions(),
        "git": repository(Path.cwd()),
        "machine": hardware(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = run.directory / CAMPAIGN_FILE
    with FileLock(run.directory / f".{CAMPAIGN_FILE}.lock"):  # shards may start at the same time
        remove_unfinished(run.directory)
        before = read_campaign_file(run.directory)
        if path.exists() and not before:
            log.warning("%s is damaged; moved aside as %s", path, set_aside(path).name)
        earlier = before.pop("earlier", [])
        if before:
            earlier.append(before)
        shards = {
            other["configuration"].get("shard") for other in earlier if _same(other, document)
        }
        trials = set[int]().union(*(share(range(size), each) for each in {config.shard, *shards}))
        document |= {"trials": others + len(trials), "earlier": earlier}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_campaign_file(directory: Path) -> dict[str, Any]:
    """The content of a campaign's `campaign.json`; empty if it is missing or damaged."""
    try:
        document = json.loads((directory / CAMPAIGN_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _same(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two runs belong to the same sweep, or to shards of it."""
    one, another = (
        (each["sweep"], [word for word in each["overrides"] if not word.startswith("shard=")])
        for each in (run, other)
    )
    return one == another


def end(runs: Sequence[Run]) -> int:
    """Analyse what was run, whether or not trials failed; return the number of failures.

    Hydra's callback for the end of a sweep is not called if a trial failed, and it swallows errors.
    """
    failed = 0
    for run in reversed(runs):
        if run.analysed:
            _analyse(run.directory, run.critical)
        for failure in run.failures():
            failed += 1
            print(f"failed: {failure.directory}: {failure.reason}", file=sys.stderr)
    return failed


def how_to_go_on(runs: Sequence[Run]) -> str:
    """The command that resumes what was run."""
    command = list(sys.orig_argv)
    named = any(word.startswith(("campaign=", "hydra.sweep.dir=")) for word in command)
    if runs and not named:
        command.append(f"hydra.sweep.dir={runs[-1].directory}")
    return shlex.join(command)


def _analyse(directory: Path, critical: int) -> None:
    from resilience.analysis import analyse_campaign

    try:
        written = analyse_campaign([directory], critical=critical)
    except (UserError, OSError) as error:
        log.warning("%s was not analysed: %s", directory, error)
        return
    for finding in written.findings.headlines:
        print(f"- {finding.claim}")
    print(f"Report: {written.report}")
