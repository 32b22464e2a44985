"""What is left of recordings without noise and silence."""

import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from speechbrain_ext.audio import AudioError, read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.conditioning import Cleaner, cleaning
from speechbrain_ext.conditioning.cleaning import make_cleaner

RATE = 16000


def tone(seconds, level=0.3, hertz=220):
    time = torch.arange(round(seconds * RATE)) / RATE
    return level * torch.sin(2 * torch.pi * hertz * time)


def silence(seconds):
    return torch.zeros(round(seconds * RATE))


def energy(wav):
    return float(wav.double().square().sum())


def decibels(ratio):
    return 10 * np.log10(ratio)


def test_silence_is_removed_and_sound_is_not():
    """Wherever it is; what stays is less than two frames beside the sound."""
    cleaner = Cleaner(reduce_noise=False)
    wav = torch.cat([silence(2), tone(1), silence(3), tone(0.5), silence(1)])
    left = cleaner.clean(wav)
    assert 1.5 <= len(left) / RATE < 1.5 + 4 * 0.128
    assert energy(left) == pytest.approx(energy(wav), rel=1e-6)
    # As librosa trims the ends.
    only = torch.cat([silence(2), tone(1), silence(1)])
    trimmed, _ = librosa.effects.trim(only.numpy(), top_db=cleaner.top_db)
    np.testing.assert_array_equal(cleaner.clean(only), trimmed)
    kept = Cleaner(reduce_noise=False, remove_silence=False).clean(wav)
    assert torch.equal(kept, wav)


@pytest.mark.parametrize("below, stays", [(30, True), (50, False)])
def test_low_energy_is_silence(below, stays):
    """From 40 dB below the loudest frame on."""
    soft = tone(1, 0.5 * 10 ** (-below / 20))
    wav = torch.cat([tone(1, 0.5), soft])
    seconds = len(Cleaner(reduce_noise=False).clean(wav)) / RATE
    assert seconds > 1.9 if stays else seconds < 1.2


def test_noise_is_reduced():
    """Between words, and far more than the words are."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.01 * torch.randn(6 * RATE, generator=generator)
    # A tone that goes on for seconds would be taken for noise.
    syllables = [tone(0.1, hertz=100 * n) for n in (2, 5, 3, 7)]
    word = torch.cat([x for one in syllables for x in (one, silence(0.1))])
    words = torch.cat([silence(1), word, silence(2), word, silence(1)])
    noise = noise[: len(words)]
    cleaner = Cleaner(remove_silence=False)
    left = cleaner.clean(words + noise)
    assert len(left) == len(words)
    pauses = words == 0
    assert energy(left[pauses]) < energy(noise[pauses]) / 10

    def ratio(wav):
        return decibels(energy(wav[~pauses]) / energy(wav[pauses]))

    assert ratio(left) > ratio(words + noise) + 6


waveforms = st.builds(
    lambda seed, counts, level: torch.cat(
        [
            torch.randn(n, generator=torch.Generator().manual_seed(seed + at))
            * (level if at % 2 else 0.0 if seed % 2 else level / 300)
            for at, n in enumerate(counts)
        ]
    ),
    st.integers(0, 1000),
    st.lists(st.integers(1, 20000), min_size=2, max_size=4),
    st.sampled_from([0.01, 0.1, 0.5]),
)


@given(waveforms, st.booleans(), st.sampled_from([0.25, 0.5, 2.0]))
@settings(deadline=None, max_examples=25)
def test_finite_never_longer_and_the_same_at_any_level(wav, reduces, gain):
    # Or some would be taken for silence.
    assume(wav.abs().max() > 0.01)
    cleaner = Cleaner(reduce_noise=reduces)
    before, left = wav.clone(), cleaner.clean(wav)
    assert torch.equal(wav, before), "the waveform itself was changed"
    assert torch.isfinite(left).all() and 0 < len(left) <= len(wav)
    assert left.dtype == torch.float32
    assert torch.equal(cleaner.clean(wav), left)
    louder = cleaner.clean(gain * wav)
    torch.testing.assert_close(louder, gain * left, rtol=1e-4, atol=1e-6)
    heard, spans = cleaner.parts(wav)
    joined = [heard[start:stop] for start, stop in spans]
    assert torch.equal(torch.cat(joined), left)
    flat = [edge for span in spans for edge in span]
    assert flat == sorted(flat) and flat[-1] <= len(wav)


@pytest.mark.parametrize("seconds", [1 / RATE, 0.001, 0.01, 0.2])
def test_short_recordings(seconds):
    left = Cleaner().clean(tone(0.3)[100 : 100 + round(seconds * RATE)])
    assert torch.isfinite(left).all() and len(left)


def test_a_minute_of_silence_within():
    """Of which noisereduce alone makes no numbers."""
    left = Cleaner().clean(torch.cat([tone(1), silence(90), tone(1)]))
    assert torch.isfinite(left).all() and 1.5 < len(left) / RATE < 2.5


@pytest.mark.parametrize("reduces", [False, True])
@pytest.mark.parametrize("removes", [False, True])
def test_nothing_to_hear(reduces, removes):
    cleaner = Cleaner(reduces, removes)
    for wav in (silence(1), tone(1, 1e-5)):
        with pytest.raises(AudioError, match="'a.wav' has no sound; replace"):
            cleaner.clean(wav, "a.wav")
    for value in (float("nan"), float("inf")):
        wav = tone(1)
        wav[5] = value
        with pytest.raises(AudioError, match="samples that are not finite"):
            cleaner.clean(wav, "a.wav")


def test_what_the_samples_follow_from():
    described = Cleaner(top_db=30.0).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["versions"].keys() == {"librosa", "noisereduce"}
    assert described != Cleaner().describe()
    # How long a recording must be does not change it.
    assert Cleaner(min_duration=0.0).describe() == Cleaner().describe()
    alone = Cleaner(remove_silence=False).describe()
    assert alone["versions"].keys() == {"noisereduce"}


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"min_duration": -1}, "preprocessing.min_duration: expected a number"),
        ({"reduce_noise": 1}, "preprocessing.reduce_noise: expected true or f"),
        (
            {"top_db": 0},
            "preprocessing.top_db: expected a number of dB above 0",
        ),
        ({"silence": True}, "preprocessing: there is no option 'silence'"),
        ([1], "preprocessing: expected a mapping of options"),
    ],
)
def test_wrong_options(options, sentence):
    with pytest.raises(UserError, match=sentence):
        make_cleaner(options)


def test_none():
    assert make_cleaner(None) is None
    assert make_cleaner({}).options == Cleaner().options


def test_a_library_that_is_not_there(monkeypatch):
    monkeypatch.setattr(cleaning.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"needs the package noisereduce; .*\[f"
    ):
        Cleaner()
    with pytest.raises(UserError, match="needs the package librosa"):
        Cleaner(reduce_noise=False)
    Cleaner(reduce_noise=False, remove_silence=False)


@pytest.mark.parametrize(
    "corpus, names",
    [
        ("ravdess", [f"03-01-08-01-02-02-{actor}" for actor in (11, 13, 19)]),
        ("tess", ["OAF_get_fear", "OAF_tip_angry", "YAF_chalk_fear"]),
    ],
)
def test_real_recordings(corpus, names, request):
    """The paper's tables lack none of RAVDESS and of TESS; of those that are
    there the least is left of these."""
    folder = Path(request.getfixturevalue(f"{corpus}_folder"))
    for name in names:
        (path,) = folder.rglob(f"{name}.*")
        wav = read_audio(path)
        left = Cleaner().clean(wav)
        assert RATE < len(left) < 1.35 * RATE and len(left) <= len(wav)
