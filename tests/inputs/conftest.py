"""A place for every row of the tables."""

import pytest

from tests.inference.conftest import small_recognizer, small_run  # noqa: F401
from tests.inputs.entries import Place
from tests.inputs.runs import trained_run  # noqa: F401
from tests.recipes.conftest import short_ravdess  # noqa: F401


@pytest.fixture
def place(tmp_path, monkeypatch, small_run, small_recognizer, request):  # noqa: F811
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    models = {"diarizer": small_run[0], "recognizer": small_recognizer[0]}
    return Place(tmp_path, models, request.getfixturevalue)
