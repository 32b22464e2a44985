"""A corpus with sounds, for what is done to recordings."""

import numpy as np
import pytest
import soundfile

SPEAKERS = ("DC", "JE", "JK", "KL")
#: Recordings of each speaker by emotion.
COUNTS = dict(a=5, d=5, f=5, h=7, n=2, sa=5, su=3)
# Of this one half a second is no silence.
SHORT = "DC_a01"


@pytest.fixture(scope="session")
def savee_folder(tmp_path_factory):
    """SAVEE in small: noise of 1.1 s between silences."""
    folder = tmp_path_factory.mktemp("savee") / "savee"
    folder.mkdir()
    names = [
        f"{speaker}_{emotion}{number:02d}"
        for speaker in SPEAKERS
        for emotion, count in COUNTS.items()
        for number in range(1, count + 1)
    ]
    for seed, name in enumerate(names):
        seconds = 0.5 if name == SHORT else 1.1
        noise = np.random.default_rng(seed).normal(0, 0.1, int(16000 * seconds))
        wav = np.concatenate([np.zeros(4000), noise, np.zeros(8000)])
        soundfile.write(folder / f"{name}.wav", wav, 16000)
    return folder
