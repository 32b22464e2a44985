"""EmotionRecognizer on the run folders of both recipes."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.prosody import ProsodyEncoder
from speechbrain_ext.inference import EmotionDiarizer, EmotionRecognizer
from speechbrain_ext.models.heads import DenseHead, FusionHead
from speechbrain_ext.models.inputs import (
    frame_limit,
    hidden_states,
    utterance_log_probs,
)
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.run_folders import (
    CLASSES,
    make_recipe_run,
    make_recognizer,
    make_run,
    sound,
    write_sound,
)

CPU = {"device": "cpu"}
RECIPES = sorted(
    (Path(__file__).parents[1] / "recipes").glob("ssl_*/hparams/*.yaml")
)
# What the two recipes make; each with the options of its YAML.
RUNS = {
    "log-mel": {},
    "dense": {"source": "whisper", "normalization": "global"},
    "lstm": {
        "source": "wavlm",
        "normalization": "global",
        "layers": "local",
        "head": "LSTMHead",
    },
    "contextual": {
        "source": "hubert",
        "normalization": "global",
        "layers": "contextual",
        "max_length": 1.5,
    },
    "fusion": {
        "source": "wavlm",
        "normalization": "global",
        "fusion": True,
        "head": "FusionHead",
    },
    "tuned": {
        "source": "hubert",
        "frozen": False,
        "layers": "contextual",
        "head": "MeanHead",
    },
    "tuned with convolutions": {
        "source": "wavlm",
        "frozen": False,
        "layers": "contextual",
        "head": "ConvHead",
    },
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    return {
        "whisper": make_whisper_checkpoint(folder / "whisper"),
        "wavlm": make_ssl_checkpoint(folder / "wavlm", "wavlm", size="large"),
        "hubert": make_ssl_checkpoint(folder / "hubert", "hubert"),
        None: None,
    }


def make(folder, sources, options):
    options = dict(options)
    source = sources[options.pop("source", None)]
    return make_recognizer(folder, source=source, **options)


def load(folder, **options):
    return EmotionRecognizer.from_hparams(folder, run_opts=CPU, **options)


@pytest.fixture(scope="module", params=RUNS)
def any_run(request, tmp_path_factory, sources):
    """A recognizer, the modules of its best checkpoint, and its options."""
    folder = tmp_path_factory.mktemp("run") / "run"
    options = RUNS[request.param]
    modules = make(folder, sources, options)
    return load(folder), modules, options


@pytest.fixture(scope="module")
def speaker_run(tmp_path_factory, sources):
    folder = tmp_path_factory.mktemp("speaker") / "run"
    options = {"source": "wavlm", "normalization": "speaker"}
    return folder, make(folder, sources, options)


@pytest.fixture(scope="module")
def logmel_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logmel") / "run"
    return folder, make_recognizer(folder)


def trained(modules, options, wav):
    """Probabilities by the training's own function."""
    keys = {k: options[k] for k in ("layers", "max_length") if k in options}
    with torch.no_grad():
        found = utterance_log_probs(
            torch.nn.ModuleDict(modules), wav[None], torch.ones(1), **keys
        )
    return found.exp()


def consistent(result, classes=CLASSES):
    out_prob, score, index, text_lab = result
    torch.testing.assert_close(out_prob.sum(1), torch.ones(len(out_prob)))
    assert torch.equal(score, out_prob.max(1).values)
    assert torch.equal(index, out_prob.argmax(1))
    assert text_lab == [classes[i] for i in index]
    return out_prob


@pytest.mark.parametrize(
    "recipe", RECIPES, ids=lambda p: "/".join(p.parts[-3:])
)
def test_the_recipes_own_files(recipe, tmp_path, sources):
    hparams = make_recipe_run(
        tmp_path / "run",
        recipe,
        data_folder="/no/such/corpus",
        encoder_source=sources["hubert"],
    )
    modules = torch.nn.ModuleDict(hparams["modules"])
    recognizer = load(tmp_path / "run")
    assert recognizer.classes == hparams["classes"]
    wav = torch.from_numpy(sound(1.7).T)
    layers = hparams.get("layers", "all")
    length = hparams.get("max_length")
    hidden = hidden_states(modules, wav, None, layers, length)
    for prefix, (states, lengths) in hidden.items():
        if f"{prefix}normalizer" in modules:
            normalizer = modules[f"{prefix}normalizer"]
            normalizer.update(states, lengths, ["a"])
    if not recognizer.by_speaker:
        # The run folder's statistics are those of no frame at all.
        hparams["checkpointer"].save_checkpoint(meta={"error": 0.5})
        recognizer = load(tmp_path / "run")
    with torch.no_grad():
        expected = utterance_log_probs(
            modules, hidden=hidden, speakers=["a"]
        ).exp()
    found = consistent(recognizer.classify_batch(wav), hparams["classes"])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.05, 3.217])
def test_files_as_in_training(any_run, tmp_path, seconds):
    recognizer, modules, options = any_run
    path = write_sound(tmp_path / "a.wav", seconds)
    out_prob = consistent(recognizer.classify_file(path))
    expected = trained(modules, options, read_audio(path))
    torch.testing.assert_close(out_prob, expected, rtol=0, atol=1e-5)
    assert out_prob.shape == (1, 4) and not recognizer.by_speaker


def test_padding_does_not_matter(any_run, tmp_path):
    recognizer, _, _ = any_run
    wavs = [sound(s, seed=i)[:, 0] for i, s in enumerate([2.0, 0.05, 1.3])]
    batch = torch.full((3, 32000), 7.0)
    paths = []
    for number, wav in enumerate(wavs):
        batch[number, : len(wav)] = torch.from_numpy(wav)
        paths.append(tmp_path / f"{number}.wav")
        soundfile.write(paths[-1], wav, 16000, "FLOAT")
    lengths = torch.tensor([len(wav) / 32000 for wav in wavs])
    out_prob = consistent(recognizer.classify_batch(batch, lengths))
    for found, wav in zip(out_prob, wavs):
        [alone], *_ = recognizer.classify_batch(torch.from_numpy(wav))
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-4)
    files = consistent(recognizer.classify_files(paths))
    torch.testing.assert_close(files, out_prob, rtol=0, atol=1e-4)
    called, *_ = recognizer(batch, lengths)
    assert torch.equal(called, out_prob)
    # Recordings of which the model says the very same would show nothing.
    assert (out_prob[0] - out_prob[2]).abs().max() > 1e-3


def test_the_best_checkpoint_not_the_latest(logmel_run):
    recognizer = load(logmel_run[0])
    expected = logmel_run[1]["head"].output.weight
    assert torch.equal(recognizer.mods["head"].output.weight, expected)
    assert expected.any()
    assert not any(p.requires_grad for p in recognizer.parameters())
    assert not recognizer.mods["head"].training


def test_fine_tuned_parameters_are_those_of_the_checkpoint(tmp_path, sources):
    options = {"source": "hubert", "frozen": False, "head": "MeanHead"}
    folder = tmp_path / "run"
    modules = make(folder, sources, {**options, "layers": "contextual"})
    path = folder / "save" / "CKPT+best" / "encoder.ckpt"
    state = {k: v + 1.0 for k, v in torch.load(path).items()}
    torch.save(state, path)
    found = load(folder).mods["encoder"].state_dict()
    for name, tensor in modules["encoder"].state_dict().items():
        assert torch.equal(found[name], tensor + 1.0)
    path.unlink()
    with pytest.raises(UserError, match="encoder.ckpt' does not exist"):
        load(folder)


@pytest.mark.parametrize("rate", [8000, 44100, 12345])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_and_channels(logmel_run, tmp_path, rate, channels):
    recognizer = load(logmel_run[0])
    path = write_sound(tmp_path / "a.flac", 2.57, rate, channels)
    out_prob = consistent(recognizer.classify_file(path))
    expected = trained(logmel_run[1], {}, read_audio(path))
    torch.testing.assert_close(out_prob, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("max_length", [None, 1.5])
def test_long_recordings_are_the_mean_of_equal_stretches(
    tmp_path, caplog, max_length
):
    modules = make_recognizer(tmp_path / "run", max_length=max_length)
    recognizer = load(tmp_path / "run", window=2.0)
    short = write_sound(tmp_path / "short.wav", 2.0)
    with caplog.at_level(logging.WARNING):
        recognizer.classify_file(short)
    assert "stretches" not in caplog.text
    assert bool(ours(caplog)) == (max_length is not None)
    path = write_sound(tmp_path / "long.wav", 7.0, subtype="FLOAT")
    with caplog.at_level(logging.WARNING):
        out_prob = consistent(recognizer.classify_file(path))
    wav = read_audio(path)
    count = 4 if max_length is None else 5
    assert len(wav) % count == 0
    stretches = [
        trained(modules, {"max_length": max_length}, stretch)
        for stretch in wav.reshape(count, -1)
    ]
    expected = torch.stack(stretches).mean(0)
    torch.testing.assert_close(out_prob, expected, rtol=0, atol=1e-5)
    assert (stretches[0] - stretches[-1]).abs().max() > 1e-3
    assert "long.wav" in caplog.text and f"{count} stretches" in caplog.text
    batch = torch.stack([wav, wav.flip(0)])
    batch[1, 8000:] = float("nan")
    found, *_ = recognizer.classify_batch(
        batch, torch.tensor([1.0, 8000 / len(wav)])
    )
    torch.testing.assert_close(found[:1], out_prob, rtol=0, atol=1e-6)
    alone, *_ = recognizer.classify_batch(batch[1, :8000])
    torch.testing.assert_close(found[1:], alone, rtol=0, atol=1e-6)


def test_what_lies_beyond_max_length_is_said(tmp_path, caplog):
    modules = make_recognizer(tmp_path / "run", max_length=1.5)
    recognizer = load(tmp_path / "run")
    limit = frame_limit(modules["encoder"].grid, 1.5)
    # The least that has a frame too many.
    samples = next(
        n
        for n in range(16000, 48000)
        if modules["encoder"].grid.num_frames(n) > limit
    )
    wav = torch.from_numpy(sound(3.0)[:, 0])
    lengths = {"fits.wav": samples - 1, "cut.wav": samples, "more.wav": 48000}
    for name, length in lengths.items():
        soundfile.write(tmp_path / name, wav[:length].numpy(), 16000, "FLOAT")
        caplog.clear()
        found, *_ = recognizer.classify_file(tmp_path / name)
        expected = trained(modules, {"max_length": 1.5}, wav[:length])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        messages = [record.getMessage() for record in ours(caplog)]
        if name == "fits.wav":
            assert not messages
            continue
        [message] = messages
        assert f"{name}' lasts {length / 16000:.2f} s" in message
        assert "first 1.5 s alone are judged" in message
        assert "cut the recording" in message
    caplog.clear()
    batch = torch.stack([wav, wav])
    recognizer.classify_batch(batch, torch.tensor([1.0, 1 / 3]))
    [record] = ours(caplog)
    assert "'waveform 1' lasts 3.00 s" in record.getMessage()


def test_padding_alone_makes_no_recording_long(logmel_run, caplog):
    recognizer = load(logmel_run[0], window=2.0)
    wav = torch.from_numpy(sound(1.5).T)
    padded = torch.nn.functional.pad(wav, (0, 64000))
    found, *_ = recognizer.classify_batch(padded, torch.tensor([24000 / 88000]))
    torch.testing.assert_close(found, recognizer.classify_batch(wav)[0])
    assert not ours(caplog)


def test_whisper_takes_what_is_longer_than_30_s(tmp_path, sources, caplog):
    make(tmp_path / "run", sources, RUNS["dense"])
    recognizer = load(tmp_path / "run")
    assert recognizer.window == 30.0
    path = write_sound(tmp_path / "a.wav", 30.01)
    consistent(recognizer.classify_file(path))
    assert "2 stretches" in caplog.text
    with pytest.raises(UserError, match="window: 31 s is more than the 30 s"):
        load(tmp_path / "run", window=31)


def by_hand(modules, groups):
    """Dense head on features that NumPy normalises, speaker by speaker."""
    modules = torch.nn.ModuleDict(modules)
    found = []
    with torch.no_grad():
        for wavs in groups:
            hidden = [
                modules["encoder"](wav[None], all_layers=True)[0].numpy()
                for wav in wavs
            ]
            frames = np.concatenate(hidden, axis=1).astype(np.float64)
            mean, std = frames.mean(1), frames.std(1)
            for states in hidden:
                states = (states - mean[:, None]) / std[:, None]
                states = torch.from_numpy(states.astype(np.float32))
                mixed = modules["mixture"](states[None])
                logits = modules["head"](mixed, torch.tensor([mixed.shape[1]]))
                found.append(logits.softmax(1)[0])
    return torch.stack(found)


@pytest.fixture
def recordings(tmp_path):
    paths = [
        write_sound(tmp_path / f"{i}.wav", s, seed=i, subtype="FLOAT")
        for i, s in enumerate([1.0, 2.4, 0.7])
    ]
    return paths, [read_audio(path) for path in paths]


def ours(caplog):
    """What this package has logged, and nobody else."""
    return [r for r in caplog.records if r.name.startswith("speechbrain_ext")]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def test_all_recordings_are_one_speakers(speaker_run, recordings, caplog):
    paths, wavs = recordings
    recognizer = load(speaker_run[0])
    assert recognizer.by_speaker
    with caplog.at_level(logging.INFO, "speechbrain_ext.inference"):
        out_prob = consistent(recognizer.classify_files(paths))
    close(out_prob, by_hand(speaker_run[1], [wavs]))
    [record] = ours(caplog)
    assert record.levelno == logging.INFO
    assert "3 recordings, 4.1 s in all" in record.getMessage()
    # Nothing of an earlier call is used.
    again = recognizer.classify_files(paths)[0]
    assert torch.equal(again, out_prob)
    batch = torch.nn.utils.rnn.pad_sequence(wavs, True, 9.0)
    lengths = torch.tensor([len(wav) for wav in wavs]) / batch.shape[1]
    found = consistent(recognizer.classify_batch(batch, lengths))
    close(found, out_prob)


def test_named_speakers(speaker_run, recordings):
    paths, (a, b, c) = recordings
    recognizer = load(speaker_run[0])
    names = ["ann", "bob", "ann"]
    expected = by_hand(speaker_run[1], [[a, c], [b]])[[0, 2, 1]]
    found, *_ = recognizer.classify_files(paths, names)
    close(found, expected)
    batch = torch.nn.utils.rnn.pad_sequence([a, b, c], True, 9.0)
    lengths = torch.tensor([len(wav) for wav in (a, b, c)]) / batch.shape[1]
    close(recognizer.classify_batch(batch, lengths, names)[0], expected)
    with pytest.raises(ValueError, match="2 speakers, 3 recordings"):
        recognizer.classify_files(paths, names[:2])


def test_a_recording_alone(speaker_run, recordings, caplog):
    paths, wavs = recordings
    recognizer = load(speaker_run[0])
    recognizer.classify_files(paths)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        out_prob = consistent(recognizer.classify_file(paths[1]))
    close(out_prob, by_hand(speaker_run[1], [wavs[1:2]]))
    [record] = ours(caplog)
    assert "'1.wav' (2.4 s) alone" in record.getMessage()
    caplog.clear()
    recognizer.classify_files(paths, ["x", "y", "x"])
    [record] = ours(caplog)
    assert "1 of 2 speakers" in record.getMessage()
    assert record.levelno == logging.WARNING


def test_statistics_of_long_recordings(speaker_run, recordings):
    paths, wavs = recordings
    recognizer = load(speaker_run[0], window=1.0)
    parts = [wavs[0], *wavs[1].split(12800), wavs[2]]
    rows = by_hand(speaker_run[1], [parts])
    expected = torch.stack([rows[0], rows[1:4].mean(0), rows[4]])
    close(recognizer.classify_files(paths)[0], expected)


def test_fusion_with_speaker_normalisation(tmp_path, sources, recordings):
    options = {**RUNS["fusion"], "normalization": "speaker"}
    modules = make(tmp_path / "run", sources, options)
    recognizer = load(tmp_path / "run")
    paths, wavs = recordings
    joined = {"": [], "fusion_": []}
    with torch.no_grad():
        for wav in wavs:
            for prefix, states in joined.items():
                encode = modules[f"{prefix}encoder"]
                states.append(encode(wav[None], all_layers=True).double())
        frames = {}
        for prefix, states in joined.items():
            whole = torch.cat(states, dim=2)
            mean, std = whole.mean(2), whole.std(2, correction=0)
            # A channel that never changes stays at zero.
            std = std.clamp(min=1e-6)
            frames[prefix] = [
                ((s - mean[:, :, None]) / std[:, :, None]).float()
                for s in states
            ]
        rows = [
            modules["head"](
                modules["mixture"](ours),
                torch.tensor([ours.shape[2]]),
                theirs[:, 0],
                torch.tensor([theirs.shape[2]]),
            ).softmax(1)
            for ours, theirs in zip(frames[""], frames["fusion_"])
        ]
    close(consistent(recognizer.classify_files(paths)), torch.cat(rows))


def test_two_inputs_with_frames_of_different_times():
    modules = {
        "encoder": load_encoder("spectrogram"),
        "fusion_encoder": load_encoder("egemaps"),
        "head": FusionHead(201, 25, 4),
    }
    with pytest.raises(UserError, match="^fusion_encoder: .* 20 ms .* 10 ms"):
        EmotionRecognizer(modules, {"classes": CLASSES}, CPU)


def test_speakers_for_a_model_without(logmel_run, recordings):
    recognizer = load(logmel_run[0])
    with pytest.raises(UserError, match="^speakers: the model has no"):
        recognizer.classify_files(recordings[0], ["a", "b", "c"])
    with pytest.raises(UserError, match="^speakers: the model has no"):
        recognizer.classify_batch(torch.randn(1, 16000), speakers=["a"])


def test_classes_without_neutral(tmp_path):
    classes = ["happy", "sad", "bored"]
    make_recognizer(tmp_path / "run", classes=classes)
    recognizer = load(tmp_path / "run")
    result = recognizer.classify_batch(torch.from_numpy(sound(1.0).T))
    consistent(result, classes)


def test_the_wrong_kind_of_model(logmel_run, tmp_path):
    make_run(tmp_path / "diarizer")
    with pytest.raises(UserError, match="diarizer' .*give it to EmotionDiar"):
        load(tmp_path / "diarizer")
    with pytest.raises(UserError, match="run' .*give it to EmotionRecogn"):
        EmotionDiarizer.from_hparams(logmel_run[0], run_opts=CPU)


def test_the_wrong_number_of_classes(tmp_path):
    make_recognizer(tmp_path / "run", num_classes=5)
    with pytest.raises(UserError, match="scores 5 classes but names 4"):
        load(tmp_path / "run")


def test_missing_and_damaged_files(logmel_run, tmp_path):
    folder = shutil.copytree(logmel_run[0], tmp_path / "copy")
    path = folder / "save" / "CKPT+best" / "head.ckpt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="head.ckpt' cannot be read"):
        load(folder)
    path.unlink()
    with pytest.raises(UserError, match="head.ckpt' does not exist"):
        load(folder)
    shutil.rmtree(folder / "save")
    with pytest.raises(UserError, match="save' holds no checkpoint"):
        load(folder)


def test_recordings_that_cannot_be_used(logmel_run, tmp_path):
    recognizer = load(logmel_run[0])
    with pytest.raises(UserError, match="none.wav' does not exist"):
        recognizer.classify_file(tmp_path / "none.wav")
    with pytest.raises(UserError, match="Waveform 1 of the batch"):
        recognizer.classify_batch(torch.full((1, 16000), float("nan")))
    with pytest.raises(ValueError, match="no recordings"):
        recognizer.classify_files([])


def test_models_that_make_no_sense():
    encoder = ProsodyEncoder()
    head = DenseHead(encoder.output_size, 4)
    good = {"encoder": encoder, "head": head}
    wrong = {"encoder": encoder, "head": DenseHead(7, 4)}
    for modules, hparams, reason in [
        (good, {}, "names neither"),
        (wrong, {"classes": CLASSES}, "head of 'the model' does not fit"),
        ({"head": head}, {"classes": CLASSES}, "has the modules head, but"),
        (good, {"classes": CLASSES, "window": 0}, "^window"),
    ]:
        with pytest.raises(UserError, match=reason):
            EmotionRecognizer(modules, hparams, CPU)


EXPORT = """
pretrained_path: someone/somewhere
classes: [neutral, happy, sad, angry]
layers: contextual
encoder: !new:speechbrain_ext.encoders.prosody.ProsodyEncoder
head: !new:speechbrain_ext.models.heads.DenseHead
    input_size: 128
    num_classes: 4
modules:
    encoder: !ref <encoder>
    head: !ref <head>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <encoder>
        head: !ref <head>
"""


def test_a_model_folder(logmel_run, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(EXPORT)
    (folder / "custom.py").write_text("raise AssertionError('imported')\n")
    for name, module in logmel_run[1].items():
        torch.save(module.state_dict(), folder / f"{name}.ckpt")
    monkeypatch.chdir(tmp_path)
    recognizer = load(folder)
    wav = torch.from_numpy(sound(1.0)[:, 0])
    expected = trained(logmel_run[1], {}, wav)
    torch.testing.assert_close(recognizer.classify_batch(wav)[0], expected)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (folder / "head.ckpt").unlink()
    with pytest.raises(UserError, match="head.ckpt' does not exist"):
        load(folder)
