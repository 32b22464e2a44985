"""Every YAML of the recipe trains, resumes and tells what is wrong."""

import json
import shutil
from functools import partial

import pytest
import soundfile
import torch

from speechbrain_ext.inference.command import main as diarize_files
from speechbrain_ext.metrics.eder import main as score_files
from speechbrain_ext.metrics.hypotheses import read_rttm
from speechbrain_ext.utterance import load_manifest
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.corpora.trees import snapshot
from tests.recipes.running import (
    DIARIZATION,
    ONE_PASS,
    TWO_PROCESSES,
    kill_and_finish,
    kill_when,
    quickstart,
    ravdess_tree,
    refuse_here,
    run,
    run_here,
    script,
    unchanged,
    zed_tree,
)

QUICK, FROZEN, LARGE = "quickstart.yaml", "ravdess_frozen.yaml", "large.yaml"


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory, synthetic_folder):
    folder = tmp_path_factory.mktemp("ravdess")
    yield from unchanged(ravdess_tree(folder, synthetic_folder))


@pytest.fixture(scope="module")
def zed(tmp_path_factory, synthetic_folder):
    folder = tmp_path_factory.mktemp("zed")
    yield from unchanged(zed_tree(folder, synthetic_folder))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, synthetic_folder):
    """A finished small quickstart: its folder and its output."""
    folder = tmp_path_factory.mktemp("undisturbed")
    overrides = quickstart(folder, synthetic_folder)
    return run(DIARIZATION, QUICK, overrides)


def test_quickstart_leaves_what_it_should(undisturbed, capsys):
    folder, output, results = undisturbed
    assert "all neutral" in output and "throughout" in output
    assert f"Run folder: {folder}" in output
    names = "hyperparams.yaml train_log.txt predictions.csv predictions.rttm "
    names += "figures/timeline.png manifests/skipped.csv manifests/train.json"
    assert all((folder / name).stat().st_size for name in names.split())
    shared = results["protocol"]["speakers_shared_with_train"]
    assert shared == {"valid": 0, "test": 0}
    test = results["test"]
    parts = ("false_alarm", "missed_emotion", "confusion", "overlap")
    assert sum(test[name] for name in parts) == pytest.approx(test["eder"])
    assert results["systems"]["all neutral"]["false_alarm"] == 0
    # The metric's own command, on files alone, agrees with the run.
    truth = f"--reference={folder / 'manifests' / 'test.json'}"
    found = f"--hypothesis={folder / 'predictions.rttm'}"
    score_files([truth, found, f"--csv={folder / 'again.csv'}"])
    assert f"{test['eder']:.1f}" in capsys.readouterr().out


def test_a_long_recording_by_the_commands(undisturbed, tmp_path, capsys):
    """Join test utterances, diarize the file in windows, score the RTTM."""
    out, join = tmp_path / "long", script(DIARIZATION, "join").main
    join([str(undisturbed[0]), str(out), "--minutes=0.4"])
    reference = json.loads((out / "reference.json").read_text())["long"]
    assert reference["duration"] >= 24
    assert soundfile.info(out / "long.wav").duration == reference["duration"]
    tests = load_manifest(undisturbed[0] / "manifests" / "test.json")
    first = tests[0].emotion[0]
    assert reference["emotion"][0] == pytest.approx(first)

    rttm, truth = out / "long.rttm", f"--reference={out / 'reference.json'}"
    plot, wav = f"--plot={out / 'long.png'}", str(out / "long.wav")
    source = str(undisturbed[0])
    diarize_files(["diarize", source, wav, f"--rttm={rttm}", plot, truth])
    assert (out / "long.png").stat().st_size > 0
    score_files([truth, f"--hypothesis={rttm}"])
    segments = read_rttm(rttm)["long"]
    assert segments[-1]["end"] == pytest.approx(reference["duration"])
    with pytest.raises(SystemExit):
        join([source, str(tmp_path / "no"), "--minutes=60"])
    assert "minutes: the utterances" in capsys.readouterr().err


def test_finished_work_is_not_done_twice(
    undisturbed, synthetic_folder, tmp_path
):
    """Not even that of a run that has lost its results."""
    folder = shutil.copytree(undisturbed[0], tmp_path / "run")
    log = (folder / "train_log.txt").read_text()
    overrides = quickstart(tmp_path, synthetic_folder)
    (folder / "results.json").unlink()
    _, results = run_here(DIARIZATION, QUICK, overrides)
    assert results["test"] == undisturbed[2]["test"]
    _, output, again = run(DIARIZATION, QUICK, overrides)
    assert "This run is finished" in output and "all neutral" in output
    assert again == results
    assert (folder / "train_log.txt").read_text() == log


def test_quickstart_makes_its_own_data(synthetic_folder, tmp_path):
    """As a user starts it, with fewer voices and sentences."""
    more = {"make_data": {"speakers": 4, "sentences": 2}, "seed": 3}
    more["number_of_epochs"] = 1
    overrides = quickstart(tmp_path, synthetic_folder, **more)
    del overrides["data_folder"]
    folder, results = run_here(DIARIZATION, QUICK, overrides)
    made = folder / "synthetic_speech"
    index = json.loads((made / "synthetic.json").read_text())
    assert index["seed"] == 3
    assert len(list(made.rglob("*.wav"))) == 4 * 2 * 4
    assert results["test"]["utterances"] > 0


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_figures(
    undisturbed, synthetic_folder, tmp_path
):
    """In preparation, within an epoch, and after each epoch."""

    def epochs(folder, count):
        log = folder / "train_log.txt"
        return log.exists() and len(log.read_text().splitlines()) == count

    overrides = quickstart(tmp_path, synthetic_folder)
    moments = [partial(epochs, count=count) for count in (1, 2)]
    task = DIARIZATION, QUICK, overrides
    in_preparation = (tmp_path / "run" / "manifests").exists
    assert kill_when(in_preparation, *task) == -9
    kill_and_finish(*task, undisturbed, *moments)


@pytest.mark.slow
def test_frozen_encoder_with_stored_features(ravdess, tmp_path):
    checkpoint = make_whisper_checkpoint(tmp_path / "whisper")
    stored = tmp_path / "cache" / "features"

    def train(name, **more):
        overrides = {
            "output_folder": str(tmp_path / name),
            "cache_folder": str(tmp_path / "cache"),
            "data_folder": str(ravdess),
            "encoder_source": checkpoint,
            "number_of_epochs": 1,
            "simulation": ONE_PASS,
            **more,
        }
        return run_here(DIARIZATION, FROZEN, overrides)[1]

    results = train("run")
    speakers = {"train": 20, "valid": 2, "test": 2}
    assert results["protocol"]["speakers"] == speakers
    assert sum(results["layer_weights"]) == pytest.approx(1)
    assert results["tuning"]
    features = snapshot(stored)
    assert any(stored.rglob("*.npy"))
    # A second seed finds the features there; without them all is the same.
    second = train("again", seed=2)
    assert snapshot(stored) == features
    assert second["seed"] == 2
    assert second["layer_weights"] != results["layer_weights"]
    computed = train("direct", feature_folder="null")["test"]["eder"]
    assert computed == pytest.approx(results["test"]["eder"], abs=3)


def large_overrides(ravdess, zed, folder, kind="wavlm", **more):
    checkpoint = make_ssl_checkpoint(folder / "encoder", kind, size="large")
    return {
        "output_folder": str(folder / "run"),
        "cache_folder": str(folder / "cache"),
        "zed_folder": str(zed),
        "ravdess_folder": str(ravdess),
        "encoder_source": checkpoint,
        "number_of_epochs": 1,
        "num_workers": 0,
        # A tenth of four recordings an actor may be none at all.
        "split": "speaker",
        **more,
    }


def check_zed(results):
    assert results["protocol"]["test"] == "ZED"
    assert results["test"]["utterances"] == 3
    assert results["test"]["intervals_over"] == "utterances"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hubert", "wav2vec2"])
def test_fine_tuning_tested_on_zed(kind, ravdess, zed, tmp_path):
    overrides = large_overrides(ravdess, zed, tmp_path, kind)
    check_zed(run_here(DIARIZATION, LARGE, overrides)[1])


@pytest.mark.slow
def test_bfloat16(ravdess, zed, tmp_path):
    heads = {}
    for precision in ("fp32", "bf16"):
        folder = tmp_path / precision
        overrides = large_overrides(ravdess, zed, folder, precision=precision)
        check_zed(run(DIARIZATION, LARGE, overrides)[2])
        (path,) = (folder / "run" / "save").glob("CKPT*/head.ckpt")
        heads[precision] = torch.load(path)
    # A run repeats itself bit by bit, so only the precision can differ.
    differences = [
        (weights - heads["bf16"][name]).abs().max().item()
        for name, weights in heads["fp32"].items()
    ]
    assert 0 < max(differences) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("yaml", [QUICK, LARGE])
def test_two_processes(yaml, synthetic_folder, ravdess, zed, tmp_path):
    overrides = large_overrides(ravdess, zed, tmp_path)
    if yaml == QUICK:
        overrides = quickstart(tmp_path, synthetic_folder)
    overrides["distributed_backend"] = "gloo"
    folder, _, results = run(DIARIZATION, yaml, overrides, TWO_PROCESSES)
    assert results["test"]["utterances"] > 0
    log = (folder / "train_log.txt").read_text()
    assert len(log.splitlines()) == overrides["number_of_epochs"]


@pytest.mark.parametrize(
    "override, sentence",
    [
        ({"zed_folder": "/no/such/place"}, "/no/such/place"),
        ({"ravdess_folder": "/no/such/place"}, "/no/such/place"),
        ({"ravdess_folder": "null"}, "no recording is left to train on"),
        ({"encoder_source": "/no/such/encoder"}, "/no/such/encoder"),
    ],
)
def test_wrong_folders(override, sentence, ravdess, zed, tmp_path, capsys):
    overrides = large_overrides(ravdess, zed, tmp_path, **override)
    assert sentence in refuse_here(DIARIZATION, LARGE, overrides, capsys)
    assert not (tmp_path / "run" / "manifests" / "protocol.json").exists()


@pytest.mark.slow
def test_real_speech(ravdess_folder, speech_encoder, tmp_path):
    """One epoch on real data beats both baselines by far."""
    overrides = {
        "output_folder": str(tmp_path / "run"),
        "cache_folder": str(tmp_path / "cache"),
        "data_folder": ravdess_folder,
        "encoder_source": speech_encoder,
        "number_of_epochs": 1,
        "simulation": ONE_PASS,
    }
    results = run_here(DIARIZATION, FROZEN, overrides)[1]
    systems = results["systems"].items()
    found = {n: x["eder"] for n, x in systems if "post-processing" not in n}
    assert "all neutral" in found and len(found) == 2
    assert results["test"]["eder"] < min(found.values()) - 10
