"""Magnitude spectrograms, against NumPy."""

import numpy as np
import torch

from speechbrain_ext.encoders.spectra import SpectrogramEncoder
from tests.encoders.padding import (
    LENGTHS,
    check_bfloat16,
    check_lengths,
    check_padding,
    utterances,
)

# The window is as good as zero at its first samples.
SHORT_TO_LONG = [length for length in LENGTHS if length > 5] + [99]


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


def test_padding_never_changes_a_result():
    check_padding(SpectrogramEncoder(), SHORT_TO_LONG)


def test_padding_with_output_norm():
    check_padding(SpectrogramEncoder(output_norm=True), SHORT_TO_LONG)


def test_lengths():
    check_lengths(SpectrogramEncoder(), [1, 399, 400, 401, *range(550, 730)])


def test_bfloat16():
    check_bfloat16(SpectrogramEncoder())


def test_frozen():
    encoder = SpectrogramEncoder().train()
    assert encoder.frozen and not encoder.training
    wav = torch.randn(1, 800, requires_grad=True)
    assert not encoder(wav).requires_grad


def test_fingerprint():
    prints = {SpectrogramEncoder().fingerprint() for _ in range(2)}
    prints.add(SpectrogramEncoder(output_norm=True).fingerprint())
    assert len(prints) == 2
