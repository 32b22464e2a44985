"""EmotionDiarizer on run folders, model folders and the Hub's cache."""

import logging

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.audio import read_audio
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
from speechbrain_ext.inference import EmotionDiarizer
from speechbrain_ext.models.heads import LinearHead
from tests.inference.runs import (
    CLASSES,
    CPU,
    covers,
    finish,
    load,
    log_probs,
    make_run,
    padded,
    refused,
    sound,
    write_sound,
)

HEADS = {"wavlm": "ConvHead", "hubert": "LinearHead"}
HEADS["whisper"] = "RecurrentHead"


def whole(modules, wav):
    """Posteriors without windows."""
    return np.exp(log_probs(modules, wav).numpy())


@pytest.fixture(scope="module", params=[None, *HEADS])
def any_run(request, tmp_path_factory, small_run, sources):
    """A diarizer from a run folder, and the modules of its best checkpoint."""
    kind = request.param
    if kind is None:
        return load(small_run[0]), small_run[1]
    folder = tmp_path_factory.mktemp(kind) / "run"
    modules = make_run(
        folder, HEADS[kind], sources[kind], normalization="global"
    )
    return load(folder), modules


@pytest.mark.parametrize("seconds", [0.01, 0.05, 3.217, 30.0])
def test_one_window_equals_the_unwindowed(any_run, tmp_path, seconds):
    diarizer, modules = any_run
    path = write_sound(tmp_path / "a.wav", seconds)
    found, wav = diarizer.analyse_file(path), read_audio(path)
    expected, edges = whole(modules, wav), found.edges
    np.testing.assert_array_equal(found.probabilities, expected)
    assert diarizer.classes == CLASSES
    assert edges[0] == 0.0 and edges[-1] == round(seconds * 16000) / 16000
    assert len(edges) == len(expected) + 1 and (np.diff(edges) > 0).all()
    assert found.segments == PostProcessing(median=0.1).diarize(
        np.log(expected), CLASSES, len(wav), diarizer.grid
    )


def test_windows_equal_their_own_classification(any_run, tmp_path, monkeypatch):
    diarizer, modules = any_run
    monkeypatch.setattr(diarizer, "window", 2.0)
    monkeypatch.setattr(diarizer, "overlap", 0.5)
    path = write_sound(tmp_path / "a.wav", 4.7)
    found, wav = diarizer.analyse_file(path), read_audio(path)
    merged = found.probabilities
    assert covers(found.segments, 4.7) and found.edges[-1] == 4.7
    np.testing.assert_allclose(merged.sum(1), 1.0, atol=1e-4)
    (_, stop), (second, _), *_, (begin, _) = spans = diarizer.spans(len(wav))
    assert len(spans) == 3
    first, last = (whole(modules, x) for x in (wav[:stop], wav[begin:]))
    # What only the first and only the last window hear.
    stride = diarizer.grid.stride
    before, after = second // stride, (len(wav) - spans[-2][1]) // stride
    assert min(before, after) > 10
    np.testing.assert_allclose(merged[:before], first[:before], atol=1e-4)
    np.testing.assert_allclose(merged[-after:], last[-after:], atol=1e-4)


def test_batches_equal_files(any_run, tmp_path):
    diarizer, _ = any_run
    wavs = [sound(s, seed=i)[:, 0] for i, s in enumerate([2.0, 0.05, 1.3])]
    expected = []
    for wav in wavs:
        soundfile.write(tmp_path / "a.wav", wav, 16000, "FLOAT")
        expected.append(diarizer.diarize_file(tmp_path / "a.wav"))
    batch = padded([torch.from_numpy(wav) for wav in wavs])
    assert diarizer.diarize_batch(*batch) == expected
    assert diarizer(*batch) == expected


def test_long_batches_equal_files(small_run, tmp_path):
    diarizer = load(small_run[0], window=2.0, overlap=0.5)
    path = write_sound(tmp_path / "a.wav", 7.0, subtype="FLOAT")
    wav = read_audio(path)
    batch = torch.stack([wav, wav.flip(0)])
    batch[1, 40000:] = float("nan")
    found = diarizer.diarize_batch(batch, torch.tensor([1.0, 40000 / len(wav)]))
    assert found[0] == diarizer.diarize_file(path)
    assert covers(found[1], 2.5)
    refused(
        "'waveform 2' holds samples that are not", diarizer.diarize_batch, batch
    )


@pytest.mark.parametrize(
    "rate, channels", [(8000, 1), (16000, 6), (44100, 2), (12345, 1)]
)
def test_any_rate_and_channels(small_run, tmp_path, rate, channels):
    diarizer = load(small_run[0], window=1.0, overlap=0.3)
    for seconds in (0.05, 2.57):
        path = write_sound(tmp_path / "a.flac", seconds, rate, channels)
        segments = diarizer.diarize_file(path)
        assert covers(segments, soundfile.info(path).frames / rate)
        assert {s["emotion"] for s in segments} <= set(CLASSES)


def test_options_of_a_finished_run(run, tmp_path):
    assert load(run).postprocessing == PostProcessing(median=0.1)
    finish(run, threshold=0.4, min_duration=0.6)
    diarizer = load(run)
    expected = PostProcessing(threshold=0.4, min_duration=0.6)
    assert diarizer.postprocessing == expected
    path = write_sound(tmp_path / "a.wav", 4.0)
    off = {"min_duration": None, "threshold": None}
    plain = diarizer.diarize_file(path, off)
    assert plain == diarizer.diarize_file(path, PostProcessing())
    assert plain != diarizer.diarize_file(path)
    masked = diarizer.diarize_file(path, {"threshold": 1.0})
    assert masked == [{"start": 0.0, "end": 4.0, "emotion": "neutral"}]
    wrong = {"treshold": 1.0}
    refused("did you mean 'threshold'", diarizer.diarize_file, path, wrong)
    (run / "results.json").write_text('{"postprocessing": {"x": 1}}')
    refused("results.json'", load, run)


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


def test_invalid_models():
    encoder = ProsodyEncoder()
    modules = {"encoder": encoder, "head": LinearHead(encoder.output_size, 4)}
    for hparams, reason in [
        ({}, "expected .* or a 'label_encoder', got None"),
        ({"classes": "neutral"}, "expected a list of words"),
        ({"classes": ["happy", "sad", "angry", "calm"]}, "needs 'neutral'"),
        ({"classes": ["neutral"]}, "scores 4 classes but names 1"),
    ]:
        refused(reason, EmotionDiarizer, modules, hparams, CPU)
    given = modules, {"classes": CLASSES}
    if not torch.cuda.is_available():
        refused("^device: 'cuda'", EmotionDiarizer, *given, {"device": "cuda"})
    refused("^window", EmotionDiarizer, *given, window=0.0)
    refused("^overlap", EmotionDiarizer, *given, overlap=30.0)
    modules["head"].linear.bias.data[0] = float("nan")
    diarizer = EmotionDiarizer(*given, CPU)
    wavs = torch.randn(1, 16000)
    refused("not finite numbers", diarizer.diarize_batch, wavs)
