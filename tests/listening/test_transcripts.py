"""Transcripts: the same in any batch, kept, counted, and compared."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.encoders.text import TextEncoder
from speechbrain_ext.listening import transcripts
from speechbrain_ext.listening.transcripts import (
    Transcriber,
    transcribe,
    word_error_rate,
)
from speechbrain_ext.training.preparation import load_splits, prepare
from speechbrain_ext.utterance import Utterance
from tests.checkpoints import make_ssl_checkpoint
from tests.corpora.trees import tiny
from tests.text_checkpoints import make_transcriber


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """One that says something else of almost every recording."""
    return make_transcriber(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def data(write_audio):
    """Recordings of one to four seconds, of which some have a text."""
    texts = "one two", None, "[NOISE]", "three"
    return [
        Utterance(
            *(str(n), n, "s", "sad", "d"),
            wav=write_audio(f"{'a' * n}.wav", n),
            language="en",
            text=text,
        )
        for n, text in enumerate(texts, 1)
    ]


def test_a_batch_is_what_each_is_alone(whisper):
    model = Transcriber(whisper)
    generator = torch.Generator().manual_seed(0)
    wavs = [
        scale * torch.randn(seconds * 16000, generator=generator)
        for seconds, scale in [(1, 0.1), (65, 0.3), (2, 0), (4, 1.0)] * 3
    ]
    texts = model(wavs)
    assert texts == [model([wav])[0] for wav in wavs] and len({*texts}) > 1
    # 65 s are three parts, and no bit of silence at the end.
    parts = [model([wav])[0] for wav in wavs[1].tensor_split(3)]
    assert texts[1] == " ".join(parts)


def test_kept_by_audio_and_model(whisper, data, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "transcripts.json"
    heard, record = transcribe(data, whisper, cache, False)
    assert transcribe(data, whisper, None, False) == (heard, record)
    for one, other in zip(data, heard):
        assert other.extra.get("reference_text") == one.text
        assert other.text is None or other.text != one.text
    empty = sum(one.text is None for one in heard)
    counted = record["recordings"], record["empty"], record["compared"]
    assert counted == (4, empty, 2) and record["word_error_rate"] == 100
    asked = []
    monkeypatch.setattr(
        Transcriber,
        "__call__",
        lambda self, wavs, language: [asked.append(x) or "q" for x in wavs],
    )
    # Wherever the audio lies, and whatever it is called.
    path = Path(data[0].wav).rename(tmp_path / "moved.wav")
    data[0] = Utterance(**{**vars(data[0]), "wav": str(path), "id": "x"})
    again, _ = transcribe(data, whisper, cache, False)
    assert [x.text for x in again] == [x.text for x in heard] and not asked
    # What a cache cannot say, or does not know, is found anew.
    known = json.loads(cache.read_text())
    cache.write_text(json.dumps({**known, next(iter(known)): {"text": 3}}))
    assert "q" in {x.text for x in transcribe(data, whisper, cache, False)[0]}
    transcribe(data, make_transcriber(tmp_path / "w", 5), cache, False)
    assert len(asked) == 1 + 4


class Stub:
    """Hears nothing in every other recording."""

    fingerprint = "stub"

    def __init__(self, source, device):
        self.count = 0

    def language_of(self, language):
        return None

    def __call__(self, wavs, language):
        self.count += len(wavs)
        first = self.count - len(wavs)
        return ["heard" * (n % 2) for n in range(first, self.count)]


def test_empty_ones_are_skipped_and_counted(tmp_path, monkeypatch):
    folder = tmp_path / "savee"
    for speaker in ("DC", "JE", "JK", "KL"):
        for code in ("a", "d", "f", "h", "n", "sa", "su"):
            for number in range(4):
                samples = 160 + len([*folder.glob("*")])
                tiny(folder / f"{speaker}_{code}0{number}.wav", samples)
    monkeypatch.setattr(transcripts, "Transcriber", Stub)
    encoder = TextEncoder("minilm")
    options = {
        "corpus": "savee",
        "data_folder": str(folder),
        "protocol": "grouped_kfold",
        "reads": {"text"},
        "lacks": [encoder.lacks],
        "progress": False,
    }
    record = prepare(tmp_path / "run", transcriber="any", **options)
    assert record["transcripts"] == {
        "transcriber": "any",
        "recordings": 112,
        "empty": 56,
        "compared": 0,
        "word_error_rate": None,
    }
    used = [x for part in load_splits(tmp_path / "run").values() for x in part]
    assert len(used) == 56 == record["skipped"]
    assert {one.text for one in used} == {"heard"}
    with open(tmp_path / "run" / "skipped.csv", newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert reasons == ["has no text"] * 56
    # Without transcripts this corpus has no text, and another run begins.
    with pytest.raises(
        UserError, match="no recording of the split.*has no text"
    ):
        prepare(tmp_path / "other", **options)
    with pytest.raises(UserError, match="prepared with other options"):
        prepare(tmp_path / "run", **options)


def test_what_cannot_be_transcribed(whisper, data, tmp_path, monkeypatch):
    german = Utterance(**{**vars(data[0]), "language": "de"})
    with pytest.raises(UserError, match="^transcriber: .* English alone.*'de'"):
        transcribe([german], whisper, None, False)
    text = Utterance("t", 0.0, "", "sad", "goemotions", text="Oh.")
    model = Transcriber(whisper)
    monkeypatch.setattr(model.model, "generate", lambda *_, **options: [][0])
    with pytest.raises(UserError, match="^transcriber: .* does not transcribe"):
        model([torch.zeros(800)])
    with pytest.raises(UserError, match="^transcriber: 't' of goemotions"):
        transcribe([text], whisper, None, False)
    for source in (make_ssl_checkpoint(tmp_path), "/no/such/folder"):
        with pytest.raises(UserError, match=f"^transcriber: .*{source}"):
            Transcriber(source)


def test_the_language_that_is_heard(whisper):
    model = Transcriber(whisper)
    wav = torch.randn(40 * 16000, generator=torch.Generator().manual_seed(0))
    assert model.hear_language(wav) is None
    # The most likely one of those that the model names, of the first 30 s.
    settings = model.model.generation_config
    settings.is_multilingual = model.multilingual = True
    settings.lang_to_id = {"<|en|>": 3, "<|de|>": 5, "<|yue|>": 11}
    features = model.extractor(
        wav[: 30 * 16000].numpy(), sampling_rate=16000, return_tensors="pt"
    )
    start = torch.tensor([[settings.decoder_start_token_id]])
    with torch.no_grad():
        logits = model.model(**features, decoder_input_ids=start).logits
    best = logits[0, -1, [3, 5, 11]].argmax()
    assert model.hear_language(wav) == ["en", "de", "yue"][best]


WORDS = st.lists(st.sampled_from("ab"), max_size=5)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=4))
def test_word_error_rate_is_that_of_its_definition(pairs):
    texts = [(", ".join(a).upper(), " ".join(b)) for a, b in pairs]
    rate, compared = word_error_rate(texts)
    pairs = [(a, b) for a, b in pairs if a]
    assert compared == len(pairs)
    if not pairs:
        assert rate is None
        return
    errors = sum(map(distance, pairs))
    expected = 100 * errors / sum(len(a) for a, _ in pairs)
    assert rate == pytest.approx(expected)


def distance(pair):
    """Fewest words to insert, delete and replace."""
    (a, b) = pair
    table = np.zeros((len(a) + 1, len(b) + 1))
    table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            least = min(table[i, j + 1], table[i + 1, j]) + 1
            table[i + 1, j + 1] = min(least, table[i, j] + (x != y))
    return table[-1, -1]


def test_a_real_model_knows_the_sentences_of_ravdess(
    speech_encoder, ravdess_folder
):
    if not (Path(speech_encoder) / "tokenizer.json").exists():
        pytest.skip("SPEECH_ENCODER is no Whisper model")
    data, _ = read_corpus("ravdess", ravdess_folder)
    one = min(data, key=lambda x: x.id)
    heard, record = transcribe([one], speech_encoder, None, False)
    assert record["word_error_rate"] == 0 and heard[0].text
