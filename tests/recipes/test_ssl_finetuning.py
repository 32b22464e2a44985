"""The recipe of Jafarzadeh et al. (2024), with every option of its YAML."""

from itertools import product

import pytest
import torch
import yaml as pyyaml

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import emodb
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.utterance import load_manifest
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.recipes.results import checked, compare, posteriors
from tests.recipes.running import (
    FINETUNING,
    TWO_PROCESSES,
    by_emotion,
    cut,
    kill_and_finish,
    overriding,
    refuse_here,
    run,
    run_here,
    script,
    unchanged,
)

YAML = "finetune.yaml"


@pytest.fixture(scope="session")
def short_emodb(tmp_path_factory, synthetic_folder):
    """70 short recordings with EmoDB's names: ten speakers, seven emotions."""
    folder = tmp_path_factory.mktemp("short") / "emodb"
    sources = list(by_emotion(synthetic_folder).values())
    pairs = product(emodb.GENDERS, enumerate(emodb.CORPUS.emotions))
    for speaker, (place, code) in pairs:
        source = sources[place % len(sources)]
        path = folder / "wav" / f"{speaker}a01{code}a.wav"
        cut(source, path, 10 * int(speaker) + place)
    yield from unchanged(folder)


@pytest.fixture(scope="module")
def hubert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hubert")
    return make_ssl_checkpoint(folder, kind="hubert", size="large")


@pytest.fixture(scope="module")
def options(short_emodb, hubert):
    """A function that makes a run a matter of seconds."""
    return overriding(
        corpus="emodb",
        data_folder=str(short_emodb),
        encoder_source=hubert,
        number_of_epochs=1,
        batch_seconds=6,
        encoder_lr=0.001,
        lr=0.01,
    )


@pytest.fixture(scope="module")
def train(options):
    """A function that trains in this process: folder and results."""

    def train(folder, **more):
        done = run_here(FINETUNING, YAML, options(folder, **more))
        return checked(*done, exact="precision" not in more)

    return train


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, options):
    """A finished run of the command: its folder, output and results."""
    folder = tmp_path_factory.mktemp("undisturbed")
    overrides = options(folder, number_of_epochs=2)
    return run(FINETUNING, YAML, overrides)


def saved(folder, name):
    """The state of a module in the checkpoint of the last epoch."""

    def epoch(path):
        return pyyaml.safe_load((path / "CKPT.yaml").read_text())["epoch"]

    last = max((folder / "save").glob("CKPT+*"), key=epoch)
    return torch.load(last / f"{name}.ckpt", weights_only=True)


def changed(folder, source, **more):
    """Names of the encoder's parameters that training has changed."""
    encoder = load_encoder(source, freeze=False, **more)
    state = saved(folder, "encoder")
    before = dict(encoder.named_parameters())
    assert set(before) <= set(state)
    return {
        name
        for name, parameter in before.items()
        if not torch.equal(parameter, state[name])
    }


@pytest.mark.slow
def test_the_command_leaves_what_it_should(undisturbed):
    folder, output, results = undisturbed
    checked(folder, results)
    assert f"Run folder: {folder}" in output
    named = results["recipe"], results["hparams"], results["corpus"]
    assert named == ("ssl_finetuning", YAML, "emodb")
    assert len(results["classes"]) == 7
    protocol = results["protocol"]
    assert protocol["name"] == "jafarzadeh" and protocol["folds"] == 5
    assert protocol["recordings"]["test"] == 14
    assert sum(protocol["recordings"].values()) == 70
    # The same speakers everywhere: what the paper does, and what it says.
    tests = load_manifest(folder / "manifests" / "test.json")
    trained = load_manifest(folder / "manifests" / "train.json")
    shared = {u.speaker for u in tests} & {u.speaker for u in trained}
    assert protocol["speakers_shared_with_train"]["test"] == len(shared) > 5
    assert len((folder / "train_log.txt").read_text().splitlines()) == 2


@pytest.mark.slow
def test_killed_within_an_epoch_it_ends_with_the_same_figures(
    undisturbed, options, tmp_path
):
    overrides = options(tmp_path, number_of_epochs=2)
    kill_and_finish(FINETUNING, YAML, overrides, undisturbed)


@pytest.mark.slow
def test_two_processes(options, tmp_path):
    more = {"distributed_backend": "gloo", "number_of_epochs": 3}
    overrides = options(tmp_path, **more)
    folder, _, results = run(FINETUNING, YAML, overrides, TWO_PROCESSES)
    checked(folder, results)
    log = (folder / "train_log.txt").read_text()
    assert len(log.splitlines()) == 3


def test_speakers_apart(train, short_ravdess, wav2vec2, tmp_path):
    folder, results = train(
        tmp_path,
        corpus="ravdess",
        data_folder=str(short_ravdess),
        encoder_source=wav2vec2,
        protocol="grouped_kfold",
        fold=5,
        stop_by="loss",
    )
    assert results["fold"] == 5
    shared = results["protocol"]["speakers_shared_with_train"]
    assert shared == {"valid": 0, "test": 0}


@pytest.fixture
def heard(monkeypatch):
    """By stage, whether the encoder got something else than the recordings;
    one entry for every batch."""
    brain = script(FINETUNING, "train").FinetuningBrain
    found = {}
    forward = brain.compute_forward

    def spy(self, batch, stage):
        before = batch.sig.data.clone()
        output = forward(self, batch, stage)
        same = torch.equal(batch.sig.data.cpu(), before)
        found.setdefault(stage.name, []).append(not same)
        return output

    monkeypatch.setattr(brain, "compute_forward", spy)
    return found


@pytest.mark.parametrize("layers, head", [("all", "dense"), ("local", "conv")])
def test_only_the_last_layer_or_the_first(train, layers, head, heard, tmp_path):
    """Without a mixture, all layers come down to the last one."""
    folder, _ = train(tmp_path, layers=layers, head_kind=head)
    found = any("convolutions" in name for name in saved(folder, "head"))
    assert found == (head == "conv")
    assert not any(heard["TRAIN"] + heard["VALID"] + heard["TEST"])


@pytest.mark.parametrize("kind", ["made", "recorded"])
def test_augmentation(train, kind, heard, short_ravdess, tmp_path):
    options = {"noise_folder": "white", "spec_augment": True}
    if kind == "recorded":
        wavs = sorted(short_ravdess.rglob("*.wav"))[:4]
        for number, wav in enumerate(wavs):
            name = ("noise", "rir")[number % 2]
            cut(wav, tmp_path / name / f"{number}.wav", number)
        options = {
            f"{name}_folder": str(tmp_path / name) for name in ("noise", "rir")
        }
    train(tmp_path, augmentation=options)
    assert set(heard) == {"TRAIN", "VALID", "TEST"}
    assert all(heard["TRAIN"]) and not any(heard["VALID"] + heard["TEST"])


@pytest.mark.parametrize("source", ["hubert", "whisper"])
def test_stored_convolutions_change_nothing(train, source, request, tmp_path):
    checkpoint = request.getfixturevalue("hubert")
    if source == "whisper":
        checkpoint = make_whisper_checkpoint(tmp_path / "whisper")
    found = []
    for name, cnn_folder in (("plain", "null"), ("kept", tmp_path / "cnn")):
        folder, results = train(
            tmp_path / name,
            encoder_source=checkpoint,
            cnn_folder=str(cnn_folder),
            feature_dtype="float32",
            encoder_lr=1e-5,
            dropout=0.0,
        )
        found.append(posteriors(folder, results["classes"]))
        assert changed(folder, checkpoint)
    assert len(list((tmp_path / "cnn").rglob("*.npy"))) == 70
    compare(*found, atol=2e-3)


def test_the_convolutions_train_or_not(train, undisturbed, hubert, tmp_path):
    free = train(tmp_path, freeze_feature_extractor=False)[0]
    for folder, frozen in ((undisturbed[0], True), (free, False)):
        names = changed(folder, hubert, freeze_feature_extractor=frozen)
        assert any("layers.0." in name for name in names)
        assert any("feature_extractor" in name for name in names) != frozen


@pytest.mark.parametrize("epochs", [1, 2])
def test_one_layer_after_the_other(train, hubert, epochs, tmp_path):
    folder, _ = train(tmp_path, unfreeze_every=1, number_of_epochs=epochs)
    encoder = load_encoder(hubert)
    top = *encoder.layers[-1].parameters(), *encoder.final_norm.parameters()
    top = {id(parameter) for parameter in top}
    allowed = {n for n, p in encoder.named_parameters() if id(p) in top}
    names = changed(folder, hubert)
    assert names <= allowed and bool(names) == (epochs == 2)


def test_adapters(train, hubert, tmp_path):
    folder, _ = train(tmp_path, lora_rank=4)
    torch.manual_seed(0)
    names = changed(folder, hubert, lora={"rank": 4})
    assert names and all("lora_" in name for name in names)
    state = saved(folder, "encoder")
    up = [state[name] for name in state if "lora_B" in name]
    assert len(up) == 6 and all(one.abs().max() > 0 for one in up)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_and_learning_rates(train, precision, monkeypatch, tmp_path):
    """What the head computes in training; lower layers learn more slowly."""
    brain, types = script(FINETUNING, "train").FinetuningBrain, set()
    forward = brain.compute_forward

    def spy(self, batch, stage):
        handle = self.modules.head.register_forward_hook(
            lambda head, given, logits: types.add((head.training, logits.dtype))
        )
        try:
            return forward(self, batch, stage)
        finally:
            handle.remove()

    monkeypatch.setattr(brain, "compute_forward", spy)
    option = {"float32": "fp32", "bfloat16": "bf16"}[precision]
    folder, _ = train(tmp_path, precision=option, layer_decay=0.5)
    in_training = {dtype for training, dtype in types if training}
    assert in_training == {getattr(torch, precision)}
    groups = saved(folder, "encoder_optimizer")["param_groups"]
    rates = [group["lr"] for group in groups]
    assert rates == pytest.approx([rates[0] * 0.5**n for n in range(4)])


CNN, FREE = {"cnn_folder": "cnn"}, {"freeze_feature_extractor": False}
WHITE = {"augmentation": {"noise_folder": "white"}}
NO_FOLDER = {"augmentation": {"noise_folder": "/no/such/place"}}


@pytest.mark.parametrize(
    "override, sentence",
    [
        ({"fold": 6}, "fold: expected a number from 1 to 5, the folds of jaf"),
        ({**CNN, **WHITE}, "augmentation and cnn_folder exclude each other"),
        ({**CNN, **FREE}, "cnn_folder: the convolutions of the encoder are"),
        (NO_FOLDER, "noise_folder: the folder '/no/such/place' does not exist"),
    ],
)
def test_what_cannot_be_is_said(override, sentence, options, tmp_path, capsys):
    overrides = options(tmp_path, **override)
    assert sentence in refuse_here(FINETUNING, YAML, overrides, capsys)


def test_unfreezing_in_several_processes(monkeypatch):
    """Without the option that it needs; what a launcher sets is enough."""
    brain = script(FINETUNING, "train").FinetuningBrain
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    inputs = {"speech": Input(load_encoder("spectrogram"))}
    hparams = {"stop_by": "UA", "unfreeze_every": 1, "inputs": inputs}
    run_opts = {"device": "cpu", "distributed_backend": "gloo"}
    with pytest.raises(UserError, match="add --find_unused_parameters"):
        brain(dict(inputs), None, hparams, run_opts)
    run_opts["find_unused_parameters"] = True
    brain(dict(inputs), None, hparams, run_opts)
