"""What a run of recognition leaves, and what it says at its end."""

import json

import numpy as np

from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.training.results import show, write_results

PROTOCOL = {
    "name": "grouped_kfold",
    "fold": 2,
    "folds": 5,
    "speakers_shared_with_train": {"valid": 0, "test": 0},
}


def stats():
    found = RecognitionStats(["neutral", "sad", "angry"])
    found.append("a", "sad", np.log([0.1, 0.8, 0.1]), "ann")
    found.append("b", "sad", np.log([0.7, 0.2, 0.1]), "bob")
    found.append("c", "neutral", np.log([0.7, 0.2, 0.1]), "bob")
    return found


def write(run, modules, protocol=PROTOCOL, found=None, **more):
    record = {"hparams": "a.yaml", "seed": 3, "protocol": protocol, **more}
    write_results(run, found or stats(), modules, record)
    return json.loads((run / "results.json").read_text())


def test_headline_figures(tmp_path):
    results = write(tmp_path, {"head": None})
    assert list(results["metrics"]) == ["UA", "WA"]
    assert results["metrics"]["UA"] == 75
    assert results["layer_weights"] is None
    assert results["classes"] == ["neutral", "sad", "angry"]
    assert results["versions"]["speechbrain"]
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        "results.json",
        "predictions.csv",
        "confusion.csv",
        "confusion.png",
    }


def test_weights_of_a_mixture(tmp_path):
    results = write(tmp_path / "many", {"mixture": LayerMixture(4)})
    assert results["layer_weights"] == [0.25] * 4
    assert (tmp_path / "many" / "figures" / "layer_weights.png").exists()
    results = write(tmp_path / "one", {"mixture": LayerMixture(1)})
    assert results["layer_weights"] is None


def test_the_end_of_a_run(tmp_path):
    write(tmp_path, {})
    text = show(tmp_path)
    assert "UA  75.0" in text and "WA  66.7" in text
    assert "3 utterances of 2 speakers, 0 of them in training, too" in text
    assert "angry" in text and "grouped_kfold, fold 2 of 5; seed 3" in text
    unknown = {"valid": None, "test": None}
    write(tmp_path, {}, {**PROTOCOL, "speakers_shared_with_train": unknown})
    assert "unknown how many of them in training" in show(tmp_path)


def test_intervals_over_few_units(tmp_path):
    write(tmp_path, {})
    few = "intervals over speakers, 2 of them, which are too few"
    assert few in show(tmp_path)
    for speakers, trusted in ((9, False), (10, True)):
        found = RecognitionStats(["neutral", "sad"])
        for number in range(30):
            label = ("neutral", "sad")[number % 2]
            speaker = f"s{number % speakers}"
            found.append(str(number), label, np.log([0.6, 0.4]), speaker)
        write(tmp_path, {}, found=found)
        assert ("too few" not in show(tmp_path)) is trusted
    assert "in training, too; intervals over speakers." in show(tmp_path)


def test_what_was_run_is_named(tmp_path):
    write(tmp_path, {}, encoder_source="egemaps", normalization="speaker")
    text = show(tmp_path)
    assert "encoder_source: egemaps, normalization: speaker" in text
    write(tmp_path, {}, encoder_source="egemaps")
    assert "encoder_source: egemaps\n" in show(tmp_path)
    write(tmp_path, {})
    assert "encoder_source" not in show(tmp_path)
