"""The page in all its states, without a browser."""

import csv
import io
import json
import logging
import threading
import time

import numpy as np
import pytest
import streamlit as st
import torch
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df

from speechbrain_ext.app import state
from speechbrain_ext.conditioning.cleaning import Cleaner
from speechbrain_ext.inference import EmotionRecognizer, FusedRecognizer
from speechbrain_ext.recognition.rule import Fusion
from tests.app.conftest import give, plain, said, wav
from tests.inference.runs import (
    CLASSES,
    finish,
    load,
    load_recognizer,
    make_recognizer,
    make_run,
    sound,
)
from tests.inference.test_fused import Heard, fused, says, text_model


@pytest.fixture
def page(open_page, small_recognizer):
    """The page of a recognizer."""
    return open_page(small_recognizer[0])


@pytest.fixture
def open_with(open_page, monkeypatch):
    """A function that opens the page with a model from memory."""

    def start(model, *words):
        monkeypatch.setattr(
            EmotionRecognizer, "from_hparams", lambda *_, **__: model
        )
        return open_page("MODEL", *words)

    return start


def shown(page):
    """Emotion and shares that the page shows, and the rest of its result."""
    assert said(page) == []
    [result] = [*page.session_state["results"].values()][-1:]
    [headline, *_] = plain(page.subheader)
    assert headline == f"It sounds {result.emotion}"
    [chart] = page.get("vega_lite_chart")
    bars = convert_arrow_bytes_to_pandas_df(chart.proto.data.data)
    shares = dict(zip(bars["emotion"], bars["share"]))
    assert shares == result.shares
    return result


def expected(model, tmp_path, data, **options):
    """Shares by the model itself."""
    path = tmp_path / "alone"
    path.write_bytes(data)
    shares = model.classify_file(path, **options)[0][0].tolist()
    return pytest.approx(dict(zip(model.classes, shares)), abs=1e-6)


def labels(page):
    return [button.label for button in page.get("download_button")]


def players(page):
    return len(page.get("audio"))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"rate": 44100, "channels": 2},
        {"rate": 44100, "channels": 2, "kind": "MP3"},
        {"kind": "OGG"},
        {"rate": 48000, "kind": "FLAC"},
        {"rate": 8000, "kind": "AIFF"},
    ],
)
def test_an_upload(page, small_recognizer, tmp_path, given):
    data = wav(1.3, **given)
    give(page, data, "my töne.a.wav")
    result = shown(page)
    model = load_recognizer(small_recognizer[0])
    assert result.shares == expected(model, tmp_path, data)
    header, row = csv.reader(io.StringIO(result.csv))
    assert header == ["file", "emotion", "score", *CLASSES, "warning"]
    assert row[:2] == ["my töne.a.wav", result.emotion]
    assert [float(x) for x in row[3:7]] == pytest.approx(
        [*result.shares.values()], abs=1e-6
    )
    assert labels(page) == ["Download CSV"] and len(page.image) == 1
    assert players(page) == 1 and not page.text_area and not page.warning
    captions = " ".join(each.value for each in page.caption)
    rate = given.get("rate", 16000)
    assert f"{rate} Hz" in captions
    assert ("resampled to 16000 Hz" in captions) == (rate != 16000)
    assert ("2 channels, averaged" in captions) == ("channels" in given)


def test_what_the_page_says_before_anything_is_uploaded(page):
    assert said(page) == [] and not page.warning and not page.subheader
    [notice] = page.info
    for words in (
        "does not know what anybody feels",
        "at work and in education",
        "Regulation (EU) 2024/1689, Article 5(1)(f)",
        "medical or safety",
    ):
        assert words in notice.value.replace("\n", " ")


def test_a_recording(page, small_recognizer, tmp_path):
    page.radio[0].set_value("Record").run()
    assert not page.file_uploader and "3 seconds" in page.audio_input[0].label
    data = wav(3.0)
    page.audio_input[0].set_value(("b.wav", data, "audio/wav")).run()
    model = load_recognizer(small_recognizer[0])
    assert shown(page).shares == expected(model, tmp_path, data)
    # Another click judges nothing anew, another recording does.
    before = page.session_state["results"][None]
    assert page.run().session_state["results"][None] is before
    data = wav(2.0, seed=5)
    page.audio_input[0].set_value(("b.wav", data, "audio/wav")).run()
    assert shown(page).shares == expected(model, tmp_path, data)


@pytest.mark.parametrize(
    "data, sentence",
    [
        (b"This is no sound.\n", "'a.wav' is not readable as audio"),
        (b"", "'a.wav' is an empty file"),
        (wav(2.0)[:9000], "'a.wav' is truncated"),
        (wav(data=np.full(80, np.nan), subtype="FLOAT"), "are not finite"),
        (wav(data=np.zeros(2000 * 601), rate=2000, kind="FLAC"), "lasts 601 s"),
    ],
)
def test_what_is_refused(page, data, sentence, tmp_path):
    give(page, wav())
    give(page, data)
    [error] = said(page)
    assert sentence in error and str(tmp_path) not in error
    assert not page.subheader and not labels(page)
    # Again, and then something better.
    assert said(page.run()) == [error]
    give(page, wav())
    shown(page)


def test_a_file_that_is_too_large(page, monkeypatch):
    sentence = "'a.wav' has 200 MB, more than the 100 MB that the page takes"
    with pytest.raises(state.UserError, match=sentence):
        state.check_size("a.wav", 200_000_000)
    state.check_size("a.wav", 100_000_000)
    assert page.file_uploader[0].proto.max_upload_size_mb == 100
    monkeypatch.setattr(state, "MAX_MEGABYTES", 0.03)
    [error] = said(give(page, wav()))
    assert "'a.wav' has 0 MB, more than the 0.03 MB" in error


def test_a_disk_that_is_full(page, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state.Path, "write_bytes", full)
    [error] = said(give(page, wav()))
    assert "No space left on device; free some space" in error
    monkeypatch.undo()


def test_a_silent_recording(page):
    give(page, wav(data=np.zeros(16000)))
    shown(page)
    [warning] = plain(page.warning)
    reason = "is silent, so that its emotion means nothing"
    assert warning == f"'a.wav' {reason}."
    [_, row] = csv.reader(io.StringIO(page.session_state["results"][None].csv))
    assert row[-1] == reason


def test_an_error_that_nobody_foresaw(page, monkeypatch, caplog):
    def broken(*_, **__):
        raise ZeroDivisionError("here")

    with monkeypatch.context() as patch:
        patch.setattr(state.Station, "judge", broken)
        [error] = said(give(page, wav()))
    assert "the log of the server has it" in error
    assert "ZeroDivisionError: here" in caplog.text
    give(page, wav(seed=1))
    shown(page)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["/no/such"], "model: '/no/such' is neither a folder nor the name"),
        (["{tmp}"], "'{tmp}/hyperparams.yaml' does not exist"),
        (["--what"], "unrecognized arguments: --what; see emotion-app --help"),
        (["a", "--diarizer"], "--diarizer: expected one argument"),
        (["{diarizer}", "--diarizer=x"], "--diarizer: '{diarizer}' is a diar"),
        (["{diarizer}", "--transcriber=x"], "--transcriber: '{diarizer}' is a"),
        (["{recognizer}", "--diarizer={recognizer}"], "one emotion for a whol"),
        (["{recognizer}", "--transcriber=x"], "the model reads no text"),
        (["{recognizer}", "--transcriber="], "--transcriber: expected"),
    ],
)
def test_a_bad_command_line(
    open_page, small_run, small_recognizer, tmp_path, words, sentence
):
    names = {
        "tmp": tmp_path / "temporary",
        "diarizer": small_run[0],
        "recognizer": small_recognizer[0],
    }
    page = open_page(*(word.format(**names) for word in words))
    [error] = said(page)
    assert sentence.format(**names) in error
    assert not page.radio and page.info


def test_a_diarizer(open_page, small_run, tmp_path):
    data = wav(4.0, 22050)
    page = give(open_page(small_run[0]), data, "two words.flac")
    result = shown(page)
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    analysis = load(small_run[0]).analyse_file(path)
    assert result.segments == analysis.segments and len(result.segments) > 1
    lengths = np.diff(analysis.edges)
    shares = (lengths @ analysis.probabilities) / 4.0
    wanted = dict(zip(CLASSES, shares))
    assert result.shares == pytest.approx(wanted, abs=1e-6)
    header, *rows = csv.reader(io.StringIO(result.csv))
    assert header == ["file", "start", "end", "emotion"]
    assert {row[0] for row in rows} == {"two words.flac"}
    assert [row[3] for row in rows] == [x["emotion"] for x in result.segments]
    lines = [line.split() for line in result.rttm.splitlines()]
    assert {line[1] for line in lines} == {"two_words"}
    assert [float(line[3]) for line in lines] == pytest.approx(
        [x["start"] for x in result.segments], abs=1e-6
    )
    assert labels(page) == ["Download CSV", "Download RTTM"]
    assert len(page.image) == 2 and len(page.dataframe) == 1


def test_names_are_no_markdown(open_page, tmp_path):
    """Neither a file's nor a stranger's classes load a picture."""
    classes = ["neutral", "'*happy*'", "'very ![](http://a.b/c.png)'", "angry"]
    make_run(tmp_path / "run", classes=classes, scale=20.0)
    page = open_page(tmp_path / "run")
    name = "![x](http://a.b/c.png).wav"
    give(page, b"no sound", name)
    assert r"'!\[x\](http\://a.b/c.png).wav'" in page.error[0].value
    give(page, wav(4.0), name)
    result = shown(page)
    assert {x["emotion"] for x in result.segments} > {"neutral"}
    assert r"very !\[\](http" in page.caption[0].value
    # RTTM has no place for such a class, CSV has.
    assert labels(page) == ["Download CSV"]
    assert "RTTM has no place for the name 'very !" in plain(page.warning)[0]


def test_a_long_recording(open_page, run, tmp_path):
    """Of several windows; a model of single events says no more than that."""
    finish(run, one_event=True)
    page = open_page(run)
    for seconds, events in ((4.0, 1), (31.0, 2)):
        data = wav(seconds)
        give(page, data)
        result = shown(page)
        (tmp_path / "a.wav").write_bytes(data)
        assert result.segments == load(run).diarize_file(tmp_path / "a.wav")
        emotions = [x["emotion"] for x in result.segments]
        assert sum(x != "neutral" for x in emotions) >= events
        assert not page.warning


def test_a_recognizer_with_a_diarizer(
    open_page, small_recognizer, small_run, tmp_path
):
    data = wav(4.0)
    words = small_recognizer[0], "--diarizer", small_run[0]
    result = shown(give(open_page(*words), data))
    model = load_recognizer(small_recognizer[0])
    assert result.shares == expected(model, tmp_path, data)
    segments = load(small_run[0]).diarize_file(tmp_path / "alone")
    assert result.segments == segments
    assert len(result.rttm.splitlines()) == len(segments)
    assert result.csv.startswith("file,emotion,score,")


def test_a_text_that_is_corrected(open_with):
    heard = Heard(n16000="so it is")
    page = give(open_with(text_model(transcriber=heard)), wav())
    assert shown(page).shares == shares_of("so it is")
    assert page.text_area[0].value == "so it is" and heard.calls == 1
    page.text_area[0].set_value("never again").run()
    result = shown(page)
    assert result.shares == shares_of("never again")
    header, row = csv.reader(io.StringIO(result.csv))
    assert row[header.index("transcript")] == "never again"
    # Back, without listening again.
    page.text_area[0].set_value("so it is").run()
    assert (
        page.session_state["results"][None].emotion in page.subheader[0].value
    )
    assert heard.calls == 1
    # Another recording begins with its own words.
    give(page, wav(2.0))
    [error] = said(page)
    assert "'a.wav' has no text" in error
    page.text_area[0].set_value("well").run()
    assert shown(page).shares == shares_of("well")


def shares_of(text):
    return pytest.approx(dict(zip(CLASSES, says(text).tolist())), abs=1e-6)


def test_a_model_of_text_that_nobody_transcribes(open_with):
    page = give(open_with(text_model()), wav())
    assert said(page) == [] and not page.subheader
    [warning] = page.warning
    assert warning.value.endswith("names no transcriber. Type what is said.")
    page.text_area[0].set_value("well well").run()
    assert shown(page).shares == shares_of("well well") and not page.warning
    # A transcriber that cannot be had is told.
    st.cache_resource.clear()
    page = give(open_with(text_model(transcriber="/no/such")), wav())
    assert "'/no/such'" in plain(page.warning)[0]
    page.text_area[0].set_value("well well").run()
    assert shown(page).shares == shares_of("well well")


def test_a_fusion_shows_its_members(open_with, small_recognizer):
    model = fused(small_recognizer[0], transcriber=Heard(n16000="so it is"))
    page = give(open_with(model), wav())
    result = shown(page)
    table = page.dataframe[0].value
    assert [*table["member"]] == ["speech", "text"]
    text = table.set_index("member").loc["text", CLASSES].to_dict()
    assert text == shares_of("so it is")
    # Without a word, speech alone.
    page.text_area[0].set_value("").run()
    assert [*page.dataframe[0].value["member"]] == ["speech"]
    assert "it is judged without 'text'" in page.warning[0].value
    assert shown(page).shares != result.shares


class German(Heard):
    def hear_language(self, wav):
        assert wav.shape == (16000,) and wav.dtype == torch.float32
        return "de"


def test_another_language(open_page, monkeypatch, tmp_path):
    model = text_model(transcriber=German(n16000="so it is"))
    monkeypatch.setattr(EmotionRecognizer, "from_hparams", lambda *_: model)
    english = {"a": {"language": "en"}, "b": {"language": None}, "c": 3}
    german = {"a": {"language": "en"}, "b": {"language": "de"}}
    for name, records in (("english", english), ("german", german)):
        (tmp_path / name / "manifests").mkdir(parents=True)
        path = tmp_path / name / "manifests" / "train.json"
        path.write_text(json.dumps(records))
    page = give(open_page(tmp_path / "english"), wav())
    shown(page)
    assert plain(page.warning) == [
        "'a.wav' seems to be in German, and the model was trained on English: "
        "its result means little."
    ]
    page = give(open_page(tmp_path / "german"), wav())
    shown(page)
    assert not page.warning


class Half:
    """A preprocessing that leaves the first half, at half the level."""

    def clean(self, waveform, path):
        return waveform[: len(waveform) // 2] / 2


def test_preprocessing_is_shown(open_page, small_recognizer, monkeypatch):
    page = open_page(small_recognizer[0])
    monkeypatch.setattr(state.Station, "cleaner", Half())
    give(page, wav(2.0))
    shown(page)
    recording = page.session_state["recording"]
    half = recording.samples[:16000] / 2
    np.testing.assert_array_equal(recording.cleaned, half)
    assert players(page) == 2
    assert "preprocessing leaves, 1.00 s" in page.caption[1].value


def test_preprocessing_is_that_of_the_model(tmp_path, monkeypatch):
    """Noise reduction and silence removal, and of a fusion a member's."""
    samples = sound(3.0)[:, 0]
    samples[16000:32000] = 0
    cleaner = Cleaner(reduce_noise=False)
    model = load_small(tmp_path / "run")
    model.cleaner = cleaner
    plain = load_small(tmp_path / "other")
    fusion = Fusion(CLASSES, ["a", "b"], [1.0, 1.0])
    both = FusedRecognizer(fusion, [plain, model])
    for given, is_cleaned in ((model, 1), (both, 1), (plain, 0)):
        monkeypatch.setattr(
            EmotionRecognizer, "from_hparams", lambda *_, given=given: given
        )
        data = wav(data=samples, subtype="FLOAT")
        station = state.Station("MODEL")
        recording = station.read("a.wav", data)
        if is_cleaned:
            left = cleaner.clean(torch.from_numpy(samples)).numpy()
            np.testing.assert_array_equal(recording.cleaned, left)
            assert len(left) < 40000
        else:
            assert recording.cleaned is None
        # The model does it itself.
        (tmp_path / "a.wav").write_bytes(data)
        shares = given.classify_file(tmp_path / "a.wav")[0][0].tolist()
        found = station.judge(recording, data).shares
        assert [*found.values()] == pytest.approx(shares, abs=1e-6)
    model.cleaner = cleaner
    monkeypatch.setattr(EmotionRecognizer, "from_hparams", lambda *_: model)
    silent = wav(data=np.zeros(16000))
    with pytest.raises(state.UserError, match="'a.wav' has no sound"):
        state.Station("MODEL").read("a.wav", silent)


def load_small(folder):
    make_recognizer(folder)
    return load_recognizer(folder)


def test_two_at_once_share_a_model_and_mix_nothing(
    open_page, speaker_run, tmp_path, monkeypatch
):
    given = [wav(1.0 + number, seed=number) for number in range(4)]
    alone = load_recognizer(speaker_run[0])
    wanted = [expected(alone, tmp_path, data) for data in given]
    loads, load = [], EmotionRecognizer.from_hparams.__func__

    def counted(cls, *args, **options):
        loads.append(args)
        return load(cls, *args, **options)

    monkeypatch.setattr(EmotionRecognizer, "from_hparams", classmethod(counted))
    survey = EmotionRecognizer.survey

    def slow(*args):
        # Long enough for another one's statistics to come in between.
        survey(*args)
        time.sleep(0.3)

    monkeypatch.setattr(EmotionRecognizer, "survey", slow)
    pages = [open_page(speaker_run[0]) for _ in given]
    assert len(loads) == 1
    barrier = threading.Barrier(len(given))
    names = [f"{number}.wav" for number in range(len(given))]

    def visit(page, data, name):
        barrier.wait()
        give(page, data, name)

    users = [
        threading.Thread(target=visit, args=each)
        for each in zip(pages, given, names)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for page, shares, name in zip(pages, wanted, names):
        result = shown(page)
        assert result.shares == shares
        assert result.table[1][0] == name
        assert [x.count(f"'{name}'") for x in plain(page.warning)] == [1]


def test_the_log_is_not_disturbed(page):
    handlers = [*logging.getLogger("speechbrain_ext.inference").handlers]
    give(page, wav(data=np.zeros(1600)))
    now = logging.getLogger("speechbrain_ext.inference").handlers
    assert now == handlers
