"""Metrics against scikit-learn, the bootstrap against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from speechbrain_ext.errors import UserError
from speechbrain_ext.experiment.bootstrap import compare, interval
from speechbrain_ext.experiment.predictions import (
    Predictions,
    read_predictions,
)

NAMES = ["angry", "happy", "sad"]


def predictions(truths, said, speakers=None):
    """One run; ids are a running number."""
    return Predictions(
        [f"{number:03d}" for number in range(len(truths))],
        list(speakers or [""] * len(truths)),
        list(truths),
        [{name: 1.0} for name in said],
    )


def random_case(seed, utterances=60, speakers=6, right=0.6):
    random = np.random.default_rng(seed)
    truths = random.choice(NAMES, utterances)
    said = np.where(
        random.random(utterances) < right,
        truths,
        random.choice(NAMES, utterances),
    )
    names = [f"s{number % speakers}" for number in range(utterances)]
    return truths.tolist(), said.tolist(), names


def write(folder, rows, header="id,speaker,reference,predicted"):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from([*NAMES, "calm"])),
        min_size=1,
    )
)
def test_metrics_are_those_of_scikit_learn(pairs):
    truths, said = zip(*pairs)
    found = predictions(truths, said).metrics()
    assert found["UA"] == pytest.approx(
        100 * balanced_accuracy_score(truths, said)
    )
    assert found["WA"] == pytest.approx(100 * accuracy_score(truths, said))


def drawn_speakers(speakers, draws, seed):
    """The draws that the module makes, as lists of utterances."""
    names = sorted(set(speakers))
    members = [
        [i for i, name in enumerate(speakers) if name == each] for each in names
    ]
    number = len(names)
    random = np.random.default_rng(seed)
    for begin in range(0, draws, 500):
        for counts in random.multinomial(
            number, np.full(number, 1 / number), min(500, draws - begin)
        ):
            yield [
                index
                for unit, count in zip(members, counts)
                for _ in range(count)
                for index in unit
            ]


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [("UA", balanced_accuracy_score), ("WA", accuracy_score)],
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_intervals_equal_a_loop_over_draws(metric, oracle):
    truths, said, speakers = random_case(1)
    found = interval(
        predictions(truths, said, speakers), metric, draws=600, seed=3
    )
    values = [
        100 * oracle([truths[i] for i in draw], [said[i] for i in draw])
        for draw in drawn_speakers(speakers, 600, 3)
    ]
    assert found == pytest.approx(np.percentile(values, [2.5, 97.5]))


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_the_paired_test_equals_a_loop_over_draws():
    truths, first, speakers = random_case(2, right=0.5)
    _, second, _ = random_case(2, right=0.8)
    found = compare(
        predictions(truths, first, speakers),
        predictions(truths, second, speakers),
        "UA",
        draws=1200,
        seed=5,
    )
    differences = []
    for draw in drawn_speakers(speakers, 1200, 5):
        truth = [truths[i] for i in draw]
        differences.append(
            100 * balanced_accuracy_score(truth, [second[i] for i in draw])
            - 100 * balanced_accuracy_score(truth, [first[i] for i in draw])
        )
    differences = np.array(differences)
    low, high = np.percentile(differences, [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high))
    below = (differences <= 1e-9).sum()
    above = (differences >= -1e-9).sum()
    assert found.p == min(1, 2 * (min(below, above) + 1) / 1201)
    assert (found.kind, found.number) == ("speakers", 6)
    assert found.difference == pytest.approx(
        100 * balanced_accuracy_score(truths, second)
        - 100 * balanced_accuracy_score(truths, first)
    )


def test_equal_systems_do_not_differ():
    truths, said, speakers = random_case(4)
    one = predictions(truths, said, speakers)
    found = compare(one, one, "UA", draws=200)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert found.p == 1


def test_the_test_is_symmetric_and_sees_a_large_difference():
    truths, said, speakers = random_case(6, 200, 20, right=0.2)
    bad = predictions(truths, said, speakers)
    good = predictions(truths, truths, speakers)
    there = compare(bad, good, "WA")
    back = compare(good, bad, "WA")
    assert there.p == back.p < 0.001
    assert there.low == pytest.approx(-back.high)


def test_false_alarms_are_as_rare_as_they_should_be():
    """Systems of equal quality: about one p in twenty is below 0.05."""
    found = []
    for seed in range(150):
        truths, first, speakers = random_case(seed, 120, 40)
        shuffled = np.random.default_rng(1000 + seed)
        second = np.where(
            shuffled.random(120) < 0.6, truths, shuffled.choice(NAMES, 120)
        )
        pair = [predictions(truths, said, speakers) for said in (first, second)]
        found.append(compare(*pair, "WA", draws=400).p < 0.05)
    assert 0 < np.mean(found) < 0.12


def test_unpaired_rows():
    one = predictions(["sad", "happy"], ["sad", "sad"])
    with pytest.raises(UserError, match="1 utterances, such as '001'"):
        compare(one, predictions(["sad"], ["sad"]), "UA")
    with pytest.raises(UserError, match="reference of '001' is 'happy'"):
        compare(one, predictions(["sad", "sad"], ["sad", "sad"]), "UA")
    eder = Predictions(one.ids, one.speakers, ["", ""], [{"eder": 1.0}] * 2)
    with pytest.raises(UserError, match="the other diarizes"):
        compare(one, eder, "UA")


def test_pooled_runs_average(tmp_path):
    truth = [("a", "s", "sad"), ("b", "t", "happy")]
    said = [("sad", "happy"), ("sad", "sad"), ("happy", "sad")]
    folders = [
        write(tmp_path / str(i), [(*t, s) for t, s in zip(truth, each)])
        for i, each in enumerate(said)
    ]
    pooled = read_predictions([*folders, tmp_path / "none"])
    assert pooled.said[0] == pytest.approx({"sad": 2 / 3, "happy": 1 / 3})
    # As the mean of the runs' own figures.
    each = [read_predictions([folder]).metrics()["UA"] for folder in folders]
    assert pooled.metrics()["UA"] == pytest.approx(np.mean(each))
    # Folds add utterances.
    more = write(tmp_path / "fold", [("c", "u", "sad", "sad")])
    assert read_predictions([*folders, more]).ids == ["a", "b", "c"]
    assert read_predictions([tmp_path / "none"]) is None


def test_diarization(tmp_path):
    header = "id,speaker,eder,reference,hypothesis"
    rows = [("a", "s", 20, "x", "y"), ("b", "s", 40, "x", "y")]
    folders = [
        write(tmp_path / "1", [*rows, ("c", "t", 60, "x", "y")], header),
        write(tmp_path / "2", [*rows, ("c", "t", 90, "x", "y")], header),
    ]
    pooled = read_predictions(folders)
    assert pooled.metrics() == {"EDER": pytest.approx((20 + 40 + 75) / 3)}
    # Two speakers: the draws are s, s; s, t and t, t.
    assert interval(pooled, "EDER") == pytest.approx((30, 75))


def test_utterances_where_speakers_are_unknown(tmp_path):
    rows = [("a", "s", "sad", "sad"), ("b", "", "sad", "happy")]
    pooled = read_predictions([write(tmp_path, rows)])
    assert pooled.units()[0] == "utterances"
    assert interval(pooled, "WA") == (0.0, 100.0)
    alone = read_predictions([write(tmp_path, rows[:1])])
    assert interval(alone, "WA") is None
    assert compare(alone, alone, "WA").p is None


@pytest.mark.parametrize(
    ("header", "rows", "sentence"),
    [
        ("id,speaker,reference", [("a", "s", "sad")], "the columns must be"),
        ("id,eder", [("a", "low")], "line 2: eder is 'low', not a number"),
        ("id,eder", [("a", "1", "2")], "line 2: the line has not as many"),
        ("id,eder", [("a",)], "line 2: the line has not as many"),
    ],
)
def test_wrong_files(tmp_path, header, rows, sentence):
    with pytest.raises(UserError, match=sentence):
        read_predictions([write(tmp_path, rows, header)])


def test_runs_that_disagree_about_the_truth(tmp_path):
    one = write(tmp_path / "1", [("a", "s", "sad", "sad")])
    two = write(tmp_path / "2", [("a", "s", "happy", "sad")])
    with pytest.raises(UserError, match="2/predictions.csv', line 2: 'a'"):
        read_predictions([one, two])
    three = write(tmp_path / "3", [("a", 1)], "id,eder")
    with pytest.raises(UserError, match="another speaker or reference|diarize"):
        read_predictions([one, three])
