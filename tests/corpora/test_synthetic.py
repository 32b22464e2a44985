"""The synthetic corpus: what is said, how, and that it is said every time."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import read_corpus, synthetic
from speechbrain_ext.corpora.espeak import Espeak
from speechbrain_ext.corpora.synthetic_rules import (
    EMOTIONS,
    SENTENCES,
    SPEAKERS,
    Manner,
    manner_of,
    to_espeak,
)
from speechbrain_ext.utterance import load_manifest, save_manifest
from tests.corpora import trees

pytest.importorskip("espeakng_loader")

SENTENCES_EACH = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "synthetic"
    count = synthetic.generate(folder, sentences=SENTENCES_EACH, progress=False)
    assert count == len(SPEAKERS) * SENTENCES_EACH * len(EMOTIONS)
    return folder


@pytest.fixture(scope="module")
def utterances(folder):
    utterances, skipped = synthetic.CORPUS.read(folder)
    assert skipped == []
    return utterances


def small(folder, **arguments):
    """A corpus of eight utterances."""
    arguments = {"speakers": 2, "sentences": 1, **arguments}
    return synthetic.generate(folder, progress=False, **arguments)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.wav")
    }


def pitches(samples, rate=16000, low=60, high=450):
    """F0 in Hz of the voiced frames, by the peak of the autocorrelation."""
    size = int(0.04 * rate)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::160]
    level = np.sqrt((frames**2).mean(1))
    window = np.hanning(size)
    frames = frames[level > 0.1 * level.max()] * window

    def correlation(x):
        return np.fft.irfft(np.abs(np.fft.rfft(x, 2 * size)) ** 2)

    # Dividing by the window's own takes away the bias to short lags.
    ratio = correlation(frames) / correlation(window).clip(1e-3)
    first, last = int(rate / high), int(rate / low)
    lags = first + ratio[:, first:last].argmax(1)
    rows = np.arange(len(lags))
    voiced = ratio[rows, lags] > 0.6 * ratio[:, 0]
    f0 = rate / lags[voiced]
    # Octave errors are not the speaker's.
    return f0[np.abs(np.log2(f0 / np.median(f0))) < 0.6]


@pytest.fixture(scope="module")
def features(utterances):
    """[utterances, 4]: log2 F0, its spread, log phones a second, dB."""
    rows = []
    for utterance in utterances:
        samples, _ = soundfile.read(utterance.wav)
        f0 = np.log2(pitches(samples))
        phones = utterance.extra["phones"]
        sounded = sum(phone["phone"] != "sil" for phone in phones)
        rows.append(
            [
                np.median(f0),
                f0.std(),
                np.log(sounded / utterance.duration),
                10 * np.log10(np.mean(samples**2)),
            ]
        )
    return np.array(rows)


# What is in the records


def test_every_speaker_says_the_same_sentences_in_every_emotion(utterances):
    said = {}
    for one in utterances:
        said.setdefault((one.speaker, one.emotion), set()).add(one.text)
    assert len(said) == len(SPEAKERS) * len(EMOTIONS)
    for speaker in {speaker for speaker, _ in said}:
        sets = [said[speaker, emotion] for emotion in EMOTIONS]
        assert all(texts == sets[0] for texts in sets)
        assert len(sets[0]) == SENTENCES_EACH
    # The speakers do not all say the same.
    assert len({frozenset(texts) for texts in said.values()}) > 6


def test_records_and_files(folder, utterances, tmp_path):
    ids = [one.id for one in utterances]
    assert ids == sorted(ids)
    genders = dict((one.speaker, one.gender) for one in utterances)
    assert Counter(genders.values()) == {"female": 6, "male": 6}
    for one in utterances:
        prefix, speaker, emotion, sentence, repetition = one.id.split("_")
        assert (prefix, repetition) == ("syn", "0")
        assert one.speaker == f"synthetic_{speaker}"
        assert one.emotion == emotion
        assert one.text == SENTENCES[int(sentence) - 1]
        assert (one.corpus, one.language) == ("synthetic", "en")
        assert one.wav == str(folder / "wav" / speaker / f"{one.id}.wav")
        info = soundfile.info(one.wav)
        assert (info.samplerate, info.channels) == (16000, 1)
        assert info.subtype == "PCM_16"
        assert one.duration == info.frames / 16000
        samples, _ = soundfile.read(one.wav, dtype="int16")
        assert 500 < np.abs(samples.astype(int)).max() < 32767
    assert read_corpus("synthetic", folder) == (utterances, [])
    save_manifest(utterances, tmp_path / "all.json")
    assert load_manifest(tmp_path / "all.json") == utterances


def test_phones_cover_the_utterance(utterances):
    for one in utterances:
        phones = one.extra["phones"]
        assert phones[0]["start"] == 0
        assert phones[-1]["end"] == one.duration
        for phone, following in itertools.pairwise(phones):
            assert phone["end"] == following["start"]
        assert all(phone["start"] < phone["end"] for phone in phones)
        # Each word has a phone, and no phone is a stray stress mark.
        names = [phone["phone"] for phone in phones]
        assert len(names) > len(one.text.split())
        assert all(name and not set(name) & set("ˈˌ:") for name in names)


def test_phones_are_where_the_sound_is(utterances):
    # An s has most of its energy above 4 kHz, its neighbours have not.
    def high(samples, start, end):
        part = samples[max(0, int(start * 16000)) : int(end * 16000)]
        power = np.abs(np.fft.rfft(part)) ** 2
        return power[len(power) // 2 :].sum() / power.sum()

    shares = {shift: [] for shift in (-0.04, 0, 0.04)}
    for one in utterances[::3]:
        samples, _ = soundfile.read(one.wav)
        for phone in one.extra["phones"][1:-2]:
            if phone["phone"] == "s":
                bounds = np.array([phone["start"], phone["end"]])
                for shift, values in shares.items():
                    values.append(high(samples, *(bounds + shift)))
    share = {shift: np.mean(values) for shift, values in shares.items()}
    assert len(shares[0]) > 20
    assert share[0] > max(0.75, share[-0.04] + 0.2, share[0.04] + 0.2)


def test_it_says_that_it_is_synthetic(folder):
    index = json.loads((folder / "synthetic.json").read_text())
    assert index["synthetic"] is True
    assert "Synthetic speech made by espeak-ng" in index["note"]
    assert index["espeak_ng_version"].startswith("1.")
    assert index["seed"] == 0
    assert index["arguments"] == {
        "seed": 0,
        "speakers": 12,
        "sentences": SENTENCES_EACH,
        "repetitions": 1,
    }


def test_sentences():
    assert len(set(SENTENCES)) == len(SENTENCES) >= 30
    assert all(4 <= len(sentence.split()) <= 12 for sentence in SENTENCES)


# Emotions and voices


def by_emotion(utterances, features):
    emotions = np.array([one.emotion for one in utterances])
    return {name: features[emotions == name].mean(0) for name in EMOTIONS}


def test_the_rules_are_heard(utterances, features):
    mean = by_emotion(utterances, features)
    pitch, spread, rate, level = (
        {name: mean[name][column] for name in EMOTIONS} for column in range(4)
    )
    # Half an octave and more is +41 %; the rule is +50 % at full strength.
    assert 0.25 < pitch["happy"] - pitch["neutral"] < 0.6
    assert 0.0 < pitch["angry"] - pitch["neutral"] < 0.25
    assert -0.25 < pitch["sad"] - pitch["neutral"] < 0.0
    assert spread["sad"] < 0.8 * spread["neutral"]
    assert spread["happy"] > 1.1 * spread["neutral"]
    assert spread["angry"] > 1.2 * spread["neutral"]
    assert rate["sad"] < rate["neutral"] < rate["angry"] < rate["happy"]
    assert level["sad"] < level["neutral"] < level["happy"] < level["angry"]
    assert level["angry"] - level["neutral"] == pytest.approx(4.8, abs=1.2)


def test_emotions_can_be_told_apart_but_not_always(utterances, features):
    speakers = np.array([one.speaker for one in utterances])
    emotions = [one.emotion for one in utterances]
    relative = features.copy()
    for speaker in set(speakers):
        own = features[speakers == speaker]
        relative[speakers == speaker] = (own - own.mean(0)) / own.std(0)
    classifier = make_pipeline(StandardScaler(), SVC(C=3))
    for values, least, most in ((features, 0.6, 0.92), (relative, 0.7, 0.95)):
        accuracy = cross_val_score(
            classifier, values, emotions, groups=speakers, cv=LeaveOneGroupOut()
        ).mean()
        assert least < accuracy < most


def test_utterances_of_a_class_differ():
    drawn = [manner_of(0, 0, i, "happy", 0) for i in range(30)]
    assert len({one.pitch for one in drawn}) == 30
    assert manner_of(0, 0, 0, "happy", 0) != manner_of(0, 0, 0, "happy", 1)
    assert manner_of(0, 0, 0, "happy", 0) != manner_of(1, 0, 0, "happy", 0)
    assert manner_of(0, 0, 0, "happy", 0) == manner_of(0, 0, 0, "happy", 0)


positive = st.floats(1e-3, 1e3)


@given(positive, positive, positive, st.floats(-60, 60))
def test_espeak_gets_numbers_that_it_takes(rate, pitch, range_, loudness):
    numbers = to_espeak(Manner(rate, pitch, range_, loudness))
    assert 80 <= numbers["rate"] <= 450
    assert 0 <= numbers["pitch"] <= 99
    assert 0 <= numbers["range"] <= 100
    assert all(isinstance(number, int) for number in numbers.values())


def test_speakers_have_voices_of_their_own():
    spectra = {}
    with Espeak() as espeak:
        for name, _, voice, _ in SPEAKERS:
            samples, rate, _ = espeak.say(SENTENCES[0], voice)
            power = np.abs(np.fft.rfft(samples)) ** 2
            edges = np.linspace(0, 5000, 26) / (rate / 2) * len(power)
            bands = np.add.reduceat(power, edges.astype(int))[:25]
            spectra[name] = 10 * np.log10(bands / bands.sum())
    for one, other in itertools.combinations(spectra.values(), 2):
        assert np.sqrt(np.mean((one - other) ** 2)) > 1


# The same every time

SAY = """
import hashlib
from speechbrain_ext.corpora.espeak import Espeak
with Espeak() as espeak:
    for voice in ("en-us+f2", "en+m7"):
        samples, _, _ = espeak.say("The road turns right.", voice)
        print(hashlib.sha256(samples.tobytes()).hexdigest())
"""


def test_speech_does_not_depend_on_what_was_said_before():
    requests = [
        ("The road turns right.", voice, rate)
        for voice in ("en-us+f2", "en+m7", "en-us+belinda")
        for rate in (120, 260)
    ]
    with Espeak() as espeak:
        forwards = [espeak.say(*request) for request in requests]
        espeak.say("Something else altogether.", "en-us+Lee", pitch=90)
        backwards = [espeak.say(*request) for request in reversed(requests)]
    for (one, _, phones), (other, _, others) in zip(forwards, backwards[::-1]):
        assert np.array_equal(one, other)
        assert phones == others


def test_speech_is_the_same_in_another_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", SAY], capture_output=True, text=True
        )
        for _ in range(2)
    ]
    assert len(runs[0].stdout.split()) == 2, runs[0].stderr
    assert runs[0].stdout == runs[1].stdout


def test_a_larger_corpus_contains_the_smaller(folder, tmp_path):
    small(tmp_path / "small", sentences=2)
    one, all_ = contents(tmp_path / "small"), contents(folder)
    assert len(one) == 16
    assert all(all_[name] == content for name, content in one.items())


def test_seeds_and_repetitions_differ(tmp_path):
    for seed in (1, 2):
        small(tmp_path / f"{seed}", seed=seed, speakers=1, sentences=30)
    one, two = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert one.keys() == two.keys()
    assert all(one[name] != two[name] for name in one)
    assert small(tmp_path / "a", speakers=1, repetitions=3) == 12
    assert len(set(contents(tmp_path / "a").values())) == 12


# Making it


def test_a_corpus_that_is_there(tmp_path, monkeypatch):
    small(tmp_path)
    before, files = trees.snapshot(tmp_path), contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "Espeak", None)
        assert small(tmp_path) == 8
    assert trees.snapshot(tmp_path) == before
    # Others are refused.
    for name, value in [
        ("seed", 1),
        ("speakers", 3),
        ("sentences", 2),
        ("repetitions", 2),
    ]:
        with pytest.raises(UserError, match="other arguments.*folder or") as e:
            small(tmp_path, **{name: value})
        assert str(tmp_path) in str(e.value)
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "rules_digest", lambda: "other")
        with pytest.raises(UserError, match="another version"):
            small(tmp_path)
    assert trees.snapshot(tmp_path) == before
    # What was lost is made again.
    next(tmp_path.rglob("*.wav")).unlink()
    small(tmp_path)
    assert contents(tmp_path) == files


def test_a_killed_run_is_noticed_and_redone(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    utter, calls = synthetic._utter, []

    def killed(*args, **kwargs):
        calls.append(1)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return utter(*args, **kwargs)

    monkeypatch.setattr(synthetic, "_utter", killed)
    with pytest.raises(KeyboardInterrupt):
        small(folder, seed=7)
    assert len(contents(folder)) == 5
    with pytest.raises(UserError, match="to its end"):
        synthetic.CORPUS.read(folder)
    monkeypatch.undo()
    # Even with other arguments: what the killed run made is thrown away.
    assert small(folder) == 8
    small(tmp_path / "b")
    assert contents(folder) == contents(tmp_path / "b")
    assert sorted(path.name for path in folder.iterdir()) == [
        "synthetic.json",
        "wav",
    ]


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty") as e:
        small(tmp_path)
    assert str(tmp_path) in str(e.value)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UserError, match="is a file"):
        small(tmp_path / "thesis.txt")


@pytest.mark.parametrize(
    "arguments",
    [
        {"speakers": 0},
        {"speakers": 13},
        {"sentences": 0},
        {"sentences": 31},
        {"repetitions": 0},
        {"seed": -1},
        {"seed": 0.5},
        {"speakers": True},
    ],
)
def test_arguments_are_checked(tmp_path, arguments):
    (name,) = arguments
    with pytest.raises(UserError, match=f"^{name}: .*expected a whole number"):
        small(tmp_path / "a", **arguments)
    assert not (tmp_path / "a").exists()


def test_without_espeak_the_remedy_is_named(tmp_path):
    code = (
        "import sys; sys.modules['espeakng_loader'] = None\n"
        "from speechbrain_ext.corpora import synthetic\n"
        "from speechbrain_ext.base.errors import UserError\n"
        "try:\n"
        "    synthetic.generate(sys.argv[1])\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        capture_output=True,
        text=True,
    )
    assert 'pip install -e ".[quickstart]"' in run.stdout, run.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "text, voice, sentence",
    [
        ("A word.", "xx-none", "has no voice"),
        ("A word.", "en-us+none", "has no voice"),
        ("", "en-us", "nothing to say"),
        (" \n", "en-us", "nothing to say"),
    ],
)
def test_what_espeak_does_not_say(text, voice, sentence):
    with Espeak() as espeak, pytest.raises(UserError, match=sentence):
        espeak.say(text, voice)


# Reading it


def test_bad_files_are_skipped_with_a_reason(tmp_path):
    small(tmp_path)
    missing, empty, cut, *rest = sorted(tmp_path.rglob("*.wav"))
    missing.unlink()
    empty.write_bytes(b"")
    samples, _ = soundfile.read(cut, dtype="int16")
    soundfile.write(cut, samples[:-100], 16000, subtype="PCM_16")
    utterances, skipped = synthetic.CORPUS.read(tmp_path)
    assert [one.wav for one in utterances] == [str(path) for path in rest]
    assert [file for file, _ in skipped] == [
        str(path) for path in (missing, empty, cut)
    ]
    reasons = [reason for _, reason in skipped]
    assert "does not exist" in reasons[0]
    assert "empty" in reasons[1]
    assert "long where synthetic.json says" in reasons[2]


def test_folders(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="holds no synthetic.json"):
        synthetic.CORPUS.read(tmp_path)
    small(tmp_path / "data" / "corpora" / "syn")
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, "data"):
        utterances, _ = synthetic.CORPUS.read(folder)
        assert len(utterances) == 8
        paths = [Path(one.wav) for one in utterances]
        assert all(path.is_file() and path.is_absolute() for path in paths)
    small(tmp_path / "data" / "other")
    with pytest.raises(UserError, match="holds 2 synthetic corpora"):
        synthetic.CORPUS.read(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        synthetic.CORPUS.read(tmp_path / "none")
    (tmp_path / "synthetic.json").write_text("[]")
    with pytest.raises(UserError, match="not the index"):
        synthetic.CORPUS.read(tmp_path)
