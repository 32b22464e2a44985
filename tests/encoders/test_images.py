"""Spectrograms of blocks: every sample is in one, and what librosa shows."""

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.features.images import BlockEncoder
from tests.encoders.padding import (
    check_bfloat16,
    check_lengths,
    check_padding,
    utterance,
    utterances,
)

LENGTHS = [48000, 16000, 5, 15999, 16001, 37777]
SHIFTS = st.integers(160, 16000).map(lambda n: n / 16000)
WAYS = {"apart": (), "overlapping": (0.3,), "spread": (0.01, 4)}


@pytest.fixture(params=WAYS)
def encoder(request):
    return BlockEncoder(*WAYS[request.param])


@given(SHIFTS, st.none() | st.integers(1, 20), st.integers(1, 200_000))
def test_blocks_of_every_length(shift, most, length):
    encoder = BlockEncoder(shift, most)
    starts = encoder.starts(length)
    # As many as the grid says, of numbers and of tensors.
    assert len(starts) == encoder.grid.num_frames(length)
    lengths = torch.tensor([length, 1])
    assert encoder.grid.num_frames(lengths).tolist() == [len(starts), 1]
    assert len({*starts.tolist()}) == len(starts) <= (most or length)
    # The first begins with the utterance.
    assert starts[0] == 0
    every = BlockEncoder(shift).starts(length)
    assert {*starts.tolist()} <= {*every.tolist()}
    # Without a bound every sample is in a block, and none is beyond the end.
    assert every[-1] == max(length - 16000, 0)
    assert (np.diff(every) <= 16000).all() and (np.diff(every) > 0).all()
    if len(starts) > 1:
        assert starts[-1] == every[-1]
        # Evenly: neighbours are as many blocks apart, but for rounding.
        places = np.diff(np.searchsorted(every, starts))
        assert places.max() - places.min() <= 1


def test_padding_never_changes_a_result(encoder):
    check_padding(encoder, LENGTHS)


def test_lengths(encoder):
    assert encoder.output_size == 257 * 251
    if encoder.most is None:
        check_lengths(encoder, [*LENGTHS, 32000, 32001])
    assert encoder.frozen and not encoder.train().training
    assert not encoder(utterance(8000).requires_grad_()).requires_grad
    check_bfloat16(encoder)


def test_what_librosa_shows():
    (wav,) = utterances([20000])
    found = BlockEncoder()(wav[None])[0].unflatten(1, (257, 251))
    for block, start in zip(found, (0, 4000)):
        part = wav[start : start + 16000].numpy()
        part = part / np.abs(part).max()
        magnitudes = np.abs(
            librosa.stft(
                part,
                n_fft=512,
                hop_length=64,
                win_length=256,
                pad_mode="reflect",
            )
        )
        # A tone of full scale has 64, half the sum of the window.
        decibels = librosa.amplitude_to_db(
            magnitudes, ref=64.0, amin=1e-9, top_db=None
        )
        expected = np.clip(1 + decibels / 80, 0, 1)
        np.testing.assert_allclose(block.numpy(), expected, atol=1e-4)


def test_loudness_does_not_matter_and_silence_is_black():
    wav = utterance(30000)
    encoder = BlockEncoder()
    torch.testing.assert_close(encoder(0.01 * wav), encoder(wav))
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)
    image = encoder(tone[None])[0].unflatten(1, (257, 251))[0]
    # 1000 Hz is bin 32 of 512 at 16 kHz; the ends see a mirrored tone.
    assert image[32, 3:-3].min() > 0.99 and image.mean(1).argmax() == 32
    assert torch.count_nonzero(encoder(torch.zeros(1, 20000))) == 0


@settings(deadline=None, max_examples=5)
@given(SHIFTS, st.none() | st.integers(1, 20))
def test_the_fingerprint_tells_options_apart(shift, most):
    prints = {
        BlockEncoder(*given).fingerprint()
        for given in ((shift, most), (shift, 21), (0.505, most))
    }
    assert len(prints) == 3 - (round(16000 * shift) == 8080)


@pytest.mark.parametrize(
    "given", [(0,), (0.001,), (1.1,), (1.0, 0), (1.0, 1.5), ("1",)]
)
def test_invalid_options(given):
    with pytest.raises(UserError, match="^(block_shift|max_blocks): expected"):
        BlockEncoder(*given)
