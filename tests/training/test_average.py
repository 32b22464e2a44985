"""Several runs as one system."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import write_json
from speechbrain_ext.metrics.predictions import FILES
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.recognition.average import average, main

CLASSES = ["neutral", "happy", "sad"]


def make_run(folder, posteriors, truth):
    stats = RecognitionStats(CLASSES)
    for number, (row, label) in enumerate(zip(posteriors, truth)):
        id, speaker = f"u{number}", f"s{number % 4}"
        stats.append(id, CLASSES[label], np.log(row), speaker)
    for file in FILES.values():
        stats.write_csv(folder / file)
    write_json({"classes": CLASSES}, folder / "results.json")
    return folder


@pytest.fixture
def draws():
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 20)
    return random.dirichlet(np.ones(3), (3, len(truth))), truth


@pytest.fixture
def runs(draws, tmp_path):
    posteriors, truth = draws
    folders = (tmp_path / name for name in "123")
    return [make_run(f, row, truth) for f, row in zip(folders, posteriors)]


def test_mean_of_posteriors(draws, runs):
    posteriors, truth = draws
    summary, found = average(runs).summarize(), posteriors.mean(0).argmax(1)
    for name, score in (
        ("WA", accuracy_score),
        ("UA", balanced_accuracy_score),
    ):
        assert summary[name] == pytest.approx(100 * score(truth, found))


def test_runs_must_fit(draws, runs, tmp_path):
    posteriors, truth = draws
    fewer = make_run(tmp_path / "b", posteriors[0][:30], truth[:30])
    other = make_run(tmp_path / "c", posteriors[0], (truth + 1) % 3)
    for run in (fewer, other):
        with pytest.raises(UserError, match="another test set"):
            average([runs[0], run])
    file = runs[0] / "predictions.csv"
    file.write_text(file.read_text().replace("0.", "x", 1))
    with pytest.raises(UserError, match="line 2: p_.* is 'x.*, not a number"):
        average(runs)


def test_the_command_shows_both_sets(draws, runs, capsys):
    posteriors, truth = draws
    # Another validation set: of the first class alone, and all right.
    for run in runs:
        stats = RecognitionStats(CLASSES)
        stats.append("v", "neutral", np.log([0.8, 0.1, 0.1]), "s")
        stats.write_csv(run / FILES["valid"])
    main([str(run) for run in runs])
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:2] == ["3", "runs"]
    assert ["valid", "UA", "100.0"] in lines
    assert ["valid", "WA", "100.0"] in lines
    test = 100 * accuracy_score(truth, np.mean(posteriors, 0).argmax(1))
    assert ["test", "WA", f"{test:.1f}"] in lines


@pytest.mark.parametrize("split", FILES)
def test_predictions_that_are_not_there(split, runs, tmp_path, capsys):
    (runs[0] / FILES[split]).unlink()
    sentence = f"/{FILES[split]}' does not exist; delete"
    with pytest.raises(UserError, match=sentence):
        average(runs, split)
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "no results.json" in capsys.readouterr().err
