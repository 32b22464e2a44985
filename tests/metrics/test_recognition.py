"""WA, UA, F1 and their intervals against scikit-learn and a plain loop."""

import csv

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
)

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.predictions import figure_of
from speechbrain_ext.metrics.recognition import RecognitionStats

CLASSES = ["neutral", "happy", "sad", "angry"]
SPEAKERS = ["ann", "bob", "cid"]
pairs = st.lists(
    st.tuples(*map(st.sampled_from, (CLASSES, CLASSES, SPEAKERS))),
    min_size=1,
    max_size=40,
)


def make_stats(rows, unknown=False):
    """Stats of (reference, predicted, speaker)."""
    stats = RecognitionStats(CLASSES)
    for number, (reference, predicted, speaker) in enumerate(rows):
        log_probs = np.log([0.7 if x == predicted else 0.1 for x in CLASSES])
        speaker = "" if unknown else speaker
        stats.append(f"{number:02d}", reference, log_probs, speaker)
    return stats


def balanced(truth, said):
    labels = sorted(set(truth))
    return 100 * recall_score(truth, said, labels=labels, average="macro")


# A class that the reference lacks counts in no mean.
@example([("happy", "happy", "a"), ("sad", "angry", "b")])
@given(pairs)
@settings(deadline=None, max_examples=60)
def test_figures_are_those_of_scikit_learn(rows):
    truth, said, speakers = zip(*rows)
    summary = make_stats(rows).summarize(bootstrap=0)
    assert summary["UA"] == pytest.approx(balanced(truth, said))
    assert summary["WA"] == pytest.approx(100 * accuracy_score(truth, said))
    f1 = f1_score(truth, said, average="macro", zero_division=0)
    assert summary["macro_F1"] == pytest.approx(100 * f1)
    confusion = confusion_matrix(truth, said, labels=CLASSES)
    assert summary["confusion"] == confusion.tolist()
    options = {"labels": CLASSES, "average": None, "zero_division": 0}
    recalls = recall_score(truth, said, **options)
    for name, recall in zip(CLASSES, recalls):
        expected = 100 * recall if name in truth else None
        assert summary["recalls"][name] == pytest.approx(expected)
    assert summary["utterances"] == len(rows)
    assert summary["speakers"] == len(set(speakers))
    assert summary["UA_interval"] is summary["WA_interval"] is None
    only = len(set(said)) == 1 and set(truth) != set(said)
    assert summary["only_class"] == (said[0] if only else None)


@given(pairs, st.booleans(), st.integers(0, 5))
@settings(deadline=None, max_examples=25)
def test_intervals_are_those_of_a_plain_loop(rows, unknown, seed):
    summary = make_stats(rows, unknown).summarize(bootstrap=50, seed=seed)
    unknown = unknown or len({row[2] for row in rows}) < 2
    units = {}
    for number, row in enumerate(rows):
        units.setdefault(number if unknown else row[2], []).append(row)
    units = [units[name] for name in sorted(units)]
    over = "utterances" if unknown else "speakers"
    assert summary["intervals_over"] == over
    if len(units) < 2:
        assert summary["UA_interval"] is summary["WA_interval"] is None
        return
    random = np.random.default_rng(seed)
    share = [1 / len(units)] * len(units)
    figures = []
    for times in random.multinomial(len(units), share, size=50):
        drawn = [row for u, n in zip(units, times) for row in n * u]
        truth, said, _ = zip(*drawn)
        wa = 100 * accuracy_score(truth, said)
        figures.append((balanced(truth, said), wa))
    intervals = np.percentile(figures, [2.5, 97.5], axis=0).T
    for name, expected in zip(("UA", "WA"), intervals.tolist()):
        assert summary[f"{name}_interval"] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["UA", "WA"])
def test_figures_of_nothing_are_zero_and_not_nan(name):
    assert figure_of(name, np.zeros((2, 1, 3, 3))).tolist() == [0, 0]


def test_the_table(tmp_path):
    rows = [("sad", "happy", "ann"), ("angry", "angry", "")]
    make_stats(rows).write_csv(tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        found = list(csv.DictReader(file))
    names = ["reference", "predicted", "speaker"]
    assert [tuple(row[name] for name in names) for row in found] == rows
    assert set(found[0]) == {"id", *names, *(f"p_{name}" for name in CLASSES)}
    assert float(found[0]["p_happy"]) == pytest.approx(0.7)


def test_ties_are_the_first_class_and_utterances_count_once():
    stats = RecognitionStats(CLASSES)
    stats.append("a", "neutral", np.log([0.25] * 4))
    assert stats.rows["a"]["predicted"] == "neutral"
    with pytest.raises(ValueError, match="'a' is there already"):
        stats.append("a", "sad", np.zeros(4), "ann")
    with pytest.raises(UserError, match="'b': .* not finite numbers"):
        stats.append("b", "sad", np.full(4, np.nan))
