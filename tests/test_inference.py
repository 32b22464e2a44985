"""EmotionDiarizer on run folders, model folders and the Hub's cache."""

import logging
import os
import shutil

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.utils.fetching import FetchConfig

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.prosody import ProsodyEncoder
from speechbrain_ext.inference import EmotionDiarizer
from speechbrain_ext.models.heads import LinearHead
from speechbrain_ext.models.inputs import frame_log_probs
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.run_folders import (
    CLASSES,
    covers,
    finish,
    make_run,
    sound,
    write_sound,
)

CPU = {"device": "cpu"}


@pytest.fixture(scope="module")
def logmel_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logmel") / "run"
    # So clear a choice that segments change often.
    return folder, make_run(folder, scale=20.0)


@pytest.fixture
def run(logmel_run, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(logmel_run[0], tmp_path / "copy")


def load(folder, **options):
    return EmotionDiarizer.from_hparams(folder, run_opts=CPU, **options)


def whole(modules, wav):
    """Posteriors without windows, by the training's own function."""
    modules = torch.nn.ModuleDict(modules).eval()
    frames = torch.tensor([modules["encoder"].grid.num_frames(len(wav))])
    with torch.no_grad():
        found = frame_log_probs(modules, frames, wav[None], torch.ones(1))
    return np.exp(found[0].numpy())


def listing(folder):
    return {
        (str(path.relative_to(folder)), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module", params=["logmel", "wavlm", "hubert", "whisper"])
def any_run(request, tmp_path_factory, logmel_run):
    """A diarizer from a run folder, and the modules of its best checkpoint."""
    if request.param == "logmel":
        return load(logmel_run[0]), logmel_run[1]
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "whisper":
        source = make_whisper_checkpoint(folder / "encoder")
    else:
        size = "large" if request.param == "wavlm" else "base"
        source = make_ssl_checkpoint(
            folder / "encoder", request.param, size=size
        )
    head = {"wavlm": "ConvHead", "hubert": "LinearHead"}.get(
        request.param, "RecurrentHead"
    )
    modules = make_run(folder / "run", source=source, head=head)
    return load(folder / "run"), modules


@pytest.mark.parametrize("seconds", [0.01, 0.05, 3.217, 30.0])
def test_one_window_equals_the_unwindowed(any_run, tmp_path, seconds):
    diarizer, modules = any_run
    path = write_sound(tmp_path / "a.wav", seconds)
    probabilities, edges, classes = diarizer.posteriors_file(path)
    expected = whole(modules, read_audio(path))
    np.testing.assert_array_equal(probabilities, expected)
    assert classes == CLASSES
    assert edges[0] == 0.0 and edges[-1] == round(seconds * 16000) / 16000
    assert len(edges) == len(probabilities) + 1 and (np.diff(edges) > 0).all()


def test_long_recordings_are_near_the_unwindowed(any_run, tmp_path):
    diarizer, modules = any_run
    if diarizer.classifier.max_samples:
        pytest.skip("the encoder cannot take it as a whole")
    path = write_sound(tmp_path / "a.wav", 48.3)
    probabilities, edges, _ = diarizer.posteriors_file(path)
    expected = whole(modules, read_audio(path))
    assert probabilities.shape == expected.shape
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-4)
    # Far from it, were windows put in the wrong place.
    distance = np.abs(probabilities - expected).mean()
    wrong = np.abs(np.roll(probabilities, 200, axis=0) - expected).mean()
    assert distance < 0.5 * wrong
    assert covers(diarizer.diarize_file(path), edges[-1])


def test_whisper_takes_what_is_longer_than_30_s(tmp_path, any_run):
    diarizer, _ = any_run
    path = write_sound(tmp_path / "a.wav", 30.01)
    assert covers(diarizer.diarize_file(path), 480160 / 16000)


def test_windows_equal_their_own_classification(logmel_run):
    folder, modules = logmel_run
    diarizer = load(folder, window=2.0, overlap=0.5)
    wav = torch.from_numpy(sound(4.7)[:, 0])
    merged = np.exp(diarizer._windowed(wav))
    stride = diarizer.grid.stride
    # The first multiple of the stride with 2 s or less after it.
    begin = -(-43200 // stride) * stride
    first = whole(modules, wav[: 2 * 16000])
    last = whole(modules, wav[begin:])
    # What only the first and only the last window hear.
    before, after = 22400 // stride, 16000 // stride
    np.testing.assert_allclose(merged[:before], first[:before], atol=1e-4)
    np.testing.assert_allclose(merged[-after:], last[-after:], atol=1e-4)


def test_batches_equal_files(any_run, tmp_path):
    diarizer, _ = any_run
    wavs = [sound(s, seed=i)[:, 0] for i, s in enumerate([2.0, 0.05, 1.3])]
    batch = torch.full((3, 32000), 7.0)
    expected = []
    for number, wav in enumerate(wavs):
        batch[number, : len(wav)] = torch.from_numpy(wav)
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, wav, 16000, "FLOAT")
        expected.append(diarizer.diarize_file(path))
    lengths = torch.tensor([len(wav) / 32000 for wav in wavs])
    assert diarizer.diarize_batch(batch, lengths) == expected
    assert diarizer(batch, lengths) == expected


def test_long_batches_equal_files(logmel_run, tmp_path):
    diarizer = load(logmel_run[0], window=2.0, overlap=0.5)
    path = write_sound(tmp_path / "a.wav", 7.0, subtype="FLOAT")
    wav = read_audio(path)
    batch = torch.stack([wav, wav.flip(0)])
    batch[1, 40000:] = float("nan")
    found = diarizer.diarize_batch(batch, torch.tensor([1.0, 40000 / len(wav)]))
    assert found[0] == diarizer.diarize_file(path)
    assert covers(found[1], 2.5)
    with pytest.raises(UserError, match="Waveform 2 of the batch"):
        diarizer.diarize_batch(batch)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 12345])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels(logmel_run, tmp_path, rate, channels):
    diarizer = load(logmel_run[0], window=1.0, overlap=0.3)
    for seconds in (0.05, 2.57):
        path = write_sound(tmp_path / "a.flac", seconds, rate, channels)
        segments = diarizer.diarize_file(path)
        assert covers(segments, soundfile.info(path).frames / rate)
        assert {s["emotion"] for s in segments} <= set(CLASSES)


def test_segments_are_those_of_the_post_processing(any_run, tmp_path):
    diarizer, modules = any_run
    path = write_sound(tmp_path / "a.wav", 4.0)
    wav = read_audio(path)
    expected = PostProcessing(median=0.1).diarize(
        np.log(whole(modules, wav)), CLASSES, len(wav), diarizer.grid
    )
    assert diarizer.diarize_file(path) == expected


def test_the_best_checkpoint_not_the_latest(logmel_run):
    diarizer = load(logmel_run[0])
    expected = logmel_run[1]["head"].linear.weight
    assert torch.equal(diarizer.mods["head"].linear.weight, expected)
    assert not any(p.requires_grad for p in diarizer.parameters())
    assert not diarizer.mods["encoder"].training


def test_options_of_a_finished_run(run):
    assert load(run).postprocessing == PostProcessing(median=0.1)
    finish(run, threshold=0.4, min_duration=0.3)
    found = load(run).postprocessing
    assert found == PostProcessing(threshold=0.4, min_duration=0.3)


def test_options_can_be_changed(run, tmp_path):
    finish(run, min_duration=0.6)
    diarizer = load(run)
    path = write_sound(tmp_path / "a.wav", 4.0)
    plain = diarizer.diarize_file(path, {"min_duration": None})
    assert plain == diarizer.diarize_file(path, PostProcessing())
    assert plain != diarizer.diarize_file(path)
    masked = diarizer.diarize_file(path, {"threshold": 1.0})
    assert masked == [{"start": 0.0, "end": 4.0, "emotion": "neutral"}]
    with pytest.raises(UserError, match="no option 'treshold'"):
        diarizer.diarize_file(path, {"treshold": 1.0})


def test_one_event_is_for_one_window(run, tmp_path, caplog):
    finish(run, one_event=True)
    diarizer = load(run, window=2.0, overlap=0.5)
    short = write_sound(tmp_path / "short.wav", 2.0)
    long = tmp_path / "long.wav"

    def events(segments):
        return [s for s in segments if s["emotion"] != "neutral"]

    # The model is random: a recording in which it hears several events.
    for seconds in range(6, 40):
        write_sound(long, seconds)
        if len(events(diarizer.diarize_file(long, PostProcessing()))) > 1:
            break
    with caplog.at_level(logging.WARNING):
        assert len(events(diarizer.diarize_file(short))) == 1
        assert not caplog.records
        found = diarizer.diarize_file(long)
    assert "long.wav" in caplog.text and "one_event" in caplog.text
    assert found == diarizer.diarize_file(long, PostProcessing())
    assert len(events(found)) > 1
    caplog.clear()
    forced = diarizer.diarize_file(long, {"one_event": True})
    assert len(events(forced)) == 1 and not caplog.records


def test_any_working_directory_and_nothing_written(tmp_path, monkeypatch):
    source = make_ssl_checkpoint(tmp_path / "models" / "hubert", "hubert")
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    monkeypatch.chdir(recipe)
    make_run(recipe / "results" / "1", "results/1", "../models/hubert")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = listing(recipe)
    diarizer = load(recipe / "results" / "1")
    path = write_sound(tmp_path / "a.wav", 1.0)
    assert covers(diarizer.diarize_file(path), 1.0)
    assert listing(recipe) == before
    assert not list(elsewhere.iterdir())
    monkeypatch.chdir(recipe / "results")
    assert covers(load("1").diarize_file(path), 1.0)
    assert listing(recipe) == before
    expected = load_encoder(source).state_dict()
    for name, tensor in diarizer.mods["encoder"].state_dict().items():
        assert torch.equal(tensor, expected[name])


@pytest.mark.parametrize("name", ["saved_head.ckpt", "encoder.ckpt"])
def test_a_file_of_the_checkpoint_is_missing(run, name):
    (run / "save" / "CKPT+best" / name).unlink()
    with pytest.raises(UserError, match=f"CKPT.best/{name}' does not exist"):
        load(run)


def test_damaged_files(run):
    path = run / "save" / "CKPT+best" / "saved_head.ckpt"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="saved_head.ckpt' cannot be read"):
        load(run)
    torch.save(LinearHead(3, 4).state_dict(), path)
    with pytest.raises(UserError, match="saved_head.ckpt' does not fit"):
        load(run)
    path.write_bytes(data)
    (run / "results.json").write_text('{"postprocessing": {"x": 1}}')
    with pytest.raises(UserError, match="results.json'"):
        load(run)


def test_folders_that_are_no_models(run, tmp_path):
    shutil.rmtree(run / "save")
    with pytest.raises(UserError, match="save' holds no checkpoint"):
        load(run)
    (run / "hyperparams.yaml").write_text("a: 1\n")
    with pytest.raises(UserError, match="'modules' is missing"):
        load(run)
    (run / "hyperparams.yaml").write_text("a: [1\n")
    with pytest.raises(UserError, match="hyperparams.yaml' cannot be made"):
        load(run)
    (run / "hyperparams.yaml").unlink()
    with pytest.raises(UserError, match="hyperparams.yaml' does not exist"):
        load(run)
    with pytest.raises(UserError, match="neither a folder nor the name"):
        load(tmp_path / "none")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="is a file"):
        load(file)


def test_a_hub_that_is_not_there():
    offline = FetchConfig(allow_network=False)
    with pytest.raises(UserError, match="'some/model' is no folder here"):
        load("some/model", fetch_config=offline)


def test_arguments_that_make_no_sense(logmel_run, any_run):
    with pytest.raises(UserError, match="^window"):
        load(logmel_run[0], window=0.0)
    with pytest.raises(UserError, match="^overlap"):
        load(logmel_run[0], overlap=30.0)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="^device: 'cuda'"):
            EmotionDiarizer.from_hparams(
                logmel_run[0], run_opts={"device": "cuda"}
            )
    diarizer, modules = any_run
    if diarizer.classifier.max_samples:
        with pytest.raises(UserError, match="window: 31 s is more than"):
            EmotionDiarizer(modules, {"classes": CLASSES}, CPU, window=31)


def test_models_that_make_no_sense():
    encoder = ProsodyEncoder()
    modules = {"encoder": encoder, "head": LinearHead(encoder.output_size, 4)}
    for hparams, reason in [
        ({}, "names neither"),
        ({"classes": ["happy", "sad", "angry"]}, "needs 'neutral'"),
    ]:
        with pytest.raises(UserError, match=reason):
            EmotionDiarizer(modules, hparams, CPU)
    diarizer = EmotionDiarizer(modules, {"classes": ["neutral"]}, CPU)
    with pytest.raises(UserError, match="scores 4 classes but names 1"):
        diarizer.diarize_batch(torch.randn(1, 16000))


EXPORT = """
pretrained_path: someone/somewhere
classes: [neutral, happy, sad, angry]
encoder: !new:speechbrain_ext.encoders.prosody.ProsodyEncoder
head: !new:speechbrain_ext.models.heads.LinearHead
    input_size: 128
    num_classes: 4
modules:
    encoder: !ref <encoder>
    head: !ref <head>
postprocessing: !new:speechbrain_ext.decoding.PostProcessing
    threshold: 0.3
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <encoder>
        head: !ref <head>
    paths:
        head: !ref <pretrained_path>/head.ckpt
"""


def export(folder, modules):
    """A model folder in the layout of this project."""
    folder.mkdir(parents=True)
    (folder / "hyperparams.yaml").write_text(EXPORT)
    (folder / "custom.py").write_text("raise AssertionError('imported')\n")
    for name, module in modules.items():
        torch.save(module.state_dict(), folder / f"{name}.ckpt")


def test_a_model_folder(logmel_run, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    export(folder, logmel_run[1])
    monkeypatch.chdir(folder)
    before = listing(folder)
    diarizer = load(folder, savedir=str(tmp_path / "savedir"))
    assert listing(folder) == before
    assert diarizer.postprocessing == PostProcessing(threshold=0.3)
    path = write_sound(tmp_path / "a.wav", 1.0)
    probabilities, _, _ = diarizer.posteriors_file(path)
    expected = whole(logmel_run[1], read_audio(path))
    np.testing.assert_array_equal(probabilities, expected)
    (folder / "head.ckpt").unlink()
    with pytest.raises(UserError, match="head.ckpt' does not exist"):
        load(folder)


def test_a_file_with_too_little_in_it(logmel_run, tmp_path):
    folder = tmp_path / "model"
    export(folder, logmel_run[1])
    state = logmel_run[1]["head"].state_dict()
    del state["linear.bias"]
    torch.save(state, folder / "head.ckpt")
    with pytest.raises(UserError, match="head.ckpt'.*lacks 'linear.bias'"):
        load(folder)


def test_a_repository_on_the_hub(logmel_run, tmp_path):
    """By the Hub's cache, which is filled here as a download would."""
    repository = tmp_path / "hub" / "models--someone--somewhere"
    export(repository / "snapshots" / "abc", logmel_run[1])
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    offline = FetchConfig(
        allow_network=False, huggingface_cache_dir=str(tmp_path / "hub")
    )
    savedir = tmp_path / "savedir"
    diarizer = load(
        "someone/somewhere", savedir=str(savedir), fetch_config=offline
    )
    assert sorted(os.listdir(savedir)) == [
        "encoder.ckpt",
        "head.ckpt",
        "hyperparams.yaml",
    ]
    expected = logmel_run[1]["head"].linear.weight
    assert torch.equal(diarizer.mods["head"].linear.weight, expected)
    diarizer = load("someone/somewhere", fetch_config=offline)
    assert torch.equal(diarizer.mods["head"].linear.weight, expected)
