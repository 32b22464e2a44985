"""Models that clean recordings before they judge them."""

import shutil

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.audio import AudioStream, read_audio
from speechbrain_ext.conditioning import Cleaner, recordings
from speechbrain_ext.conditioning.recordings import CleanedRecording
from speechbrain_ext.inference import EmotionDiarizer, EmotionRecognizer
from speechbrain_ext.inference.interfaces import Waveform
from speechbrain_ext.models.inputs import Input
from tests.inference.runs import (
    CPU,
    load,
    load_recognizer,
    log_probs,
    make_recognizer,
    refused,
    sound,
)
from tests.inference.test_fused import CLASSES, Words, says, text_model

QUICK = {"reduce_noise": False}
CLEANER = Cleaner(**QUICK)


def with_preprocessing(folder, options):
    """A run whose YAML says how it was cleaned."""
    with open(folder / "hyperparams.yaml", "a") as file:
        file.write(f"preprocessing: {options}\n")
    return folder


@pytest.fixture(scope="module")
def cleaning_run(small_recognizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cleaning") / "run"
    shutil.copytree(small_recognizer[0], folder)
    how = "{reduce_noise: False, min_duration: 1.0}"
    return with_preprocessing(folder, how), small_recognizer[1]


@pytest.fixture
def spoken(tmp_path):
    """A function that writes stretches of sound (s) between silences."""

    def write(*seconds, name="a.wav", pause=1.0):
        parts = [np.zeros(int(16000 * pause))]
        for seed, each in enumerate(seconds):
            parts += [sound(each, seed=seed)[:, 0], parts[0]]
        soundfile.write(tmp_path / name, np.concatenate(parts), 16000, "FLOAT")
        return str(tmp_path / name)

    return write


def trained(modules, wav):
    return log_probs(modules, wav).exp()


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_files_and_batches_as_in_training(cleaning_run, spoken):
    folder, modules = cleaning_run
    model = load_recognizer(folder)
    assert model.cleaner.options == CLEANER.options
    paths = [spoken(1.5), spoken(0.9, 0.8, name="b.wav")]
    wavs = [read_audio(path) for path in paths]
    expected = [trained(modules, CLEANER.clean(wav)) for wav in wavs]
    plain = [trained(modules, wav) for wav in wavs]
    assert (expected[0] - plain[0]).abs().max() > 1e-3
    found = model.classify_files(paths)[0]
    close(found, torch.cat(expected))
    close(model.classify_file(paths[1])[0], expected[1])
    length = max(map(len, wavs))
    batch = torch.stack(
        [
            torch.nn.functional.pad(w, (0, length - len(w)), value=9)
            for w in wavs
        ]
    )
    lengths = torch.tensor([len(wav) / length for wav in wavs])
    close(model.classify_batch(batch, lengths)[0], torch.cat(expected))


def test_the_cleaner_of_a_python_model(cleaning_run, spoken):
    _, modules = cleaning_run
    hparams = {"classes": CLASSES, "preprocessing": {}}
    model = EmotionRecognizer(modules, hparams, CPU)
    wav = read_audio(spoken(1.2))
    expected = trained(modules, Cleaner().clean(wav))
    close(model.classify_batch(wav)[0], expected)
    assert EmotionRecognizer(modules, {"classes": CLASSES}).cleaner is None


def test_long_recordings_are_cleaned_whole(cleaning_run, spoken, caplog):
    folder, modules = cleaning_run
    path = spoken(2.0, 2.0, 2.0)
    model = load_recognizer(folder, window=3.0)
    wav = CLEANER.clean(read_audio(path))
    count = -(-len(wav) // 48000)
    edges = [len(wav) * n // count for n in range(count + 1)]
    parts = [trained(modules, wav[a:b]) for a, b in zip(edges, edges[1:])]
    close(model.classify_file(path)[0], torch.stack(parts).mean(0))
    assert f"{count} stretches" in caplog.text
    assert f"lasts {len(wav) / 16000:.2f} s, longer than a" in caplog.text


def test_short_ones_are_judged_with_a_remark(cleaning_run, spoken, caplog):
    folder, modules = cleaning_run
    path = spoken(0.4)
    model = load_recognizer(folder)
    expected = trained(modules, CLEANER.clean(read_audio(path)))
    close(model.classify_file(path)[0], expected)
    assert "a.wav' lasts 0." in caplog.text
    assert "less than what the model was trained on (1 s)" in caplog.text
    stream = AudioStream(path)
    list(model.iterate_files([stream]))
    # What has been judged takes no memory, and is still known.
    (cleaned,) = stream.cleaned.values()
    assert cleaned._wav is None and len(model.remarks(stream)) == 1


def test_nothing_is_left(cleaning_run, tmp_path, monkeypatch):
    model = load_recognizer(cleaning_run[0])
    path = str(tmp_path / "silent.wav")
    soundfile.write(path, np.zeros(16000), 16000)
    refused("silent.wav' has no sound; replace", model.classify_file, path)
    refused("'waveform 1' has no sound", model.classify_batch, torch.zeros(9))
    monkeypatch.setattr(recordings, "LONGEST", 0.5)
    soundfile.write(path, sound(0.6), 16000)
    sentence = "silent.wav' lasts 1 s, and this model cleans .* cut it into"
    refused(sentence, model.classify_file, path)


def test_statistics_of_speakers(sources, tmp_path, spoken):
    """Those of cleaned recordings."""
    options = {"source": sources["wavlm"], "normalization": "speaker"}
    folder = tmp_path / "run"
    make_recognizer(folder, **options)
    plain = load_recognizer(folder)
    model = load_recognizer(with_preprocessing(folder, QUICK))
    paths = [spoken(1.2), spoken(0.9, 0.8, name="b.wav")]
    cleaned = []
    for path in paths:
        cleaned.append(path.replace(".wav", "_clean.wav"))
        wav = CLEANER.clean(read_audio(path)).numpy()
        soundfile.write(cleaned[-1], wav, 16000, "FLOAT")
    expected = plain.classify_files(cleaned)[0]
    close(model.classify_files(paths)[0], expected)
    assert (plain.classify_files(paths)[0] - expected).abs().max() > 1e-4


class Listening:
    """A transcriber that notes what it hears."""

    def __init__(self):
        self.heard = []

    def __call__(self, wavs):
        self.heard += wavs
        return ["so it is"] * len(wavs)


def cleaning_text_model(**options):
    parts = {"text": Input(Words()), "head": text_model().mods["head"]}
    hparams = {"classes": CLASSES, "preprocessing": QUICK}
    return EmotionRecognizer(parts, hparams, **options)


def test_what_is_heard_is_the_recording_as_it_is(spoken):
    path = spoken(1.0, 1.5)
    heard = Listening()
    model = cleaning_text_model(transcriber=heard)
    close(model.classify_file(path)[0][0], says("so it is"))
    (wav,) = heard.heard
    assert torch.equal(wav, read_audio(path))
    # In stretches: all of it, in turn, silence at cuts and all.
    heard = Listening()
    model = cleaning_text_model(transcriber=heard, window=1.0)
    stream = AudioStream(path)
    list(model.iterate_files([stream]))
    assert torch.equal(torch.cat(heard.heard), read_audio(path))
    spans = sorted(stream.heard)
    assert spans[0][0] == 0 and spans[-1][1] == stream.num_samples
    assert all(a[1] == b[0] for a, b in zip(spans, spans[1:]))


def test_stretches_of_what_was_cleaned(spoken):
    """Every sample is where it was: the reader finds it there."""
    path = spoken(0.7, 0.4, 0.9)
    one = CleanedRecording(AudioStream(path), CLEANER)
    whole = read_audio(path)
    (cleaned,) = one.windows([(0, one.num_samples)])
    for at in range(1, one.num_samples - 1, 997):
        recording, (start, stop), wav = one.before((at, at + 1))
        assert recording.path == path and start < stop
        assert whole[start] == cleaned[at]
        assert torch.equal(wav, whole[start:stop])


def test_a_diarizer_reduces_noise_alone(small_run, tmp_path):
    folder, modules = small_run
    wav = torch.from_numpy(sound(2.0)[:, 0])
    hparams = {"classes": CLASSES, "preprocessing": {}}
    sentence = "model: 'x' was trained on recordings without silence, in which"
    refused(sentence, EmotionDiarizer, modules, hparams, source="x")
    hparams["preprocessing"] = {"remove_silence": False}
    model = EmotionDiarizer(modules, hparams)
    path = str(tmp_path / "a.wav")
    soundfile.write(path, wav.numpy(), 16000, "FLOAT")
    found = model.analyse_file(path)
    quiet = Cleaner(remove_silence=False).clean(wav)
    expected = log_probs(modules, quiet).exp().numpy().squeeze()
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    plain = EmotionDiarizer(modules, {"classes": CLASSES}).analyse_file(path)
    assert np.abs(plain.probabilities - found.probabilities).max() > 1e-3
    assert model.diarize_batch(wav)[0] == found.segments
    assert found.segments[-1]["end"] == 2.0


@pytest.mark.parametrize(
    "options, sentence",
    [
        ("3", "hyperparams.yaml', preprocessing: expected a mapping"),
        ("{noise: 1}", "hyperparams.yaml', preprocessing: there is no option"),
        ("{top_db: .nan}", "hyperparams.yaml', preprocessing.top_db: expected"),
        ("!new:torch.nn.Linear [1, 1]", "'preprocessing' asks for .* refused"),
    ],
)
def test_what_a_yaml_may_say(small_recognizer, tmp_path, options, sentence):
    folder = shutil.copytree(small_recognizer[0], tmp_path / "run")
    with_preprocessing(folder, options)
    refused(sentence, load, folder, EmotionRecognizer)


def test_waveforms_have_the_same_face():
    wav = torch.from_numpy(sound(1.0)[:, 0])
    one = CleanedRecording(Waveform(wav, 3), CLEANER)
    assert one.path == "waveform 3" and one.notes == []
    assert one.duration == one.num_samples / 16000
