"""What a finished run of recognition must have left, whatever the recipe."""

import csv

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
)

from speechbrain_ext.inference import EmotionRecognizer
from speechbrain_ext.metrics.predictions import FILES
from speechbrain_ext.utterance import load_manifest

KEYS = (
    "recipe hparams seed fold corpus protocol metrics classes layer_weights "
    "test valid versions peak_memory_gb train_seconds encoder_source"
).split()


def read_table(path):
    """Rows of a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def posteriors(folder, classes):
    """Posteriors of a run, from id to [classes]."""
    return {
        row["id"]: np.array([float(row[f"p_{name}"]) for name in classes])
        for row in read_table(folder / "predictions.csv")
    }


def checked(folder, results, exact=True):
    """A run, after what holds of all and, if exact, of the models they are."""
    check_results(folder, results)
    if exact:
        check_inference(folder, results)
    return folder, results


def check_results(folder, results):
    """Files are there, and figures follow from the predictions."""
    assert set(results) >= {*KEYS}
    assert list(results["metrics"]) == ["UA", "WA"]
    for split, file in FILES.items():
        given = load_manifest(folder / "manifests" / f"{split}.json")
        rows = read_table(folder / file)
        assert [row["id"] for row in rows] == [u.id for u in given]
    # Those of the last split, the test set.
    tests = {utterance.id: utterance for utterance in given}
    for row in rows:
        assert row["speaker"] == tests[row["id"]].speaker
        assert row["reference"] == tests[row["id"]].emotion
        shares = {c: float(row[f"p_{c}"]) for c in results["classes"]}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert shares[row["predicted"]] == max(shares.values())
    pair = [[row[k] for row in rows] for k in ("reference", "predicted")]
    expected = 100 * balanced_accuracy_score(*pair), 100 * accuracy_score(*pair)
    found = results["metrics"]["UA"], results["metrics"]["WA"]
    assert found == pytest.approx(expected)
    assert results["test"]["UA"] == found[0]
    counts = confusion_matrix(*pair, labels=results["classes"])
    assert results["test"]["confusion"] == counts.tolist()


def check_inference(folder, results):
    """The run as a model says of files what the run said."""
    recognizer = EmotionRecognizer.from_hparams(
        source=str(folder), run_opts={"device": "cpu"}
    )
    assert recognizer.classes == results["classes"]
    expected = posteriors(folder, results["classes"])
    tests = load_manifest(folder / "manifests" / "test.json")
    if recognizer.by_speaker:
        for speaker in {u.speaker for u in tests}:
            own = [u for u in tests if u.speaker == speaker]
            given = [u.text for u in own] if recognizer.reads_text else None
            wavs = [u.wav for u in own]
            found = recognizer.classify_files(wavs, texts=given)[0]
            ids = [utterance.id for utterance in own]
            compare(dict(zip(ids, found.numpy(), strict=True)), expected)
        return
    for utterance in tests[:6]:
        text = utterance.text if recognizer.reads_text else None
        found, _, index, names = recognizer.classify_file(utterance.wav, text)
        compare({utterance.id: found[0].numpy()}, expected)
        assert names == [results["classes"][index.item()]]


def compare(found, expected, atol=1e-4):
    """Posteriors agree, from id to [classes]."""
    for id, row in found.items():
        np.testing.assert_allclose(row, expected[id], atol=atol)
