"""eGeMAPS descriptors, against openSMILE called by itself."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import opensmile
import pytest
import torch

from speechbrain_ext.encoders.features.egemaps import EgemapsEncoder
from tests.encoders.padding import LENGTHS, utterance, utterances


@pytest.fixture(scope="module")
def encoder():
    return EgemapsEncoder()


@pytest.fixture(scope="module")
def smile():
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
    )


def descriptors(smile, wav):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return smile.process_signal(wav.numpy(), 16000).to_numpy()


def test_pairs_are_averaged(encoder, smile):
    assert encoder.output_size == 25
    for wav in utterances([960, 1120, 1279, 16000, 16160, 37777]):
        plain = descriptors(smile, wav).astype(np.float64)
        pairs = [plain[i : i + 2].mean(0) for i in range(0, len(plain), 2)]
        found = encoder(wav[None])[0].numpy()
        np.testing.assert_allclose(found, pairs, rtol=1e-5, atol=1e-4)


def test_a_tile_begins_where_its_windows_begin(encoder, smile):
    """A vowel from 1 s to 1.2 s is in the tiles from there to there."""
    time = np.arange(3200) / 16000
    vowel = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 20))
    wav = 1e-4 * np.random.default_rng(0).normal(size=32000)
    wav[16000:19200] += 0.2 * vowel
    x = encoder(torch.from_numpy(wav).float()[None])[0]
    loudness = x[:, smile.feature_names.index("Loudness_sma3")]
    loud = torch.nonzero(loudness > loudness.max() / 3)
    assert abs(loud.min() - 50) <= 1 and abs(loud.max() - 59) <= 1
    pitch = x[:, smile.feature_names.index("F0semitoneFrom27.5Hz_sma3nz")]
    voiced = torch.nonzero(pitch > 0)
    # Its windows are 40 ms longer.
    assert 47 <= voiced.min() <= 50 and 56 <= voiced.max() <= 60
    middle = pitch[voiced.min() + 2 : voiced.max() - 1]
    assert abs(middle - 12 * np.log2(150 / 27.5)).max() < 0.3


def test_odd_sounds_give_numbers(encoder):
    wav, zero = utterance(8000), torch.zeros(1, 8000)
    click = torch.eye(1, 8000)
    for odd in (zero, zero + 1, wav * 1e-30, wav * 1e30, click, wav.bfloat16()):
        found = encoder(odd)
        assert found.isfinite().all() and found.dtype == torch.float32
    with pytest.raises(ValueError, match="NaN"):
        encoder(zero + torch.nan)
    # Zeros lengthen what is too short.
    longer = torch.cat([wav[:, :300], torch.zeros(1, 660)], dim=1)
    assert torch.equal(encoder(wav[:, :300]), encoder(longer))


def test_full_scale_keeps_its_sign(encoder, smile):
    """openSMILE alone takes 1.0 for -1.0."""
    wav = 0.25 * torch.sin(torch.arange(16000) / 30)
    clipped = (8 * wav).clamp(-1, 32767 / 32768)
    ours = encoder(8 * wav[None])
    assert torch.equal(ours, encoder(clipped[None]))
    plain = descriptors(smile, clipped)
    assert np.allclose(ours[0, 5], plain[10:12].mean(0), rtol=1e-5, atol=1e-4)
    wrapped = descriptors(smile, (8 * wav).clamp(-1, 1))
    assert not np.allclose(plain, wrapped, rtol=0.1)


def test_the_same_from_threads_copies_and_processes(encoder):
    """DataLoader workers are forked while openSMILE is loaded."""
    wavs = [wav[None] for wav in utterances(LENGTHS * 2)]
    alone = [encoder(wav) for wav in wavs]
    with ThreadPoolExecutor(4) as pool:
        assert all(map(torch.equal, alone, pool.map(encoder, wavs)))
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert torch.equal(other(wavs[0]), alone[0])
    arrays = [wav.numpy() for wav in wavs[:4]]
    for way in ("spawn", "fork"):
        with get_context(way).Pool(1) as pool:
            found = pool.map(_encode, arrays)
        assert all(map(np.array_equal, alone, found))


def _encode(wav):
    return EgemapsEncoder()(torch.from_numpy(wav)).numpy()


def test_fingerprint(encoder, monkeypatch):
    """It knows the version."""
    assert encoder.describe()["opensmile"] == opensmile.__version__
    monkeypatch.setattr(opensmile, "__version__", "2.0.0")
    assert EgemapsEncoder().fingerprint() != encoder.fingerprint()
