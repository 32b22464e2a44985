"""The recipe of Pepino et al. (2021): every YAML, and every option."""

import shutil

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.utterance import load_manifest
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.corpora.trees import snapshot
from tests.recipes.results import checked, compare, posteriors, read_table
from tests.recipes.running import (
    EMBEDDINGS,
    kill_and_finish,
    overriding,
    refuse_here,
    run,
    run_here,
)

SEVEN = ["neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised"]


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Where all tests of this file keep features."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def options(features, short_ravdess, wav2vec2):
    """A function that makes a run a matter of seconds."""
    return overriding(
        data_folder=str(short_ravdess),
        feature_folder=str(features),
        encoder_source=wav2vec2,
        number_of_epochs=2,
        batch_size=16,
        lr=0.01,
        hidden=16,
    )


@pytest.fixture(scope="module")
def train(options):
    """A function that runs a YAML in this process: folder and results."""

    def train(folder, yaml="ravdess.yaml", **more):
        done = run_here(EMBEDDINGS, yaml, options(folder, **more))
        return checked(*done, exact=more.get("feature_dtype") == "float32")

    return train


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, options):
    """A finished run of the command: its folder, output and results."""
    folder = tmp_path_factory.mktemp("undisturbed")
    overrides = options(folder, number_of_epochs=3, feature_dtype="float32")
    return run(EMBEDDINGS, "ravdess.yaml", overrides)


@pytest.mark.slow
def test_the_command_leaves_what_it_should(undisturbed):
    folder, output, results = undisturbed
    checked(folder, results)
    assert f"Run folder: {folder}" in output and "recall" in output
    assert "from test recordings without labels, too: speech" in output
    named = results["recipe"], results["hparams"], results["normalization"]
    assert named == ("ssl_embeddings", "ravdess.yaml", "speaker")
    assert results["classes"] == SEVEN
    assert (results["seed"], results["fold"]) == (1, 1)
    protocol = results["protocol"]
    assert protocol["name"] == "pepino_ravdess"
    assert protocol["recordings"] == {"train": 160, "valid": 16, "test": 16}
    assert protocol["speakers"] == {"train": 20, "valid": 2, "test": 2}
    assert protocol["speakers_shared_with_train"] == {"valid": 0, "test": 0}
    assert len(results["layer_weights"]) == 4
    assert sum(results["layer_weights"]) == pytest.approx(1)
    log = (folder / "train_log.txt").read_text().splitlines()
    assert len(log) == 3 and "UA" in log[0]
    # Speakers are not in the checkpoint.
    (file, *_) = (folder / "save").glob("CKPT+*/normalizer.ckpt")
    assert set(torch.load(file, weights_only=True)) == {"size"}


@pytest.mark.slow
def test_killed_within_an_epoch_it_ends_with_the_same_figures(
    undisturbed, options, tmp_path
):
    overrides = options(tmp_path, number_of_epochs=3, feature_dtype="float32")
    kill_and_finish(EMBEDDINGS, "ravdess.yaml", overrides, undisturbed)


def test_features_are_extracted_once(undisturbed, features, train, tmp_path):
    before = snapshot(features)
    train(tmp_path, seed=2, feature_dtype="float32", head_kind="lstm")
    assert len(list(features.rglob("*.npy"))) >= 192
    assert snapshot(features) == before


@pytest.mark.parametrize("normalization", ["speaker", "global"])
def test_without_a_store_all_is_the_same(train, tmp_path, normalization):
    found = []
    for name, store in (("computed", {"feature_folder": "null"}), ("kept", {})):
        folder, results = train(
            tmp_path / name,
            feature_dtype="float32",
            normalization=normalization,
            max_length=0.4,
            lr=0.001,
            **store,
        )
        found.append(posteriors(folder, results["classes"]))
        seen = ["speech"] if normalization == "speaker" else []
        assert results["unlabelled_test_data_used"] == seen
    assert list(found[0]) == list(found[1])
    compare(*found, atol=2e-3)


def test_float16_changes_little(undisturbed, train, tmp_path):
    folder, _ = train(tmp_path, number_of_epochs=3)
    expected = posteriors(undisturbed[0], SEVEN)
    compare(posteriors(folder, SEVEN), expected, atol=0.02)


def test_improvised_turns_with_full_agreement(
    train, short_iemocap, wav2vec2, tmp_path
):
    """Normalised by statistics of the training data alone."""
    folder, results = train(
        tmp_path,
        "iemocap.yaml",
        data_folder=str(short_iemocap),
        protocol="issa_iemocap",
        normalization="global",
    )
    recordings = results["protocol"]["recordings"]
    assert recordings == {"train": 30, "valid": 10, "test": 10}
    train_set = load_manifest(folder / "manifests/train.json")
    samples = [round(16000 * utterance.duration) for utterance in train_set]
    grid = load_encoder(wav2vec2).grid
    (file, *_) = (folder / "save").glob("CKPT+*/normalizer.ckpt")
    saved = torch.load(file, weights_only=True)
    assert saved["count"] == sum(map(grid.num_frames, samples))


def test_iemocap(train, short_iemocap, tmp_path):
    folder, results = train(
        tmp_path, "iemocap.yaml", data_folder=str(short_iemocap), fold=3
    )
    assert results["classes"] == ["neutral", "happy", "sad", "angry"]
    protocol = results["protocol"]
    assert (protocol["fold"], protocol["folds"]) == (3, 5)
    assert protocol["recordings"] == {"train": 60, "valid": 20, "test": 20}
    assert protocol["speakers_shared_with_train"] == {"valid": 0, "test": 0}
    tests = load_manifest(folder / "manifests" / "test.json")
    assert {utterance.session for utterance in tests} == {"Ses03"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hubert", "wavlm", "whisper"])
def test_fusion(kind, train, short_iemocap, tmp_path):
    more = {"feature_dtype": "float32"}
    if kind == "whisper":
        yaml, more["data_folder"] = "iemocap_fusion.yaml", str(short_iemocap)
        checkpoint = make_whisper_checkpoint(tmp_path / "encoder")
    else:
        yaml, more["max_length"] = "ravdess_fusion.yaml", 0.5
        more["normalization"] = "global" if kind == "hubert" else "speaker"
        checkpoint = make_ssl_checkpoint(tmp_path / "encoder", kind, "large")
    folder, results = train(tmp_path, yaml, encoder_source=checkpoint, **more)
    assert len(results["layer_weights"]) == 4


def test_bad_recordings_are_left_out(train, short_ravdess, tmp_path):
    data = shutil.copytree(short_ravdess, tmp_path / "data")
    empty, broken = sorted(data.rglob("03-01-05-*.wav"))[:2]
    empty.write_bytes(b"")
    samples, rate = soundfile.read(broken, dtype="float32")
    samples[100] = np.nan
    soundfile.write(broken, samples, rate, subtype="FLOAT")
    folder, results = train(
        tmp_path,
        data_folder=str(data),
        encoder_source="spectrogram",
        normalization="global",
        feature_dtype="float32",
    )
    table = read_table(folder / "manifests" / "skipped.csv")
    skipped = {row["file"]: row["reason"] for row in table}
    assert set(skipped) == {str(empty), str(broken)}
    assert "not finite" in skipped[str(broken)]
    assert results["protocol"]["skipped"] == 2
    assert results["protocol"]["recordings"]["train"] == 158
    assert results["layer_weights"] is None


@pytest.mark.parametrize(
    "option",
    [
        ("layers", "local"),
        ("layers", "contextual"),
        ("encoder_source", "egemaps"),
    ],
    ids=str,
)
def test_without_a_mixture(option, train, tmp_path):
    """One layer, or features that nothing was trained for."""
    folder, results = train(tmp_path, **dict([option]), feature_dtype="float32")
    assert results["layer_weights"] is None
    assert results["normalization"] == "speaker"


def test_random_folds(options, train, tmp_path, capsys):
    """The epoch that counts is the best one; no work is done twice."""
    more = {"protocol": "issa_ravdess", "fold": 2, "head_kind": "lstm"}
    more |= {"stop_by": "UA", "number_of_epochs": 4, "lr": 0.05}
    folder, results = train(tmp_path, **more)
    assert len(results["classes"]) == 8
    protocol = results["protocol"]
    assert (protocol["fold"], protocol["folds"]) == (2, 5)
    assert protocol["speakers_shared_with_train"]["test"] > 10
    log = (folder / "train_log.txt").read_text()
    best = max(
        float(line.split("valid UA: ")[1].split(",")[0])
        for line in log.splitlines()
    )
    assert results["valid"]["UA"] == pytest.approx(best, abs=0.01 * best)
    before = snapshot(folder)
    assert train(tmp_path, **more) == (folder, results)
    assert "This run is finished" in capsys.readouterr().out
    assert snapshot(folder) == before


NO_PLACE = "/no/such/place"
APART = "inputs: the frames of 'egemaps' are 20 ms apart, those of 'speech' 10"


@pytest.mark.parametrize(
    "option, value, sentence",
    [
        ("protocol", "pepino", ": expected one of pepino_ravdess, "),
        ("head_kind", "fusion", ": 'fusion' does not fit the inputs"),
        ("data_folder", NO_PLACE, NO_PLACE),
        ("encoder_source", NO_PLACE, NO_PLACE),
        ("encoder_source", "spectrogram", APART),
    ],
)
def test_what_cannot_be_is_said(
    option, value, sentence, options, tmp_path, capsys
):
    yaml = "ravdess_fusion.yaml" if sentence == APART else "ravdess.yaml"
    overrides = options(tmp_path, **{option: value})
    found = refuse_here(EMBEDDINGS, yaml, overrides, capsys)
    if sentence.startswith(":"):
        sentence = option + sentence
    assert sentence in found
    # Some are found before the corpus is read.
    assert not (sentence == APART and (tmp_path / "run" / "manifests").exists())
