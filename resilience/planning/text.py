"""A plan as plain text: tables that fit a terminal."""

from collections.abc import Iterator, Sequence

from resilience.analysis.tables.formatting import level_text
from resilience.planning.plan import Plan

_GROUPINGS = {
    "per_perturb": "each perturbation by itself",
    "centred": "all perturbations, centred",
}


def plan_text(plan: Plan) -> str:
    """The text of a whole plan, except for individual layers."""
    sections = (_trials, _faults, _costs, _effects, _spread, _samples)
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section(plan))))


def duration_text(seconds: float) -> str:
    """Format a time to two or three digits: 4.2 s, 45 s, 12 min, 3 h 20 min, 2 d 5 h."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _trials(plan: Plan) -> Iterator[str]:
    replicas = " or ".join(_counted(number, "replica") for number in plan.replicas)
    images = " or ".join(f"{images:,}" for images in sorted({cost.images for cost in plan.costs}))
    yield (
        f"{_counted(plan.trials, 'trial')}: {_counted(plan.cells, 'cell')} of the design with "
        f"{replicas}, on {images} images"
    )


def _faults(plan: Plan) -> Iterator[str]:
    counts = {rate for faults in plan.faults for rate in faults.counts}
    rates = sorted(counts, key=lambda rate: (isinstance(rate, str), rate))
    yield "Faults of each draw, by failure rate"
    yield from _table(
        ("model", "sites", "layers", "weights", *map(level_text, rates)),
        [
            (
                _name(plan, faults.model, faults.dataset),
                faults.sites,
                f"{len(faults.layers):,}",
                f"{faults.population:,}",
                *(f"{faults.counts[r]:,}" if r in faults.counts else "-" for r in rates),
            )
            for faults in plan.faults
        ],
        names=2,
    )


def _costs(plan: Plan) -> Iterator[str]:
    yield "Time and memory on this machine, one trial after another (one batch was measured)"
    yield from _table(
        ("model", "device", "threads", "batch", "per trial", "trials", "total", "memory"),
        [
            (
                _name(plan, cost.model, cost.dataset),
                cost.device,
                str(cost.threads),
                str(cost.batch_size),
                duration_text(cost.trial_seconds),
                f"{cost.trials:,}",
                duration_text(cost.seconds),
                "-" if cost.memory is None else f"{cost.memory / 2**30:.1f} GiB",
            )
            for cost in plan.costs
        ],
        names=2,
    )
    yield f"  Total: {duration_text(plan.seconds)}, with golden runs; without downloads, decoding,"
    yield "  fits and the start-up of each trial."


def _effects(plan: Plan) -> Iterator[str]:
    if not plan.effects:
        return
    wish = plan.wish
    yield f"What the ANOVA can detect, with power {wish.power:g} at alpha {wish.alpha:g}"
    yield from _table(
        ("effect", "df", "smallest f", f"replicas for f = {wish.f:g}"),
        [
            (
                effect.effect.replace(":", " x "),
                str(effect.df),
                "-" if effect.detectable_f is None else f"{effect.detectable_f:.2f}",
                _or_too_many(effect.replicas_wanted),
            )
            for effect in plan.effects
        ],
    )
    yield "  Cohen's f: standard deviation of the means over that of the replicas; .1 is small,"
    yield "  .25 medium, .4 large."


def _spread(plan: Plan) -> Iterator[str]:
    if not plan.spread:
        return
    wish = plan.wish
    yield f"What Brown-Forsythe can detect, with power {wish.power:g} at alpha {wish.alpha:g}"
    yield from _table(
        ("compared", "rates", "each of", "smallest ratio", f"replicas for {wish.sd_ratio:g}"),
        [
            (
                _GROUPINGS[spread.grouping],
                str(spread.levels),
                str(spread.observations),
                "-" if spread.detectable_ratio is None else f"{spread.detectable_ratio:.2f}",
                _or_too_many(spread.replicas_wanted),
            )
            for spread in plan.spread
        ],
    )
    yield "  Ratio: one rate's standard deviation over that of the others, within a model;"
    yield "  simulated with normal observations."


def _samples(plan: Plan) -> Iterator[str]:
    proportion = plan.proportion
    yield "Faults to inject, one at a time, to estimate the proportion of critical ones to within"
    yield f"{100 * proportion.margin:g} % with {100 * proportion.confidence:g} % confidence"
    yield from _table(
        ("model", "sites", "weights", "by layer", "bits", "by layer", "by layer and bit"),
        [
            (
                _name(plan, faults.model, faults.dataset),
                faults.sites,
                f"{faults.weight_sample:,}",
                f"{sum(layer.weight_sample for layer in faults.layers):,}",
                f"{faults.bit_sample:,}",
                f"{sum(layer.bit_sample for layer in faults.layers):,}",
                f"{sum(faults.weight_bits * layer.weight_sample for layer in faults.layers):,}",
            )
            for faults in plan.faults
        ],
        names=2,
    )
    yield "  Weights: each is one possible fault (it becomes 0). Bits: each bit of each weight is"
    yield "  one (it flips). By layer, by layer and bit: the total of samples that estimate each"
    yield "  one equally well. A proportion of 50 %, which takes the most faults, is assumed."


def _name(plan: Plan, model: str, dataset: str) -> str:
    several = len({cost.dataset for cost in plan.costs}) > 1
    return f"{model} on {dataset}" if several else model


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _or_too_many(replicas: int | None) -> str:
    return "too many" if replicas is None else f"{replicas:,}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> Iterator[str]:
    """Aligned columns: the first ones, of names, to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if i < names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + "  ".join(cells)).rstrip()
