"""Phones of frames, against counting samples."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.phones import ARPABET, PhoneEncoder
from tests.encoders.test_grid import GRIDS

NUMBERS = {
    "sil": 0,
    "": 0,
    "spn": 1,
    "noise": 1,
    "AA": 2,
    "AH1": 4,
    "ah_B": 4,
    "ZH": 40,
    "[Laughter]": 41,
}


@st.composite
def spoken(draw):
    """Phones one after the other, with gaps, in samples."""
    num_samples = draw(st.integers(1, 3000))
    cuts = draw(st.lists(st.integers(0, num_samples), max_size=12, unique=True))
    cuts = sorted(cuts)
    names = st.sampled_from([*NUMBERS])
    pairs = zip(cuts, cuts[1:])
    return num_samples, [(draw(names), a, b) for a, b in pairs if draw(FLAG)]


FLAG = st.booleans()


@settings(max_examples=200, deadline=None)
@given(spoken(), st.sampled_from(GRIDS))
def test_numbers_are_those_of_most_samples(case, grid):
    num_samples, phones = case
    like = SimpleNamespace(grid=grid, max_samples=None)
    encoder = PhoneEncoder(like, ["[LAUGHTER]"])
    known = any(NUMBERS[name] != 1 or name == "spn" for name, *_ in phones)
    if phones and not known:
        return
    alignment = [
        {"phone": name, "start": a / 16000, "end": b / 16000}
        for name, a, b in phones
    ]
    found = encoder.encode_alone(torch.zeros(num_samples), alignment)
    samples = np.zeros(num_samples, int)
    for name, a, b in phones:
        samples[a:b] = NUMBERS[name]
    edges = grid.edges(num_samples)
    assert found.shape == (1, len(edges) - 1, 1)
    for number, a, b in zip(found.flatten().tolist(), edges, edges[1:]):
        counts = np.bincount(samples[a:b], minlength=42)
        assert counts[int(number)] == counts.max()


def test_frames_are_as_many_as_those_of_the_speech_encoder():
    speech = load_encoder("egemaps")
    encoder = PhoneEncoder(speech)
    assert encoder.num_phones == 2 + len(ARPABET) == 41
    for count in (1, 959, 960, 16000, 16161):
        wav = torch.zeros(count)
        spoken = [{"phone": "AA", "start": 0.0, "end": count / 16000}]
        found = encoder.encode_alone(wav, spoken)
        assert found.shape[1] == speech.encode_alone(wav).shape[1]
        assert (found == 2).all()
        assert (encoder.encode_alone(wav, []) == 0).all()
    # Features of another vocabulary or grid are others.
    others = (
        PhoneEncoder(speech, ["[A]"]),
        PhoneEncoder(load_encoder("spectrogram")),
    )
    prints = {one.fingerprint() for one in (encoder, *others)}
    assert len(prints) == 3


def test_mistakes():
    speech = load_encoder("spectrogram")
    with pytest.raises(UserError, match="^special_phones: .*LAUGHTER"):
        PhoneEncoder(speech, ["laughter"])
    encoder, wav = PhoneEncoder(speech), torch.zeros(16000)
    with pytest.raises(UserError, match="has no alignment; choose"):
        encoder.encode_alone(wav, None)
    spoken = [{"phone": "ɑ", "start": 0.0, "end": 0.5}]
    with pytest.raises(UserError, match="such as 'ɑ', is one of"):
        encoder.encode_alone(wav, spoken)
    with pytest.raises(UserError, match="not found in audio alone"):
        encoder(wav[None])
