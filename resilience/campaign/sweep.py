"""Running a sweep: the trials of its shard that have no result yet."""

from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from resilience.campaign import lifecycle
from resilience.campaign.progress import shown
from resilience.campaign.resume import finished, read_campaign
from resilience.campaign.session import Session
from resilience.campaign.shards import share
from resilience.config.build import build_trial, factors_of, trial_directory
from resilience.config.overrides import workload_overrides
from resilience.config.user_errors import one_line
from resilience.results.failed_trials import write_failure
from resilience.results.record import FAILURE_FILE, RESULT_FILE, Result
from resilience.system import signals
from resilience.system.errors import UserError
from resilience.trials.settings import WORKLOADS_KEPT

Overrides = Sequence[str]


def sweep(
    arguments: Sequence[str],
    loader: ConfigLoader,
    config: DictConfig,
    launcher: Launcher,
    batch: int | None = None,
) -> None:
    """Run the trials of a sweep that have no result in its campaign yet.

    Parameters
    ----------
    batch
        Number of trials passed to the launcher at a time; None: whatever suits the launcher.

    Raises
    ------
    UserError
        If the shard does not exist, or these trials must not join the campaign's results.
    hydra.errors.HydraException
        If an override is wrong; in that case no trial has run.
    """
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    (product,) = BasicSweeper.split_arguments(parsed, None)
    refuse_twins(product, config)
    trials = by_workload(product)
    chosen = share(range(len(trials)), config.shard)
    directory = Path(config.hydra.sweep.dir)
    results = read_campaign(directory)
    if results:
        has_result = _finished(trials, results, loader, config)
        left = [trials[i] for i in chosen if not has_result[i]]
        others = len(results) - sum(has_result)
    else:
        left, others = [trials[i] for i in chosen], 0
        for trial in covering(left):
            loader.load_sweep_config(config, list(trial))
    directory.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, directory / "multirun.yaml")
    run = lifecycle.Run(directory, left, config.analysis.enabled, config.analysis.critical)
    Session.current().runs.append(run)
    lifecycle.begin(config, run, len(trials), len(results), others)
    if results:
        print(f"{directory} has {len(results)} results; {len(left)} trials are left to run")
    # A launcher holds on to what its jobs return, so the basic one gets one trial at a time.
    batch = batch or (1 if isinstance(launcher, BasicLauncher) else len(left) or 1)
    with shown(directory):
        for first in range(0, len(left), batch):
            signals.check()
            for job in launcher.launch(left[first : first + batch], initial_job_idx=first):
                if job.status != JobStatus.COMPLETED:
                    _note_lost(job, loader, config)


def _note_lost(job: JobReturn, loader: ConfigLoader, config: DictConfig) -> None:
    """Write `failure.json` for a trial whose worker was killed before writing it."""
    composed = loader.load_sweep_config(config, list(job.overrides or ()))
    directory = Path(config.hydra.sweep.dir, trial_directory(_root_=composed))
    if not any((directory / name).exists() for name in (RESULT_FILE, FAILURE_FILE)):
        error = job._return_value  # the property `return_value` would raise it
        words = list(composed.hydra.overrides.task)
        write_failure(directory, factors_of(composed), words, error, one_line(error))


def _finished(
    trials: Sequence[Overrides],
    results: Sequence[Result],
    loader: ConfigLoader,
    config: DictConfig,
) -> list[bool]:
    composed = (loader.load_sweep_config(config, list(trial)) for trial in trials)
    directory = Path(config.hydra.sweep.dir)
    built = [build_trial(each, directory) for each in composed]
    return finished(built, results, Session.current().workloads.identity)


def refuse_twins(trials: Sequence[Overrides], config: DictConfig) -> None:
    """Raise an error for a sweep over something that does not affect its trials.

    Raises
    ------
    UserError
        If rates are swept although the number of faults is given, or replicas of listed faults.
    """
    words = {word for trial in trials for word in trial}
    values = {
        name: {word for word in words if word.startswith(f"{name}=")} or {str(config[name])}
        for name in ("frate", "replica", "faults", "faults_from")
    }
    listed, exact = (
        values[name].isdisjoint({"None", f"{name}=null"}) for name in ("faults_from", "faults")
    )
    if listed and len(values["replica"]) > 1:
        raise UserError("all replicas of listed faults are identical; say replica=0")
    if (listed or exact) and len(values["frate"]) > 1:
        raise UserError(
            "frate is swept, but faults or faults_from replaces it; leave one of them out"
        )


def by_workload(trials: Sequence[Overrides]) -> list[Overrides]:
    """Trials in their order, or grouped by workload where a process can't keep all workloads.

    The original order, replica by replica, is better for looking at an unfinished campaign.
    """
    workloads = [workload_overrides(trial) for trial in trials]
    turn = {workload: number for number, workload in enumerate(dict.fromkeys(workloads))}
    if len(turn) <= WORKLOADS_KEPT:
        return list(trials)
    order = sorted(range(len(trials)), key=lambda i: turn[workloads[i]])
    return [trials[i] for i in order]


def covering(trials: Sequence[Overrides]) -> list[Overrides]:
    """A small subset of the trials, chosen greedily, in which every override appears."""
    seen: set[str] = set()
    chosen = []
    for trial in trials:
        if not seen.issuperset(trial):
            seen.update(trial)
            chosen.append(trial)
    return chosen
