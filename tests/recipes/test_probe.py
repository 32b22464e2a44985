"""The speaker probe of Makiuchi et al. (2021), section 6.2."""

import argparse
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from speechbrain_ext.data import load_waveform
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.encoders.features.spectra import SpectrogramEncoder
from speechbrain_ext.encoders.grid import OneFrame
from speechbrain_ext.inference import EmotionRecognizer
from speechbrain_ext.models.cross_representation import CrossRepresentation
from speechbrain_ext.models.heads import DenseHead
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.utterance import Utterance, save_manifest
from tests.inference.runs import refused, write_sound
from tests.recipes.running import CROSS as RECIPE
from tests.recipes.running import script

CLASSES = ["sad", "happy"]
OPTIONS = argparse.Namespace(
    seeds=2, activation="linear", epochs=3, device="cpu"
)


class Level(Encoder):
    """How loud an utterance is, as the vector of its speaker."""

    output_size = 1

    def __init__(self):
        super().__init__()
        self.grid = OneFrame()
        self.freeze()

    def encode(self, wav, lengths, all_layers):
        return wav.abs().sum(1)[:, None, None] / lengths[:, None, None]


def speech():
    encoder = SpectrogramEncoder()
    encoder.freeze()
    return Input(encoder)


def with_codes():
    head = CrossRepresentation(
        201, 1, 2, bottleneck=3, encoder_width=8, decoder=False
    )
    return {"speech": speech(), "speaker": Input(Level()), "head": head}


def without_codes():
    return {"speech": speech(), "head": DenseHead(201, 2)}


@pytest.fixture
def probe():
    return script(RECIPE, "probe")


@pytest.fixture
def run(tmp_path):
    """Manifests of three speakers, and one with a single utterance."""
    utterances = []
    for n, speaker in enumerate("aaaaabbbbbbcccccd"):
        # One or two segments of 96 frames of 10 ms.
        path = write_sound(tmp_path / f"{n}.wav", 0.8 + 0.05 * n, seed=n)
        utterances.append(
            Utterance(f"u{n}", 0.8 + 0.05 * n, speaker, "sad", "c", wav=path)
        )
    manifests = tmp_path / "run" / "manifests"
    manifests.mkdir(parents=True)
    save_manifest(utterances[:11], manifests / "train.json")
    save_manifest(utterances[11:], manifests / "valid.json")
    return tmp_path / "run"


@pytest.mark.parametrize("parts", [with_codes, without_codes])
def test_a_run_is_probed(parts, probe, run, monkeypatch, capsys):
    torch.manual_seed(1)
    modules = parts()
    model = EmotionRecognizer(modules, {"classes": CLASSES})
    monkeypatch.setattr(
        EmotionRecognizer, "from_hparams", lambda *_, **__: model
    )
    utterances, left_out = probe.read_utterances(run)
    assert len(utterances) == 16 and left_out == 1
    codes, what = probe.codes_of(run, utterances)
    wav = load_waveform(utterances[-1].to_dict())[None]
    with torch.no_grad():
        if parts is with_codes:
            own = modules["speech"](wav), modules["speaker"](wav)
            expected, counts = modules["head"].codes(*own[0], *own[1])
            expected = expected.flatten(1)
            # f = 48 of 96 frames, d = 3 in either direction.
            assert counts == [2] and expected.shape == (2, 2 * 6)
            assert what == "codes"
        else:
            expected = modules["speech"](wav)[0].mean(0, keepdim=True)
            assert what == "mean over frames of 'speech'"
    torch.testing.assert_close(codes[-1], expected)
    probe.probe_run(run, OPTIONS)
    record = json.loads((run / "probe.json").read_text())
    assert record["speakers"] == 3 and record["chance"] == pytest.approx(
        100 / 3
    )
    assert record["size"] == expected.shape[1]
    assert record["segments"] == sum(map(len, codes))
    assert record["UA"] == pytest.approx(np.mean(record["UA_of_seeds"]))
    low, high = record["UA_interval"]
    assert low <= record["UA"] <= high
    assert "chance 33.3 %" in capsys.readouterr().out


def test_what_is_there_is_found_and_nothing_else(probe):
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], 60)
    utterances = [
        Utterance(f"u{n}", 1.0, str(label), "sad", "c", wav="a.wav")
        for n, label in enumerate(labels)
    ]
    train = probe.split(utterances, 1)
    assert all(
        sum(labels[place] == label for place in train) == 48
        for label in range(4)
    )
    assert train != probe.split(utterances, 2)
    noise = random.normal(size=(240, 2, 4))
    planted = 4 * np.eye(4)[labels][:, None] + noise
    for given, least, most in ((planted, 95, 100), (noise, 5, 45)):
        codes = [torch.tensor(x, dtype=torch.float32) for x in given]
        found = probe.probe(codes, labels, train, 1, epochs=5)
        assert set(found) == set(range(240)) - train
        ua, (low, high), each = probe.measure([found, found], labels)
        truth = np.repeat([labels[place] for place in found], 2)
        said = np.concatenate(list(found.values()))
        score = 100 * balanced_accuracy_score(truth, said)
        assert ua == pytest.approx(score) and each == pytest.approx([score] * 2)
        assert least <= ua <= most and low <= ua <= high


def test_too_few_speakers(probe, run):
    manifests = run / "manifests"
    (manifests / "train.json").write_text("{}")
    refused("fewer than two speakers with two", probe.read_utterances, run)
