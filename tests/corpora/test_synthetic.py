"""The synthetic corpus: what is said, how, and that it is said every time."""

import hashlib
import itertools
import json
import os
import string
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import opensmile
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from speechbrain_ext import corpora
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import read_corpus, synthetic
from speechbrain_ext.corpora import synthetic_rules as rules
from speechbrain_ext.corpora.espeak import Espeak
from speechbrain_ext.utterance import Utterance
from tests.corpora.trees import check_manifest, snapshot

pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "synthetic"
    count = synthetic.generate(folder, sentences=5, progress=False)
    assert count == len(rules.SPEAKERS) * 5 * len(rules.EMOTIONS)
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
    return {path.name: path.read_bytes() for path in folder.rglob("*.wav")}


@pytest.fixture(scope="module")
def features(utterances):
    """Pitch, its range (octaves), log phones a second, dB."""
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02)
    table = smile.process_files([one.wav for one in utterances])
    pitch = "F0semitoneFrom27.5Hz_sma3nz_"
    table = table.reset_index()
    names = [[p["phone"] for p in one.extra["phones"]] for one in utterances]
    sounded = [len(phones) - phones.count("sil") for phones in names]
    return pd.DataFrame(
        {
            "emotion": [one.emotion for one in utterances],
            "speaker": [one.speaker for one in utterances],
            "pitch": table[f"{pitch}percentile50.0"] / 12,
            "spread": table[f"{pitch}pctlrange0-2"] / 12,
            "rate": np.log(sounded) - np.log([u.duration for u in utterances]),
            "level": table["equivalentSoundLevel_dBp"],
        }
    )


# What is in the records


def test_records_and_files(folder, utterances, tmp_path):
    genders = dict((one.speaker, one.gender) for one in utterances)
    assert Counter(genders.values()) == {"female": 6, "male": 6}
    said = {}
    for one in utterances:
        said.setdefault((one.speaker, one.text), []).append(one.emotion)
        prefix, speaker, emotion, sentence, repetition = one.id.split("_")
        assert (prefix, emotion, repetition) == ("syn", one.emotion, "0")
        assert one.speaker == f"synthetic_{speaker}"
        assert one.text == rules.SENTENCES[int(sentence) - 1]
        assert (one.corpus, one.language) == ("synthetic", "en")
        assert one.wav == str(folder / "wav" / speaker / f"{one.id}.wav")
        samples, rate = soundfile.read(one.wav, dtype="int16")
        assert soundfile.info(one.wav).subtype == "PCM_16"
        assert (rate, one.duration) == (16000, len(samples) / 16000)
        assert samples.ndim == 1
        assert 500 < np.abs(samples.astype(int)).max() < 32767
    # The sentences of a speaker are the same in every emotion, and not those
    # of all speakers.
    assert len(said) == len(rules.SPEAKERS) * 5
    emotions = sorted(rules.EMOTIONS)
    assert all(sorted(found) == emotions for found in said.values())
    assert len({text for _, text in said}) > 10
    assert read_corpus("synthetic", folder) == (utterances, [])
    check_manifest(utterances, tmp_path)


def test_phones_cover_the_utterance(utterances):
    for one in utterances:
        phones = pd.DataFrame(one.extra["phones"])
        ends = phones["end"].tolist()
        assert phones["start"].tolist() == [0, *ends[:-1]]
        assert ends[-1] == one.duration
        assert (phones["start"] < phones["end"]).all()
        # Each word has a phone, and no phone is a stray stress mark.
        assert len(phones) > len(one.text.split())
        assert all(x and not set(x) & set("ˈˌ:") for x in phones["phone"])


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
    assert index["synthetic"] is True and index["seed"] == 0
    assert "Synthetic speech made by espeak-ng" in index["note"]
    assert index["espeak_ng_version"].startswith("1.")
    arguments = {"seed": 0, "speakers": 12, "sentences": 5, "repetitions": 1}
    assert index["arguments"] == arguments
    assert len(set(rules.SENTENCES)) == len(rules.SENTENCES) >= 30


# Emotions and voices


def test_the_rules_are_heard(features):
    mean = features.drop(columns="speaker").groupby("emotion").mean()
    names = "pitch", "spread", "rate", "level"
    pitch, spread, rate, level = (mean[name] for name in names)
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


def test_emotions_can_be_told_apart_but_not_always(features):
    values = features.drop(columns=["emotion", "speaker"])
    own = values.groupby(features["speaker"])
    relative = (values - own.transform("mean")) / own.transform("std")
    classifier = make_pipeline(StandardScaler(), SVC(C=3))
    split = {"groups": features["speaker"], "cv": LeaveOneGroupOut()}
    for known, least, most in ((values, 0.6, 0.92), (relative, 0.7, 0.95)):
        found = cross_val_score(classifier, known, features["emotion"], **split)
        assert least < found.mean() < most


def test_utterances_of_a_class_differ():
    keys = [(0, 0, i, "happy", 0) for i in range(30)]
    keys += [(0, 0, 0, "happy", 1), (1, 0, 0, "happy", 0)]
    assert len({rules.manner_of(*key).pitch for key in keys}) == 32
    assert rules.manner_of(*keys[0]) == rules.manner_of(*keys[0])


positive = st.floats(1e-3, 1e3)


@given(positive, positive, positive, st.floats(-60, 60))
def test_espeak_gets_numbers_that_it_takes(rate, pitch, range_, loudness):
    numbers = rules.to_espeak(rules.Manner(rate, pitch, range_, loudness))
    bounds = {"rate": (80, 450), "pitch": (0, 99), "range": (0, 100)}
    for name, (least, most) in bounds.items():
        number = numbers[name]
        assert isinstance(number, int) and least <= number <= most


def test_speakers_have_voices_of_their_own():
    spectra = {}
    with Espeak() as espeak:
        for name, _, voice, _ in rules.SPEAKERS:
            samples, rate, _ = espeak.say(rules.SENTENCES[0], voice)
            power = np.abs(np.fft.rfft(samples)) ** 2
            edges = np.linspace(0, 5000, 26) / (rate / 2) * len(power)
            bands = np.add.reduceat(power, edges.astype(int))[:25]
            spectra[name] = 10 * np.log10(bands / bands.sum())
    for one, other in itertools.combinations(spectra.values(), 2):
        assert np.sqrt(np.mean((one - other) ** 2)) > 1


# Texts of others

SAID = {
    "neutral": "We saw {} boats.",
    "happy": "Well done, {} of you!",
    "sad": "I've lost {} friends",
    "angry": "Don\u2019t you {} dare?",
}
ODD = "OK [NAME], too short", "two words", "see r/funny for more", "in 1990 ok"


@pytest.fixture
def texts(monkeypatch):
    """A corpus of texts: for each emotion 26 plain ones, and odd ones."""
    comments = [
        Utterance(letter, 0.0, "", emotion, "x", text=text.format(letter * 3))
        for emotion, text in SAID.items()
        for letter in string.ascii_lowercase
    ]
    comments += [Utterance("o", 0.0, "", "sad", "x", text=x) for x in ODD]
    # In two emotions: not known whose it is.
    both = "this is both ways"
    comments += [
        Utterance("b", 0.0, "", emotion, "x", text=both)
        for emotion in ("sad", "happy")
    ]
    monkeypatch.setattr(corpora, "read_corpus", lambda *given: (comments, []))
    return {"x": "/no/such/folder"}


def test_texts_are_said_in_their_own_emotion(texts, tmp_path):
    assert small(tmp_path / "a", texts=texts) == 8
    index = json.loads((tmp_path / "a" / "synthetic.json").read_text())
    utterances, _ = synthetic.CORPUS.read(tmp_path / "a")
    for one in utterances:
        start = SAID[one.emotion].split("{")[0].replace("\u2019", "'")
        assert one.text.startswith(start)
        assert one.text.isascii() and one.text not in ODD
    # Nobody says what another one says, and the larger corpus says the same.
    assert len({one.text for one in utterances}) == 8
    assert small(tmp_path / "b", texts=texts, speakers=3, sentences=2) == 24
    found = contents(tmp_path / "b")
    assert contents(tmp_path / "a").items() <= found.items()
    more, _ = synthetic.CORPUS.read(tmp_path / "b")
    assert len({one.text for one in more}) == 24
    # It is known which texts they are.
    digest = index["arguments"].pop("texts")
    assert len(digest) == 20
    with pytest.raises(UserError, match="made with other arguments"):
        small(tmp_path / "a")


def test_texts_that_are_refused(texts, tmp_path):
    folder = tmp_path / "a"
    with pytest.raises(UserError, match="^sentences: .* 1 to 2, got 3"):
        small(folder, texts=texts, sentences=3)
    with pytest.raises(UserError, match="^texts: expected the name and the"):
        small(folder, texts="goemotions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "read_corpus", lambda *given: ([], []))
        with pytest.raises(UserError, match="has 0 plain texts of 3 to 15"):
            small(folder, texts=texts)
    assert not folder.exists()


# The same every time

REQUESTS = [
    ("The road turns right.", voice, rate)
    for voice in ("en-us+f2", "en+m7", "en-us+belinda")
    for rate in (120, 260)
]
SAY = f"""
import hashlib
from speechbrain_ext.corpora.espeak import Espeak
from speechbrain_ext.utterance import Utterance
with Espeak() as espeak:
    for request in {REQUESTS}:
        print(hashlib.sha256(espeak.say(*request)[0].tobytes()).hexdigest())
"""


def test_speech_does_not_depend_on_what_was_said_before_nor_on_the_process():
    with Espeak() as espeak:
        forwards = [espeak.say(*request) for request in REQUESTS]
        espeak.say("Something else altogether.", "en-us+Lee", pitch=90)
        backwards = [espeak.say(*request) for request in REQUESTS[::-1]]
    for (one, _, phones), (other, _, others) in zip(forwards, backwards[::-1]):
        assert np.array_equal(one, other)
        assert phones == others
    elsewhere = subprocess.check_output([sys.executable, "-c", SAY], text=True)
    assert elsewhere.split() == [
        hashlib.sha256(samples.tobytes()).hexdigest()
        for samples, _, _ in forwards
    ]


def test_a_larger_corpus_contains_the_smaller(folder, tmp_path):
    assert small(tmp_path / "small", sentences=2) == 16
    assert contents(tmp_path / "small").items() <= contents(folder).items()


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
    before, files = snapshot(tmp_path), contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "Espeak", None)
        assert small(tmp_path) == 8
    # Others are refused.
    others = {"seed": 1, "speakers": 3, "sentences": 2, "repetitions": 2}
    sentence = f"'{tmp_path}' .* other arguments .* another version; give an"
    for name, value in others.items():
        with pytest.raises(UserError, match=sentence):
            small(tmp_path, **{name: value})
    with monkeypatch.context() as patch:
        patch.setattr(rules, "digest", lambda: "other")
        with pytest.raises(UserError, match=sentence):
            small(tmp_path)
    assert snapshot(tmp_path) == before
    # What was lost is made again.
    next(tmp_path.rglob("*.wav")).unlink()
    small(tmp_path)
    assert contents(tmp_path) == files


def test_a_killed_run_is_noticed_and_redone(tmp_path, monkeypatch):
    folder = tmp_path / "a"
    utter = synthetic._utter

    def killed(*args):
        if folder.exists() and len(contents(folder)) == 5:
            raise KeyboardInterrupt
        return utter(*args)

    monkeypatch.setattr(synthetic, "_utter", killed)
    with pytest.raises(KeyboardInterrupt):
        small(folder, seed=7)
    with pytest.raises(UserError, match="to its end"):
        synthetic.CORPUS.read(folder)
    monkeypatch.undo()
    # Even with other arguments: what the killed run made is thrown away.
    assert small(folder) == 8
    small(tmp_path / "b")
    assert contents(folder) == contents(tmp_path / "b")
    assert set(os.listdir(folder)) == {"synthetic.json", "wav"}


def test_what_is_refused(tmp_path):
    for name, values in {
        "speakers": [0, 13, True],
        "sentences": [0, 31],
        "repetitions": [0],
        "seed": [-1, 0.5],
    }.items():
        for value in values:
            with pytest.raises(UserError, match=f"^{name}: expected a whole "):
                small(tmp_path / "a", **{name: value})
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=f"'{tmp_path}' is not empty"):
        small(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        small(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_without_espeak_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r'pip install -e "\.\[quickstart\]"'):
        small(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_espeak_does_not_say():
    with Espeak() as espeak:
        for voice in ("xx-none", "en-us+none"):
            with pytest.raises(UserError, match="has no voice"):
                espeak.say("A word.", voice)
        for text in ("", " \n"):
            with pytest.raises(UserError, match="nothing to say"):
                espeak.say(text, "en-us")


# Reading it


def test_a_file_of_another_length_is_skipped(tmp_path):
    small(tmp_path)
    cut, *rest = sorted(tmp_path.rglob("*.wav"))
    samples, _ = soundfile.read(cut, dtype="int16")
    soundfile.write(cut, samples[:-100], 16000, subtype="PCM_16")
    utterances, ((file, reason),) = synthetic.CORPUS.read(tmp_path)
    assert [one.wav for one in utterances] == [str(path) for path in rest]
    assert file == str(cut) and "long where synthetic.json says" in reason


def refused(folder, sentence):
    with pytest.raises(UserError, match=sentence):
        synthetic.CORPUS.read(folder)


def test_folders(tmp_path, monkeypatch):
    refused(tmp_path, "holds no synthetic.json")
    small(tmp_path / "data" / "corpora" / "syn")
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, "data"):
        utterances, _ = synthetic.CORPUS.read(folder)
        assert len(utterances) == 8
        paths = [Path(one.wav) for one in utterances]
        assert all(path.is_file() and path.is_absolute() for path in paths)
    small(tmp_path / "data" / "other")
    refused(tmp_path, "holds 2 synthetic corpora")
    refused(tmp_path / "none", "does not exist")
    (tmp_path / "synthetic.json").write_text("[]")
    refused(tmp_path, "not the index")
