"""What a planned design can see, against published tables and against the analysis itself."""

from itertools import product

import pandas as pd
import pytest

from resilience.analysis.power import Wish, assumptions, foresee_effects, foresee_spread
from resilience.analysis.power.detectable import (
    brown_forsythe_power,
    detectable_f,
    f_power,
    replicas_for_f,
    replicas_for_sd_ratio,
)
from resilience.analysis.tables import Observations

ROLES = ("model", "frate", "perturb")


def planned(models: int, rates: int, perturbs: int, replicas: int) -> pd.DataFrame:
    cells = product(range(models), range(rates), range(perturbs), range(replicas))
    return pd.DataFrame([cell[:3] for cell in cells], columns=list(ROLES))


@pytest.mark.parametrize(
    ("groups", "f", "published"),
    [(2, 0.25, 64), (3, 0.25, 52), (4, 0.25, 45), (2, 0.4, 26), (3, 0.4, 21), (4, 0.4, 18)],
)
def test_replicas_are_those_of_cohens_table(groups: int, f: float, published: int) -> None:
    """Cohen (1992), "A power primer", table 2: ANOVA at alpha .05 and power .80, n per group."""
    assert replicas_for_f(f, groups - 1, groups, 0.05) in (published, published + 1)


def test_replicas_for_an_effect_are_the_fewest_that_see_it() -> None:
    replicas = replicas_for_f(0.25, 2, 18, 0.05)
    assert replicas is not None
    assert f_power(0.25, 2, 18 * (replicas - 1), 18 * replicas, 0.05) >= 0.8
    assert f_power(0.25, 2, 18 * (replicas - 2), 18 * (replicas - 1), 0.05) < 0.8
    assert detectable_f(2, 18 * (replicas - 1), 18 * replicas, 0.05) <= 0.25


def test_replicas_for_a_ratio_of_deviations_are_the_fewest_that_see_it() -> None:
    replicas = replicas_for_sd_ratio(2.0, 3, 0.05, 0)
    assert replicas is not None
    assert brown_forsythe_power(2.0, 3, replicas, 0.05, 0) >= 0.8
    assert brown_forsythe_power(2.0, 3, replicas - 1, 0.05, 0) < 0.8


def test_what_no_campaign_can_see_takes_no_number_of_replicas() -> None:
    assert replicas_for_f(1e-6, 1, 2, 0.05) is None
    assert replicas_for_sd_ratio(1.001, 2, 0.05, 0) is None


def test_a_campaign_foresees_what_its_analysis_says_afterwards(observations: Observations) -> None:
    rows = observations.analysed
    said = assumptions(rows, ["top1_error"], ROLES, 0.05, 0).set_index(["check", "subject"])
    for effect in foresee_effects(rows, ROLES, Wish()):
        assert said.loc[("detectable_f", effect.effect), "value"] == effect.detectable_f
    found = list(foresee_spread(rows, ROLES, Wish()))
    assert [spread.grouping for spread in found] == ["per_perturb", "centred"]
    for spread in found:
        subject = f"{spread.grouping}: {spread.levels} levels of {spread.observations}"
        assert said.loc[("detectable_sd_ratio", subject), "value"] == spread.detectable_ratio


def test_the_design_of_the_publication() -> None:
    effects = {e.effect: e for e in foresee_effects(planned(3, 3, 2, 10), ROLES, Wish())}
    assert {name: effect.df for name, effect in effects.items()} == {
        "model": 2,
        "frate": 2,
        "perturb": 1,
        "model:frate": 4,
        "model:perturb": 2,
        "frate:perturb": 2,
        "model:frate:perturb": 4,
    }
    assert effects["model"].detectable_f == detectable_f(2, 162, 180, 0.05)


def test_wanting_more_power_takes_more() -> None:
    rows = planned(1, 3, 2, 10)
    plain, sure = (list(foresee_spread(rows, ROLES, Wish(power=p))) for p in (0.8, 0.95))
    for one, other in zip(plain, sure, strict=True):
        assert one.detectable_ratio < other.detectable_ratio  # type: ignore[operator]
        assert one.replicas_wanted < other.replicas_wanted  # type: ignore[operator]


def test_pooling_perturbations_halves_the_replicas_that_a_ratio_takes() -> None:
    alone, pooled = foresee_spread(planned(1, 3, 2, 10), ROLES, Wish())
    assert alone.replicas_wanted is not None
    assert pooled.replicas_wanted == -(-alone.replicas_wanted // 2)
    assert (alone.observations, pooled.observations) == (10, 20)


@pytest.mark.parametrize("shape", [(1, 1, 1, 10), (3, 1, 2, 10)])
def test_one_rate_has_no_spread_to_compare(shape: tuple[int, int, int, int]) -> None:
    assert not list(foresee_spread(planned(*shape), ROLES, Wish()))


def test_one_replica_sees_nothing_and_what_would_is_told() -> None:
    rows = planned(1, 3, 1, 1)
    (effect,) = foresee_effects(rows, ROLES, Wish())
    assert effect.detectable_f is None
    assert effect.replicas_wanted == replicas_for_f(0.25, 2, 3, 0.05)
    (spread,) = foresee_spread(rows, ROLES, Wish())
    assert spread.detectable_ratio is None
    assert spread.replicas_wanted == replicas_for_sd_ratio(2.0, 3, 0.05, 0)
