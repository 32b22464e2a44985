"""Augmented copies, each by one technique, which follow from their names."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.conditioning.copies import (
    LONGEST,
    RANGES,
    augment,
    draw_augmentation,
)

RATE = 16000


def tone(seconds=1.0, hertz=400):
    time = torch.arange(round(seconds * RATE)) / RATE
    return 0.3 * torch.sin(2 * torch.pi * hertz * time)


def hertz(wav):
    """The strongest frequency of the middle of a waveform."""
    middle = wav.numpy()[len(wav) // 4 : -len(wav) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 18))
    return spectrum.argmax() * RATE / (1 << 18)


@given(st.text(max_size=5), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_drawn_within_the_ranges(id, number, seed):
    drawn = draw_augmentation(id, number, seed)
    low, high = RANGES[drawn["name"]]
    assert low <= drawn["value"] <= high
    assert drawn == draw_augmentation(id, number, seed)


def test_techniques_in_turn():
    """Four copies are of four kinds; of first copies there are as many of
    each."""
    first = Counter()
    for at in range(400):
        four = [draw_augmentation(f"u{at}", n, 1)["name"] for n in range(1, 5)]
        assert sorted(four) == sorted(RANGES)
        first[four[0]] += 1
    assert min(first.values()) > 70
    values = {draw_augmentation("a", n, 1)["value"] for n in range(1, 41)}
    assert len(values) == 40


def test_stretching_changes_the_length_alone():
    for rate in RANGES["TimeStretch"]:
        found = augment(tone(), "TimeStretch", rate, 0)
        assert len(found) == pytest.approx(RATE / rate, rel=1e-3)
        assert len(found) <= LONGEST * RATE + 1
        assert hertz(found) == pytest.approx(400, rel=5e-3)


def test_a_shift_changes_the_pitch_alone():
    for semitones in RANGES["PitchShift"]:
        found = augment(tone(), "PitchShift", semitones, 0)
        assert len(found) == RATE
        wanted = 400 * 2 ** (semitones / 12)
        assert hertz(found) == pytest.approx(wanted, rel=1e-2)


def test_gain_and_noise():
    found = augment(tone(), "Gain", -6.0, 0)
    torch.testing.assert_close(found, tone() * 10 ** (-6 / 20))
    for snr in RANGES["AddGaussianSNR"]:
        noise = augment(tone(), "AddGaussianSNR", snr, 0) - tone()
        ratio = tone().square().mean() / noise.square().mean()
        assert 10 * torch.log10(ratio) == pytest.approx(snr, abs=0.3)


@given(st.sampled_from(list(RANGES)), st.integers(2, 8000), st.integers(0, 9))
@settings(deadline=None, max_examples=30)
def test_a_copy_follows_from_what_was_drawn(name, samples, seed):
    """And from no other random numbers, which go on as they were."""
    wav = tone(samples / RATE)
    random.seed(3)
    np.random.seed(3)
    wanted = random.random(), np.random.rand()
    value = sum(RANGES[name]) / 2
    first = augment(wav, name, value, seed)
    random.seed(3)
    np.random.seed(3)
    assert torch.equal(augment(wav, name, value, seed), first)
    assert (random.random(), np.random.rand()) == wanted
    assert torch.isfinite(first).all() and first.dtype == torch.float32
    if name == "AddGaussianSNR":
        assert not torch.equal(augment(wav, name, value, seed + 1), first)
    assert torch.equal(wav, tone(samples / RATE))
