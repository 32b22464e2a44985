"""A place for every row of the tables."""

import logging

import pytest

from tests.inference.conftest import small_recognizer, small_run  # noqa: F401
from tests.inputs.entries import Place


@pytest.fixture
def place(tmp_path, monkeypatch, small_run, small_recognizer):  # noqa: F811
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    models = {"diarizer": small_run[0], "recognizer": small_recognizer[0]}
    # A run sets up logging, to streams that end with the test.
    handlers = logging.root.handlers[:]
    yield Place(tmp_path, models)
    logging.root.handlers[:] = handlers
