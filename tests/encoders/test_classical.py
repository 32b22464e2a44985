"""The 94 features, against librosa called by itself."""

import sys
import warnings

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.features.classical import NAMES
from tests.encoders.padding import collate, utterances

LENGTHS = [48000, 1, 2047, 2048, 2049, 5, 16000]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("classical")


def by_librosa(wav):
    """Each feature by a call of its own, of no short waveform."""
    wav, feature = wav.numpy(), librosa.feature
    mel = feature.melspectrogram(y=wav, sr=16000, n_mels=60)
    rows = [
        feature.chroma_stft(y=wav, sr=16000),
        librosa.power_to_db(mel),
        feature.mfcc(y=wav, sr=16000, n_mfcc=20),
        feature.zero_crossing_rate(wav),
        feature.spectral_centroid(y=wav, sr=16000),
    ]
    return np.concatenate([row.mean(axis=1) for row in rows])


@settings(deadline=None, max_examples=10)
@given(st.integers(2048, 30000), st.floats(50, 4000), st.integers(0, 99))
def test_they_are_those_of_librosa(length, pitch, seed):
    encoder = load_encoder("classical")
    (wav,) = utterances([length], seed)
    wav = wav + torch.sin(2 * torch.pi * pitch * torch.arange(length) / 16000)
    found = encoder(wav[None])[0, 0].numpy()
    np.testing.assert_allclose(found, by_librosa(wav), rtol=1e-4, atol=1e-3)


def test_names_are_in_order(encoder):
    assert len(NAMES) == len({*NAMES}) == 94 == encoder.output_size
    time = torch.arange(16000) / 16000
    found = dict(zip(NAMES, encoder(torch.sin(880 * np.pi * time)[None])[0, 0]))
    chroma = {name: x for name, x in found.items() if "chroma" in name}
    # 440 Hz is the note A; it crosses zero 880 times a second.
    assert max(chroma, key=chroma.get) == "chroma_A"
    assert found["zero_crossing_rate"] == pytest.approx(0.055, abs=0.004)
    assert found["spectral_centroid"] == pytest.approx(440, rel=0.3)


def test_one_vector_of_each_whatever_stands_beside_it(encoder):
    wavs = utterances(LENGTHS)
    batch, wav_lens = collate(wavs, torch.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = encoder(batch, wav_lens, all_layers=True)
        silent = encoder(torch.zeros(2, 3000), torch.tensor([1.0, 0.01]))
    assert found.shape == (len(wavs), 1, 1, 94)
    for row, wav in zip(found, wavs):
        assert torch.equal(encoder.encode_alone(wav), row)
    assert found.isfinite().all() and silent.isfinite().all()
    assert encoder.frozen and not encoder.train().training
    assert encoder.double()(batch.double(), wav_lens).dtype == torch.float64
    with pytest.raises(ValueError, match="finite"):
        encoder(torch.full((1, 4000), torch.nan))


def test_what_shapes_them_is_in_the_fingerprint(encoder, monkeypatch):
    before = encoder.fingerprint()
    assert load_encoder("classical").fingerprint() == before
    monkeypatch.setattr(librosa, "__version__", "0.0")
    assert load_encoder("classical").fingerprint() != before


def test_without_librosa_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(UserError, match=r"librosa; run 'pip .*\[fusion\]"):
        load_encoder("classical")
