"""Small models, and the page without a browser."""

import io
import re

import pytest
import soundfile

from tests.inference.conftest import (  # noqa: F401
    run,
    small_recognizer,
    small_run,
    sources,
    speaker_run,
)
from tests.inference.runs import sound
from tests.recipes.running import ROOT

PAGE = ROOT / "recipes" / "speech_text_fusion" / "app.py"


@pytest.fixture(autouse=True)
def forgetful():
    """Streamlit keeps what it has loaded for as long as the process lives."""
    st = pytest.importorskip("streamlit")
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files; no file must stay there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert not [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def open_page(monkeypatch, temporary):
    """A function that opens the page for the words of a command line."""
    from streamlit.testing.v1 import AppTest

    def start(*words):
        monkeypatch.setattr("sys.argv", [str(PAGE), *map(str, words)])
        return AppTest.from_file(PAGE, default_timeout=120).run()

    return start


def wav(
    seconds=1.0, rate=16000, channels=1, seed=0, data=None, kind="WAV", **how
):
    """A recording as bytes."""
    file = io.BytesIO()
    data = sound(seconds, rate, channels, seed) if data is None else data
    soundfile.write(file, data, rate, format=kind, **how)
    return file.getvalue()


def give(page, data, name="a.wav"):
    """Upload a recording."""
    return page.file_uploader[0].set_value((name, data, "audio/wav")).run()


def said(page):
    """All sentences of errors on the page, which shows no traceback."""
    assert not page.exception
    return plain(page.error)


def plain(elements):
    """What elements show of their Markdown."""
    return [re.sub(r"\\(.)", r"\1", element.value) for element in elements]
