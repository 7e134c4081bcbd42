"""A campaign's wall time relative to the sum of its bare forward passes.

    python benchmarks/overhead.py [--imagenet FOLDER --weights FOLDER] [--output overhead.json]

The wall time is that of the whole command, from an empty cache: start-up, decoding, measuring
the batch size, the golden run, injection, verification, results, analysis. The bare passes are
timed in the same process, so that a noisy machine slows both: the time of one run over the images,
times the number of trials plus the golden run. Further passes, such as those that measure the
batch size, are overhead. Reuse of the golden prefix is off, as it would save passes.

With `--prepared`, `python -m resilience.prepare` fills the cache first, so that the golden run,
decoding and measuring count on neither side.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import (
    add_image_options,
    image_overrides,
    options_parser,
    report,
    run_campaign,
    write_images,
)

PREPARE = (sys.executable, "-m", "resilience.prepare")
TIMED = Path(__file__).with_name("timed_campaign.py")


def rows(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """One row per model."""
    images = folder / "images"
    if not options.imagenet:
        write_images(images, options.images, options.side)
    for model in options.models:
        overrides = [
            *image_overrides(options, model, images),
            f"dataset.limit={options.images}",
            f"replica=range(0,{options.trials})",
            "prefix_memory=0",
            "device=cpu",
        ]
        cache = folder / f"{model}-cache"
        if options.prepared:
            environment = {**os.environ, "RESILIENCE_CACHE": str(cache)}
            subprocess.run(
                [*PREPARE, *overrides], env=environment, check=True, stdout=subprocess.DEVNULL
            )
        os.environ["PASSES"] = str(folder / f"{model}.json")
        campaign = run_campaign(overrides, folder / model, cache, (sys.executable, str(TIMED)))
        passes = json.loads((folder / f"{model}.json").read_bytes())
        assert len(campaign.results()) == options.trials
        seconds, seen = (sum(column) for column in zip(*passes, strict=True))
        needed = (options.trials + (not options.prepared)) * options.images
        bare = seconds * needed / seen
        yield {
            "model": model,
            "trials": options.trials,
            "images": options.images,
            "wall_s": campaign.seconds,
            "bare_s": bare,
            "passes_beyond": seen / needed - 1,
            "ratio": campaign.seconds / bare,
        }


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = options_parser(__doc__)
    parser.add_argument("--models", nargs="+", default=["resnet50"])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--prepared", action="store_true", help="fill the cache before")
    add_image_options(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(options, rows(options, Path(folder)))


if __name__ == "__main__":
    main()
