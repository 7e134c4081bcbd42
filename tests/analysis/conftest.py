"""The synthetic campaign as fixtures; `synthetic` makes others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from resilience.analysis import analyse
from resilience.analysis.read import read_campaigns
from resilience.analysis.tables import Analysis, Observations
from tests.analysis import synthetic


@pytest.fixture(autouse=True, scope="session")
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Hundreds of results are written here, and none has to outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def _campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The campaign's directory with its 180 results; shared, so write elsewhere."""
    directory = tmp_path_factory.mktemp("campaigns") / "synthetic"
    return synthetic.save(directory, synthetic.plausible_results())


@pytest.fixture(scope="session")
def _observations(_campaign: Path) -> Observations:
    return read_campaigns([_campaign])


@pytest.fixture
def observations(_observations: Observations) -> Observations:
    """The campaign, read."""
    return _observations


@pytest.fixture(scope="session")
def _analysis(_observations: Observations) -> Analysis:
    return analyse(_observations)


@pytest.fixture
def analysis(_analysis: Analysis) -> Analysis:
    """The campaign, analysed."""
    return _analysis
