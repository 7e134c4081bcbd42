"""The synthetic campaign as fixtures; `synthetic` makes others."""

from pathlib import Path

import pytest
import synthetic

from resilience.analysis import analyse
from resilience.analysis.model import Analysis, Observations
from resilience.analysis.table import read_campaigns


@pytest.fixture(scope="session")
def _campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("campaigns") / "synthetic"
    return synthetic.save(directory, synthetic.plausible_results())


@pytest.fixture
def campaign(_campaign: Path) -> Path:
    """The campaign's directory with its 180 results; shared, so write elsewhere."""
    return _campaign


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
