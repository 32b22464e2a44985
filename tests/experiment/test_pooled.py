"""Pooled runs; paired bootstrap and sign flips against loops."""

import itertools

import numpy as np
import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.experiment.pooled import (
    Predictions,
    compare,
    pool_predictions,
)

NAMES = ["angry", "happy", "sad"]
EDER = "id,speaker,eder"


def predictions(truths, said, speakers=None):
    """One run; ids are a running number."""
    ids = [f"{number:03d}" for number in range(len(truths))]
    said = [{name: 1.0} for name in said]
    speakers = speakers or [""] * len(ids)
    return Predictions(ids, speakers, truths, said, [0] * len(ids), [1.0])


def figure(found, metric="UA"):
    """A metric of a row."""
    return compare(found, found, metric, draws=1).values[0]


def write(folder, rows, header="id,speaker,reference,predicted"):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_many_speakers_draw_swaps():
    """Monte Carlo and all swaps agree; here all 13 speakers are alike."""
    speakers = [f"s{number}" for number in range(13)]
    truths = ["sad"] * 13
    good = predictions(truths, truths, speakers)
    bad = predictions(truths, ["sad"] * 3 + ["happy"] * 10, speakers)
    found = compare(bad, good, "WA", draws=20_000)
    # Ten coins all on one side.
    assert found.p == pytest.approx(2 / 2**10, abs=0.001)
    assert compare(bad, good, "WA", draws=100).p >= 1 / 101


def test_diarization_is_compared(tmp_path):
    """Speakers differ by 10, 20 and -5 points in sum."""
    pair = [
        pool_predictions(
            [write(tmp_path / str(x), zip("abcd", "sstu", each), EDER)]
        )
        for x, each in enumerate(([10, 10, 10, 10], [15, 15, 30, 5]))
    ]
    found = compare(*pair, "EDER")
    assert found.values == pytest.approx((10, 16.25))
    # 25 of 25 or 35 in points: both signs of all, and of the first two.
    assert found.p == 4 / 8


def test_equal_systems_do_not_differ_and_a_large_difference_is_seen():
    random = np.random.default_rng(6)
    truths = random.choice(NAMES, 200).tolist()
    speakers = [f"s{number % 20}" for number in range(200)]
    other = random.choice(NAMES, 200).tolist()
    bad = predictions(truths, other[:150] + truths[150:], speakers)
    good = predictions(truths, truths, speakers)
    same = compare(bad, bad, "UA", draws=200)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    there, back = compare(bad, good, "WA"), compare(good, bad, "WA")
    assert there.p == back.p < 0.001
    assert there.low == pytest.approx(-back.high)


@pytest.mark.parametrize("number, least, most", [(3, 0, 0), (10, 0.005, 0.08)])
def test_false_alarms_are_rare(number, least, most):
    """Systems that are equal on average, each better for some speakers."""
    found = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        speakers = [f"s{place % number}" for place in range(6 * number)]
        truths, *other = random.choice(NAMES, (3, 6 * number)).tolist()
        skill = np.tile(random.uniform(0.2, 0.9, (2, number)), 6)
        hits = random.random(skill.shape) < skill
        pair = np.where(hits, truths, other).tolist()
        pair = [predictions(truths, said, speakers) for said in pair]
        found.append(compare(*pair, "UA", draws=400).p)
    assert min(found) >= 2.0 ** (1 - number)
    assert least <= np.mean(np.array(found) < 0.05) <= most


@pytest.fixture
def folds():
    """Two systems with two seeds of three folds, two of which lack a class.

    Speakers are in all folds. Rows by system, then by (seed, fold).
    """
    random = np.random.default_rng(11)
    classes = {1: NAMES, 2: NAMES[:2], 3: NAMES[1:]}
    truth = {
        fold: [
            (f"{fold}-{n:02d}", f"s{random.integers(7)}", random.choice(names))
            for n in range(30)
        ]
        for fold, names in classes.items()
    }
    return [
        {
            (seed, fold): [
                (*row, row[2] if random.random() < right else NAMES[fold % 3])
                for row in truth[fold]
            ]
            for seed, fold in itertools.product((1, 2), classes)
        }
        for right in (0.4, 0.6)
    ]


def recall(truths, said):
    hits = {}
    for truth, name in zip(truths, said):
        hits.setdefault(truth, []).append(truth == name)
    return 100 * np.mean([np.mean(each) for each in hits.values()])


def accuracy(truths, said):
    return 100 * np.mean(np.equal(truths, said))


def ends(values):
    """95 % interval."""
    return pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def table_figure(runs, oracle, times):
    """Mean of each run's own figure, each speaker so many times."""
    kept = [
        [row[2:] for row in rows for _ in range(times[row[1]])]
        for rows in runs.values()
    ]
    return np.mean([oracle(*zip(*rows)) for rows in kept if rows])


@pytest.mark.parametrize("metric, oracle", [("UA", recall), ("WA", accuracy)])
def test_folds_that_lack_a_class(metric, oracle, tmp_path, folds):
    """Everything is about the mean of the folds' own figures."""
    pooled = []
    for place, runs in enumerate(folds):
        folders = [
            write(tmp_path / f"{place}{seed}{fold}", rows)
            for (seed, fold), rows in runs.items()
        ]
        pooled.append(pool_predictions(folders))
    names = sorted({row[1] for row in folds[0][1, 1]})
    once = dict.fromkeys(names, 1)
    expected = tuple(table_figure(runs, oracle, once) for runs in folds)
    # Not that of all utterances thrown together.
    together = [row[2:] for rows in folds[0].values() for row in rows]
    if metric == "UA":
        assert abs(oracle(*zip(*together)) - expected[0]) > 1

    result = compare(*pooled, metric, draws=150, seed=2)
    assert result.values == pytest.approx(expected)
    assert result.difference == pytest.approx(expected[1] - expected[0])
    assert (result.kind, result.number) == ("speakers", len(names))
    share = np.full(7, 1 / 7)
    draws = np.random.default_rng(2).multinomial(7, share, 150)
    times = [dict(zip(names, each)) for each in draws]
    one, two = (
        np.array([table_figure(runs, oracle, each) for each in times])
        for runs in folds
    )
    assert (result.low, result.high) == ends(two - one)
    assert tuple(pooled[0].interval(metric, draws=150, seed=2)) == ends(one)
    gaps = []
    for signs in itertools.product((False, True), repeat=7):
        flip = dict(zip(names, signs))
        one, two = {}, {}
        for point in folds[0]:
            pairs = list(zip(folds[0][point], folds[1][point]))
            one[point] = [pair[flip[pair[0][1]]] for pair in pairs]
            two[point] = [pair[not flip[pair[0][1]]] for pair in pairs]
        one, two = (table_figure(each, oracle, once) for each in (one, two))
        gaps.append(abs(two - one))
    assert result.p == np.mean(np.array(gaps) >= abs(result.difference) - 1e-6)


def test_a_fold_that_is_not_drawn_is_left_out(tmp_path):
    """Leave one speaker out: a draw is a mean over some of the folds."""
    folders = []
    for fold, hits in enumerate((3, 1, 4)):
        said = ["sad"] * hits + ["happy"] * (4 - hits)
        rows = [
            (f"{fold}{i}", f"s{fold}", "sad", x) for i, x in enumerate(said)
        ]
        folders.append(write(tmp_path / str(fold), rows))
    pooled = pool_predictions(folders)
    draws = np.random.default_rng(0).multinomial(3, np.full(3, 1 / 3), 200)
    figures = np.array([75.0, 25.0, 100.0])
    values = [figures[draw > 0].mean() for draw in draws]
    assert tuple(pooled.interval("UA", draws=200)) == ends(values)


def test_runs_count_by_their_weights(tmp_path):
    rows = [("a", "s", "sad", "sad"), ("b", "t", "happy", "sad")]
    right = [(*row[:3], row[2]) for row in rows]
    other = [("c", "s", "sad", "sad"), ("d", "t", "sad", "sad")]
    folders = [
        write(tmp_path / str(place), each)
        for place, each in enumerate((rows, right, other))
    ]
    found = pool_predictions(folders, [0.1, 0.3, 0.6])
    assert figure(found) == pytest.approx(5 + 30 + 60)
    assert found.weights == pytest.approx([0.4, 0.6])
    even = pool_predictions(folders)
    one = pool_predictions([write(tmp_path / "one", rows + other)])
    for pair in ((found, even), (even, one)):
        with pytest.raises(UserError, match="their folds, or the numbers"):
            compare(*pair, "UA")


def test_unpaired_rows():
    one = predictions(["sad", "happy"], ["sad", "sad"])
    eder = predictions(["", ""], ["eder", "eder"])
    for other, sentence in (
        (predictions(["sad"], ["sad"]), "1 utterances, such as '001'"),
        (predictions(["sad"] * 2, ["sad"] * 2), "reference of '001' is 'happy"),
        (eder, "the other diarizes"),
    ):
        with pytest.raises(UserError, match=sentence):
            compare(one, other, "UA")


def test_pooled_runs_average(tmp_path):
    truth = [("a", "s", "sad"), ("b", "t", "happy")]
    said = [("sad", "happy"), ("sad", "sad"), ("happy", "sad")]
    folders = [
        write(tmp_path / str(i), [(*t, s) for t, s in zip(truth, each)])
        for i, each in enumerate(said)
    ]
    pooled = pool_predictions(folders)
    assert pooled.said[0] == pytest.approx({"sad": 2 / 3, "happy": 1 / 3})
    # Folds add utterances.
    more = write(tmp_path / "fold", [("c", "u", "sad", "sad")])
    assert pool_predictions([*folders, more]).ids == ["a", "b", "c"]
    # The figure of all runs cannot be that of some.
    assert pool_predictions([*folders, tmp_path / "none"]) is None
    assert pool_predictions([]) is None


def test_diarization(tmp_path):
    rows = [("a", "s", 20), ("b", "s", 40)]
    folders = [
        write(tmp_path / str(last), [*rows, ("c", "t", last)], EDER)
        for last in (60, 90)
    ]
    pooled = pool_predictions(folders)
    assert pooled.names() == ["EDER"]
    assert figure(pooled, "EDER") == pytest.approx((20 + 40 + 75) / 3)
    # Two speakers: the draws are s, s; s, t and t, t.
    assert pooled.interval("EDER") == pytest.approx((30, 75))


def test_utterances_where_speakers_are_unknown(tmp_path):
    rows = [("a", "s", "sad", "sad"), ("b", "", "sad", "happy")]
    pooled = pool_predictions([write(tmp_path, rows)])
    assert pooled.units()[0] == "utterances"
    assert pooled.interval("WA") == [0.0, 100.0]
    alone = pool_predictions([write(tmp_path, rows[:1])])
    assert alone.interval("WA") is None
    assert compare(alone, alone, "WA").p is None


def test_runs_that_disagree(tmp_path):
    one = write(tmp_path / "1", [("a", "s", "sad", "sad")])
    two = write(tmp_path / "2", [("a", "s", "happy", "sad")])
    three = write(tmp_path / "3", [("b", 1)], "id,eder")
    four = write(tmp_path / "4", [("a", "low")], "id,eder")
    for folders, sentence in (
        ([one, two], "2/predictions.csv', line 2: expected .* 'a'"),
        ([one, three], "Some runs diarize"),
        ([four], "line 2: eder is 'low', not a number"),
    ):
        with pytest.raises(UserError, match=sentence):
            pool_predictions(folders)
