"""Everything that can be faulted, in every way, in every format: it runs and is put back."""

from typing import Any, get_args

import pytest

from resilience.faults.bit_perturbations import BitFlip, StuckAt
from resilience.faults.perturbations import Constant, Gaussian, Random, Scale, Sign, Zero
from resilience.faults.population.layers import PARTS, TRANSIENT_PARTS, Structure
from resilience.faults.population.sites import Duration, Layerwise, Paper, Uniform
from resilience.number_formats import FORMATS
from resilience.trials.workloads import Workloads
from tests.faulty import faulty_trial

PERTURBATIONS: dict[str, Any] = {
    "zero": Zero(),
    "random": Random(),
    "random_of_layer": Random(span="layer"),
    "sign": Sign(),
    "gaussian": Gaussian(1.0, relative=True),
    "scale": Scale(3.0),
    "constant": Constant(float("inf")),
    "bitflip": BitFlip("any"),
    "burst": BitFlip("any", 2, adjacent=True),
    "stuck_at": StuckAt("sign", value=1),
}
SITES = (Paper, Layerwise, Uniform)


STRUCTURES = get_args(Structure)


@pytest.mark.parametrize("part", [*PARTS, ("weights", "activations", "inputs")], ids=str)
@pytest.mark.parametrize("format", FORMATS)
def test_every_perturbation_strikes_every_part_in_every_format(format: str, part: Any) -> None:
    """Structures, sites and durations take turns, so that each meets all of the others."""
    workloads = Workloads()
    durations = get_args(Duration) if {part, *part} & set(TRANSIENT_PARTS) else ("permanent",)
    turn = list(FORMATS).index(format)
    for perturb in PERTURBATIONS.values():
        turn += 1
        structure, sites = STRUCTURES[turn % 6], SITES[turn // 2 % 3]
        where = sites(part=part, structure=structure, duration=durations[turn % len(durations)])
        result, text = workloads.run(faulty_trial(where, perturb, {"format": format}, faults=1))
        assert text.count("\n") > 1
        rates = [result.corrupted[rate] for rate in ("masked_rate", "sdc_rate", "due_rate")]
        assert sum(rates) == pytest.approx(1)
    workloads.check_weights()
