"""Experiments from Python: the faults and the figures of the command line's trials."""

import copy
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, get_args

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import resilience as rs
from resilience.faults.draw import to_csv
from resilience.faults.population.layers import PARTS, TRANSIENT_PARTS
from resilience.faults.population.sites import Duration
from resilience.networks.models import load_classifier
from resilience.number_formats import FORMATS
from resilience.results.record import Result
from resilience.trials.workloads import ConfiguredTrial, Workloads
from tests.faults.test_injection import Restless, nothing_changes
from tests.faulty import faulty_trial

SIZE = 16
SETTINGS = {"batch_size": SIZE, "threads": 1}
BITS = rs.perturbations.BitFlip("exponent")
Batch = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As with `threads=1`: sums over several threads may differ in their last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network_of(trial: ConfiguredTrial) -> nn.Module:
    """The network that a trial loads, as a notebook would have it."""
    return load_classifier(trial.model, trial.dataset, 10, torch.device("cpu")).network


def loader_of(trial: ConfiguredTrial, sizes: list[int] | None = None) -> list[Batch]:
    """The inputs and labels of a trial, in its batches or others."""
    samples = Workloads().of(trial).samples
    cpu, float32 = torch.device("cpu"), torch.float32
    if sizes is None:
        batches = [inputs for (inputs,) in samples.batches(SIZE, cpu, float32)]
    else:
        ((every,),) = samples.batches(len(samples), cpu, float32)
        batches = list(every.split(sizes))
    return list(zip(batches, samples.labels.split(list(map(len, batches))), strict=True))


def faults_of(trial: ConfiguredTrial, network: nn.Module, **how: Any) -> rs.Draw:
    """The faults that a notebook draws for the same model, data set, replica and seed."""
    population = rs.find_layers(network, torch.zeros(1, 3, 8, 8))
    return rs.draw_faults(
        population,
        format=trial.settings.format,
        seed=trial.seed,
        replica=trial.replica,
        model=trial.model.name,
        dataset=trial.dataset.name,
        **how,
    )


def assert_same_figures(result: Result, evaluation: Any) -> None:
    """Of the golden and of the corrupted run, to the last digit."""
    assert asdict(evaluation.golden) == result.golden
    figures = asdict(evaluation)
    assert figures.pop("golden") == result.golden
    assert figures == result.corrupted
    increase = result.corrupted["top1_error"] - result.golden["top1_error"]
    assert evaluation.error_increase == increase


CASES = [
    (part, duration)
    for part in (*PARTS, PARTS)
    for duration in (get_args(Duration) if {part, *part} & {*TRANSIENT_PARTS} else ("permanent",))
]


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("part", "duration"), CASES, ids=str)
def test_figures_and_faults_are_those_of_the_trial(
    part: Any, duration: Duration, format: str, optimise: bool
) -> None:
    sites = rs.sites.Uniform(part=part, duration=duration)
    perturb = rs.perturbations.Gaussian(3.0) if optimise else rs.perturbations.BitFlip()
    trial = faulty_trial(
        sites, perturb, {**SETTINGS, "format": format, "optimise": optimise}, faults=9, seed=4
    )
    result, faults_csv = Workloads().run(trial)
    network = network_of(trial)
    with nothing_changes(network):
        faults = faults_of(trial, network, sites=sites, perturb=perturb, count=9)
        evaluation = rs.evaluate(network, loader_of(trial), faults, optimise=optimise)
    assert to_csv([faults.faults]) == faults_csv
    assert_same_figures(result, evaluation)


@pytest.mark.parametrize("sites", [rs.sites.Uniform(), rs.sites.Layerwise(), rs.sites.Paper()])
@pytest.mark.parametrize(
    "perturb",
    [
        rs.perturbations.Zero(),
        rs.perturbations.Random(span="layer"),
        rs.perturbations.StuckAt(["sign", "23-30"], count=2, value=1),
        rs.perturbations.Constant(float("nan")),
    ],
    ids=str,
)
def test_a_rate_of_any_sites_gives_the_trials_faults(sites: Any, perturb: Any) -> None:
    trial = faulty_trial(sites, perturb, SETTINGS, faults=None, frate=0.02, replica=3)
    result, faults_csv = Workloads().run(trial)
    network = network_of(trial)
    faults = faults_of(trial, network, sites=sites, perturb=perturb, rate=0.02)
    assert to_csv([faults.faults]) == faults_csv
    assert len(faults) == result.faults["count"]
    assert_same_figures(result, rs.evaluate(network, loader_of(trial), faults))


@pytest.mark.parametrize("options", [{"targets": "conv"}, {"structure": "channel"}])
def test_options_of_sites_are_those_of_the_trial(options: dict[str, Any]) -> None:
    sites = rs.sites.Uniform(**options)
    trial = faulty_trial(sites, BITS, SETTINGS, faults=2)
    _, faults_csv = Workloads().run(trial)
    faults = faults_of(trial, network_of(trial), sites=sites, perturb=BITS, count=2)
    assert to_csv([faults.faults]) == faults_csv


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_other_arithmetic_is_that_of_the_trial(precision: str) -> None:
    trial = faulty_trial(None, BITS, {**SETTINGS, "precision": precision}, faults=20)
    result, _ = Workloads().run(trial)
    network = network_of(trial)
    with nothing_changes(network):
        faults = faults_of(trial, network, perturb=BITS, count=20)
        evaluation = rs.evaluate(network, loader_of(trial), faults, precision=precision)
    assert_same_figures(result, evaluation)


def test_other_names_seeds_and_replicas_give_other_faults() -> None:
    trial = faulty_trial(faults=9)
    population = rs.find_layers(network_of(trial), torch.zeros(1, 3, 8, 8))
    base = {"model": "all", "dataset": "noise", "seed": 0, "replica": 0}
    others = [base, *({**base, name: "x"} for name in ("model", "dataset"))]
    others += [{**base, name: 1} for name in ("seed", "replica")]
    texts = {
        to_csv([rs.draw_faults(population, perturb=BITS, count=9, **each).faults])  # type: ignore
        for each in others
    }
    assert len(texts) == len(others)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("sizes", [[7, 1, 30, 22], [60], [1] * 60, [59, 1]])
@pytest.mark.parametrize("part", ["weights", ("weights", "activations", "inputs")])
def test_batches_may_be_ragged(part: Any, sizes: list[int], optimise: bool) -> None:
    """Their sizes change no fault and no class, whatever they are."""
    duration: Duration = "permanent" if part == "weights" else "transient"
    sites = rs.sites.Uniform(part=part, duration=duration)
    trial = faulty_trial(sites, BITS, {**SETTINGS, "optimise": optimise}, faults=5)
    network = network_of(trial)
    ways = []
    for loader in (loader_of(trial), loader_of(trial, sizes)):
        faults = faults_of(trial, network, sites=sites, perturb=BITS, count=5)
        with nothing_changes(network):
            outcome = rs.evaluate(network, loader, faults, optimise=optimise)
        places = [
            (each.layer, each.index.tolist(), each.image is not None and each.image.tolist())
            for each in faults.faults
        ]
        ways.append((places, outcome))
    (places, outcome), (other_places, other) = ways
    assert other_places == places
    for name in ("images", "top1_error", "masked_rate", "sdc_rate", "due_rate", "changed_correct"):
        assert getattr(other, name) == getattr(outcome, name)
    assert other.golden.top1_error == outcome.golden.top1_error
    assert other.golden.mean_cross_entropy == pytest.approx(outcome.golden.mean_cross_entropy)


def test_a_data_loader_of_torchs_is_taken() -> None:
    trial = faulty_trial(None, BITS, SETTINGS, faults=20)
    network = network_of(trial)
    faults = faults_of(trial, network, perturb=BITS, count=20)
    batches = loader_of(trial)
    whole = TensorDataset(*(torch.cat(each) for each in zip(*batches, strict=True)))
    expected = rs.evaluate(network, batches, faults)
    assert rs.evaluate(network, DataLoader(whole, SIZE), faults) == expected
    assert rs.evaluate(network, iter(batches), faults) == expected
    lists = ([inputs, labels.tolist()] for inputs, labels in batches)
    assert rs.evaluate(network, lists, faults) == expected


def test_a_network_in_training_mode_is_evaluated_and_stays_in_it() -> None:
    trial = faulty_trial(None, BITS, SETTINGS, faults=20)
    network = network_of(trial)
    faults = faults_of(trial, network, perturb=BITS, count=20)
    expected = rs.evaluate(network, loader_of(trial), faults)
    network.train().requires_grad_(True)
    with nothing_changes(network):
        assert rs.evaluate(network, loader_of(trial), faults) == expected


def test_evaluating_leaves_torch_as_it_was() -> None:
    torch.manual_seed(0)
    network, trial = Restless(), faulty_trial(settings=SETTINGS)
    faults = faults_of(trial, network, perturb=BITS, count=2)
    flags = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with nothing_changes(network):
        rs.evaluate(network, loader_of(trial), faults)
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == flags
    with nothing_changes(network), pytest.raises(ZeroDivisionError):
        hook = network.register_forward_hook(lambda *_: 1 / 0)
        try:
            rs.evaluate(network, loader_of(trial), faults)
        finally:
            hook.remove()


def test_one_draw_is_evaluated_again_and_elsewhere() -> None:
    """On the same network it gives the same; what it observed is of the latest run."""
    sites = rs.sites.Uniform(part="activations", duration="transient")
    trial = faulty_trial(sites, BITS, SETTINGS, faults=3)
    network, loader = network_of(trial), loader_of(trial)
    faults = faults_of(trial, network, sites=sites, perturb=BITS, count=3)
    first, text = rs.evaluate(network, loader, faults), to_csv([faults.faults])
    assert rs.evaluate(network, loader[:2], faults).images == 2 * SIZE
    assert to_csv([faults.faults]) != text
    assert rs.evaluate(copy.deepcopy(network), loader, faults) == first
    assert to_csv([faults.faults]) == text


def test_faults_of_a_file_give_the_figures_of_those_that_were_drawn(tmp_path: Any) -> None:
    sites = rs.sites.Uniform(part=("weights", "biases", "norms", "activations", "inputs"))
    trial = faulty_trial(sites, BITS, SETTINGS, faults=40)
    network, loader = network_of(trial), loader_of(trial)
    faults = faults_of(trial, network, sites=sites, perturb=BITS, count=40)
    expected = rs.evaluate(network, loader, faults)
    faults.save(tmp_path / "faults.csv")
    again = rs.read_faults(tmp_path / "faults.csv", network, loader[0][0])
    assert rs.evaluate(network, loader, again) == expected


class Unsure(nn.Module):
    """It gives no logits of images and classes."""

    def __init__(self, divisor: float = 1.0) -> None:
        super().__init__()
        self.only = nn.Linear(4, 3)
        self.divisor = divisor

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.only(inputs) / self.divisor
        return outputs if self.divisor == 0 else outputs[:, None]


INPUTS, LABELS = torch.randn(5, 4), torch.zeros(5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        ([], "gives no batches; an iterator can be used only once"),
        ([INPUTS], "must give pairs of inputs and class indices"),
        ([(INPUTS, LABELS, LABELS)], "must give pairs of inputs and class indices"),
        ([(INPUTS, LABELS[:4])], "as many class indices"),
        ([(INPUTS.numpy(), LABELS)], "must be a tensor of inputs"),
    ],
)
def test_a_loader_that_gives_anything_else_is_refused(loader: list[Any], said: str) -> None:
    network = nn.Linear(4, 3)
    faults = rs.draw_faults(rs.find_layers(network, INPUTS), perturb=BITS, count=1)
    with pytest.raises(rs.UserError, match=said):
        rs.evaluate(network, loader, faults)
    with pytest.raises(rs.UserError, match=said):
        rs.run(network, loader, [rs.Cell(BITS, count=1)])


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Unsure(), r"must return logits of shape \(images, classes\).* \(5, 1, 3\)"),
        (Unsure(0), "gives non-finite outputs for 5 images"),
    ],
)
def test_a_network_that_is_no_classifier_is_refused(network: nn.Module, said: str) -> None:
    faults = rs.draw_faults(rs.find_layers(network, INPUTS), perturb=BITS, count=1)
    with nothing_changes(network), pytest.raises(rs.UserError, match=said):
        rs.evaluate(network, [(INPUTS, LABELS)], faults)
    with nothing_changes(network), pytest.raises(rs.UserError, match=said):
        rs.run(network, [(INPUTS, LABELS)], [{"perturb": BITS, "count": 1}])


def test_faults_of_another_network_are_refused() -> None:
    faults = rs.draw_faults(rs.find_layers(nn.Linear(4, 3), INPUTS), perturb=BITS, count=1)
    for other in (nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 3))):
        with pytest.raises(rs.UserError, match="this network"):
            rs.evaluate(other, [(INPUTS, LABELS)], faults)


DESIGN: list[dict[str, Any]] = [
    {"perturb": BITS, "count": 5},
    {"perturb": rs.perturbations.Random(), "rate": 0.05},
    {"perturb": rs.perturbations.BitFlip(), "count": 5, "format": "int8"},
    {"perturb": BITS, "count": 5, "sites": rs.sites.Uniform(part="activations")},
    {"perturb": BITS, "count": 1, "strata": "layer", "sites": rs.sites.Layerwise()},
]


def trials_of(cell: dict[str, Any], draws: int, seed: int = 0) -> list[ConfiguredTrial]:
    """The trials that the command line runs for a cell."""
    return [
        faulty_trial(
            cell.get("sites"),
            cell["perturb"],
            {**SETTINGS, "format": cell.get("format", "float32")},
            faults=cell.get("count"),
            frate=cell.get("rate"),
            strata=cell.get("strata"),
            replica=replica,
            seed=seed,
        )
        for replica in range(draws)
    ]


def figures_of(result: Result) -> dict[str, Any]:
    """What a row of a table says of a trial."""
    return {
        **{name: result.trial[name] for name in ("model", "dataset", "sites", "replica", "seed")},
        **result.corrupted,
        "golden_top1_error": result.golden["top1_error"],
    }


@pytest.mark.parametrize("cell", DESIGN, ids=lambda cell: str([*cell][1:]))
def test_rows_of_a_run_are_the_figures_of_the_trials(cell: dict[str, Any]) -> None:
    trials, workloads = trials_of(cell, 3, seed=2), Workloads()
    network = network_of(trials[0])
    with nothing_changes(network):
        table = rs.run(
            network, loader_of(trials[0]), [cell], draws=3, seed=2, model="all", dataset="noise"
        )
    rows = table[table["kind"] == "trial"].sort_values("replica").to_dict("records")
    assert len(rows) == 3
    for row, trial in zip(rows, trials, strict=True):
        expected = figures_of(workloads.run(trial)[0])
        assert expected.keys() <= row.keys()
        for name, value in expected.items():
            assert row[name] == value or (value is None and pd.isna(row[name])), name


def test_a_run_of_many_cells_has_every_draw_once() -> None:
    network, loader = network_of(faulty_trial(settings=SETTINGS)), loader_of(faulty_trial())
    cells = [rs.Cell(**cell, name=f"cell {number}") for number, cell in enumerate(DESIGN)]
    cells.append(rs.Cell(rs.perturbations.Zero(), count=5))
    with nothing_changes(network):
        table = rs.run(network, loader, cells, draws=4)
        again = rs.run(network, loader, cells, draws=4)
    pd.testing.assert_frame_equal(table, again)
    trials = table[table["kind"] == "trial"]
    assert len(trials) == 4 * len(cells)
    assert sorted(trials["replica"].tolist()) == sorted([*range(4)] * len(cells))
    golden = table[table["kind"] == "golden"]
    assert len(golden) >= 1
    assert set(golden["top1_error"]) == set(trials["golden_top1_error"])


def test_one_cell_alone_gives_what_it_gives_among_others() -> None:
    network, loader = network_of(faulty_trial(settings=SETTINGS)), loader_of(faulty_trial())
    cells = [{"perturb": perturb, "count": 5} for perturb in (BITS, rs.perturbations.Zero())]
    among = rs.run(network, loader, cells, draws=3)
    for cell, name in zip(cells, ("bitflip", "zero"), strict=True):
        alone = rs.run(network, loader, [cell], draws=3)
        one, other = (table[table["perturb"] == name] for table in (alone, among))
        columns = ["replica", "top1_error", "sdc_rate", "mean_cross_entropy"]
        assert one[columns].to_dict("list") == other[columns].to_dict("list")


@pytest.mark.parametrize(
    ("cells", "draws", "said"),
    [
        ([], 1, "there are no cells to run"),
        ([{"perturb": BITS, "count": 1}], 0, "draws must be at least 1, got 0"),
        ([{"count": 1}], 1, r"a cell (has no|needs a) perturb\b.*fields are perturb, rate, count"),
        ([{"perturb": BITS, "count": 1, "part": "biases"}], 1, "a cell has .*part.*: its fields"),
        ([{"perturb": BITS}], 1, "give either a failure rate or an exact number of faults"),
        ([{"perturb": BITS, "count": 1, "rate": 0.1}], 1, "give either a failure rate or an exact"),
        ([{"perturb": BITS, "count": 1, "format": "float8"}], 1, "format must be one of"),
        ([{"perturb": BITS, "count": 1, "strata": "row"}], 1, "strata must be one of layer, bit"),
        ([{"perturb": BITS, "rate": 1e-9}], 1, "gives no fault; frate="),
        ([{"perturb": BITS, "rate": 2.0}], 1, "frate must lie in"),
    ],
)
def test_a_design_that_makes_no_sense_is_refused(cells: list[Any], draws: int, said: str) -> None:
    network = nn.Linear(4, 3)
    with nothing_changes(network), pytest.raises(rs.UserError, match=said):
        rs.run(network, [(INPUTS, LABELS)], cells, draws=draws)


def test_cells_that_the_table_can_not_tell_apart_need_names() -> None:
    network, loader = network_of(faulty_trial(settings=SETTINGS)), loader_of(faulty_trial())
    flips = [
        rs.Cell(perturb=rs.perturbations.BitFlip(bits=bits), count=1, format=format)
        for bits, format in ((30, "float32"), ("sign", "float32"), ("sign", "int8"))
    ]
    with pytest.raises(rs.UserError, match=r"cells 0 and 1 .* give them names, such as name="):
        rs.run(network, loader, flips, draws=2)
    named = [replace(cell, name=f"flip {n}") for n, cell in enumerate(flips)]
    table = rs.run(network, loader, named, draws=2)
    counts = table.query("kind == 'trial'")["perturb"].value_counts()
    assert counts.to_dict() == {"flip 0": 2, "flip 1": 2, "flip 2": 2}
