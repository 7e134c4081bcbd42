"""A campaign: the directory of a sweep's trials, and what is done at its beginning and end."""

import json
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from resilience.files import replacing
from resilience.provenance import hardware, repository, versions

log = logging.getLogger("resilience")

CAMPAIGN_FILE = "campaign.json"

_to_analyse: list[Path] = []
"""Directory of the sweep that this process runs, once it has started and if it wants analysis."""


class Campaign(Callback):
    """Notes what a campaign is when its sweep starts, in `campaign.json`."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Write configuration, versions, git commit and machine to the campaign's directory."""
        directory = Path(config.hydra.sweep.dir)
        of_trials = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        document = {
            "schema": 1,
            "overrides": list(config.hydra.overrides.task),
            "sweep": OmegaConf.to_container(config.hydra.sweeper.params),
            "configuration": OmegaConf.to_container(of_trials),
            "versions": versions(),
            "git": repository(Path.cwd()),
            "machine": hardware(),
            "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        with replacing(directory / CAMPAIGN_FILE) as path:
            path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        if config.analysis.enabled:
            _to_analyse.append(directory)


def analyse_finished() -> None:
    """Analyse the campaign whose sweep has just ended, with or without failed trials.

    Hydra has a callback for a sweep's end, but not when a trial failed, and it swallows errors.
    """
    from resilience.analyze import analyse_campaign

    while _to_analyse:
        directory = _to_analyse.pop()
        try:
            written = analyse_campaign([directory])
        except ValueError as error:
            log.warning("%s was not analysed: %s", directory, error)
            continue
        for finding in (*written.findings.spread, *written.findings.means):
            print(f"- {finding.claim}")
        print(f"Report: {written.report}")
