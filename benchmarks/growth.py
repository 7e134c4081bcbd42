"""Time and peak memory of campaigns as the number of trials or of images grows.

    python benchmarks/growth.py [--model resnet18] [--imagenet FOLDER] [--output growth.json]

The default is a small network on 32-pixel synthetic images: costs that grow with trials and
images, other than forward passes, show best where forward passes are cheap. With `--imagenet` the
folder's images are used at the network's own size, through links, repeated as needed.

Each campaign runs in its own process with an empty cache. `ms_per_added` is the time per trial, or
per image, added since the row before: constant if time grows linearly. `expected_gib` is weights +
images, as 8-bit pixels; `beyond_gib` is the rest of the process's peak, including Python and
torch, which should stay below 1 GB plus the memory for golden activations (`prefix_memory`, here
0).
"""

import argparse
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
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

from resilience.results.record import Result


def link_images(source: Path, folder: Path, number: int) -> None:
    """Fill a folder with links to images of class folders, repeated as needed."""
    files = sorted(path for path in source.glob("*/*") if path.is_file())
    if not files:
        raise SystemExit(f"{source} has no images in class folders")
    for copy, file in enumerate(islice(cycle(files), number)):
        link = folder / file.parent.name / f"{copy}-{file.name}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())


def expected_bytes(result: Result) -> int:
    """Bytes of all parameters as float32 and of all images as 8-bit pixels."""
    side: int = result.provenance["preprocessing"]["crop"]
    weights: int = result.faults["population"]
    images: int = result.golden["images"]
    return 4 * weights + 3 * side**2 * images


def rows(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """One row per number of trials, then one per number of images."""
    designs = [("trials", trials, options.few_images) for trials in options.trials]
    designs += [("images", options.few_trials, images) for images in options.images]
    before: tuple[str, int, float] | None = None
    for grows, trials, images in designs:
        place = folder / f"{trials}-{images}"
        if options.imagenet:
            link_images(options.imagenet, place / "images", images)
        else:
            write_images(place / "images", images, options.side)
        chosen = argparse.Namespace(**vars(options))
        chosen.imagenet = options.imagenet and place / "images"
        campaign = run_campaign(
            [
                *image_overrides(chosen, options.model, place / "images"),
                "dataset.limit=null",
                "sites=uniform",
                f"replica=range(0,{trials})",
                "prefix_memory=0",
            ],
            place / "campaign",
            place / "cache",
        )
        results = campaign.results()
        assert len(results) == trials
        expected = expected_bytes(results[0][1])
        number = trials if grows == "trials" else images
        added = None
        if before and before[0] == grows:
            added = 1000 * (campaign.seconds - before[2]) / (number - before[1])
        before = grows, number, campaign.seconds
        yield {
            "grows": grows,
            "trials": trials,
            "images": images,
            "seconds": campaign.seconds,
            "ms_per_added": added,
            "peak_gib": campaign.peak_bytes / 2**30,
            "expected_gib": expected / 2**30,
            "beyond_gib": (campaign.peak_bytes - expected) / 2**30,
        }


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = options_parser(__doc__)
    parser.add_argument("--model", default="squeezenet1_1")
    parser.add_argument("--trials", nargs="+", type=int, default=[10, 100, 1000])
    parser.add_argument("--images", nargs="+", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--few-images", type=int, default=100, help="while trials grow")
    parser.add_argument("--few-trials", type=int, default=10, help="while images grow")
    add_image_options(parser)
    parser.set_defaults(side=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(options, rows(options, Path(folder)))


if __name__ == "__main__":
    main()
