"""Labels and splits."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.protocols import splits
from speechbrain_ext.utterance import Utterance


def one(id, speaker="s", emotion="sad", corpus="demo"):
    return Utterance(id, 1.0, speaker, emotion, corpus, wav="x.wav")


@st.composite
def data(draw):
    emotions = st.sampled_from(["neutral", "sad"])
    return [
        one(f"{c}{s}-{number}", f"{c}{s}", draw(emotions), c)
        for c in "ab"
        for s in range(draw(st.integers(2, 12)))
        for number in range(draw(st.integers(1, 8)))
    ]


def ids(utterances):
    return [utterance.id for utterance in utterances]


@given(data(), st.floats(0.05, 0.5), st.integers(0, 9))
def test_speakers_never_cross(utterances, fraction, seed):
    train, valid = splits.split_by_speaker(utterances, fraction, seed)
    assert sorted(ids(train) + ids(valid)) == sorted(ids(utterances))
    assert not {u.speaker for u in train} & {u.speaker for u in valid}
    assert {u.corpus for u in train} == {u.corpus for u in valid} == {"a", "b"}
    backwards = splits.split_by_speaker(utterances[::-1], fraction, seed)
    assert ids(backwards[0]) == ids(train)[::-1]


@given(st.integers(0, 5))
def test_utterances_are_held_out_evenly(seed):
    utterances = [
        one(f"{s}-{e}-{i}", s, e)
        for s in "abcde"
        for e in ("neutral", "sad")
        for i in range(20)
    ]
    train, valid = splits.split_by_utterance(utterances, 0.1, seed)
    assert sorted(ids(train) + ids(valid)) == sorted(ids(utterances))
    held = Counter((u.speaker, u.emotion) for u in valid)
    assert len(held) == 10 and set(held.values()) == {2}


def test_small_strata_are_held_out_on_average():
    utterances = [one(f"{s}-{i}", f"{s}") for s in range(300) for i in range(4)]
    _, valid = splits.split_by_utterance(utterances, 0.1, 0)
    assert 85 < len(valid) < 155


def test_the_random_numbers_are_those_of_every_machine():
    assert stable_rng("a", 1).random() != stable_rng("a1").random()
    assert stable_rng("simulate", 1, 0).integers(2**31) == 1079009456


S1 = ["s1"]


@pytest.mark.parametrize(
    "speakers, sentence",
    [
        ({"train": S1, "test": S1}, "is in 'train' and in 'test'"),
        ({"train": ["s1", "s2", "s9"]}, "'s9' has no usable recording"),
        ({"train": S1}, "'s2' is in the data but in no split"),
        ({"train": "s1"}, "'train': expected names .* got 's1'"),
        ({"train": S1, "test": None}, "'test': expected names .* got None"),
        ({"train": ["s1", 2]}, r"'train': expected .* got \['s1', 2\]"),
    ],
)
def test_invalid_lists(speakers, sentence):
    with pytest.raises(UserError, match=sentence):
        splits.split_by_list([one("s1", "s1"), one("s2", "s2")], speakers)


def test_what_does_not_fit_the_data():
    with pytest.raises(UserError, match="valid_fraction"):
        splits.split_by_speaker([one("1")], 0.1, 0)
    calm = [one(str(i), "s", "calm", "ravdess") for i in range(3)]
    with pytest.raises(UserError, match=r"'calm' \(3 recordings of ravdess\)"):
        splits.map_labels(calm, {"sad": "sad"})
    splits.check_classes([one("1")], ["sad"], "train", "add it")
    with pytest.raises(UserError, match="train part has no recording of 'ang"):
        splits.check_classes([one("1")], ["sad", "angry"], "train", "add it")
