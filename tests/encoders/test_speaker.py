"""Vectors of speakers: those of the models' own packages, and of no padding."""

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from speechbrain.inference.classifiers import EncoderClassifier

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import speaker
from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
from speechbrain_ext.encoders.speaker import SpeakerEncoder
from speechbrain_ext.inference import EmotionRecognizer
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.normalization import SpeakerMean
from tests.checkpoints import SPEAKER_MODELS, make_speaker_model
from tests.encoders.padding import check_bfloat16, collate, utterances

needs_resemblyzer = pytest.mark.skipif(
    importlib.util.find_spec("resemblyzer") is None,
    reason="Resemblyzer is not installed",
)
LENGTHS = [40000, 1, 9001, 24320]


@pytest.fixture(params=["resemblyzer", *SPEAKER_MODELS])
def encoder(request, tmp_path):
    """Each kind of speaker encoder."""
    if request.param != "resemblyzer":
        return SpeakerEncoder(make_speaker_model(tmp_path, request.param))
    pytest.importorskip("silero_vad")
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("Resemblyzer is not installed")
    return SpeakerEncoder()


def test_one_vector_of_each_utterance_whatever_stands_beside_it(encoder):
    wavs = utterances(LENGTHS)
    batch, wav_lens = collate(wavs)
    for row, wav in zip(batch, wavs):
        row[len(wav) :] = torch.nan
    found = encoder(batch, wav_lens, all_layers=True)
    assert found.shape == (len(wavs), 1, 1, encoder.output_size)
    assert torch.equal(found[:, 0], encoder(batch, wav_lens))
    for vector, wav in zip(found, wavs):
        assert torch.equal(encoder.encode_alone(wav), vector)
    assert found.isfinite().all()
    assert encoder.encode_alone(torch.zeros(16000)).isfinite().all()
    # No state of random numbers is changed, and none counts.
    state = torch.get_rng_state()
    encoder.encode_alone(wavs[0])
    assert torch.equal(state, torch.get_rng_state())
    check_bfloat16(encoder)
    assert encoder.frozen and not encoder.train().training
    assert not found.requires_grad


def slaney_mel(wav):
    """Mel spectra by numpy, from the definition of Slaney's filters."""
    padded = np.pad(wav.astype("float64"), 200)
    starts = range(0, len(padded) - 399, 160)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[n : n + 400] * window for n in starts])
    power = np.abs(np.fft.rfft(frames)) ** 2
    # Linear up to 1 kHz, 27 steps for every factor of 6.4 from there on.
    mels = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 42)
    hertz = np.where(
        mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27)
    )
    filters = [
        np.interp(np.arange(201) * 40, hertz[n : n + 3], [0, 1, 0])
        * (2 / (hertz[n + 2] - hertz[n]))
        for n in range(40)
    ]
    return (power @ np.transpose(filters)).astype("float32")


@needs_resemblyzer
def test_resemblyzer_is_what_its_package_computes(monkeypatch):
    # Of the module that needs old packages only the spectra are used here.
    audio = ModuleType("resemblyzer.audio")
    audio.__all__ = ["preprocess_wav", "trim_long_silences"]
    audio.preprocess_wav = audio.trim_long_silences = None
    audio.normalize_volume = None
    audio.wav_to_mel_spectrogram = slaney_mel
    monkeypatch.setitem(sys.modules, "resemblyzer.audio", audio)
    theirs = importlib.import_module("resemblyzer").VoiceEncoder("cpu", False)
    ours = SpeakerEncoder().embed
    for count in (160, 9001, 25600, 26000, 40000, 44919, 44920, 81234):
        wav = utterances([count])[0] * 0.1
        expected = theirs.embed_utterance(wav.numpy())
        with torch.no_grad():
            found = ours.embed_spoken(wav).numpy()
        assert np.abs(found - expected).max() < 1e-5, count
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


@needs_resemblyzer
def test_volume_and_silence(synthetic_folder):
    path = min(synthetic_folder.rglob("*.wav"))
    wav = read_audio(path)
    encoder = SpeakerEncoder()
    found = encoder.encode_alone(wav)
    assert found.shape == (1, 1, 256)
    level = wav.square().mean().sqrt().log10() * 20
    soft = encoder.encode_alone(wav * 0.01)
    if level < -30:
        assert (soft - found).abs().max() < 1e-3
    prepared = encoder.embed.prepare(wav * 0.001)
    assert len(prepared) <= len(wav)
    # Silence that is added is taken away.
    longer = torch.cat([wav, torch.zeros(80000), wav])
    assert len(encoder.embed.prepare(longer)) < 2 * len(wav) + 2 * 4800


def test_resemblyzer_is_missing_or_damaged(monkeypatch, tmp_path):
    monkeypatch.setattr(speaker.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install --no-deps Resemblyzer'"):
        SpeakerEncoder()
    spec = importlib.machinery.ModuleSpec("x", None)
    spec.origin = str(tmp_path / "__init__.py")
    monkeypatch.setattr(speaker.importlib.util, "find_spec", lambda _: spec)
    (tmp_path / "pretrained.pt").write_text("nothing")
    with pytest.raises(UserError, match="is damaged .* install Resemblyzer"):
        SpeakerEncoder()


@pytest.mark.parametrize("kind", SPEAKER_MODELS)
def test_speechbrain_models_are_what_speechbrain_computes(kind, tmp_path):
    folder = make_speaker_model(tmp_path / "model", kind)
    theirs = EncoderClassifier.from_hparams(
        str(folder), savedir=str(tmp_path / "saved")
    )
    ours = SpeakerEncoder(folder)
    wavs = utterances([16000, 7000])
    for wav in wavs:
        expected = theirs.encode_batch(wav[None])[0]
        found = ours.encode_alone(wav)[0]
        # Theirs adds noise of 1e-5 to means and deviations.
        limit = 1e-5 if kind == "ecapa" else 1e-2
        assert (found - expected).abs().max() < limit * expected.abs().max()
    assert ours.output_size == expected.shape[-1]
    # Other weights are another encoder.
    (tmp_path / "other").mkdir()
    other = SpeakerEncoder(make_speaker_model(tmp_path / "other", kind, seed=1))
    assert other.fingerprint() != ours.fingerprint()
    assert SpeakerEncoder(folder).fingerprint() == ours.fingerprint()


class FirstChannels(torch.nn.Module):
    """A head that gives what it is told of the speaker."""

    def forward(self, frames, lengths, vectors, ones):
        return vectors[torch.cumsum(ones, 0) - 1, :2]


def test_a_model_judges_by_the_mean_of_the_speaker(tmp_path, write_audio):
    encoder = SpeakerEncoder(make_speaker_model(tmp_path / "model"))
    inputs = {
        "speech": Input(ProsodyEncoder()),
        "speaker": Input(encoder, SpeakerMean(1, encoder.output_size)),
    }
    recognizer = EmotionRecognizer(
        {**inputs, "head": FirstChannels()}, {"classes": ["sad", "happy"]}
    )
    paths = [write_audio(f"{'x' * n}.wav", n) for n in (1, 2, 3)]
    found = recognizer.classify_files(paths, ["ann", "bob", "ann"])[0]
    wavs = [read_audio(path) for path in paths]
    vectors = torch.stack([encoder.encode_alone(wav)[0, 0] for wav in wavs])
    expected = (vectors[[0, 2]].mean(0), vectors[1])
    for row, vector in zip(found[[0, 1]], expected):
        assert torch.allclose(row, vector[:2].softmax(0), atol=1e-5)
    assert torch.equal(found[0], found[2])
