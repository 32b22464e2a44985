"""Several runs as one system."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from speechbrain_ext.training.average import average, main

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import write_json
from speechbrain_ext.metrics.recognition import RecognitionStats

CLASSES = ["neutral", "happy", "sad"]


def make_run(folder, posteriors, truth, classes=CLASSES):
    folder.mkdir()
    stats = RecognitionStats(classes)
    for number, (row, label) in enumerate(zip(posteriors, truth)):
        stats.append(
            f"u{number}", classes[label], np.log(row), f"s{number % 4}"
        )
    stats.write_csv(folder / "predictions.csv")
    stats.write_csv(folder / "predictions_valid.csv")
    write_json({"classes": classes}, folder / "results.json")
    return folder


@pytest.fixture
def draws():
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 20)
    return random.dirichlet(np.ones(3), (3, len(truth))), truth


def test_mean_of_posteriors(draws, tmp_path):
    posteriors, truth = draws
    runs = [
        make_run(tmp_path / str(i), p, truth) for i, p in enumerate(posteriors)
    ]
    summary = average(runs).summarize()
    found = posteriors.mean(0).argmax(1)
    assert summary["WA"] == pytest.approx(100 * accuracy_score(truth, found))
    assert summary["UA"] == pytest.approx(
        100 * balanced_accuracy_score(truth, found)
    )


def test_runs_must_fit(draws, tmp_path):
    posteriors, truth = draws
    first = make_run(tmp_path / "a", posteriors[0], truth)
    fewer = make_run(tmp_path / "b", posteriors[0][:30], truth[:30])
    with pytest.raises(UserError, match="another test set"):
        average([first, fewer])
    other = make_run(tmp_path / "c", posteriors[0], (truth + 1) % 3)
    with pytest.raises(UserError, match="another test set"):
        average([first, other])


def test_the_command_shows_both_sets(draws, tmp_path, capsys):
    posteriors, truth = draws
    runs = [
        make_run(tmp_path / str(i), p, truth) for i, p in enumerate(posteriors)
    ]
    # Another validation set: of the first class alone, and all right.
    for run in runs:
        stats = RecognitionStats(CLASSES)
        stats.append("v", "neutral", np.log([0.8, 0.1, 0.1]), "s")
        stats.write_csv(run / "predictions_valid.csv")
    main([str(run) for run in runs])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["3", "runs"]
    found = [line.split()[:3] for line in lines if line.startswith("valid")]
    assert found == [["valid", "UA", "100.0"], ["valid", "WA", "100.0"]]
    test = 100 * accuracy_score(truth, np.mean(posteriors, 0).argmax(1))
    assert ["test", "WA", f"{test:.1f}"] in [line.split()[:3] for line in lines]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_predictions_that_are_not_there(split, draws, tmp_path):
    run = make_run(tmp_path / "a", draws[0][0], draws[1])
    name = {"valid": "predictions_valid.csv", "test": "predictions.csv"}[split]
    (run / name).unlink()
    with pytest.raises(UserError, match=f"/{name}' does not exist; delete"):
        average([run], split)


def test_an_unfinished_run(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "no results.json" in capsys.readouterr().err
