"""EmotionRecognizer on the run folders of both recipes."""

import logging
import re

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.audio import read_audio
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
from speechbrain_ext.inference import EmotionRecognizer
from speechbrain_ext.models.heads import DenseHead, FusionHead
from tests.inference.runs import (
    CLASSES,
    CPU,
    log_probs,
    make_recognizer,
    padded,
    refused,
    sound,
    write_sound,
)
from tests.inference.runs import load_recognizer as load

# What the two recipes make; each with the options of its YAML.
FROZEN = {"normalization": "global"}
TUNED = {"frozen": False, "layers": "contextual"}
RUNS = {
    "prosody": {},
    "dense": {"source": "whisper", **FROZEN},
    "lstm": {"source": "wavlm", "layers": "local", "head": "LSTMHead"},
    "contextual": {"source": "hubert", "layers": "contextual", **FROZEN},
    "fusion": {"source": "wavlm", "fusion": True, "head": "FusionHead"},
    "tuned": {"source": "hubert", "head": "MeanHead", **TUNED},
    "convolutions": {"source": "wavlm", "head": "ConvMeanHead", **TUNED},
}
RUNS["lstm"].update(FROZEN)
RUNS["fusion"].update(FROZEN)
RUNS["contextual"]["max_length"] = 1.5


def make(folder, sources, options):
    source = sources[options.get("source")]
    return make_recognizer(folder, **{**options, "source": source})


@pytest.fixture(scope="module", params=RUNS)
def any_run(request, tmp_path_factory, sources):
    """A recognizer, and the modules of its best checkpoint."""
    folder = tmp_path_factory.mktemp("run") / "run"
    modules = make(folder, sources, RUNS[request.param])
    return load(folder), modules


def trained(modules, wav):
    """Probabilities by the training's own function."""
    return log_probs(modules, wav).exp()


def consistent(result, classes=CLASSES):
    out_prob, score, index, text_lab = result
    torch.testing.assert_close(out_prob.sum(1), torch.ones(len(out_prob)))
    assert torch.equal(score, out_prob.max(1).values)
    assert torch.equal(index, out_prob.argmax(1))
    assert text_lab == [classes[i] for i in index]
    return out_prob


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def ours(caplog):
    """What this package has logged, and nobody else."""
    return [r for r in caplog.records if r.name.startswith("speechbrain_ext")]


@pytest.mark.parametrize("seconds", [0.05, 3.217])
def test_files_as_in_training(any_run, tmp_path, seconds):
    recognizer, modules = any_run
    path = write_sound(tmp_path / "a.wav", seconds)
    out_prob = consistent(recognizer.classify_file(path))
    close(out_prob, trained(modules, read_audio(path)))
    assert out_prob.shape == (1, 4) and not recognizer.by_speaker


def test_padding_does_not_matter(any_run, tmp_path):
    recognizer, _ = any_run
    paths = [
        write_sound(tmp_path / f"{i}.wav", s, seed=i, subtype="FLOAT")
        for i, s in enumerate([2.0, 0.05, 1.3])
    ]
    wavs = list(map(read_audio, paths))
    batch = padded(wavs)
    out_prob = consistent(recognizer.classify_batch(*batch))
    for found, wav in zip(out_prob, wavs):
        close(found, recognizer.classify_batch(wav)[0][0], 1e-4)
    files = consistent(recognizer.classify_files(paths))
    close(files, out_prob, 1e-4)
    assert torch.equal(recognizer(*batch)[0], out_prob)
    # Recordings of which the model says the very same would show nothing.
    assert (out_prob[0] - out_prob[2]).abs().max() > 1e-3


@pytest.mark.parametrize("max_length", [None, 1.5])
def test_long_recordings_are_the_mean_of_equal_stretches(
    tmp_path, caplog, max_length
):
    modules = make_recognizer(tmp_path / "run", max_length=max_length)
    recognizer = load(tmp_path / "run", window=2.0)
    short = write_sound(tmp_path / "short.wav", 2.0)
    recognizer.classify_file(short)
    assert "stretches" not in caplog.text
    assert bool(ours(caplog)) == (max_length is not None)
    path = write_sound(tmp_path / "long.wav", 7.0, subtype="FLOAT")
    out_prob = consistent(recognizer.classify_file(path))
    wav = read_audio(path)
    count = 4 if max_length is None else 5
    stretches = [trained(modules, x) for x in wav.split(len(wav) // count)]
    assert len(stretches) == count
    close(out_prob, torch.stack(stretches).mean(0))
    assert (stretches[0] - stretches[-1]).abs().max() > 1e-3
    assert "long.wav" in caplog.text and f"{count} stretches" in caplog.text
    batch = torch.stack([wav, wav.flip(0)])
    batch[1, 8000:] = float("nan")
    lengths = torch.tensor([1.0, 8000 / len(wav)])
    found, *_ = recognizer.classify_batch(batch, lengths)
    close(found[:1], out_prob, 1e-6)
    close(found[1:], recognizer.classify_batch(batch[1, :8000])[0], 1e-6)


def test_what_lies_beyond_max_length_is_said(tmp_path, caplog):
    modules = make_recognizer(tmp_path / "run", max_length=1.5)
    recognizer = load(tmp_path / "run")
    speech = modules["speech"]
    counts = range(16000, 48000)
    first = next(n for n in counts if speech.grid.num_frames(n) > speech.limit)
    wav = torch.from_numpy(sound(3.0)[:, 0])
    for length in (first - 1, first, 48000):
        path = tmp_path / "a.wav"
        soundfile.write(path, wav[:length].numpy(), 16000, "FLOAT")
        caplog.clear()
        found, *_ = recognizer.classify_file(path)
        close(found, trained(modules, wav[:length]))
        assert len(ours(caplog)) == (length >= first)
        for record in ours(caplog):
            message = record.getMessage()
            assert f"a.wav' lasts {length / 16000:.2f} s" in message
            assert "only its first 1.5 s are judged" in message
            assert "cut the recording" in message
    caplog.clear()
    batch = torch.stack([wav, wav])
    recognizer.classify_batch(batch, torch.tensor([1.0, 1 / 3]))
    [record] = ours(caplog)
    assert "'waveform 1' lasts 3.00 s" in record.getMessage()


def test_padding_alone_makes_no_recording_long(small_recognizer, caplog):
    recognizer = load(small_recognizer[0], window=2.0)
    wav = torch.from_numpy(sound(1.5).T)
    longer = torch.nn.functional.pad(wav, (0, 64000))
    found, *_ = recognizer.classify_batch(longer, torch.tensor([24000 / 88000]))
    torch.testing.assert_close(found, recognizer.classify_batch(wav)[0])
    assert not ours(caplog)


def test_whisper_takes_what_is_longer_than_30_s(tmp_path, sources, caplog):
    make(tmp_path / "run", sources, RUNS["dense"])
    recognizer = load(tmp_path / "run")
    assert recognizer.window == 30.0
    path = write_sound(tmp_path / "a.wav", 30.01)
    consistent(recognizer.classify_file(path))
    assert "2 stretches" in caplog.text
    reason = "window: expected at most the 30 s"
    refused(reason, load, tmp_path / "run", window=31)


def by_hand(modules, groups):
    """Probabilities on features that NumPy normalises, speaker by speaker."""
    found = []
    *inputs, head = sorted(modules, key=lambda name: name == "head")
    with torch.no_grad():
        for wavs in groups:
            given = [[] for _ in wavs]
            for one in map(modules.get, inputs):
                hidden = [one.hidden(wav[None])[0].numpy() for wav in wavs]
                frames = np.concatenate(hidden, axis=1).astype(np.float64)
                mean = frames.mean(1, keepdims=True)
                # A channel that never changes stays at zero.
                std = np.maximum(frames.std(1, keepdims=True), 1e-6)
                for states, row in zip(hidden, given):
                    states = ((states - mean) / std).astype(np.float32)
                    mixed = one._mix(torch.from_numpy(states))
                    row += mixed, torch.tensor([len(mixed)])
            found += [modules[head](*row).softmax(1)[0] for row in given]
    return torch.stack(found)


@pytest.fixture
def recordings(tmp_path):
    paths = [
        write_sound(tmp_path / f"{i}.wav", s, seed=i, subtype="FLOAT")
        for i, s in enumerate([1.0, 2.4, 0.7])
    ]
    return paths, [read_audio(path) for path in paths]


@pytest.mark.parametrize(
    "names, groups, sentence",
    [
        (None, [[0, 1, 2]], "the speaker are those of 3 recordings, 4.1 s in"),
        ("aba", [[0, 2], [1]], "1 of 2 speakers .* such as '1.wav' .2.4 s"),
        ("abc", [[0], [1], [2]], "3 of 3 speakers have one recording alone"),
    ],
)
def test_speakers(speaker_run, recordings, caplog, names, groups, sentence):
    paths, wavs = recordings
    recognizer = load(speaker_run[0])
    assert recognizer.by_speaker
    # Nothing of an earlier call is used.
    recognizer.classify_files(paths[:2])
    rows = by_hand(speaker_run[1], [[wavs[i] for i in each] for each in groups])
    expected = rows[np.argsort(sum(groups, []))]
    with caplog.at_level(logging.INFO, "speechbrain_ext.inference"):
        for classify, given in [
            (recognizer.classify_files, (paths, names)),
            (recognizer.classify_batch, (*padded(wavs), names)),
        ]:
            caplog.clear()
            close(consistent(classify(*given)), expected, 2e-4)
            [record] = ours(caplog)
            message = record.getMessage().replace("waveform 2", "1.wav")
            assert re.search(sentence, message)
            level = logging.WARNING if names else logging.INFO
            assert record.levelno == level
    if names == "abc":
        found, *_ = recognizer.classify_file(paths[1])
        close(found, expected[1:2], 2e-4)
    reason = "speakers: expected one for each of 3 recordings, got 'ab'"
    refused(reason, recognizer.classify_files, paths, "ab")


def test_statistics_of_long_recordings(speaker_run, recordings):
    paths, wavs = recordings
    recognizer = load(speaker_run[0], window=1.0)
    parts = [wavs[0], *wavs[1].split(12800), wavs[2]]
    rows = by_hand(speaker_run[1], [parts])
    expected = torch.stack([rows[0], rows[1:4].mean(0), rows[4]])
    close(recognizer.classify_files(paths)[0], expected, 2e-4)


def test_fusion_with_speaker_normalisation(tmp_path, sources, recordings):
    options = {**RUNS["fusion"], "normalization": "speaker"}
    modules = make(tmp_path / "run", sources, options)
    paths, wavs = recordings
    found = consistent(load(tmp_path / "run").classify_files(paths))
    close(found, by_hand(modules, [wavs]), 2e-4)


def test_speakers_for_a_model_without(small_recognizer, recordings):
    recognizer, reason = load(small_recognizer[0]), "^speakers: the model has"
    refused(reason, recognizer.classify_files, recordings[0], ["a", "b", "c"])
    wavs = torch.randn(1, 16000)
    refused(reason, recognizer.classify_batch, wavs, speakers=["a"])


def test_classes_without_neutral(tmp_path):
    classes = ["happy", "sad", "bored"]
    make_recognizer(tmp_path / "run", classes=classes)
    recognizer = load(tmp_path / "run")
    result = recognizer.classify_batch(torch.from_numpy(sound(1.0).T))
    consistent(result, classes)


def test_invalid_models():
    encoder, named = ProsodyEncoder(), {"classes": CLASSES}
    good = {"encoder": encoder, "head": DenseHead(encoder.output_size, 4)}
    strides = {
        "encoder": load_encoder("spectrogram"),
        "fusion_encoder": load_encoder("egemaps"),
        "head": FusionHead(201, 25, 4),
    }
    for modules, hparams, reason in [
        ({**good, "head": DenseHead(7, 4)}, named, "do not fit together"),
        ({"head": good["head"]}, named, "has the modules head; exp"),
        (good, {**named, "window": 0}, "^window"),
        (strides, named, "^inputs: .* 20 ms .* 10 ms"),
    ]:
        refused(reason, EmotionRecognizer, modules, hparams, CPU)
    recognizer = EmotionRecognizer(good, named, CPU)
    for paths in ([], "a.wav"):
        refused("paths: expected a list", recognizer.classify_files, paths)
    next(encoder.parameters()).data[:] = float("nan")
    wavs = torch.randn(2, 16000) / 8
    reason = "'waveform 1': the model gives posteriors that are not finite"
    refused(reason, recognizer.classify_batch, wavs)


@pytest.mark.parametrize(
    "dtype, silence, full_scale",
    [
        (torch.uint8, 128, 2**7),
        (torch.int8, 0, 2**7),
        (torch.int16, 0, 2**15),
        (torch.int32, 0, 2**31),
    ],
)
def test_whole_numbers_are_scaled(small_recognizer, dtype, silence, full_scale):
    recognizer = load(small_recognizer[0])
    whole = (torch.from_numpy(sound(1.0).T).double() * full_scale).round()
    expected, *_ = recognizer.classify_batch(whole / full_scale)
    found, *_ = recognizer.classify_batch((whole + silence).to(dtype))
    close(found, expected)
