"""A place for every row of the tables."""

import logging

import pytest

from tests.inference.conftest import small_recognizer, small_run  # noqa: F401
from tests.inputs.entries import Place
from tests.inputs.models import (
    write_export,
    write_layouts,
    write_whisper,
)
from tests.inputs.runs import trained_run  # noqa: F401
from tests.recipes.conftest import short_ravdess  # noqa: F401


@pytest.fixture(scope="session")
def models(small_run, small_recognizer, tmp_path_factory):  # noqa: F811
    """Folders of models by their layouts."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "diarizer": small_run[0],
        "recognizer": small_recognizer[0],
        "export": write_export(folder / "export", small_run[1]),
        "safe": write_export(folder / "safe", small_run[1], "safetensors"),
        "whisper": write_whisper(folder / "whisper"),
        **write_layouts(folder),
    }


@pytest.fixture
def place(tmp_path, monkeypatch, models, request):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    # A run sets up logging, to streams that end with the test.
    handlers = logging.root.handlers[:]
    yield Place(tmp_path, models, request.getfixturevalue)
    logging.root.handlers[:] = handlers
