"""A place for every row of the tables."""

import pytest

from tests.inputs.entries import Place


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)
