"""Augmentation: the batch keeps its shape, its padding and its randomness."""

import copy
import random

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.training.augmentation import (
    check_augmentation,
    make_augmenter,
)
from speechbrain_ext.training.checkpoints import RandomState

LENGTHS = [16000, 4000, 12001]


def save(path, samples, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def tone(frequency, seconds, rate=16000):
    time = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * frequency * time)


@pytest.fixture
def noises(tmp_path):
    """Tones of 500, 1000, ... 2500 Hz, some shorter than the speech."""
    folder = tmp_path / "noises"
    for number in range(1, 6):
        wav = tone(500 * number, 0.3 * number)
        save(folder / "deep" / f"{number}.wav", wav)
    return folder


@pytest.fixture
def rirs(tmp_path):
    folder = tmp_path / "rirs"
    rng = np.random.default_rng(0)
    for number in range(1, 5):
        rir = rng.normal(size=4000) * np.exp(-np.arange(4000) / (300 * number))
        rir[0] = 5
        save(folder / f"{number}.flac", 0.1 * rir)
    return folder


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    wav = torch.zeros(len(LENGTHS), max(LENGTHS))
    for row, length in zip(wav, LENGTHS):
        row[:length] = 0.1 * torch.randn(length, generator=generator)
    return wav, torch.tensor([length / max(LENGTHS) for length in LENGTHS])


def everything(noises, rirs, tmp_path, **options):
    return make_augmenter(
        noises, rirs, True, cache_folder=tmp_path / "run", **options
    )


def seed(number):
    random.seed(number)
    torch.manual_seed(number)


def test_off():
    assert make_augmenter() is None
    assert make_augmenter(None, None, False, (0, 15), 0.5) is None
    assert make_augmenter("white", probability=0.0) is None


@pytest.mark.parametrize(
    "options",
    [
        {"noise_folder": "white"},
        {"noise_folder": None},
        {"rir_folder": None},
        {"spec_augment": True},
        {"noise_folder": None, "rir_folder": None, "spec_augment": True},
    ],
)
def test_the_batch_keeps_its_shape_and_its_padding(
    options, noises, rirs, tmp_path
):
    folders = {"noise_folder": noises, "rir_folder": rirs}
    options = {name: value or folders[name] for name, value in options.items()}
    augmenter = make_augmenter(**options, cache_folder=tmp_path)
    wav, wav_lens = batch()
    before = wav.clone()
    for _ in range(5):
        changed, lengths = augmenter(wav, wav_lens)
        assert changed.shape == wav.shape and torch.equal(lengths, wav_lens)
        assert torch.equal(wav, before)
        for row, original, length in zip(changed, wav, LENGTHS):
            assert not torch.allclose(row[:length], original[:length])
            assert torch.count_nonzero(row[length:]) == 0
            assert row.isfinite().all()


def test_what_stands_in_the_padding_does_not_matter(noises, rirs, tmp_path):
    augmenter = everything(noises, rirs, tmp_path)
    wav, wav_lens = batch()
    seed(1)
    expected, _ = augmenter(wav, wav_lens)
    for row, length in zip(wav, LENGTHS):
        row[length:] = torch.nan
    seed(1)
    assert torch.equal(augmenter(wav, wav_lens)[0], expected)


def test_follows_from_the_seed(noises, rirs, tmp_path):
    wav, wav_lens = batch()
    found = []
    for number in (1, 1, 2):
        seed(number)
        augmenter = everything(noises, rirs, tmp_path, probability=0.6)
        found.append([augmenter(wav, wav_lens)[0] for _ in range(8)])
    assert all(torch.equal(a, b) for a, b in zip(*found[:2]))
    assert not all(torch.equal(a, b) for a, b in zip(*found[1:]))


def test_goes_on_from_the_state_of_the_random_numbers(noises, rirs, tmp_path):
    """A run that was killed within an epoch, with batches of other sizes."""
    wav, wav_lens = batch()
    augmenter = everything(noises, rirs, tmp_path, probability=0.8)
    seed(3)
    for rows in (2, 1, 3):
        augmenter(wav[:rows], wav_lens[:rows])
    RandomState().save(tmp_path / "random.ckpt")
    expected = [augmenter(wav[:rows], wav_lens[:rows])[0] for rows in (3, 1, 2)]
    seed(99)
    fresh = everything(noises, rirs, tmp_path, probability=0.8)
    RandomState().load(tmp_path / "random.ckpt", False)
    found = [fresh(wav[:rows], wav_lens[:rows])[0] for rows in (3, 1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


@pytest.mark.parametrize("snr", [0, 10, 30])
@pytest.mark.parametrize("white", [True, False])
def test_the_ratio_is_the_one_asked_for(snr, white, noises, tmp_path):
    wav, wav_lens = batch()
    augmenter = make_augmenter(
        "white" if white else noises, snr=(snr, snr), cache_folder=tmp_path
    )
    changed, _ = augmenter(wav, wav_lens)
    for row, original, length in zip(changed, wav, LENGTHS):
        row, original = row[:length].double(), original[:length].double()
        # The speech is scaled; noise and speech are as good as orthogonal.
        gain = (row @ original) / (original @ original)
        noise = row - gain * original
        speech = (gain * original).square().mean()
        found = 10 * torch.log10(speech / noise.square().mean())
        assert abs(found - snr) < 1.0


def test_every_recording_gets_a_noise_of_its_own(noises, tmp_path):
    """Strong tones: the strongest frequency tells which."""
    seed(0)
    augmenter = make_augmenter(noises, snr=(-40, -40), cache_folder=tmp_path)
    wav, wav_lens = batch()
    seen = set()
    for _ in range(10):
        changed, _ = augmenter(wav, wav_lens)
        peaks = []
        for row, length in zip(changed, LENGTHS):
            spectrum = torch.fft.rfft(row[:length]).abs()
            peak = spectrum.argmax().item() * 16000 / length
            assert abs(peak / 500 - round(peak / 500)) < 0.02
            peaks.append(round(peak / 500))
        assert len(set(peaks)) == len(peaks)
        seen.update(peaks)
    assert seen == {1, 2, 3, 4, 5}


def test_another_sample_rate_is_resampled(tmp_path):
    save(tmp_path / "n" / "a.wav", tone(1000, 2, rate=44100), 44100)
    augmenter = make_augmenter(
        tmp_path / "n", snr=(-40, -40), cache_folder=tmp_path
    )
    changed, _ = augmenter(*batch())
    assert torch.fft.rfft(changed[0]).abs().argmax() == 1000


def test_reverberation_is_a_convolution_without_wrapping(tmp_path):
    """By NumPy; an echo of the end must not be heard at the beginning."""
    rir = np.zeros(3000)
    rir[100], rir[2600] = 0.8, 0.4
    save(tmp_path / "r" / "a.wav", rir)
    augmenter = make_augmenter(rir_folder=tmp_path / "r", cache_folder=tmp_path)
    wav = torch.zeros(1, 8000)
    wav[0, 7000:] = torch.randn(1000)
    changed = augmenter(wav, torch.ones(1))[0][0].numpy()
    assert np.abs(changed[:6900]).max() < 1e-5
    wav[0, :4000] = torch.randn(4000)
    changed = augmenter(wav, torch.ones(1))[0][0].numpy()
    expected = np.convolve(wav[0].numpy(), rir)[100:8100]
    gain = (changed @ expected) / (expected @ expected)
    assert 0.3 < gain < 3
    np.testing.assert_allclose(changed, gain * expected, atol=2e-3)


def test_an_impulse_response_longer_than_the_speech(tmp_path):
    save(tmp_path / "r" / "a.wav", np.exp(-np.arange(16000) / 4000))
    augmenter = make_augmenter(rir_folder=tmp_path / "r", cache_folder=tmp_path)
    changed, _ = augmenter(torch.randn(2, 1600), torch.ones(2))
    assert changed.shape == (2, 1600) and changed.isfinite().all()


def test_spec_augment_drops_time_and_frequency():
    augmenter = make_augmenter(spec_augment=True)
    wav, wav_lens = batch()
    changed, _ = augmenter(wav, wav_lens)
    for row, length in zip(changed, LENGTHS):
        assert 320 <= (row[:length] == 0).sum() <= 4 * 1600
    wav = 0.1 * torch.randn(1, 160000)
    changed, _ = augmenter(wav, torch.ones(1))
    ratio = (
        torch.fft.rfft(changed).abs().reshape(1, -1)[0, :80000].reshape(400, -1)
    ).mean(1) / torch.fft.rfft(wav).abs()[0, :80000].reshape(400, -1).mean(1)
    assert ratio.min() < 0.2 and ratio.median() > 0.8


def test_a_part_of_the_batches_is_changed():
    augmenter = make_augmenter("white", probability=0.5)
    wav, wav_lens = batch()
    seed(0)
    changed = [
        not torch.equal(augmenter(wav, wav_lens)[0], wav) for _ in range(100)
    ]
    assert 30 < sum(changed) < 70


def test_very_short_speech(noises, rirs, tmp_path):
    augmenter = everything(noises, rirs, tmp_path)
    for _ in range(5):
        changed, _ = augmenter(torch.randn(2, 800), torch.tensor([1.0, 0.1]))
        assert changed.shape == (2, 800) and changed.isfinite().all()


def test_no_gradients_and_copies(noises, rirs, tmp_path):
    augmenter = everything(noises, rirs, tmp_path)
    wav, wav_lens = batch()
    other = copy.deepcopy(augmenter)
    seed(5)
    expected, _ = augmenter(wav, wav_lens)
    seed(5)
    assert torch.equal(other(wav, wav_lens)[0], expected)
    assert not expected.requires_grad


def test_lists_are_written_to_the_cache_alone(noises, rirs, tmp_path):
    before = sorted(noises.rglob("*")) + sorted(rirs.rglob("*"))
    everything(noises, rirs, tmp_path)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["noise.csv", "rirs.csv"]
    assert sorted(noises.rglob("*")) + sorted(rirs.rglob("*")) == before


def refused(*words, **options):
    with pytest.raises(UserError) as caught:
        make_augmenter(**options)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    assert all(word in message for word in words), message


@pytest.mark.parametrize("option", ["noise_folder", "rir_folder"])
def test_folders_that_cannot_be(option, tmp_path):
    cache = tmp_path / "run"

    def check(folder, *words, cache=cache):
        refused(option, *words, **{option: folder, "cache_folder": cache})

    check(tmp_path / "no", "does not exist")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.txt").write_text("x")
    check(tmp_path / "empty", "holds no audio")
    save(tmp_path / "mixed" / "a.wav", tone(100, 1))
    check(tmp_path / "mixed", "cache_folder", cache=None)
    save(tmp_path / "mixed" / "b.wav", tone(100, 1, 8000), 8000)
    check(tmp_path / "mixed", "a.wav", "16000", "b.wav", "8000")
    save(tmp_path / "stereo" / "a.wav", np.zeros((100, 2)))
    check(tmp_path / "stereo", "a.wav", "2 channels")
    save(tmp_path / "dollar" / "$a.wav", tone(100, 1))
    check(tmp_path / "dollar", "$a.wav", "dollar sign")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.wav").write_bytes(b"")
    with pytest.raises(UserError, match="a.wav.*empty file"):
        make_augmenter(**{option: tmp_path / "damaged", "cache_folder": cache})
    assert not cache.exists()


def test_invalid_options():
    for option, values in {
        "snr": ([15, 0], [5], 5, ["low", "high"]),
        "probability": (1.5, "often"),
        "noise_folder": (True,),
        "rir_folder": (3,),
        "spec_augment": ("yes please",),
    }.items():
        for value in values:
            options = {"noise_folder": "white", option: value}
            refused(f"{option}: ", f"got {value!r}.", **options)


@pytest.mark.parametrize(
    "options, words",
    [
        ("white", ["got 'white'", "{noise_folder: white}"]),
        (None, ["got None"]),
        ({"noise": "white"}, ["got 'noise'", "noise_folder, rir_folder"]),
        ({"cache_folder": "/no"}, ["got 'cache_folder'"]),
    ],
)
def test_what_a_yaml_may_not_say(options, words):
    with pytest.raises(UserError, match="^augmentation: ") as caught:
        check_augmentation(options)
    assert all(word in str(caught.value) for word in words)
