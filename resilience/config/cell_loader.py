"""Composing the configurations of many trials, once for all replicas of a cell."""

import copy
import re
from collections import OrderedDict
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from omegaconf import DictConfig, OmegaConf

_REPLICA = re.compile(r"replica=(0|[1-9]\d*)")
_CELLS_KEPT = 64


class CellLoader(ConfigLoaderImpl):
    """Hydra's configuration loader, but each cell is composed once and copied for its replicas.

    Composing takes ten times as long as copying. `replica` is a plain value, on which the rest of
    a composition depends only through interpolation, which is resolved in the copy.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._cells = _no_cells()

    def __getstate__(self) -> dict[str, Any]:
        """State for another process, which composes its own cells."""
        return {**self.__dict__, "_cells": _no_cells()}

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """The configuration of one trial."""
        matches = [_REPLICA.fullmatch(override) for override in sweep_overrides]
        replicas = [match[1] for match in matches if match]
        if len(replicas) != 1:
            return super().load_sweep_config(master_config, sweep_overrides)
        cell = [
            "replica=0" if match else override
            for match, override in zip(matches, sweep_overrides, strict=True)
        ]
        config = copy.deepcopy(self._cell(master_config, cell))
        config.replica = int(replicas[0])
        _rename(config, f"replica={replicas[0]}")
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def _cell(self, master_config: DictConfig, overrides: list[str]) -> DictConfig:
        key = (*master_config.hydra.overrides.hydra, *overrides)
        if key not in self._cells:
            self._cells[key] = super().load_sweep_config(master_config, overrides)
            if len(self._cells) > _CELLS_KEPT:
                self._cells.popitem(last=False)
        self._cells.move_to_end(key)
        return self._cells[key]


def _no_cells() -> "OrderedDict[tuple[str, ...], DictConfig]":
    """An empty cache of configurations, each with replica 0; least recently used first."""
    return OrderedDict()


def _rename(config: DictConfig, override: str) -> None:
    """Set the replica of a copy in Hydra's record of its overrides."""
    job, task = config.hydra.job, config.hydra.overrides.task
    task[list(task).index("replica=0")] = override
    style = job.config.override_dirname
    first, last = (text.replace("=", style.kv_sep) for text in ("replica=0", override))
    dirname: Any = job._get_node("override_dirname")._value()  # unresolved, if interpolated
    items = dirname.split(style.item_sep)
    job.override_dirname = style.item_sep.join(last if item == first else item for item in items)
