"""As many recordings of every class, whatever there is."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.conditioning.balancing import MAX_COPIES, balance
from speechbrain_ext.utterance import Utterance

CLASSES = "angry calm disgust fearful happy sad surprised".split()
# What is left to train and validate on after cleaning and the test split, by
# corpus: table 4 less table 3, the sums of which are 2364, 154, 1538, 1542,
# 1998, 2396 and 596. What is lost is of IEMOCAP, but for 10 angry, 2 disgust
# and 15 happy recordings of CREMA-D; of the fearful it is not known.
POOL = {
    "savee": [49, 0, 46, 53, 47, 46, 46],
    "ravdess": [151, 154, 154, 160, 155, 156, 152],
    "tess": [325, 0, 325, 328, 325, 320, 319],
    "iemocap": [854, 0, 2, 0, 474, 875, 79],
    "cremad": [985, 0, 1011, 1001, 997, 999, 0],
}


def utterance(corpus, emotion, number):
    id = f"{corpus}-{emotion}-{number:04d}"
    return Utterance(id, 2.0, f"{corpus}_a", emotion, corpus, wav=f"{id}.wav")


def utterances(counts):
    return [
        utterance(corpus, emotion, number)
        for corpus, numbers in counts.items()
        for emotion, count in zip(CLASSES, numbers)
        for number in range(count)
    ]


def emotions(found):
    return Counter(one.emotion for one in found)


counts = st.dictionaries(
    st.sampled_from(["cremad", "tess", "ravdess"]),
    st.lists(st.integers(0, 30), min_size=3, max_size=3),
    min_size=1,
)


@given(counts, st.integers(1, 40), st.integers(0, 5))
@settings(deadline=None)
def test_counts_are_exact_and_copies_even(counts, size, seed):
    every = utterances(counts)
    classes = emotions(every)
    rare = min(classes.values(), default=size)
    if -(-(size - rare) // rare) > MAX_COPIES:
        with pytest.raises(UserError, match="balancing: the .* choose a small"):
            balance(every, size, seed)
        return
    plan = balance(every, size, seed)
    sources = [one for one, _ in plan.copies]
    assert emotions([*plan.kept, *sources]) == dict.fromkeys(classes, size)
    ids = {one.id for one in plan.kept}
    assert len(ids) == len(plan.kept) and ids <= {one.id for one in every}
    assert {one.id for one in sources} <= ids
    numbers = {}
    for one, number in plan.copies:
        numbers.setdefault(one.id, []).append(number)
    assert all(x == [*range(1, len(x) + 1)] for x in numbers.values())
    for name, count in classes.items():
        each = [len(numbers.get(x.id, [])) for x in plan.kept]
        each = [n for n, x in zip(each, plan.kept) if x.emotion == name]
        assert max(each) - min(each) <= 1
        lost = plan.left_out.get(name, 0)
        assert lost == max(count - size, 0) == count - len(each)
        # CREMA-D first, and others only when it is used up.
        gone = [x for x in every if x.emotion == name and x.id not in ids]
        there = {x.corpus for x in plan.kept if x.emotion == name}
        if any(x.corpus != "cremad" for x in gone):
            assert "cremad" not in there


@given(st.randoms(use_true_random=False), st.integers(0, 3))
@settings(deadline=None, max_examples=20)
def test_the_plan_follows_from_seed_and_ids(shuffler, seed):
    every = utterances({"tess": [3, 20, 8], "cremad": [2, 9, 0]})
    shuffled = every[:]
    shuffler.shuffle(shuffled)
    assert balance(shuffled, 10, seed) == balance(every, 10, seed)


def test_seeds_differ():
    every = utterances({"tess": [3, 20, 8]})
    plans = [balance(every, 10, seed) for seed in range(4)]
    for part in ("kept", "copies"):
        each = [str(getattr(plan, part)) for plan in plans]
        assert len(set(each)) == 4


def test_the_papers_numbers():
    """Tables 1 and 2 together, but for happy, which stays as it is there with
    1998, and surprised, of which they have 1858: no rule gives these."""
    every = utterances(POOL)
    found = emotions(every)
    sums = [2364, 154, 1538, 1542, 1998, 2396, 596]
    assert [found[name] for name in CLASSES] == sums
    plan = balance(every, 2000, seed=1)
    copies = emotions(one for one, _ in plan.copies)
    missing = {name: 2000 - n for name, n in found.items() if n < 2000}
    assert copies == missing
    # 154 recordings that are calm: 12 copies each, two of them one less.
    calm = Counter(x.id for x, _ in plan.copies if x.emotion == "calm")
    assert Counter(calm.values()) == {12: 152, 11: 2}
    assert plan.left_out == {"angry": 364, "sad": 396}
    kept = Counter((x.corpus, x.emotion) for x in plan.kept)
    # The very numbers of the tables: train and validation.
    assert [kept[x, "sad"] for x in POOL] == [
        *(37 + 9, 115 + 41, 251 + 69, 707 + 168, 490 + 113)
    ]
    assert [kept[x, "angry"] for x in POOL] == [
        *(38 + 11, 122 + 29, 258 + 67, 691 + 163, 491 + 130)
    ]


def test_too_many_copies():
    every = utterances({"tess": [1990, 2, 2010]})
    sentence = (
        "the 2 recordings of 'calm' would need 999 copies each to be 2000"
    )
    with pytest.raises(UserError, match=sentence):
        balance(every, 2000, 1)
