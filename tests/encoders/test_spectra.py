"""Magnitude spectrograms, against NumPy."""

import numpy as np

from speechbrain_ext.encoders.spectra import SpectrogramEncoder
from tests.encoders.padding import utterances


def test_is_the_definition():
    wav = utterances([4321])[0]
    encoder = SpectrogramEncoder()
    found = encoder(wav[None])[0].numpy()
    n = np.arange(400)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 400)
    expected = [
        np.abs(np.fft.rfft(wav.double().numpy()[start : start + 400] * hann))
        for start in range(0, 4321 - 400 + 1, 160)
    ]
    assert found.shape == (25, 201) == np.shape(expected)
    np.testing.assert_allclose(found, expected, atol=1e-4)
