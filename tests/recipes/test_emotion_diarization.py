"""Every YAML of the recipe trains, resumes and tells what is wrong."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch

from speechbrain_ext.inference.command import main as diarize_files
from speechbrain_ext.metrics.eder import main as score_files
from speechbrain_ext.metrics.hypotheses import read_rttm
from speechbrain_ext.utterance import load_manifest
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.recipes.running import (
    DIARIZATION,
    ONE_PASS,
    command,
    environment,
    quickstart,
    ravdess_tree,
    read_results,
    run,
    run_here,
    zed_tree,
)

LARGE = "large.yaml"


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory, synthetic_folder):
    return ravdess_tree(tmp_path_factory.mktemp("ravdess"), synthetic_folder)


@pytest.fixture(scope="module")
def zed(tmp_path_factory, synthetic_folder):
    return zed_tree(tmp_path_factory.mktemp("zed"), synthetic_folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, synthetic_folder):
    """A finished small quickstart: its folder and its output."""
    folder = tmp_path_factory.mktemp("undisturbed")
    overrides = quickstart(folder, synthetic_folder)
    output, results = run(DIARIZATION, "quickstart.yaml", overrides, folder)
    return Path(overrides["output_folder"]), output, results


def test_quickstart_leaves_what_it_should(undisturbed):
    folder, output, results = undisturbed
    assert "all neutral" in output and "throughout" in output
    assert f"Run folder: {folder}" in output
    for name in (
        "hyperparams.yaml",
        "train_log.txt",
        "predictions.csv",
        "predictions.rttm",
        "figures/timeline.png",
        "manifests/skipped.csv",
        "manifests/train.json",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert results["protocol"]["speakers_shared_with_train"] == {
        "valid": 0,
        "test": 0,
    }
    parts = results["test"]
    total = sum(
        parts[name]
        for name in ("false_alarm", "missed_emotion", "confusion", "overlap")
    )
    assert total == pytest.approx(parts["eder"])
    assert results["systems"]["all neutral"]["false_alarm"] == 0


def test_predictions_score_the_same_by_the_command(undisturbed, capsys):
    """The metric's own command, on files alone, agrees with the run."""
    folder, _, results = undisturbed
    score_files(
        [
            f"--reference={folder / 'manifests' / 'test.json'}",
            f"--hypothesis={folder / 'predictions.rttm'}",
            f"--csv={folder / 'again.csv'}",
        ]
    )
    eder = f"{results['test']['eder']:.1f}"
    assert eder in capsys.readouterr().out


def test_a_long_recording_by_the_commands(undisturbed, tmp_path):
    """Join test utterances, diarize the file in windows, score the RTTM."""
    out = tmp_path / "long"
    joined = subprocess.run(
        [
            sys.executable,
            str(DIARIZATION / "join.py"),
            str(undisturbed[0]),
            str(out),
            "--minutes=0.4",
        ],
        capture_output=True,
        text=True,
    )
    assert joined.returncode == 0, joined.stderr
    reference = json.loads((out / "reference.json").read_text())["long"]
    assert reference["duration"] >= 24
    assert soundfile.info(out / "long.wav").duration == reference["duration"]
    tests = load_manifest(undisturbed[0] / "manifests" / "test.json")
    first = tests[0].emotion[0]
    assert reference["emotion"][0] == pytest.approx(first)

    rttm = out / "long.rttm"
    diarize_files(
        [
            "diarize",
            str(undisturbed[0]),
            str(out / "long.wav"),
            f"--rttm={rttm}",
            f"--plot={out / 'long.png'}",
            f"--reference={out / 'reference.json'}",
        ]
    )
    assert (out / "long.png").stat().st_size > 0
    score_files(
        [f"--reference={out / 'reference.json'}", f"--hypothesis={rttm}"]
    )
    segments = read_rttm(rttm)["long"]
    assert segments[-1]["end"] == pytest.approx(reference["duration"])


def test_more_than_there_is_cannot_be_joined(undisturbed, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            str(DIARIZATION / "join.py"),
            str(undisturbed[0]),
            str(tmp_path),
            "--minutes=60",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "minutes: the utterances" in done.stderr


def test_finished_work_is_not_done_twice(undisturbed, synthetic_folder):
    folder, _, results = undisturbed
    log = (folder / "train_log.txt").read_text()
    overrides = quickstart(folder.parent, synthetic_folder)
    output, again = run(
        DIARIZATION, "quickstart.yaml", overrides, folder.parent
    )
    assert "This run is finished" in output and "all neutral" in output
    assert again == results
    assert (folder / "train_log.txt").read_text() == log


def test_other_options_do_not_meet_an_old_preparation(
    undisturbed, synthetic_folder, tmp_path
):
    folder = shutil.copytree(undisturbed[0], tmp_path / "run")
    (folder / "results.json").unlink()
    overrides = quickstart(tmp_path, synthetic_folder)
    overrides["simulation"] = {**ONE_PASS, "test": {"passes": 2}}
    done = subprocess.run(
        command(DIARIZATION, "quickstart.yaml", overrides),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "simulation.test.passes was 1, now 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_options_do_not_meet_a_finished_run(
    undisturbed, synthetic_folder
):
    folder = undisturbed[0]
    before = (folder / "hyperparams.yaml").read_text()
    overrides = quickstart(folder.parent, synthetic_folder, lr=0.5, seed=9)
    done = subprocess.run(
        command(DIARIZATION, "quickstart.yaml", overrides),
        cwd=folder.parent,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "all neutral" not in done.stdout
    assert "seed was 1, now 9; lr was 0.005, now 0.5" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "hyperparams.yaml").read_text() == before


def test_without_its_results_a_run_is_finished_again(
    undisturbed, synthetic_folder, tmp_path
):
    folder = shutil.copytree(undisturbed[0], tmp_path / "run")
    (folder / "results.json").unlink()
    log = (folder / "train_log.txt").read_text()
    results = run_here(
        DIARIZATION, "quickstart.yaml", quickstart(tmp_path, synthetic_folder)
    )
    assert results["test"] == undisturbed[2]["test"]
    assert (folder / "train_log.txt").read_text() == log


def test_quickstart_makes_its_own_data(synthetic_folder, tmp_path):
    """As a user starts it, with fewer voices and sentences."""
    overrides = quickstart(
        tmp_path,
        synthetic_folder,
        make_data={"speakers": 4, "sentences": 2},
        seed=3,
        number_of_epochs=1,
    )
    del overrides["data_folder"]
    results = run_here(DIARIZATION, "quickstart.yaml", overrides)
    made = Path(overrides["output_folder"]) / "synthetic_speech"
    index = json.loads((made / "synthetic.json").read_text())
    assert index["seed"] == 3
    assert len(list(made.rglob("*.wav"))) == 4 * 2 * 4
    assert results["test"]["utterances"] > 0


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_figures(
    undisturbed, synthetic_folder, tmp_path
):
    _, _, expected = undisturbed
    overrides = quickstart(tmp_path, synthetic_folder, ckpt_interval_steps="2")
    rng = random.Random(20)
    kills = 0
    while not (Path(overrides["output_folder"]) / "results.json").exists():
        process = subprocess.Popen(
            command(DIARIZATION, "quickstart.yaml", overrides),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Start-up alone takes some seconds; later tries get further.
        deadline = time.time() + rng.uniform(6, 9) + 2 * kills
        while process.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        else:
            assert process.returncode == 0
    assert kills >= 1
    found = read_results(overrides)
    assert found["test"] == expected["test"]
    assert found["valid"] == expected["valid"]
    for name in ("predictions.rttm", "manifests/train.json"):
        here = (Path(overrides["output_folder"]) / name).read_bytes()
        assert here == (undisturbed[0] / name).read_bytes()


@pytest.mark.slow
def test_killed_within_an_epoch_it_goes_on_there(
    undisturbed, synthetic_folder, tmp_path
):
    """The checkpoint within an epoch holds all that the rest depends on."""
    overrides = quickstart(tmp_path, synthetic_folder, ckpt_interval_steps="1")
    save = Path(overrides["output_folder"]) / "save"
    process = subprocess.Popen(
        command(DIARIZATION, "quickstart.yaml", overrides),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and len(checkpoint_texts(save)) < 1:
        time.sleep(0.01)
    process.kill()
    process.wait()
    texts = checkpoint_texts(save)
    assert texts and all("end-of-epoch: false" in text for text in texts)
    output, results = run(DIARIZATION, "quickstart.yaml", overrides, tmp_path)
    assert "Loading a checkpoint" in output
    assert results["test"] == undisturbed[2]["test"]


def checkpoint_texts(save):
    return [mark.read_text() for mark in save.glob("CKPT+*/CKPT.yaml")]


@pytest.mark.slow
def test_frozen_encoder_with_stored_features(ravdess, tmp_path):
    checkpoint = make_whisper_checkpoint(tmp_path / "whisper")
    overrides = {
        "output_folder": str(tmp_path / "run"),
        "cache_folder": str(tmp_path / "cache"),
        "data_folder": str(ravdess),
        "encoder_source": checkpoint,
        "number_of_epochs": 1,
        "simulation": ONE_PASS,
    }
    _, results = run(DIARIZATION, "ravdess_frozen.yaml", overrides, tmp_path)
    assert results["protocol"]["speakers"] == {
        "train": 20,
        "valid": 2,
        "test": 2,
    }
    assert sum(results["layer_weights"]) == pytest.approx(1)
    assert results["tuning"]
    features = stamps(tmp_path / "cache" / "features")
    assert features
    # A second seed finds the features there; without them all is the same.
    again = {**overrides, "output_folder": str(tmp_path / "again"), "seed": 2}
    _, second = run(DIARIZATION, "ravdess_frozen.yaml", again, tmp_path)
    assert stamps(tmp_path / "cache" / "features") == features
    assert second["seed"] == 2
    assert second["layer_weights"] != results["layer_weights"]
    direct = {
        **overrides,
        "output_folder": str(tmp_path / "direct"),
        "feature_folder": "null",
    }
    _, computed = run(DIARIZATION, "ravdess_frozen.yaml", direct, tmp_path)
    assert computed["test"]["eder"] == pytest.approx(
        results["test"]["eder"], abs=3
    )


def stamps(folder):
    """When each stored feature was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wavlm", "hubert", "wav2vec2"])
def test_fine_tuning_tested_on_zed(kind, ravdess, zed, tmp_path):
    overrides = large_overrides(ravdess, zed, tmp_path, kind)
    _, results = run(DIARIZATION, LARGE, overrides, tmp_path)
    assert results["protocol"]["test"] == "ZED"
    assert results["test"]["utterances"] == 3
    assert results["test"]["intervals_over"] == "utterances"


@pytest.mark.slow
def test_bfloat16(ravdess, zed, tmp_path):
    heads = {}
    for precision in ("fp32", "bf16"):
        folder = tmp_path / precision
        overrides = large_overrides(ravdess, zed, folder, precision=precision)
        run(DIARIZATION, LARGE, overrides, tmp_path)
        (path,) = (folder / "run" / "save").glob("CKPT*/head.ckpt")
        heads[precision] = torch.load(path)
    # A run repeats itself bit by bit, so only the precision can differ.
    differences = [
        (weights - heads["bf16"][name]).abs().max().item()
        for name, weights in heads["fp32"].items()
    ]
    assert 0 < max(differences) < 0.01


TWO_PROCESSES = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--nproc_per_node=2",
    "--master_port=29531",
)


@pytest.mark.slow
def test_two_processes(synthetic_folder, tmp_path):
    overrides = quickstart(
        tmp_path, synthetic_folder, distributed_backend="gloo"
    )
    _, results = run(
        DIARIZATION, "quickstart.yaml", overrides, tmp_path, TWO_PROCESSES
    )
    assert results["test"]["utterances"] > 0
    log = Path(overrides["output_folder"]) / "train_log.txt"
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.slow
def test_two_processes_fine_tune(ravdess, zed, tmp_path):
    overrides = large_overrides(
        ravdess, zed, tmp_path, distributed_backend="gloo"
    )
    _, results = run(DIARIZATION, LARGE, overrides, tmp_path, TWO_PROCESSES)
    assert results["test"]["utterances"] == 3


@pytest.mark.parametrize(
    "override, sentence",
    [
        ({"zed_folder": "/no/such/place"}, "/no/such/place"),
        ({"ravdess_folder": "/no/such/place"}, "/no/such/place"),
        ({"ravdess_folder": "null"}, "no recording is left to train on"),
        ({"encoder_source": "/no/such/encoder"}, "/no/such/encoder"),
    ],
)
def test_wrong_folders(override, sentence, ravdess, zed, tmp_path):
    overrides = large_overrides(ravdess, zed, tmp_path)
    done = subprocess.run(
        command(DIARIZATION, LARGE, {**overrides, **override}),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr[-2000:]
    assert sentence in done.stderr and "Traceback" not in done.stderr
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
    _, results = run(DIARIZATION, "ravdess_frozen.yaml", overrides, tmp_path)
    eder = {name: each["eder"] for name, each in results["systems"].items()}
    assert results["test"]["eder"] < eder["all neutral"] - 10
    (throughout,) = (e for name, e in eder.items() if "throughout" in name)
    assert results["test"]["eder"] < throughout - 10


def test_nothing_is_written_into_a_corpus(ravdess):
    """Runs before have used this folder."""
    names = {path.suffix for path in ravdess.rglob("*") if path.is_file()}
    assert names == {".wav"}
    assert len(list(ravdess.rglob("*.wav"))) == 96
    assert soundfile.info(next(ravdess.rglob("*.wav"))).samplerate == 16000
