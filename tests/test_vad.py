"""Which samples are kept."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_ext import vad
from speechbrain_ext.audio import read_audio
from speechbrain_ext.vad import keep_speech, level_db, speech_regions, trim


@st.composite
def regions(draw):
    edges = draw(st.lists(st.integers(0, 5000), unique=True, max_size=20))
    edges = sorted(edges)[: len(edges) // 2 * 2]
    size = (edges[-1] if edges else 0) + draw(st.integers(1, 1000))
    return list(zip(edges[::2], edges[1::2])), size


@given(regions(), st.integers(0, 600))
def test_no_silence_over_the_bound_remains(case, bound):
    speech, size = case
    kept = keep_speech(speech, size, bound)
    is_speech = np.zeros(size, bool)
    for start, stop in speech:
        is_speech[start:stop] = True
    is_kept = np.zeros(size, bool)
    previous = 0
    for start, stop in kept:
        assert previous <= start < stop <= size
        assert not is_kept[start:stop].any()
        is_kept[start:stop] = True
        previous = stop
    assert is_kept[is_speech].all(), "speech was lost"
    joined = is_speech[is_kept]
    run = longest = 0
    for speaking in joined:
        run = 0 if speaking else run + 1
        longest = max(longest, run)
    assert longest <= bound
    if kept:
        # Two recordings in a row keep to the bound too.
        ends = int(np.argmax(joined)) + int(np.argmax(joined[::-1]))
        assert ends <= bound


def test_level():
    assert level_db(torch.full((10,), 0.1)) == -20.0
    assert level_db(torch.zeros(10)) == -np.inf


def test_speech_is_found_however_loud(synthetic_folder):
    path = sorted(synthetic_folder.rglob("*.wav"))[0]
    audio = read_audio(path)
    found = speech_regions(audio)
    assert found
    assert found == speech_regions(audio * 0.125)
    # A second of silence in the middle does not survive.
    half = audio.shape[0] // 2
    gap = torch.cat([audio[:half], torch.zeros(16000), audio[half:]])
    kept = keep_speech(speech_regions(gap), gap.shape[0], 3200)
    # The detector hears speech for a few of its 32 ms windows longer.
    assert sum(b - a for a, b in kept) < audio.shape[0] + 3200 + 5 * 512


def test_positions_are_those_of_the_file(synthetic_folder):
    path = str(sorted(synthetic_folder.rglob("*.wav"))[0])
    size = read_audio(path).shape[0]
    kept, level, share = trim(path, start=1600, stop=size - 160)
    assert kept[0][0] >= 1600 and kept[-1][1] <= size - 160
    assert -60 < level < 0
    assert 0.9 < share <= 1


@pytest.mark.parametrize("offset", [0.0, 0.4])
def test_share_of_the_energy(monkeypatch, write_audio, offset):
    """Of 0.1 and of 0.3 half a second each: a tenth, whatever the offset."""
    sign = np.where(np.arange(16000) % 2, 1.0, -1.0)
    level = np.where(np.arange(16000) < 8000, 0.1, 0.3)
    path = write_audio("two.wav", data=offset + sign * level)
    monkeypatch.setattr(vad, "speech_regions", lambda _: [(0, 8000)])
    kept, _, share = trim(path, max_silence=0)
    assert kept == [[0, 8000]]
    assert share == pytest.approx(0.1, abs=1e-3)
    # Of a part of the file, it is the part's energy that counts.
    monkeypatch.setattr(vad, "speech_regions", lambda _: [(0, 2000)])
    kept, _, share = trim(path, start=8000, stop=16000, max_silence=0)
    assert kept == [[8000, 10000]]
    assert share == pytest.approx(0.25, abs=1e-3)


def test_an_offset_alone_is_no_energy(monkeypatch, write_audio):
    path = write_audio("offset.wav", data=np.full(1600, 0.5))
    monkeypatch.setattr(vad, "speech_regions", lambda _: [(0, 1600)])
    assert trim(path)[2] == 0.0


@pytest.mark.parametrize("max_silence", [0.1, 0.2])
def test_real_recordings_keep_their_speech(ravdess_folder, max_silence):
    from pathlib import Path

    path = sorted(Path(ravdess_folder).rglob("03-01-05-*-01.*"))[0]
    kept, _, share = trim(str(path), max_silence=max_silence)
    seconds = sum(b - a for a, b in kept) / 16000
    assert 0.8 < seconds < 3.0
    assert share > 0.9
