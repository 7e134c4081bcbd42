"""The metrics and factors of a trial: how files name them, and how people do.

Every list of columns, titles and units in the package derives from the tables here.
"""

from dataclasses import dataclass

FRACTION = "fraction of images"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of one evaluation of a model.

    Attributes
    ----------
    name
        Key in results and column in tables.
    title, unit
        What people call it, as at the beginning of a sentence, and what it is measured in.
    golden
        Whether a golden run has it too, so that every trial keeps the golden value beside its own.
    always
        Whether every result has it; results of earlier versions lack the others.
    """

    name: str
    title: str
    unit: str
    golden: bool = False
    always: bool = True


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of the experimental design.

    Attributes
    ----------
    name
        Key in results and column in tables.
    title, plural
        What people call it, with its unit if it has one, and what they call several levels.
    """

    name: str
    title: str
    plural: str


METRICS = (
    Metric("images", "Images", "images", golden=True),
    Metric("top1_error", "Top-1 error", FRACTION, golden=True),
    Metric("top5_error", "Top-5 error", FRACTION, golden=True),
    Metric("mean_cross_entropy", "Mean cross-entropy", "nats", golden=True),
    Metric("masked_rate", "Masked", FRACTION),
    Metric("sdc_rate", "Silent data corruption", FRACTION),
    Metric("due_rate", "Detected unrecoverable errors", FRACTION),
    Metric("sdc5_rate", "SDC-5", FRACTION, always=False),
    Metric("sdc10pct_rate", "SDC-10 %", FRACTION, always=False),
    Metric("sdc20pct_rate", "SDC-20 %", FRACTION, always=False),
    Metric("changed_correct", "Correct predictions silently changed", "images", always=False),
)
"""Metrics of a corrupted run, in the order of the columns of `trials.csv`."""

ERROR_INCREASE = Metric("error_increase", "Increase in top-1 error over golden", FRACTION)
"""Top-1 error of the corrupted run minus that of the golden run; results do not store it."""

MODEL = Factor("model", "model", "models")
FAILURE_RATE = Factor("frate", "failure rate (faults per weight)", "failure rates")
FAULT_COUNT = Factor("faults", "number of faults", "numbers of faults")
PERTURBATION = Factor("perturb", "perturbation", "perturbations")
FACTORS = (MODEL, FAILURE_RATE, FAULT_COUNT, PERTURBATION)
"""Factors of a campaign; a trial has a failure rate or an exact number of faults."""
