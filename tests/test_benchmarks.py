"""The benchmarks run and count right; how fast anything is, is not tested."""

import numpy as np
import pytest
import torch

from speechbrain_ext.utterance import Utterance
from tests.benchmarks import (
    baseline_linear,
    bench_features,
    bench_finetuning,
    bench_preparation,
    bench_whisper,
)
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.corpora.test_goemotions import write as write_goemotions
from tests.text_checkpoints import make_text_checkpoint


@pytest.fixture
def encoder_source(tmp_path):
    return make_whisper_checkpoint(tmp_path / "whisper")


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Loading a recipe's YAML seeds everything; others shall not notice."""
    with torch.random.fork_rng():
        yield


@pytest.fixture
def tables(capsys):
    """A function that runs a benchmark and gives the rows of its tables."""

    def run(bench, *words, **options):
        given = [f"--{name}={value}" for name, value in options.items()]
        bench.main([*given, *words])
        found = []
        for block in capsys.readouterr().out.split("\n\n"):
            if block.strip().startswith("|"):
                rows = [
                    [cell.strip() for cell in line.strip("| ").split("|")]
                    for line in block.strip().splitlines()
                ]
                found.append(rows[2:])
        return found

    return run


def by_name(rows):
    return {row[0]: row[1:] for row in rows}


@pytest.fixture
def ravdess(tmp_path, write_audio):
    """All emotions of six actors, half a second of noise each."""
    rng = np.random.default_rng(1)
    for actor in ("01", "02", "21", "22", "23", "24"):
        for emotion in range(1, 9):
            name = f"03-01-{emotion:02d}-01-01-01-{actor}.wav"
            data = rng.normal(0, 0.1, 8000)
            write_audio(f"ravdess/Actor_{actor}/{name}", data=data)
    return tmp_path / "ravdess"


def test_features(ravdess, encoder_source, tables):
    epochs, differences, hdf5 = tables(
        bench_features,
        *("--hdf5", "--utterances=4", "--repeats=1", "--epochs=1"),
        data_folder=ravdess,
        encoder_source=encoder_source,
    )
    epochs, differences = by_name(epochs), by_name(differences)
    assert list(epochs) == ["float16", "float32", "encoder runs"]
    # 25 frames of 4 hidden states of 32 channels, after 128 bytes of header.
    for name, size in ("float16", 2), ("float32", 4):
        expected = (25 * 4 * 32 * size + 128) * 7200 / 1e6
        assert float(epochs[name][3]) == pytest.approx(expected, abs=0.05)
    assert 0 < float(differences["posteriors, absolute"][0]) < 0.01
    assert differences["utterances whose class changes"] == ["0 of 1"]
    assert [row[0] for row in hdf5] == ["write", "read"]
    assert all(float(x) > 0 for row in hdf5 for x in row[1:])


def test_whisper(encoder_source, tables):
    (rows,) = tables(
        bench_whisper,
        *("--seconds", "0.1", "0.2", "--batch_sizes", "1", "2", "--repeats=1"),
        encoder_source=encoder_source,
    )
    sizes = [tuple(row[:2]) for row in rows]
    assert sizes == [("0.1", "1"), ("0.1", "2"), ("0.2", "1"), ("0.2", "2")]


def test_finetuning(ravdess, tmp_path, tables):
    source = make_ssl_checkpoint(tmp_path / "wav2vec2", "wav2vec2")
    steps, norms = tables(
        bench_finetuning,
        *("--utterances=2", "--repeats=1"),
        data_folder=ravdess,
        encoder_source=source,
    )
    names = ["SpeechBrain", "from waveforms", "from stored convolutions"]
    assert [row[0] for row in steps] == names
    assert steps[0][2] == by_name(norms)["padded"][1] == "1.00"
    assert float(by_name(norms)["valid"][1]) > 0


def test_linear_baseline(ravdess, encoder_source, tmp_path, tables):
    (rows,) = tables(
        baseline_linear,
        data_folder=ravdess,
        encoder_source=encoder_source,
        feature_folder=tmp_path / "features",
    )
    assert [tuple(row[:3]) for row in rows] == [
        (layers, statistics, by)
        for layers in ("last", "all")
        for statistics in ("mean", "mean, sd")
        for by in ("global", "speaker")
    ]
    assert all(0 <= float(x) <= 100 for row in rows for x in row[3:])


def test_linear_baseline_of_texts(tables, tmp_path):
    (rows,) = tables(
        baseline_linear,
        "--text",
        data_folder=write_goemotions(tmp_path / "texts"),
        corpus="goemotions",
        protocol="goemotions",
        encoder_source=make_text_checkpoint(tmp_path / "bert"),
        feature_folder=tmp_path / "features",
    )
    ways = ["global", "global, class weights"]
    assert [row[2] for row in rows] == 2 * ways
    assert all(0 <= float(x) <= 100 for row in rows for x in row[3:])


def test_linear_baseline_sees_what_is_there():
    rng = np.random.default_rng(0)
    data, pooled = {}, {}
    for name, speakers in ("train", "abc"), ("valid", "d"), ("test", "ef"):
        data[name], pooled[name] = [], []
        for speaker in speakers:
            own = rng.normal(0, 100, 4)
            for number in range(20):
                emotion = ("sad", "happy")[number % 2]
                data[name].append(
                    Utterance(
                        f"{speaker}{number}", 1.0, speaker, emotion, "demo"
                    )
                )
                shift = np.array([number % 2, 0, 0, 0])
                pooled[name].append(own + shift + rng.normal(0, 0.01, 4))
        pooled[name] = np.array(pooled[name])
    # The speaker hides the emotion, unless speakers are normalised.
    assert baseline_linear.recall(pooled, data, "speaker") == [100, 100]
    assert min(baseline_linear.recall(pooled, data, "global")) < 90


def test_preparation(tables):
    (rows,) = tables(bench_preparation, "--growth", "60")
    assert [row[0] for row in rows] == ["60"]
    assert all(float(cell) >= 0 for cell in rows[0][1:])
