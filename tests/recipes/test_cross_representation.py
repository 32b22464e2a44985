"""The recipe of Makiuchi et al. (2021): every YAML, and every option."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch

from speechbrain_ext.inference import EmotionRecognizer
from speechbrain_ext.utterance import load_manifest
from tests.benchmarks import bench_cross_representation
from tests.checkpoints import make_speaker_model
from tests.recipes.results import checked, posteriors
from tests.recipes.running import (
    CROSS,
    kill_and_finish,
    overriding,
    refuse_here,
    run,
    run_here,
    script,
)
from tests.text_checkpoints import make_text_checkpoint, make_transcriber

CLASSES = ["neutral", "happy", "sad", "angry"]


@pytest.fixture(scope="module")
def options(tmp_path_factory, synthetic_folder, wav2vec2):
    """A function that makes a run a matter of seconds."""
    folder = tmp_path_factory.mktemp("cross")
    small = {"encoder_width": 16, "decoder_width": 8, "batch_size": 8}
    return overriding(
        data_folder=str(synthetic_folder),
        corpus="synthetic",
        protocol="makiuchi_grouped",
        feature_folder=str(folder / "features"),
        cache_folder=str(folder / "cache"),
        encoder_source=wav2vec2,
        speaker_source=str(make_speaker_model(folder)),
        number_of_epochs=2,
        lr=0.01,
        **small,
    )


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return make_text_checkpoint(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def train(options):
    """A function that runs a YAML of speech in this process."""

    def train(folder, yaml="small.yaml", **more):
        return checked(*run_here(CROSS, yaml, options(folder, **more)))

    return train


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, options):
    """A finished run of the command: its folder, output and results."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return run(CROSS, "small.yaml", options(folder, feature_dtype="float32"))


@pytest.mark.slow
def test_the_command_leaves_what_it_should(undisturbed):
    folder, output, results = undisturbed
    checked(folder, results)
    named = results["recipe"], results["hparams"], results["classes"]
    assert named == ("cross_representation", "small.yaml", CLASSES)
    protocol = results["protocol"]
    assert protocol["speakers"] == {"train": 2, "valid": 1, "test": 1}
    assert protocol["speakers_shared_with_train"] == {"valid": 0, "test": 0}
    assert results["unlabelled_test_data_used"] == ["speaker"]
    for part in ("train", "valid", "test"):
        for one in load_manifest(folder / "manifests" / f"{part}.json"):
            assert one.alignment and one.text
    assert len(results["layer_weights"]) == 4


@pytest.mark.slow
def test_killed_within_an_epoch_it_ends_with_the_same_figures(
    undisturbed, options, tmp_path
):
    overrides = options(tmp_path, feature_dtype="float32")
    kill_and_finish(CROSS, "small.yaml", overrides, undisturbed)


@pytest.mark.parametrize(
    "yaml, more",
    [
        ("large.yaml", {}),
        ("mel.yaml", {"encoder_source": "mel"}),
        ("small.yaml", {"decoder": "False", "class_weights": "True"}),
        ("small.yaml", {"use_speaker": "False", "drop_remainder": "True"}),
        ("small.yaml", {"use_phones": "False", "phones": "null"}),
        (
            "small.yaml",
            {"speaker_from": "utterance", "reconstruction": "postnet"},
        ),
    ],
)
def test_models_and_ablations_of_speech(train, tmp_path, yaml, more):
    folder, results = train(tmp_path, yaml, feature_dtype="float32", **more)
    own = more.get("speaker_from") == "utterance"
    assert results["unlabelled_test_data_used"] == ([] if own else ["speaker"])


@pytest.mark.parametrize(
    "yaml, more",
    [
        ("text.yaml", {}),
        ("text.yaml", {"sigmoid": "True", "special_tokens": "True"}),
        ("joint.yaml", {}),
        ("joint.yaml", {"joint_kind": "attention"}),
    ],
)
def test_models_of_text(options, text, tmp_path, yaml, more):
    names = "encoder_width decoder_width speaker_source".split()
    names += ["encoder_source"] if yaml == "text.yaml" else []
    given = {"text_source": text, "feature_dtype": "float32", **more}
    given = options(tmp_path, **given)
    given = {key: given[key] for key in given if key not in names}
    folder, results = run_here(CROSS, yaml, given)
    checked(folder, results, exact=False)
    recognizer = EmotionRecognizer.from_hparams(folder)
    (one, *_) = load_manifest(folder / "manifests" / "test.json")
    found = recognizer.classify_files([one.wav], texts=[one.text])[0]
    expected = posteriors(folder, CLASSES)[one.id]
    assert np.abs(found[0].numpy() - expected).max() < 1e-4
    if more.get("sigmoid"):
        bounds = [1 / (1 + 3 * np.e), np.e / (np.e + 3)]
        assert bounds[0] - 1e-6 < expected.min() < expected.max() < bounds[1]


def test_transcripts_take_the_place_of_texts(options, text, tmp_path):
    whisper = make_transcriber(tmp_path / "whisper", seed=11)
    names = "encoder_width decoder_width speaker_source encoder_source".split()
    given = options(tmp_path, text_source=text, transcriber=whisper)
    given = {key: given[key] for key in given if key not in names}
    folder, results = run_here(CROSS, "text.yaml", given)
    checked(folder, results, exact=False)
    protocol = results["protocol"]
    heard, used = protocol["transcripts"], sum(protocol["recordings"].values())
    assert heard["compared"] == heard["recordings"] == used + heard["empty"]
    assert heard["word_error_rate"] >= 100
    for one in load_manifest(folder / "manifests" / "test.json"):
        assert one.extra["reference_text"].isascii()
        assert {*one.text} <= {*"abcdefghijklmnopq "}


def test_pictures_and_the_probe_of_a_run(undisturbed, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed[0], folder)
    picture = tmp_path / "out" / "mel.png"
    script(CROSS, "reconstruction").main([str(picture), str(folder)])
    assert picture.read_bytes()[:4] == b"\x89PNG"
    script(CROSS, "probe").main([str(folder), "--seeds", "1", "--epochs", "1"])
    record = json.loads((folder / "probe.json").read_text())
    assert record["of"] == "codes" and record["speakers"] == 3
    assert record["size"] == 2 * 16 and record["chance"] == pytest.approx(
        100 / 3
    )
    with pytest.raises(SystemExit):
        script(CROSS, "reconstruction").main(
            [str(picture), str(folder), "--utterance", "nobody"]
        )
    assert "'nobody' is not in the test set" in capsys.readouterr().err


def test_the_benchmark_counts_segments(undisturbed, capsys):
    words = ["--run", str(undisturbed[0]), "--steps", "2"]
    with torch.random.fork_rng():
        bench_cross_representation.main([*words, "--widths", "8", "4"])
    rows = [x for x in capsys.readouterr().out.splitlines() if "8, 4" in x]
    cells = [row.strip("| ").split("|") for row in rows]
    assert [row[1].strip() for row in cells] == ["fp32", "bf16"]
    for row in cells:
        speed, days = float(row[2]), float(row[3])
        assert days == pytest.approx(2e6 / speed / 1440, abs=0.06)


def test_recordings_without_an_alignment(options, tmp_path, capsys):
    given = options(tmp_path, phones="null")
    sentence = refuse_here(CROSS, "small.yaml", given, capsys)
    assert "phones" in sentence
    # Beside the audio nothing lies, so that nothing is left.
    skipped = tmp_path / "run" / "manifests" / "skipped.csv"
    assert not skipped.exists() or list(csv.reader(skipped.open()))
