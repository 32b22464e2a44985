"""Models that several tests use."""

import shutil

import pytest

from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.inference.runs import make_recognizer, make_run, write_sound


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """Run folder of a diarizer, and the modules of its best checkpoint."""
    folder = tmp_path_factory.mktemp("diarizer") / "run"
    # So clear a choice that segments change often.
    return folder, make_run(folder, scale=20.0)


@pytest.fixture
def run(small_run, tmp_path):
    """A copy of the diarizer's folder that a test may damage."""
    return shutil.copytree(small_run[0], tmp_path / "copy")


@pytest.fixture(scope="session")
def small_recognizer(tmp_path_factory):
    """Run folder of a recognizer, and the modules of its best checkpoint."""
    folder = tmp_path_factory.mktemp("recognizer") / "run"
    return folder, make_recognizer(folder)


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Checkpoints of encoders by their kind."""
    folder = tmp_path_factory.mktemp("sources")
    return {
        "whisper": make_whisper_checkpoint(folder / "whisper"),
        "wavlm": make_ssl_checkpoint(folder / "wavlm", "wavlm", size="large"),
        "hubert": make_ssl_checkpoint(folder / "hubert", "hubert"),
        None: None,
    }


@pytest.fixture(scope="session")
def speaker_run(tmp_path_factory, sources):
    """``small_recognizer`` with speaker normalisation."""
    folder = tmp_path_factory.mktemp("speaker") / "run"
    options = {"source": sources["wavlm"], "normalization": "speaker"}
    return folder, make_recognizer(folder, **options)


@pytest.fixture
def files(tmp_path):
    """Recordings of two speakers, each in a folder of their own."""
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
    return [
        write_sound(tmp_path / "ann" / "one.wav", 2.3, seed=1),
        write_sound(tmp_path / "bob" / "two.flac", 1.7, 44100, 2, seed=2),
        write_sound(tmp_path / "ann" / "three.wav", 1.1, seed=3),
    ]


@pytest.fixture
def cwd(tmp_path, monkeypatch):
    """An empty current folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
