"""What tests of the chart share."""

from pathlib import Path

import pytest

from e2e.chart.helm import Helm, helm


@pytest.fixture(scope="session")
def charts(kubeconfig: Path) -> Helm:
    """helm, with all rights on the cluster."""
    return Helm(helm(), kubeconfig)
