"""Trials: the same faults everywhere, figures that another implementation confirms."""

import csv
import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from resilience.data.images import balanced_choice
from resilience.data.sources import ImageNet
from resilience.data.spec import Dataset
from resilience.faults.component import Component
from resilience.faults.fault_plan import SamplingPlan
from resilience.faults.injection import RestorationError
from resilience.faults.perturbations import Random, Zero
from resilience.faults.population.sites import Layerwise, Paper, Uniform
from resilience.networks.models import torchvision_network
from resilience.networks.spec import Model
from resilience.trials.settings import Settings
from resilience.trials.workloads import ConfiguredTrial, Workloads
from tests.conftest import SmallNetwork
from tests.faulty import PREPROCESSING, Noise, run_trial

SITES = {"paper": Paper(), "layerwise": Layerwise(), "uniform": Uniform()}
SETTINGS = Settings(device="cpu", batch_size=16)


def trial_of(
    sites: str = "uniform",
    perturb: str | Component[Any] = "zero",
    *,
    frate: float | None = 0.01,
    faults: int | None = None,
    **factors: Any,
) -> ConfiguredTrial:
    options: dict[str, Any] = {"low": -1.0, "high": 1.0, "span": "fixed"}
    rule: dict[str, Component[Any]] = {
        "zero": Component(Zero(), "zero", {}, {}),
        "random": Component(Random(), "random", options, {}),
    }
    model = Model("small", SmallNetwork, "none", {"network": {}}, preprocessing=PREPROCESSING)
    plan = SamplingPlan(
        Component(SITES[sites], sites, {}, {}),
        rule[perturb] if isinstance(perturb, str) else perturb,
        frate,
        faults,
    )
    return ConfiguredTrial(
        **{
            "model": model,
            "dataset": Dataset("noise", Noise, None, {"name": "noise"}),
            "plan": plan,
            "replica": 0,
            "seed": 0,
            "settings": SETTINGS,
            **factors,
        }
    )


def rows(faults_csv: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(faults_csv)))


# Faults that trials gave when the program was first written, and must give for ever.
PINNED_WORDS = [8008165086321082279, 10432090693081065342]
PINNED_SITES = {
    "paper": [("features.0", 199), ("features.0", 205), ("features.2", 76), ("features.4", 509)],
    "layerwise": [
        ("features.0", 17),
        ("features.0", 38),
        ("features.2", 309),
        ("features.2", 538),
        ("features.4", 30),
        ("features.4", 358),
        ("head", 281),
    ],
    "uniform": [
        ("features.2", 181),
        ("features.4", 925),
        ("head", 757),
        ("head", 870),
        ("head", 1060),
        ("head", 1197),
        ("head", 1268),
    ],
}
PINNED_VALUES = ["3f482745", "3e89c388", "be8069b5", "3f3e117b", "3f76a37f", "bc995915", "bf727d0e"]


def test_generators_are_pinned() -> None:
    """The words are the sha256 of a canonical JSON, and nothing else enters."""
    canonical = (
        '{"dataset":"noise","frate":"0.01","model":"small","perturb":{"name":"zero"},"replica":0,'
        '"sampler":1,"seed":0,"sites":{"name":"uniform"}}'
    )
    words = np.frombuffer(hashlib.sha256(canonical.encode()).digest(), ">u4").tolist()
    expected = np.random.PCG64(np.random.SeedSequence(words)).random_raw(2).tolist()
    assert expected == PINNED_WORDS
    assert trial_of().generator().bit_generator.random_raw(2).tolist() == PINNED_WORDS


@pytest.mark.parametrize("sites", SITES)
def test_sites_are_pinned(sites: str) -> None:
    _, faults_csv = run_trial(trial_of(sites, frate=0.002))
    assert [(row["layer"], int(row["index"])) for row in rows(faults_csv)] == PINNED_SITES[sites]


def test_values_are_pinned() -> None:
    _, faults_csv = run_trial(trial_of(perturb="random", frate=0.002))
    assert [row["after_bits"] for row in rows(faults_csv)] == PINNED_VALUES


def test_any_other_factor_or_option_gives_other_faults() -> None:
    base = trial_of()
    wide = Component(Random(high=2.0), "random", {"high": 2.0}, {"high": 2.0})
    others = [
        base,
        trial_of("layerwise"),
        trial_of(perturb="random"),
        trial_of(perturb=wide),
        trial_of(frate=0.02),
        dataclasses.replace(base, replica=1),
        dataclasses.replace(base, seed=1),
        dataclasses.replace(base, model=dataclasses.replace(base.model, name="other")),
        dataclasses.replace(base, dataset=dataclasses.replace(base.dataset, name="other")),
    ]
    words = [trial.generator().bit_generator.random_raw() for trial in others]
    assert len(set(words)) == len(others)


def test_options_at_their_defaults_change_nothing() -> None:
    plain = trial_of(perturb=Component(Random(), "random", {}, {}))
    spelt = trial_of(perturb="random")
    assert plain.generator().random() == spelt.generator().random()


def test_faults_do_not_depend_on_order() -> None:
    designs, workloads = [trial_of(replica=replica) for replica in range(4)], Workloads()
    forward = [workloads.run(trial)[1] for trial in designs]
    backward = [workloads.run(trial)[1] for trial in reversed(designs)]
    assert forward == backward[::-1]
    assert len(set(forward)) == 4


def test_another_process_draws_the_same_faults() -> None:
    code = (
        "from tests.trials.test_trial import run_trial, trial_of;"
        "print(run_trial(trial_of('paper', 'random'))[1], end='')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    other = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert other.stdout == run_trial(trial_of("paper", "random"))[1]


def test_a_result_says_what_happened() -> None:
    result, faults_csv = run_trial(trial_of("paper", "random", frate=0.5))
    population = 3 * 8 * 9 + 8 * 8 * 9 + 8 * 16 * 9
    assert result.faults["population"] == population
    assert result.faults["count"] == round(0.5 * population) == len(rows(faults_csv))
    assert sum(result.faults["by_layer"].values()) == result.faults["count"]
    assert result.trial == {
        "model": "small",
        "dataset": "noise",
        "sites": "paper",
        "perturb": "random",
        "frate": 0.5,
        "replica": 0,
        "seed": 0,
        "precision": "float32",
    }
    assert result.parameters["perturb"] == {"low": -1.0, "high": 1.0, "span": "fixed"}
    assert result.golden["images"] == result.corrupted["images"] == 60
    assert result.corrupted["sdc_rate"] > 0
    json.dumps(dataclasses.asdict(result), allow_nan=False)


def test_a_golden_trial_has_no_faults_and_masks_everything() -> None:
    result, faults_csv = run_trial(trial_of(frate=0.0))
    assert rows(faults_csv) == []
    assert result.corrupted["masked_rate"] == 1
    assert {name: result.corrupted[name] for name in result.golden} == result.golden


def test_non_finite_outputs_are_detectable_and_have_no_cross_entropy() -> None:
    def infinite(values: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.full_like(values, torch.inf)

    result, _ = run_trial(trial_of(perturb=Component(infinite, "infinite", {}, {}), frate=1.0))
    assert result.corrupted["due_rate"] == 1
    assert result.corrupted["top1_error"] == 1
    assert result.corrupted["mean_cross_entropy"] is None


def independent_top1_error(
    network: nn.Module, faults_csv: str, images: list[torch.Tensor], labels: list[int]
) -> float:
    """Apply faults one by one, as a loop would, and count wrong images."""
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for row in rows(faults_csv):
        weight = state[f"{row['layer']}.weight"]
        flat = weight.reshape(-1)
        assert flat[int(row["index"])].view(torch.int32).item() & 0xFFFFFFFF == int(
            row["before_bits"], 16
        )
        bits = int(row["after_bits"], 16)
        flat[int(row["index"])] = torch.tensor(np.uint32(bits).view(np.float32).item())
        state[f"{row['layer']}.weight"] = flat.reshape(weight.shape)
    network.load_state_dict(state)
    wrong = 0
    with torch.no_grad():
        for image, label in zip(images, labels, strict=True):
            wrong += int(network(image[None]).argmax()) != label
    return wrong / len(images)


@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("perturb", ["zero", "random"])
def test_an_independent_implementation_gives_the_same_error(sites: str, perturb: str) -> None:
    result, faults_csv = run_trial(trial_of(sites, perturb, frate=0.3))
    torch.manual_seed(0)
    network = SmallNetwork().eval()
    transform = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(8),
            torchvision.transforms.CenterCrop(8),
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize(PREPROCESSING.mean, PREPROCESSING.std),
        ]
    )
    images, labels = zip(*((transform(image), label) for image, label in Noise()), strict=True)
    error = independent_top1_error(network, faults_csv, list(images), list(labels))
    assert error == result.corrupted["top1_error"]
    assert result.corrupted["sdc_rate"] > 0


def test_an_independent_implementation_agrees_on_real_images(
    imagenet_root: Path, imagenet_weights: Path
) -> None:
    weights = imagenet_weights / "squeezenet1_1.pth"
    model = Model(
        "squeezenet1_1",
        partial(torchvision_network, "squeezenet1_1"),
        str(weights),
        {"network": {}},
        architecture="squeezenet1_1",
    )
    dataset = Dataset("imagenet", partial(ImageNet, str(imagenet_root)), None, {}, limit=50)
    result, faults_csv = run_trial(
        trial_of("paper", "random", model=model, dataset=dataset, frate=1e-4)
    )
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    transform = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.transforms()
    source = ImageNet(str(imagenet_root))
    chosen = balanced_choice(np.array(source.targets), 50, 0)
    images, labels = zip(*((transform(source[i][0]), source[i][1]) for i in chosen), strict=True)
    error = independent_top1_error(network, faults_csv, list(images), list(labels))
    assert error == result.corrupted["top1_error"]
    assert result.corrupted["top1_error"] > result.golden["top1_error"]


def test_successive_trials_share_what_they_work_on() -> None:
    first, second = trial_of(), trial_of(replica=5, frate=0.1)
    workloads = Workloads()
    assert workloads.of(first) is workloads.of(second)


def test_the_fingerprint_speaks_of_what_determines_the_numbers() -> None:
    base = trial_of()
    print_of = {
        name: run_trial(trial)[0].fingerprint
        for name, trial in {
            "base": base,
            "again": trial_of(),
            "replica": dataclasses.replace(base, replica=1),
            "batch": dataclasses.replace(
                base, settings=dataclasses.replace(SETTINGS, batch_size=7)
            ),
            "images": dataclasses.replace(
                base,
                dataset=dataclasses.replace(base.dataset, limit=9, parameters={"limit": 9}),
            ),
        }.items()
    }
    assert print_of.pop("again") == print_of["base"]
    assert len(set(print_of.values())) == len(print_of)


def test_a_golden_run_of_another_network_is_not_believed(own_cache: Path) -> None:
    class Other(SmallNetwork):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return -super().forward(inputs)

    one = trial_of(frate=0.0)
    assert run_trial(one)[0].corrupted["masked_rate"] == 1
    other = dataclasses.replace(one, model=dataclasses.replace(one.model, build=Other))
    assert run_trial(other)[0].corrupted["masked_rate"] == 1
    assert len(list((own_cache / "golden").glob("*.safetensors"))) == 1


def test_a_golden_run_with_a_flipped_bit_is_made_again(own_cache: Path) -> None:
    before = run_trial(trial_of())[0].golden
    (path,) = (own_cache / "golden").glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40  # in the logits of the last image, far from the first batch
    path.unlink()
    path.write_bytes(content)
    assert run_trial(trial_of())[0].golden == before


def test_a_golden_run_that_is_not_finite_is_refused() -> None:
    class Broken(SmallNetwork):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs) / 0

    broken = dataclasses.replace(trial_of().model, build=Broken)
    with pytest.raises(ValueError, match="golden run of small gives non-finite outputs for 60"):
        run_trial(trial_of(model=broken))


def test_weights_that_changed_during_a_campaign_are_noticed() -> None:
    workloads = Workloads()
    workloads.run(trial_of())
    workloads.check_weights()
    workloads.of(trial_of()).network.get_submodule("head").bias[0] += 1  # type: ignore
    with pytest.raises(RestorationError, match="not those that were loaded"):
        workloads.check_weights()


def test_a_network_that_was_not_restored_is_loaded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    workloads = Workloads()
    expected = workloads.run(trial_of(replica=1))
    workload = workloads.of(trial_of())

    def damaged(*_: object) -> None:
        workload.network.get_submodule("head").bias[0] += 1  # type: ignore
        raise RestorationError("struck weights of head were not restored")

    with monkeypatch.context() as context:
        context.setattr("resilience.inference.engine.check_restored", damaged)
        with pytest.raises(RestorationError):
            workloads.run(trial_of())
    assert workloads.of(trial_of()) is not workload
    result, faults = workloads.run(trial_of(replica=1))
    assert (result.corrupted, faults) == (expected[0].corrupted, expected[1])
    workloads.check_weights()
