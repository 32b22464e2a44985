"""Several runs as one system."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from speechbrain_ext.errors import UserError
from speechbrain_ext.files import write_json
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.recognition.average import average, main

CLASSES = ["neutral", "happy", "sad"]


def make_run(folder, posteriors, truth, classes=CLASSES):
    folder.mkdir()
    stats = RecognitionStats(classes)
    for number, (row, label) in enumerate(zip(posteriors, truth)):
        stats.append(
            f"u{number}", classes[label], np.log(row), f"s{number % 4}"
        )
    stats.write_csv(folder / "predictions.csv")
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


def test_an_unfinished_run(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "no results.json" in capsys.readouterr().err
