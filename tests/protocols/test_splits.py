"""Labels and splits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.protocols.partition import speakers_in_common
from speechbrain_ext.protocols.splits import (
    check_classes,
    map_labels,
    split_by_list,
    split_by_speaker,
    split_by_utterance,
)
from speechbrain_ext.utterance import Utterance


@st.composite
def data(draw):
    return [
        Utterance(
            f"{corpus}{speaker}-{number}",
            1.0,
            f"{corpus}{speaker}",
            draw(st.sampled_from(["neutral", "sad"])),
            corpus,
            wav="x.wav",
        )
        for corpus in "ab"
        for speaker in range(draw(st.integers(2, 12)))
        for number in range(draw(st.integers(1, 8)))
    ]


def ids(utterances):
    return [utterance.id for utterance in utterances]


@given(data(), st.floats(0.05, 0.5), st.integers(0, 9))
def test_speakers_never_cross(utterances, fraction, seed):
    train, valid = split_by_speaker(utterances, fraction, seed)
    assert sorted(ids(train) + ids(valid)) == sorted(ids(utterances))
    assert speakers_in_common(train, valid) == []
    assert {u.corpus for u in train} == {u.corpus for u in valid} == {"a", "b"}
    backwards = split_by_speaker(utterances[::-1], fraction, seed)
    assert ids(backwards[0]) == ids(train)[::-1]


@given(st.integers(0, 5))
def test_utterances_are_held_out_evenly(seed):
    utterances = [
        Utterance(f"{s}-{e}-{i}", 1.0, s, e, "demo", wav="x.wav")
        for s in "abcde"
        for e in ("neutral", "sad")
        for i in range(20)
    ]
    train, valid = split_by_utterance(utterances, 0.1, seed)
    assert len(valid) == 20 and len(train) == 180
    assert not set(ids(train)) & set(ids(valid))
    for speaker in "abcde":
        for emotion in ("neutral", "sad"):
            held = [
                u for u in valid if (u.speaker, u.emotion) == (speaker, emotion)
            ]
            assert len(held) == 2


def test_small_strata_are_held_out_on_average():
    utterances = [
        Utterance(f"{s}-{i}", 1.0, f"{s}", "sad", "demo", wav="x.wav")
        for s in range(300)
        for i in range(4)
    ]
    _, valid = split_by_utterance(utterances, 0.1, 0)
    assert 85 < len(valid) < 155


def test_the_random_numbers_are_those_of_every_machine():
    assert stable_rng("a", 1).integers(1000, size=3).tolist() == [
        int(x) for x in stable_rng("a", 1).integers(1000, size=3)
    ]
    assert stable_rng("a", 1).random() != stable_rng("a1").random()
    assert stable_rng("simulate", 1, 0).integers(2**31) == KNOWN


KNOWN = 1079009456


@pytest.mark.parametrize(
    "speakers, sentence",
    [
        ({"train": ["s1"], "test": ["s1"]}, "is in 'train' and in 'test'"),
        ({"train": ["s1", "s2", "s9"]}, "'s9' has no usable recording"),
        ({"train": ["s1"]}, "'s2' is in the data but in no split"),
        ({"train": "s1"}, "'train': expected names .* got 's1'"),
        (
            {"train": ["s1", "s2"], "test": None},
            "'test': expected names .* got None",
        ),
        ({"train": ["s1", 2]}, r"'train': expected .* got \['s1', 2\]"),
    ],
)
def test_invalid_lists(speakers, sentence):
    utterances = [
        Utterance(s, 1.0, s, "sad", "demo", wav="x.wav") for s in ("s1", "s2")
    ]
    with pytest.raises(UserError, match=sentence):
        split_by_list(utterances, speakers)


def test_one_speaker_is_too_few():
    utterances = [Utterance("1", 1.0, "s", "sad", "demo", wav="x.wav")]
    with pytest.raises(UserError, match="valid_fraction"):
        split_by_speaker(utterances, 0.1, 0)


def test_a_label_that_the_map_misses():
    utterances = [
        Utterance(str(i), 1.0, "s", "calm", "ravdess", wav="x.wav")
        for i in range(3)
    ]
    with pytest.raises(UserError, match=r"'calm' \(3 recordings of ravdess\)"):
        map_labels(utterances, {"sad": "sad"})


def test_a_class_without_a_recording():
    utterances = [Utterance("1", 1.0, "s", "sad", "demo", wav="x.wav")]
    check_classes(utterances, ["sad"], "train", "add it")
    with pytest.raises(UserError, match="train part has no recording of 'ang"):
        check_classes(utterances, ["sad", "angry"], "train", "add it")
