"""A campaign that is killed again and again: python -m tests.killing DIRECTORY KILLS SEED.

Everything is imported once, and each run is a fork, so that the kills hit the campaign and not the
imports. Prints what was seen as JSON.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import sklearn.datasets  # noqa: F401 (what the first trial would import)

import resilience.analyze
import resilience.trials.workloads  # noqa: F401
from resilience.__main__ import main
from resilience.results.record import DamagedResultError, find_results, read_whole_result
from tests.tiny import TINY

SWEEP = [*TINY, "frate=0.01,0.1", "perturb=zero,random", "replica=range(0,16)"]


def start(directory: Path) -> int:
    """Start a run of the campaign; give its process."""
    process = os.fork()
    if process:
        return process
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.argv = ["resilience", "-m", *SWEEP, f"hydra.sweep.dir={directory}"]
    sys.argv.append("analysis.enabled=false")
    try:
        main()
    except SystemExit as end:
        os._exit(int(end.code != 0))
    os._exit(0)


def whole(directory: Path) -> dict[str, int]:
    """When each whole result was written, by its path."""
    found = {}
    for path in find_results(directory):
        try:
            read_whole_result(path)
        except DamagedResultError:
            continue
        found[str(path)] = path.stat().st_mtime_ns
    return found


def kill_again_and_again(directory: Path, kills: int, seed: int) -> dict[str, object]:
    """Run until killed, so many times, and then to the end."""
    rng = random.Random(seed)
    started = time.monotonic()
    assert os.waitpid(start(directory / "undisturbed"), 0)[1] == 0
    seconds = time.monotonic() - started
    struck = directory / "struck"
    seen: dict[str, int] = {}
    lost = recomputed = 0
    grown = []
    for kill in range(kills + 1):
        process = start(struck)
        if kill < kills:
            time.sleep(rng.uniform(0, seconds * 0.4))
            os.kill(process, signal.SIGKILL)
        status = os.waitpid(process, 0)[1]
        now = whole(struck)
        lost += sum(path not in now for path in seen)
        recomputed += sum(path in now and now[path] != when for path, when in seen.items())
        grown.append(len(now) - len(seen))
        seen = now
    return {"status": status, "lost": lost, "recomputed": recomputed, "grown": grown}


if __name__ == "__main__":
    report = kill_again_and_again(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(report))
