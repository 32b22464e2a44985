"""What tests of pictures share."""

import pytest

from tests.plots.saving import keep_figures


@pytest.fixture
def figures(monkeypatch):
    """The figures that were saved, still open."""
    return keep_figures(monkeypatch)
