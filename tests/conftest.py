"""What several tests need: small real files, and real data where it is."""

import os

# Before torch is imported: tests run side by side, and threads of several
# processes on the same cores wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
from speechbrain.utils.importutils import LazyModule

# hypothesis asks every loaded module for its file; SpeechBrain's lazy modules
# answer by importing what they stand for, some of which (k2, spaCy) is not
# installed. With an answer of their own they stay lazy.
LazyModule.__file__ = None


@pytest.fixture
def write_audio(tmp_path):
    """A function that writes noise, or given samples, and returns the path."""

    def write(name="a.wav", seconds=1.0, rate=16000, channels=1, data=None):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            shape = (round(seconds * rate), channels)
            data = np.random.default_rng(len(name)).normal(0, 0.1, shape)
        soundfile.write(path, data, rate)
        return str(path)

    return write


@pytest.fixture
def reads(monkeypatch):
    """The files that are decoded."""
    from speechbrain_ext.listening import recordings as listening

    found, read_audio = [], listening.read_audio

    def counting(path, *bounds):
        found.append(str(path))
        return read_audio(path, *bounds)

    monkeypatch.setattr(listening, "read_audio", counting)
    return found


@pytest.fixture(scope="session")
def ravdess_folder():
    """Folder of the real RAVDESS; tests that need it are skipped elsewhere."""
    return _folder("RAVDESS_FOLDER")


@pytest.fixture(scope="session")
def tess_folder():
    """Folder of the half of the real TESS."""
    return _folder("TESS_FOLDER")


@pytest.fixture(scope="session")
def speech_encoder():
    """Folder of a real pretrained encoder."""
    return _folder("SPEECH_ENCODER")


def _folder(variable):
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set")
    return folder


@pytest.fixture(scope="session")
def synthetic_folder(tmp_path_factory):
    """A small synthetic corpus: four speakers, three sentences."""
    synthetic = pytest.importorskip("speechbrain_ext.corpora.synthetic")
    folder = tmp_path_factory.mktemp("synthetic") / "corpus"
    synthetic.generate(folder, seed=5, speakers=4, sentences=3, progress=False)
    return folder
