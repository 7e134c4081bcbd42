"""`python -m resilience`, recording the time of every forward pass.

    PASSES=FILE python benchmarks/timed_campaign.py -m OVERRIDES

FILE receives JSON: one pair of seconds and images per pass through a whole network. Only the
outermost of nested modules counts. CPU only: on other devices a call returns before its work ends.
"""

import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import nn

from resilience.__main__ import main

passes: list[tuple[float, int]] = []
_call = nn.Module.__call__
_inside = False


def _timed(module: nn.Module, *inputs: Any, **options: Any) -> Any:
    global _inside
    if _inside:
        return _call(module, *inputs, **options)
    _inside, started = True, perf_counter()
    try:
        return _call(module, *inputs, **options)
    finally:
        passes.append((perf_counter() - started, len(inputs[0])))
        _inside = False


if __name__ == "__main__":
    nn.Module.__call__ = _timed  # type: ignore[method-assign]
    try:
        main()
    finally:
        Path(os.environ["PASSES"]).write_text(json.dumps(passes), encoding="utf-8")
