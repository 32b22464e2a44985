"""Mel spectra: as many as an encoder's frames, and of the right values."""

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.features.spectra import MelEncoder
from speechbrain_ext.encoders.grid import FrameGrid


class Like:
    """An encoder with a grid like that of wav2vec 2.0, or of Whisper."""

    def __init__(self, convolutions, first):
        self.grid = FrameGrid(convolutions, first)


WAV2VEC2 = Like([(10, 5, 0), *[(3, 2, 0)] * 4, *[(2, 2, 0)] * 2], 0)
WHISPER = Like([(1, 160, 0), (3, 1, 1), (3, 2, 1)], -160)


@pytest.mark.parametrize(
    "like", [WAV2VEC2, WHISPER], ids=["wav2vec", "whisper"]
)
@given(count=st.integers(1, 40_000))
def test_there_are_as_many_as_frames(like, count):
    mel = MelEncoder(like=like).encode_alone(torch.rand(count) - 0.5)
    assert mel.shape == (1, like.grid.num_frames(count), 80)
    assert 0 <= mel.min() and mel.max() <= 1


def test_they_are_what_another_computation_gives():
    wav = torch.randn(16000, generator=torch.Generator().manual_seed(1)) / 10
    wav[:8000] *= 1e-3
    high = signal.filtfilt(*signal.butter(5, 30 / 8000, "high"), wav.numpy())
    # Windows in the middle of tiles of 320 samples.
    high = torch.from_numpy(np.pad(high, (40, 40)).copy()).float()
    spectrum = torchaudio.transforms.MelSpectrogram(
        *(16000, 400, 400, 320),
        f_min=90,
        f_max=7600,
        n_mels=80,
        power=1,
        norm="slaney",
        mel_scale="slaney",
        center=False,
    )(high)
    decibels = 20 * np.log10(np.maximum(1e-5, spectrum.numpy().T)) - 16
    expected = np.clip((decibels + 100) / 100, 0, 1)
    mel = load_encoder("mel").encode_alone(wav)[0].numpy()
    assert mel.shape == expected.shape == (50, 80)
    assert np.abs(mel - expected).max() < 1e-4
    assert 0.01 < mel.std() and (mel == 0).mean() < 0.5
