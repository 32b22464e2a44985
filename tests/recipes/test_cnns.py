"""The two CNNs of Sharma (2023), trained as a user does."""

import numpy as np
import pytest
import torch

from speechbrain_ext.models.cnn import MobileNetHead
from speechbrain_ext.utterance import load_manifest
from tests.recipes.results import checked, posteriors
from tests.recipes.running import (
    SHARMA,
    kill_and_finish,
    overriding,
    refuse_here,
    run,
    run_here,
    script,
)

pytest.importorskip("librosa")
pytest.importorskip("torchvision")


@pytest.fixture(scope="module")
def options(tmp_path_factory, synthetic_folder):
    """A function that makes a run a matter of seconds."""
    return overriding(
        synthetic_folder=str(synthetic_folder),
        protocol="makiuchi_grouped",
        cache_folder=str(tmp_path_factory.mktemp("cache")),
        preprocessing=None,
        balancing=None,
        number_of_epochs=1,
    )


def test_features(options, tmp_path):
    given = options(tmp_path, hidden=16, number_of_epochs=2)
    folder, results = checked(*run_here(SHARMA, "cnn.yaml", given))
    named = results["recipe"], results["hparams"], results["encoder_source"]
    assert named == ("speech_text_fusion", "cnn.yaml", "classical")


def test_without_a_store_all_is_the_same(options, tmp_path):
    more = {"hidden": 16, "dropout": 0.0}
    given = [
        options(tmp_path / "kept", **more),
        options(tmp_path / "not", feature_folder="null", **more),
    ]
    found = [run_here(SHARMA, "cnn.yaml", one) for one in given]
    kept, live = (posteriors(one, found[0][1]["classes"]) for one, _ in found)
    for id, row in kept.items():
        np.testing.assert_allclose(row, live[id], atol=1e-3)


@pytest.mark.slow
def test_killed_within_an_epoch_it_ends_with_the_same_figures(
    options, tmp_path
):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    more = {"hidden": 16, "batch_size": 8}
    whole = run(SHARMA, "cnn.yaml", options(tmp_path / "a", **more))
    kill_and_finish(SHARMA, "cnn.yaml", options(tmp_path / "b", **more), whole)


@pytest.mark.slow
@pytest.mark.parametrize("gender", [False, True])
@pytest.mark.parametrize("shift", [1.0, 0.01])
def test_images(options, tmp_path, gender, shift):
    """The four experiments, from weights of a file."""
    path = tmp_path / "weights.pth"
    torch.save(MobileNetHead(3).network.state_dict(), path)
    given = options(
        tmp_path,
        weights=str(path),
        gender=gender,
        block_shift=shift,
        max_blocks=None if shift == 1 else 2,
        trained="all" if gender else "classifier",
        class_weights=gender,
        # Made anew each time, or kept.
        feature_folder=str(tmp_path / "kept") if gender else None,
        feature_dtype="float32",
    )
    folder, results = checked(*run_here(SHARMA, "mobilenet.yaml", given))
    assert results["encoder_source"] == "blocks"
    (file,) = folder.glob("save/CKPT+*/head.ckpt")
    state = torch.load(file, weights_only=True)
    count = len(results["classes"]) * (2 if gender else 1)
    assert state["network.classifier.1.bias"].shape == (count,)
    start = torch.load(path)["features.0.0.weight"]
    frozen = torch.equal(state["network.features.0.0.weight"], start)
    assert frozen == (not gender)
    assert (tmp_path / "kept").exists() == gender


@pytest.mark.parametrize("gender", [False, True])
def test_blocks_are_examples_of_their_own(options, tmp_path, gender):
    """The loss is the mean over blocks, each with the class of its utterance
    and, perhaps, of its speaker's gender."""
    cnns, train = script(SHARMA, "cnns"), script(SHARMA, "train")
    assert train.ImageBrain.__name__ == cnns.ImageBrain.__name__
    torch.manual_seed(0)
    log_probs = torch.randn(6, 4).log_softmax(1)
    lengths = torch.tensor([1, 3, 2])

    class Batch:
        id = ["a", "b", "c"]

        class labels:
            data = torch.tensor([1, 0, 1])

    brain = object.__new__(cnns.ImageBrain)
    brain.hparams = type("Hparams", (), {"gender": gender})
    brain.weights = torch.tensor([0.5, 2.0]) if gender else None
    brain.genders = {"a": 1, "b": 0, "c": 0}
    stage = cnns.sb.Stage.TRAIN
    found = brain.compute_objectives((log_probs, lengths), Batch, stage)
    # Women's and men's of a class lie side by side.
    each = [3, 0, 0, 0, 2, 2] if gender else [1, 0, 0, 0, 1, 1]
    losses = -log_probs[range(6), each]
    if gender:
        weights = torch.tensor([2.0, 0.5, 0.5, 0.5, 2.0, 2.0])
        expected = (losses * weights).sum() / weights.sum()
    else:
        expected = losses.mean()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "yaml, more, sentence",
    [
        ("mobilenet.yaml", {"weights": "/no/such.pth"}, "weights: '/no/such"),
        ("mobilenet.yaml", {"block_shift": 0}, "block_shift: expected a num"),
        ("mobilenet.yaml", {"max_blocks": 0}, "max_blocks: expected a whole"),
        ("mobilenet.yaml", {"trained": "top"}, "trained: expected one of all"),
        ("mobilenet.yaml", {"gender": "both"}, "gender: expected true or f"),
        ("cnn.yaml", {"l1": -1}, "l1: expected a number from 0, got -1"),
        ("cnn.yaml", {"kernel_size": 0}, "kernel_size: expected a whole num"),
    ],
)
def test_options_that_are_refused(
    options, tmp_path, yaml, more, sentence, capsys
):
    found = refuse_here(SHARMA, yaml, options(tmp_path, **more), capsys)
    assert sentence in found
    assert not (tmp_path / "run" / "manifests").exists()


def test_a_voice_of_no_known_gender(options, tmp_path, monkeypatch, capsys):
    train = script(SHARMA, "train")
    prepared = train.prepared_splits

    def nameless(*args):
        splits = prepared(*args)
        for one in splits["train"]:
            object.__setattr__(one, "gender", None)
        return splits

    monkeypatch.setattr(train, "prepared_splits", nameless)
    given = options(tmp_path, weights="null", gender=True)
    found = refuse_here(SHARMA, "mobilenet.yaml", given, capsys)
    assert "of no known gender, not female or male; set gender" in found


def test_pictures_of_features(options, tmp_path, figures, capsys):
    given = options(tmp_path, classifier="bayes")
    del given["number_of_epochs"]
    folder, _ = run_here(SHARMA, "classical.yaml", given)
    out = tmp_path / "out" / "a.png"
    store = f"--feature_folder={given['cache_folder']}/features"
    module = script(SHARMA, "figures")
    module.main([str(out), str(folder), store])
    assert out.exists()
    utterances = load_manifest(folder / "manifests" / "train.json")
    assert f"{len(utterances)} recordings" in capsys.readouterr().out
    lines = out.with_suffix(".csv").read_text().splitlines()
    assert lines[0] == "feature,emotion,p5,p25,p50,p75,p95"
    assert len(lines) == 1 + 2 * len({one.emotion for one in utterances})
    for line in lines[1:]:
        shares = [float(x) for x in line.split(",")[2:]]
        assert shares == sorted(shares) and shares[0] > 0
    medians = [float(x.split(",")[4]) for x in lines[1:]]
    half = len(medians) // 2
    assert medians[:half] == sorted(medians[:half])
    with pytest.raises(SystemExit):
        module.main([str(out), str(tmp_path)])
    assert "give the folder of a run whose data" in capsys.readouterr().err
