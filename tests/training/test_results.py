"""What a run leaves, and what it says at its end."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import write_json
from speechbrain_ext.metrics.diarization import EderStats
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.metrics.segments import whole_utterance
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.training.results import (
    KEYS,
    read_results,
    show,
    write_results,
)

CLASSES = ["neutral", "sad", "angry"]
SHARED = {"valid": 0, "test": 0}


def stats(said=("sad", "neutral", "neutral"), speakers=("ann", "bob", "bob")):
    found = RecognitionStats(CLASSES)
    truths = ("sad", "sad", "neutral")
    for id, (name, speaker) in enumerate(zip(said, speakers)):
        row = [0.8 if each == name else 0.1 for each in CLASSES]
        found.append(str(id), truths[id % 3], np.log(row), speaker)
    return found


def diarization():
    found = EderStats()
    sad = [{"emo": "sad", "start": 0.0, "end": 1.0}]
    found.append("a", sad, whole_utterance("neutral", 4.0), 4.0, "ann")
    return found


def write(run, found=None, shared=SHARED, mixture=None, hparams=(), **more):
    protocol = {"name": "grouped_kfold", "fold": 2, "folds": 5}
    protocol["speakers_shared_with_train"] = shared
    write_json(protocol, run / "manifests" / "protocol.json")
    inputs = {"speech": SimpleNamespace(mixture=mixture)}
    hparams = {"inputs": inputs, "classes": CLASSES, "seed": 3, **dict(hparams)}
    record = {"recipe": "x", "hparams": "hparams/a.yaml", **more}
    write_results(run, hparams, found or stats(), {"UA": 50.0}, record)
    return json.loads((run / "results.json").read_text())


@pytest.mark.parametrize("kind", [stats, diarization])
def test_one_schema_for_all(kind, tmp_path):
    corpora = {"corpora": {"savee": "/data", "esd": None, "emodb": "/more"}}
    hparams = {"preparation": corpora}
    results = write(tmp_path, kind(), hparams=hparams, tuning=None)
    assert set(results) >= {*KEYS, "tuning", "layer_weights", "peak_memory_gb"}
    assert results["hparams"] == "a.yaml" and results["valid"] == {"UA": 50.0}
    assert (results["seed"], results["fold"]) == (3, 2)
    assert results["corpus"] == "savee+emodb"
    assert results["intervals_over"] == results["test"]["intervals_over"]
    hparams |= {"corpus": "savee", "fold": 4}
    results = write(tmp_path, kind(), hparams=hparams)
    assert (results["corpus"], results["fold"]) == ("savee", 4)
    assert read_results(tmp_path, *KEYS) == results
    figures = {"UA": 75, "WA": 200 / 3} if kind == stats else {"EDER": 25}
    assert results["metrics"] == pytest.approx(figures)
    assert results["classes"] == CLASSES and results["versions"]["speechbrain"]
    names = {"protocol.json", "results.json", "predictions.csv"}
    names |= {"confusion.csv", "confusion.png"} if kind == stats else set()
    assert names == {p.name for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("layers, expected", [(1, None), (4, [0.25] * 4)])
def test_weights_of_a_mixture(layers, expected, tmp_path):
    results = write(tmp_path, mixture=LayerMixture(layers))
    assert results["layer_weights"] == expected
    drawn = (tmp_path / "figures" / "layer_weights.png").exists()
    assert drawn == bool(expected)


def test_the_end_of_a_run(tmp_path):
    write(tmp_path, encoder_source="egemaps", normalization="speaker")
    text = show(tmp_path)
    assert "UA  75.0" in text and "WA  66.7" in text
    assert "3 utterances of 2 speakers, 0 of them in training, too" in text
    assert "angry" in text and "grouped_kfold, fold 2 of 5; seed 3" in text
    assert "encoder_source: egemaps, normalization: speaker\n" in text
    assert "to every utterance" not in text
    unknown = {"valid": None, "test": None}
    write(tmp_path, stats(["neutral"] * 3), unknown, encoder_source="egemaps")
    text = show(tmp_path)
    assert "unknown how many of them in training" in text
    assert "encoder_source: egemaps\n" in text
    assert "gives 'neutral' to every utterance" in text


@pytest.mark.parametrize("speakers", [2, 9, 10])
def test_intervals_over_few_units(speakers, tmp_path):
    names = [f"s{number % speakers}" for number in range(30)]
    write(tmp_path, stats(["sad", "neutral"] * 15, names))
    text = show(tmp_path)
    assert f"in training, too; intervals over {speakers} test speakers" in text
    assert ("too few" in text) == (speakers < 10)
    assert "encoder_source" not in text


def test_results_of_earlier_versions_are_read(tmp_path):
    old = {
        "metrics": {"EDER": 1.0},
        "valid_eder": 2.0,
        "test": {
            "this model": {"eder": 1.0, "interval_over": "speakers"},
            "all neutral": {"eder": 3.0, "interval_over": "speakers"},
        },
    }
    write_json(old, tmp_path / "results.json")
    assert read_results(tmp_path, "metrics") == {
        "metrics": {"EDER": 1.0},
        "valid": {"EDER": 2.0},
        "test": {"eder": 1.0, "intervals_over": "speakers"},
        "systems": {"all neutral": {"eder": 3.0, "intervals_over": "speakers"}},
        "intervals_over": "speakers",
    }


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (None, "has no results.json"),
        ([], "has no 'metrics'"),
        ({}, "has no 'metrics'"),
        ({"metrics": {}}, "no figures under 'metrics'"),
        ({"metrics": {"UA": "good"}}, "UA: expected a number, got 'good'"),
        ({"metrics": {"UA": True}}, "UA: expected a number, got True"),
    ],
)
def test_results_that_are_not_what_they_should_be(wrong, sentence, tmp_path):
    if wrong is not None:
        write_json(wrong, tmp_path / "results.json")
    with pytest.raises(UserError, match=sentence):
        read_results(tmp_path, "metrics")
