"""Augmentation: the batch keeps its shape, its padding and its randomness."""

import copy
import random
from functools import partial

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.training.augmentation import make_augmenter
from speechbrain_ext.training.checkpoints import RandomState

LENGTHS = [16000, 4000, 12001]


def save(path, samples, rate=16000):
    """Write a recording; its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path.parent


def tone(frequency, seconds, rate=16000):
    time = np.arange(int(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * frequency * time)


@pytest.fixture
def noises(tmp_path):
    """Tones of 500, 1000, ... 2500 Hz, some shorter than the speech."""
    for number in range(1, 6):
        path = tmp_path / "noises" / "deep" / f"{number}.wav"
        save(path, tone(500 * number, 0.3 * number))
    return tmp_path / "noises"


@pytest.fixture
def rirs(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(1, 5):
        rir = rng.normal(size=4000) * np.exp(-np.arange(4000) / (300 * number))
        rir[0] = 5
        save(tmp_path / "rirs" / f"{number}.flac", 0.1 * rir)
    return tmp_path / "rirs"


@pytest.fixture
def everything(noises, rirs, tmp_path):
    """A function that makes an augmenter of all parts."""
    cache = tmp_path / "run"
    return partial(make_augmenter, noises, rirs, True, cache_folder=cache)


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    wav = torch.zeros(len(LENGTHS), max(LENGTHS))
    for row, length in zip(wav, LENGTHS):
        row[:length] = 0.1 * torch.randn(length, generator=generator)
    return wav, torch.tensor([length / max(LENGTHS) for length in LENGTHS])


def seed(number):
    random.seed(number)
    torch.manual_seed(number)


def test_off():
    assert make_augmenter(probability=0.5) is None
    assert make_augmenter("white", probability=0.0) is None


@pytest.mark.parametrize(
    "parts", ["white", "noise", "rir", "drop", "noise rir drop"]
)
def test_the_batch_keeps_its_shape_and_its_padding(
    parts, noises, rirs, tmp_path
):
    augmenter = make_augmenter(
        "white" if parts == "white" else noises if "noise" in parts else None,
        rirs if "rir" in parts else None,
        "drop" in parts,
        cache_folder=tmp_path,
    )
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


def test_padding_does_not_matter_and_copies_are_alike(everything):
    augmenter = everything()
    other = copy.deepcopy(augmenter)
    wav, wav_lens = batch()
    seed(1)
    expected, _ = augmenter(wav, wav_lens)
    assert not expected.requires_grad
    for row, length in zip(wav, LENGTHS):
        row[length:] = torch.nan
    for each in (augmenter, other):
        for number in (1, 2):
            seed(number)
            found, _ = each(wav, wav_lens)
            assert torch.equal(found, expected) == (number == 1)


def test_goes_on_from_the_state_of_the_random_numbers(everything, tmp_path):
    """A run that was killed within an epoch, with batches of other sizes."""
    wav, wav_lens = batch()

    def augment(augmenter, *sizes):
        return [augmenter(wav[:rows], wav_lens[:rows])[0] for rows in sizes]

    augmenter = everything(probability=0.8)
    seed(3)
    augment(augmenter, 2, 1, 3)
    RandomState().save(tmp_path / "random.ckpt")
    expected = augment(augmenter, 3, 1, 2)
    seed(99)
    fresh = everything(probability=0.8)
    RandomState().load(tmp_path / "random.ckpt", False)
    found = augment(fresh, 3, 1, 2)
    assert all(map(torch.equal, found, expected))


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
    noise = save(tmp_path / "n" / "a.wav", tone(1000, 2, 44100), 44100)
    augmenter = make_augmenter(noise, snr=(-40, -40), cache_folder=tmp_path)
    changed, _ = augmenter(*batch())
    assert torch.fft.rfft(changed[0]).abs().argmax() == 1000


def test_reverberation_is_a_convolution_without_wrapping(tmp_path):
    """By NumPy; an echo of the end must not be heard at the beginning."""
    rir = np.zeros(3000)
    rir[100], rir[2600] = 0.8, 0.4
    folder = save(tmp_path / "r" / "a.wav", rir)
    augmenter = make_augmenter(rir_folder=folder, cache_folder=tmp_path)
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


def test_very_short_speech(everything, tmp_path):
    """Shorter than stretches of time that are dropped, and than the echo."""
    rir = save(tmp_path / "r" / "a.wav", np.exp(-np.arange(16000) / 4000))
    echo = make_augmenter(rir_folder=rir, cache_folder=tmp_path)
    for augmenter in [echo, *[everything()] * 5]:
        changed, _ = augmenter(torch.randn(2, 800), torch.tensor([1.0, 0.1]))
        assert changed.shape == (2, 800) and changed.isfinite().all()


def test_spec_augment_drops_time_and_frequency():
    augmenter = make_augmenter(spec_augment=True)
    wav, wav_lens = batch()
    changed, _ = augmenter(wav, wav_lens)
    for row, length in zip(changed, LENGTHS):
        assert 320 <= (row[:length] == 0).sum() <= 4 * 1600
    wav = 0.1 * torch.randn(1, 160000)
    changed, _ = augmenter(wav, torch.ones(1))
    after, before = (
        torch.fft.rfft(x).abs()[0, :80000].reshape(400, -1).mean(1)
        for x in (changed, wav)
    )
    ratio = after / before
    assert ratio.min() < 0.2 and ratio.median() > 0.8


def test_a_part_of_the_batches_is_changed():
    augmenter = make_augmenter("white", probability=0.5)
    wav, wav_lens = batch()
    seed(0)
    same = [torch.equal(augmenter(wav, wav_lens)[0], wav) for _ in range(100)]
    assert 30 < sum(same) < 70


def test_lists_are_written_to_the_cache_alone(everything, tmp_path):
    before = {*tmp_path.rglob("*")}
    everything()
    names = ("run", "run/noise.csv", "run/rirs.csv")
    assert {*tmp_path.rglob("*")} - before == {tmp_path / n for n in names}


def refused(*words, make=make_augmenter, **options):
    with pytest.raises(UserError) as caught:
        make(**options)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    assert all(word in message for word in words), message


@pytest.mark.parametrize("option", ["noise_folder", "rir_folder"])
def test_invalid_folders(option, tmp_path):
    def check(folder, *words, cache=tmp_path / "run"):
        refused(*words, **{option: folder, "cache_folder": cache})
        assert not (tmp_path / "run").exists()

    check(tmp_path / "no", option, "does not exist")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.txt").write_text("x")
    check(tmp_path / "empty", option, "holds no audio")
    mixed = save(tmp_path / "mixed" / "a.wav", tone(100, 1))
    check(mixed, option, "cache_folder", cache=None)
    save(tmp_path / "mixed" / "b.wav", tone(100, 1, 8000), 8000)
    check(mixed, option, "a.wav", "16000", "b.wav", "8000")
    stereo = save(tmp_path / "stereo" / "a.wav", np.zeros((100, 2)))
    check(stereo, option, "a.wav", "one channel, got 2")
    dollar = save(tmp_path / "dollar" / "$a.wav", tone(100, 1))
    check(dollar, option, "$a.wav", "without $")
    (tmp_path / "empty" / "a.wav").write_bytes(b"")
    check(tmp_path / "empty", "a.wav", "empty file")


@pytest.mark.parametrize(
    "option, values",
    [
        ("snr", ([15, 0], [5], 5, ["low", "high"])),
        ("probability", (1.5, "often")),
        ("noise_folder", (True,)),
        ("rir_folder", (3,)),
        ("spec_augment", ("yes please",)),
    ],
)
def test_invalid_options(option, values):
    for value in values:
        options = {"noise_folder": "white", option: value}
        refused(f"{option}: ", f"got {value!r}.", **options)
