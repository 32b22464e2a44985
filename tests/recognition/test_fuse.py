"""Several runs as one system."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from speechbrain_ext.base.files import write_json
from speechbrain_ext.experiment.pooled import pool_predictions
from speechbrain_ext.metrics.predictions import FILES
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.recognition.fuse import main
from speechbrain_ext.recognition.rule import Fusion, read_fusion, stack

CLASSES = ["neutral", "happy", "sad"]
PROTOCOL = {"name": "p", "speakers_shared_with_train": {"test": 0}}
TRUTH = np.repeat([0, 1, 2], 20)


def make_run(folder, posteriors, ids=None, classes=CLASSES, **protocol):
    """Both splits alike; ids: which of the 60 utterances it has."""
    for split, file in FILES.items():
        stats = RecognitionStats(classes)
        for n in range(60) if ids is None else ids:
            id, speaker = f"{split}{n}", f"s{n % 4}"
            row = dict(zip(CLASSES, posteriors[n]))
            logs = np.log([row[name] for name in classes])
            stats.append(id, CLASSES[TRUTH[n]], logs, speaker)
        stats.write_csv(folder / file)
    results = {"classes": classes, "corpus": "c", "fold": 1, "seed": 1}
    protocol = {**PROTOCOL, **protocol}
    write_json({**results, "protocol": protocol}, folder / "results.json")
    return str(folder)


@pytest.fixture
def draws():
    """Three systems; the second one is the best."""
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(3), (3, 60))
    shares[1] += 0.4 * np.eye(3)[TRUTH]
    return shares / shares.sum(-1, keepdims=True)


@pytest.fixture
def runs(draws, tmp_path):
    return [make_run(tmp_path / n, row) for n, row in zip("123", draws)]


def figures(capsys):
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    return {tuple(x[:2]): x[2] for x in lines if x[0] in FILES and len(x) > 2}


def fail(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("weights", [None, [0.6, 1, 0.2]])
def test_fixed_weights_leave_a_run(weights, draws, runs, tmp_path, capsys):
    out = tmp_path / "fused"
    words = ["--weights", *map(str, weights)] if weights else []
    main([*runs, f"--output={out}", *words])
    found = figures(capsys)
    fused = np.einsum("m,muc->uc", weights or [1, 1, 1], draws).argmax(-1)
    results = json.loads((out / "results.json").read_text())
    for name, score in (
        ("WA", accuracy_score),
        ("UA", balanced_accuracy_score),
    ):
        measured = 100 * score(TRUTH, fused)
        assert results["metrics"][name] == pytest.approx(measured)
        assert found["test", name] == found["valid", name] == f"{measured:.1f}"
    assert results["recipe"] == "fusion" and results["members"] == runs
    assert results["fallbacks"] == {"valid": [0] * 3, "test": [0] * 3}
    assert not results["protocol"]["differs_between_members_in"]
    assert (out / "figures" / "confusion.png").exists()
    # What reads runs reads it: pooled predictions, and another fusion.
    assert len(pool_predictions([out]).ids) == 60
    main([str(out), runs[0]])
    assert read_fusion(out / "fusion.json").members == ["../1", "../2", "../3"]


def test_a_paired_test_against_every_member(runs, capsys):
    main(runs)
    out = capsys.readouterr().out
    assert all(f"fusion against {run}: UA " in out for run in runs)
    assert out.count("sign-flip test") == 3


def test_weights_are_chosen_on_validation(draws, tmp_path, capsys):
    # On the test set the first system alone is right, on the other the second.
    right = 0.8 * np.eye(3)[TRUTH] + 0.2 / 3
    wrong = np.roll(right, 1, axis=1)
    runs = [make_run(tmp_path / "1", wrong), make_run(tmp_path / "2", right)]
    other = make_run(tmp_path / "3", right), make_run(tmp_path / "4", wrong)
    for run, source in zip(runs, other):
        path = f"{source}/{FILES['test']}"
        (tmp_path / run[-1] / FILES["test"]).write_text(open(path).read())
    main([*runs, "--choose", f"--output={tmp_path / 'out'}"])
    found = figures(capsys)
    assert found["valid", "UA"] == "100.0" and found["test", "UA"] == "0.0"
    weights = json.loads((tmp_path / "out/results.json").read_text())["weights"]
    # All from 0.55 are as good; of those the nearest to the middle.
    assert weights == [0.45, 0.55]
    with open(tmp_path / "out/weights.csv", newline="") as file:
        rows = [list(map(float, row)) for row in list(csv.reader(file))[1:]]
    assert len(rows) == 21 and [0.45, 0.55, 100.0] in rows
    assert (tmp_path / "out/figures/weights.png").exists()


def test_chosen_weights_are_the_best_of_the_grid(draws, runs, capsys, tmp_path):
    main([*runs, "--choose", f"--output={tmp_path / 'out'}"])
    # An oracle that is slow: all weights in tenths.
    best = max(
        balanced_accuracy_score(
            TRUTH, (a * draws[0] + b * draws[1] + c * draws[2]).argmax(-1)
        )
        for a in range(11)
        for b in range(11 - a)
        for c in [10 - a - b]
    )
    assert figures(capsys)["valid", "UA"] == f"{100 * best:.1f}"


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[:2]])
def test_stacking_is_what_scikit_learn_predicts(
    classes, draws, tmp_path, capsys
):
    from sklearn.linear_model import LogisticRegression

    ids = range(20 * len(classes))
    rows = draws[:2, : len(ids), : len(classes)]
    runs = [
        make_run(tmp_path / str(n), row, ids, classes)
        for n, row in enumerate(rows)
    ]
    main([*runs, "--stack", f"--output={tmp_path / 'out'}"])
    rows = np.round(rows, 6)
    model = LogisticRegression(max_iter=10_000, class_weight="balanced")
    model.fit(stack(rows), TRUTH[ids])
    score = 100 * accuracy_score(TRUTH[ids], model.predict(stack(rows)))
    out = capsys.readouterr().out
    assert f"{score:.1f}" in out and "not those of unseen data" in out
    fusion = read_fusion(tmp_path / "out" / "fusion.json")
    fused = fusion(rows, np.ones(rows.shape[:2], dtype=bool))
    # Written with six digits.
    assert abs(fused - model.predict_proba(stack(rows))).max() < 1e-4


def test_what_a_run_lacks_the_others_stand_for(draws, runs, tmp_path, capsys):
    few = make_run(tmp_path / "few", draws[1], range(5, 60), fold=2)
    for way in ("--weights=0", "--choose", "--stack"):
        words = ["--weights", "0", "1"] if "=" in way else [way]
        out = tmp_path / way
        main([runs[0], few, *words, f"--output={out}"])
        text = capsys.readouterr().out
        assert f"test: 5 of 60 utterances are not in '{few}'" in text
        # By itself, whatever its weight, it says what it said.
        rows = pool_predictions([out]).said
        ids = pool_predictions([out]).ids
        for n in range(5):
            own = CLASSES[draws[0, n].argmax()]
            assert dict(rows[ids.index(f"test{n}")]) == {own: 1.0}
        results = json.loads((out / "results.json").read_text())
        assert results["fallbacks"]["test"] == [0, 5]
        assert "protocols of the runs differ in fold" in text


def test_runs_must_fit(draws, runs, tmp_path, capsys):
    other = make_run(tmp_path / "c", draws[0], range(40), CLASSES[:2])
    assert "has the classes neutral, happy, '" in fail([runs[0], other], capsys)
    few = make_run(tmp_path / "a", draws[0], range(30))
    rest = make_run(tmp_path / "b", draws[0], range(30, 60))
    sentence = fail([few, rest], capsys)
    assert "No utterance of the valid set is in all of the runs" in sentence
    path = tmp_path / "2" / FILES["test"]
    text = path.read_text()
    path.write_text(text.replace("test3,s3,neutral", "test3,s3,sad"))
    assert "reference and speaker of 'test3' as in" in fail(runs, capsys)
    path.write_text(text.replace("test3,", "valid3,"))
    assert "'valid3' is in the validation set of one" in fail(runs, capsys)
    before = (tmp_path / "1" / "results.json").read_text()
    sentence = fail([*runs[1:], f"--output={runs[0]}"], capsys)
    assert "is another run; choose a new folder" in sentence
    assert (tmp_path / "1" / "results.json").read_text() == before


share = st.floats(0.001, 1)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_fusion_is_a_posterior_whatever_is_missing(data):
    members, count = data.draw(st.integers(2, 4)), 5
    size = members * count * 3
    flat = data.draw(st.lists(share, min_size=size, max_size=size))
    rows = np.reshape(flat, (members, count, 3))
    rows /= rows.sum(-1, keepdims=True)
    there = np.array(
        data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    )[: members * count].reshape(members, count)
    there[0] |= ~there.any(0)
    weights = [1.0, *data.draw(st.lists(share, min_size=3, max_size=3))]
    weights = weights[:members]
    fused = Fusion(CLASSES, [], weights)(rows, there)
    assert fused.sum(-1) == pytest.approx(1)
    # One by one: the mean of those that are there, by their weights.
    for n in range(count):
        known = [m for m in range(members) if there[m, n]]
        mean = sum(weights[m] * rows[m, n] for m in known)
        mean = mean / sum(weights[m] for m in known)
        assert fused[n] == pytest.approx(mean)
    # Scaling all weights changes nothing; what is missing does not matter.
    noise = np.where(there[:, :, None], rows, np.nan)
    scaled = Fusion(CLASSES, [], [3 * w for w in weights])(noise, there)
    assert scaled == pytest.approx(fused)
