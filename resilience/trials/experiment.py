"""Experiments from Python: one draw of faults judged, or many of them as a table."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from tqdm import tqdm

from resilience.faults.component import describe
from resilience.faults.draw import Draw
from resilience.faults.fault_plan import EVERYWHERE, SamplingPlan, number_format
from resilience.faults.injection import refuse_other_network
from resilience.faults.perturbations import AnyPerturbation
from resilience.faults.population import Population, Sites
from resilience.metrics import Accuracy, Outcome, accuracy, judge
from resilience.system.errors import UserError
from resilience.system.hashing import canonical_json
from resilience.system.tensors import state_sha256
from resilience.trials.samples import LoadedSamples
from resilience.trials.settings import Settings
from resilience.trials.trial import Trial, run_trial
from resilience.trials.workload import Origin, Workload

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Evaluation(Outcome):
    """The outcome of faults in a network, with the figures of its golden run.

    Attributes
    ----------
    golden
        Figures of the untouched network.
    """

    golden: Accuracy

    @property
    def error_increase(self) -> float:
        """Top-1 error with faults minus without."""
        return self.top1_error - self.golden.top1_error


def evaluate(
    network: nn.Module,
    loader: Iterable[Any],
    faults: Draw,
    *,
    precision: str = "float32",
    optimise: bool = True,
) -> Evaluation:
    """Run a classifier without and with faults, and judge its decisions image by image.

    A copy of the network computes, so that the network itself is only read.

    Parameters
    ----------
    loader
        Gives pairs of inputs, shape (images, ...), and class indices, shape (images,); is iterated
        once.
    faults
        From `draw_faults` or `read_faults`.
    precision
        The arithmetic: float32, bfloat16, float16 or tf32 (CUDA).
    optimise
        Fold batch normalisation into convolutions, and start at the first corrupted layer.

    Raises
    ------
    UserError
        If the loader gives anything else, if the network is no classifier or lacks a layer that is
        struck, or if the golden run gives non-finite outputs.

    Examples
    --------
    >>> import torch
    >>> import resilience as rs
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> loader = [(torch.randn(8, 4), torch.zeros(8, dtype=torch.int64))]
    >>> population = rs.find_layers(network, torch.zeros(1, 4))
    >>> faults = rs.draw_faults(population, count=2, perturb=rs.perturbations.BitFlip())
    >>> outcome = rs.evaluate(network, loader, faults)
    >>> round(outcome.masked_rate + outcome.sdc_rate + outcome.due_rate, 12)
    1.0
    """
    refuse_other_network(network, faults)
    settings = Settings(precision=precision, optimise=optimise, format=faults.format.name)
    samples = LoadedSamples(loader)
    with _torch_unchanged():
        names = {layer.name for layer in faults.exposed}
        workload = _workload(
            network,
            samples,
            settings,
            lambda population: population.only(lambda layer: layer.name in names),
        )
        golden = _classifying(workload.golden)
        corrupted = workload.corrupted(faults)
    return Evaluation(
        **asdict(judge(golden, corrupted, samples.labels)), golden=accuracy(golden, samples.labels)
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a design: the faults that each of its draws injects.

    Attributes
    ----------
    perturb, rate, count, sites, format
        As for `draw_faults`.
    strata
        `layer` or `bit`: draws are stratified, one layer or bit after the other.
    name
        The table's name for the perturbation; None: that of its class. Cells that differ in
        nothing else that the table shows need names of their own.

    Raises
    ------
    UserError
        When it is run, if its fields do not go together.

    Examples
    --------
    >>> import resilience as rs
    >>> rs.Cell(perturb=rs.perturbations.Zero(), rate=1e-5).format
    'float32'
    """

    perturb: AnyPerturbation
    rate: float | None = None
    count: int | None = None
    sites: Sites = EVERYWHERE
    format: str = "float32"
    strata: str | None = None
    name: str | None = None

    def plan(self) -> SamplingPlan:
        """How the faults are drawn; a rate of 0 is a golden run."""
        return SamplingPlan(
            describe(self.sites), describe(self.perturb), self.rate, self.count, strata=self.strata
        )


@dataclass(frozen=True, slots=True)
class Named:
    """A model or a data set of a notebook, as results record it."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def run(
    network: nn.Module,
    loader: Iterable[Any],
    cells: Iterable[Cell | Mapping[str, Any]],
    draws: int = 10,
    progress: bool = False,
    *,
    seed: int = 0,
    model: str = "network",
    dataset: str = "data",
    precision: str = "float32",
    optimise: bool = True,
) -> "pd.DataFrame":
    """Run a campaign on a classifier: a number of draws of faults for each cell of a design.

    A copy of the network computes, so that the network itself is only read.

    Parameters
    ----------
    loader
        Gives pairs of inputs, shape (images, ...), and class indices, shape (images,); is iterated
        once.
    cells
        What is injected: a `Cell`, or a mapping of its fields, for each cell.
    draws
        Draws of each cell; each is a row.
    progress
        Whether to show a progress bar.
    seed
        Other seeds give independent faults.
    model, dataset
        Their names in the table; with those of the command line the faults are those of its
        trials.
    precision, optimise
        As for `evaluate`.

    Returns
    -------
    pandas.DataFrame
        One row for each golden run and each draw, with the columns of `trials.csv`. `analyse`
        takes it; `attrs["draws"].table` has the layer and the bit of each draw.

    Raises
    ------
    UserError
        If a cell can't be run, or as `evaluate` does.

    Examples
    --------
    >>> import torch
    >>> import resilience as rs
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> loader = [(torch.randn(8, 4), torch.zeros(8, dtype=torch.int64))]
    >>> cells = [{"perturb": rs.perturbations.BitFlip(), "count": n} for n in (1, 4)]
    >>> table = rs.run(network, loader, cells, draws=3)
    >>> table["kind"].value_counts().to_dict()
    {'trial': 6, 'golden': 1}
    """
    from resilience.analysis.read import frame_of, read_results

    design = [_cell(cell) for cell in cells]
    _refuse_twins(design)
    if draws < 1:
        raise UserError(f"draws must be at least 1, got {draws}")
    samples = LoadedSamples(loader)
    results = []
    with _torch_unchanged(), tqdm(total=len(design) * draws, disable=not progress) as bar:
        workloads: dict[str, Workload] = {}
        for cell in design:
            plan = cell.plan()
            settings = Settings(
                precision=precision, optimise=optimise, format=number_format(cell.format).name
            )
            exposing = None if plan.exposing is None else plan.population
            key = f"{cell.format} {plan.exposing}"
            if key not in workloads:
                workloads[key] = _workload(network, samples, settings, exposing, model)
                _classifying(workloads[key].golden)
            for replica in range(draws):
                trial = Trial(
                    Named(model), Named(dataset), plan, replica, seed, workloads[key].settings
                )
                result, _ = run_trial(trial, workloads[key])
                label = {} if cell.name is None else {"perturb": cell.name}
                results.append(replace(result, trial={**result.trial, **label}))
                bar.update()
    return frame_of(read_results(results))


def _refuse_twins(design: Sequence[Cell]) -> None:
    """Raise an error for a design without cells, or with cells that its table can't tell apart."""
    if not design:
        raise UserError("there are no cells to run")
    seen: dict[str, int] = {}
    for number, cell in enumerate(design):
        factors = cell.plan().factors() | ({} if cell.name is None else {"perturb": cell.name})
        first = seen.setdefault(canonical_json(factors), number)
        if first != number:
            raise UserError(
                f"cells {first} and {number} have the same sites, perturbation and number of "
                "faults, so that their rows could not be told apart; give them names, such as "
                f"name='{factors['perturb']} {cell.format}'"
            )


def _cell(given: Cell | Mapping[str, Any]) -> Cell:
    if isinstance(given, Cell):
        return given
    known = [each.name for each in fields(Cell)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserError(f"a cell has no {unknown[0]}: its fields are {', '.join(known)}")
    if "perturb" not in given:
        raise UserError(f"a cell needs a perturb: its fields are {', '.join(known)}")
    return Cell(**given)


def _workload(
    network: nn.Module,
    samples: LoadedSamples,
    settings: Settings,
    exposing: Callable[[Population], Population] | None,
    model: str = "the network",
) -> Workload:
    """A workload on a copy of a network, with the caller's torch settings."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    settings = replace(settings, batch_size=samples.batch_size, threads=torch.get_num_threads())
    origin = Origin(model, state_sha256(copied.state_dict()), kept=False)
    return Workload(copied, samples, settings, origin, exposing)


def _classifying(logits: torch.Tensor) -> torch.Tensor:
    if logits.dim() != 2:
        raise UserError(
            "a classifier must return logits of shape (images, classes); this network returns "
            f"outputs of shape {tuple(logits.shape)}"
        )
    return logits


@contextmanager
def _torch_unchanged() -> Iterator[None]:
    """Restore torch's threads, flags and random state at the end of a block."""
    threads = torch.get_num_threads()
    tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32
