"""Models of texts, and several recognizers as one."""

import csv
import hashlib
import json

import pytest
import torch

from speechbrain_ext.audio import read_audio
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.inference import (
    EmotionRecognizer,
    FusedRecognizer,
    command,
)
from speechbrain_ext.models.heads import DenseHead
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.recognition.rule import Fusion, read_fusion, stack
from tests.inference.runs import CLASSES, make_recognizer, refused, write_sound
from tests.inference.runs import load_recognizer as load


class Words(Encoder):
    """Two layers of a vector for each word of a text."""

    reads = ("text",)
    grid, output_size, num_layers = None, 8, 2

    def __init__(self):
        super().__init__()
        self.freeze()

    def encode_alone(self, text):
        vectors = [
            list(hashlib.sha256(word.encode()).digest()[:8])
            for word in text.split()
        ]
        state = torch.tensor(vectors) / 128 - 1
        return torch.stack([-state, state])

    def encode_batch(self, texts):
        return [self.encode_alone(text) for text in texts]

    def lacks(self, record):
        return None if record["text"].split() else "has no text"

    def describe(self):
        return {}


class Heard:
    """A transcriber that knows recordings by their lengths."""

    def __init__(self, **texts):
        self.texts, self.calls = texts, 0

    def __call__(self, wavs):
        self.calls += len(wavs)
        return [self.texts.get(f"n{len(wav)}", "") for wav in wavs]


def text_model(**options):
    torch.manual_seed(4)
    parts = {"text": Input(Words()), "head": DenseHead(8, len(CLASSES))}
    # So that probabilities differ clearly.
    for parameter in parts["head"].parameters():
        parameter.data *= 8
    return EmotionRecognizer(parts, {"classes": CLASSES}, **options)


def says(text):
    """Probabilities by the training's own functions."""
    model = text_model()
    states = Words().encode_alone(text)[-1]
    logits = model.mods["head"](states, torch.tensor([len(states)]))
    return logits.detach().softmax(-1)[0]


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech") / "run"
    make_recognizer(folder)
    return folder


@pytest.fixture
def paths(tmp_path):
    return [write_sound(tmp_path / f"{n}.wav", n, seed=n) for n in (1, 2)]


def fused(speech, weights=(0.6, 1.0), **options):
    fusion = Fusion(CLASSES, ["speech", "text"], list(weights))
    return FusedRecognizer(fusion, [load(speech), text_model()], **options)


def test_texts_come_from_the_user_or_from_a_transcriber(paths):
    heard = Heard(n16000="so it is", n32000=" never again ")
    model = text_model(transcriber=heard)
    found = model.classify_files(paths)[0]
    expected = torch.stack([says("so it is"), says("never again")])
    torch.testing.assert_close(found, expected)
    assert heard.calls == 2
    # What is given is not transcribed.
    found = model.classify_files(paths, texts=["quite", None])[0]
    torch.testing.assert_close(found[0], says("quite"))
    assert heard.calls == 3
    wavs = torch.stack([torch.zeros(16000), torch.ones(16000) / 9])
    batch = text_model().classify_batch(wavs, texts=["quite", "so it is"])[0]
    torch.testing.assert_close(batch, torch.stack([found[0], expected[0]]))


def test_every_stretch_is_transcribed_by_itself(tmp_path, caplog):
    path = write_sound(tmp_path / "long.wav", 5.0)
    # Stretches of a third: samples 26666 or 26667.
    heard = Heard(n26666="first", n26667="")
    model = text_model(transcriber=heard, window=2.0)
    found = model.classify_file(path)[0]
    torch.testing.assert_close(found[0], says("first"))
    assert heard.calls == 3
    assert "has no words in 2 of 3 stretches" in caplog.text


def test_a_model_of_text_cannot_do_without(speech, paths):
    model = text_model()
    refused("give its text, or the folder", model.classify_file, paths[0])
    refused("1.wav' has no text", model.classify_file, paths[0], " ")
    refused("reads no text", load(speech).classify_file, paths[0], "a")
    deaf = text_model(transcriber=Heard())
    refused("1.wav' has no text", deaf.classify_files, paths)
    refused("text .* for each of 2", deaf.classify_files, paths, texts=["a"])
    refused("reads no text", load, speech, transcriber=Heard())


def test_posteriors_are_fused(speech, paths):
    heard = Heard(n16000="so it is", n32000="never again")
    model = fused(speech, transcriber=heard)
    found = model.classify_files(paths)[0]
    own = load(speech).classify_files(paths)[0]
    text = torch.stack([says("so it is"), says("never again")])
    # Equation 4 of Makiuchi et al. (2021), as shares.
    expected = (0.6 * own + 1.0 * text) / 1.6
    torch.testing.assert_close(found, expected)
    wav = read_audio(paths[0])
    batch = model(wav, texts=["so it is"])[0]
    torch.testing.assert_close(batch[0], expected[0])
    assert not model.needs_text and model.classes == CLASSES


def test_what_is_not_said_leaves_speech(speech, paths, caplog):
    own = load(speech).classify_files(paths)[0]
    found = fused(speech, transcriber=Heard(n16000="so")).classify_files(paths)
    torch.testing.assert_close(found[0][1], own[1])
    assert "2.wav' has no words: it is judged without 'text'" in caplog.text
    assert "1.wav' has" not in caplog.text
    found = fused(speech).classify_file(paths[0])
    torch.testing.assert_close(found[0][0], own[0])
    assert "has no text, nor a transcriber: it is judged" in caplog.text


def write_fusion(folder, fusion, *members):
    folder.mkdir()
    fusion.write(folder, [str(member) for member in members])
    return folder


def test_a_folder_is_loaded(speech, speaker_run, paths, tmp_path):
    weights = torch.randn(4, 8, generator=torch.manual_seed(1)).tolist()
    rule = weights, [0.1, -0.2, 0.3, 0.0]
    order = CLASSES[::-1]
    fusion = Fusion(order, [], [1.0, 1.0], rule)
    folder = write_fusion(tmp_path / "f", fusion, speech, speaker_run[0])
    model = load(folder)
    assert isinstance(model, FusedRecognizer) and model.by_speaker
    found = model.classify_files(paths)[0]
    pair = [load(x).classify_files(paths)[0] for x in (speech, speaker_run[0])]
    rows = torch.stack(pair).flip(-1).double()
    logits = (
        torch.tensor(stack(rows.numpy())) @ torch.tensor(rule[0]).T.double()
    )
    expected = (logits + torch.tensor(rule[1])).softmax(-1)
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"members": ["a"]}, "2 to 16 different folders"),
        ({"members": ["a", "a"]}, "2 to 16 different folders"),
        ({"members": 3}, "members: expected"),
        ({"members": ["/no/such", "b"]}, "neither a folder nor the name"),
        ({"members": [".", "b"]}, "'.' is a fusion itself"),
        ({"weights": [1, -1]}, "weights: expected 2 numbers from 0"),
        ({"weights": [0, 0]}, "not all of them 0"),
        ({"weights": [1e308, 1]}, "weights: expected"),
        ({"coefficients": [[1]]}, "coefficients: expected"),
        ({"intercepts": [1, 2, 3, 4]}, "coefficients: expected"),
        ({"classes": ["sad", "happy"]}, "fuse models of the same classes"),
        ({"classes": None}, "classes: expected"),
    ],
)
def test_a_damaged_folder(change, sentence, speech, tmp_path):
    (tmp_path / "copy").symlink_to(speech)
    fusion = Fusion(CLASSES, [], [1.0, 1.0])
    folder = write_fusion(tmp_path / "f", fusion, speech, tmp_path / "copy")
    path = folder / "fusion.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refused(sentence, load, folder)


@pytest.fixture
def call(monkeypatch, capsys):
    def run(model, *words):
        monkeypatch.setattr(command, "_load", lambda *_, **__: model)
        try:
            command.main(["recognize", "MODEL", *map(str, words)])
        except SystemExit:
            return capsys.readouterr().err
        return capsys.readouterr().out

    return run


def test_the_command_shows_words_and_members(speech, paths, tmp_path, call):
    model = fused(speech, transcriber=Heard(n16000="so it is"))
    out = call(model, *paths, "--csv", tmp_path / "a.csv")
    lines = [line.split()[0] for line in out.splitlines()]
    first = [paths[0], "speech", "text", "transcript:"]
    assert lines == ["file", *first, paths[1], "speech", "transcript:"]
    assert "transcript: so it is\n" in out
    with open(tmp_path / "a.csv", newline="") as file:
        one, two = csv.DictReader(file)
    assert one["transcript"] == "so it is" and two["transcript"] == ""
    share = float(one["text: happy"])
    assert share == pytest.approx(float(says("so it is")[1]), abs=1e-5)
    assert two["text: happy"] == "" and float(two["speech: happy"]) >= 0
    assert two["warning"] == "has no words: it is judged without 'text'"


def test_the_command_takes_texts(speech, paths, tmp_path, call):
    out = call(fused(speech), paths[0], "--text", "so it is")
    assert "transcript: so it is\n" in out and "\ntext " in out
    table = tmp_path / "said.csv"
    table.write_text(f"file,text\n1.wav,so it is\n{paths[1]},\n")
    out = call(fused(speech), *paths, "--transcripts", table)
    assert "transcript: so it is\n" in out and out.count("\ntext ") == 1
    error = call(text_model(transcriber="/no/such/model"), *paths)
    assert error.startswith("error: transcriber: ") and "'/no/such" in error
    # One file without words does not hold up the others.
    error = call(text_model(), *paths, "--transcripts", table)
    assert "2.wav' has no text" in error


def test_read_what_was_written(tmp_path):
    fusion = Fusion(CLASSES, ["a", "b"], [0.5, 1.0])
    folder = write_fusion(tmp_path / "f", fusion, "a", "b")
    assert read_fusion(folder / "fusion.json") == fusion
