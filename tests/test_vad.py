"""Which samples of a recording are kept."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from silero_vad import get_speech_timestamps, load_silero_vad

from speechbrain_ext import vad
from speechbrain_ext.audio import read_audio


@st.composite
def regions(draw):
    edges = draw(st.lists(st.integers(0, 5000), unique=True, max_size=20))
    edges = sorted(edges)[: len(edges) // 2 * 2]
    size = (edges[-1] if edges else 0) + draw(st.integers(1, 1000))
    return list(zip(edges[::2], edges[1::2])), size


@given(regions(), st.integers(0, 600))
def test_no_silence_over_the_bound_remains(case, bound):
    speech, size = case
    kept = vad.keep_speech(speech, size, bound)
    is_speech, is_kept = np.zeros(size, bool), np.zeros(size, bool)
    for start, stop in speech:
        is_speech[start:stop] = True
    previous = 0
    for start, stop in kept:
        assert previous <= start < stop <= size
        is_kept[start:stop] = True
        previous = stop
    assert is_kept[is_speech].all(), "speech was lost"
    if kept:
        # Two recordings in a row keep to the bound too.
        joined = np.flatnonzero(np.tile(is_speech[is_kept], 2))
        assert np.diff(joined).max(initial=0) - 1 <= bound


def test_level():
    assert vad.level_db(torch.full((10,), 0.1), [(0, 4), (6, 9)]) == -20.0
    assert vad.level_db(torch.zeros(10), [(0, 10)]) == -np.inf


def test_share_of_the_energy():
    """Of 0.1 and of 0.3 half a second each: a tenth, whatever the offset."""
    sign = torch.where(torch.arange(16000) % 2 == 1, 1.0, -1.0)
    level = torch.where(torch.arange(16000) < 8000, 0.1, 0.3)
    for offset in (0.0, 0.4):
        share = vad.energy_share(offset + sign * level, [(0, 8000)])
        assert abs(share - 0.1) < 1e-3
    assert vad.energy_share(torch.full((1600,), 0.5), [(0, 1600)]) == 0.0


def test_many_at_once_are_as_each_by_silero_itself(synthetic_folder):
    """Recordings of all lengths, one of them silent, one of a few samples."""
    audio = [read_audio(p) for p in sorted(synthetic_folder.rglob("*.wav"))]
    audio[1:1] = [torch.zeros(5000), audio[0][:100], torch.cat(audio[:3])]
    model = load_silero_vad()
    names = "min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms"
    options = dict(zip(names, (50, 0, 0)))
    expected = []
    for one in audio:
        scaled = one / one.abs().max().clamp(min=1e-9)
        found = get_speech_timestamps(scaled, model, **options)
        expected.append([(part["start"], part["end"]) for part in found])
    assert vad.speech_regions(audio) == expected
    assert expected[0] and not expected[1]


def test_speech_is_found_however_loud(synthetic_folder):
    audio = read_audio(sorted(synthetic_folder.rglob("*.wav"))[0])
    # A second of silence in the middle does not survive.
    half = audio.shape[0] // 2
    gap = torch.cat([audio[:half], torch.zeros(16000), audio[half:]])
    found, soft, gapped = vad.speech_regions([audio, audio * 0.125, gap])
    assert found and found == soft
    kept = vad.keep_speech(gapped, gap.shape[0], 3200)
    # The detector hears speech for a few of its 32 ms windows longer.
    assert sum(b - a for a, b in kept) < audio.shape[0] + 3200 + 5 * 512
