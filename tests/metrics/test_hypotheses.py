"""References and hypotheses in every layout; RTTM there and back."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyannote.database.util import load_rttm
from speechbrain.inference.diarization import (
    Speech_Emotion_Diarization as Theirs,
)

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.hypotheses import (
    read_hypothesis,
    read_reference,
    read_rttm,
    write_rttm,
)
from speechbrain_ext.utterance import Utterance, save_manifest
from tests.metrics.segments import is_so, says

SAD = is_so(("sad", 0.5, 1.0))


def write(folder, data, name="a.json"):
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_references(tmp_path):
    """In the layout of ZED.json, and as manifests have them."""
    record = {"wav": "x.wav", "duration": 2, "emotion": SAD, "transcript": "."}
    expected = {"emotion": SAD, "duration": 2.0, "speaker": None}
    assert read_reference(write(tmp_path, {"x": record})) == {"x": expected}
    path = tmp_path / "test.json"
    one = Utterance("x", 2.0, "", "happy", "demo", wav="x.wav")
    two = Utterance("y", 2.0, "s1", SAD, "demo", pieces=[])
    save_manifest([one, two], path)
    assert read_reference(path) == {
        "x": {**expected, "emotion": is_so(("happy", 0.0, 2.0))},
        "y": {**expected, "speaker": "s1"},
    }


def test_hypothesis_as_speechbrain_gives_it(tmp_path):
    class Frames:
        """What the real interface reads of its hyperparameters."""

        class hparams:
            stride = window_length = 1

        is_overlapped = Theirs.is_overlapped
        merge_ssegs_same_emotion_adjacent = (
            Theirs.merge_ssegs_same_emotion_adjacent
        )

    output = Theirs.preds_to_diarization(
        Frames(), [["n", "n", "h", "h", "a"]], ["/data/ZED/spk1_x.1.wav"]
    )
    segments = ("neutral", 0, 0.04), ("happy", 0.04, 0.08), ("angry", 0.08, 0.1)
    expected = {"spk1_x.1": says(*segments)}
    assert read_hypothesis(write(tmp_path, output)) == expected


def test_hypotheses_in_other_layouts(tmp_path):
    rttm = "SPEAKER x.wav 1 0.5 0.5 <NA> <NA> s <NA> <NA>\n"
    paths = [
        write(tmp_path, {"x": {"duration": 2, "emotion": SAD}}),
        write(tmp_path, rttm, "a.RTTM"),
    ]
    for path in paths:
        assert read_hypothesis(path) == {"x": says(("sad", 0.5, 1.0))}


@pytest.mark.parametrize(
    "name, ids, id",
    [
        ("x", [], "x"),
        ("x.1", [], "x.1"),
        ("a:b", [], "a:b"),
        ("x.wav", [], "x"),
        ("/data/x.1.FLAC", [], "x.1"),
        ("C:\\data\\x.wav", [], "x"),
        ("data/x", [], "x"),
        ("x.wav:1", [], "x:1"),
        ("data/x:1", [], "x:1"),
        ("Actor_01/x.wav", ["Actor_01/x.wav"], "Actor_01/x.wav"),
        ("Actor_01/x.wav", ["x"], "x"),
        ("x.wav", ["x.wav"], "x.wav"),
    ],
)
def test_names_of_utterances(tmp_path, name, ids, id):
    assert read_hypothesis(write(tmp_path, {name: []}), ids) == {id: []}


GOOD = "SPEAKER a 1 0.5 1.5 <NA> <NA> sad <NA> <NA>\n"


@given(
    st.lists(st.floats(0.01, 5), min_size=1, max_size=30),
    st.floats(0, 4000),
)
def test_segments_that_touch_still_touch(tmp_path_factory, lengths, start):
    times = list(itertools.accumulate(lengths, initial=start))
    words = ("neutral", "happy", "angry") * len(lengths)
    segments = says(*zip(words, times, times[1:]))
    path = tmp_path_factory.mktemp("rttm") / "a.rttm"
    write_rttm(path, {"x": segments})
    read = read_rttm(path)["x"]
    for one, other in zip(read, read[1:]):
        assert one["end"] == other["start"]
    close = [pytest.approx(time, abs=6e-7) for time in times]
    assert read == says(*zip(words, close, close[1:]))
    # What has been written once is written the same again.
    again = path.with_name("b.rttm")
    write_rttm(again, {"x": read})
    assert again.read_text() == path.read_text()


def test_pyannote_reads_it(tmp_path):
    path = tmp_path / "a.rttm"
    segments = says(("neutral", 0.0, 1.25), ("sad", 1.25, 3.5))
    write_rttm(path, {"x": segments, "y": segments[:1]})
    theirs = load_rttm(path)
    assert set(theirs) == {"x", "y"}
    tracks = theirs["x"].itertracks(yield_label=True)
    assert says(*((name, *times) for times, _, name in tracks)) == segments


def test_reads_what_other_tools_write(tmp_path):
    path = tmp_path / "a.rttm"
    path.write_bytes(
        b"\xef\xbb\xbf;; a comment\r\n\r\n"
        b"SPKR-INFO a 1 <NA> <NA> <NA> unknown sad <NA>\r\n"
        b"SPEAKER\ta\t1\t0.1\t0.2\t<NA>\t<NA>\tSad\t<NA>\r\n"
        b"SPEAKER b 1 0 2e0 <NA> <NA> h 0.9 <NA>\r\n"
        b"SPEAKER a 1 0.3 0.0 <NA> <NA> n <NA> <NA>\r\n"
    )
    assert read_rttm(path) == {
        "a": says(("sad", 0.1, 0.3), ("neutral", 0.3, 0.3)),
        "b": says(("happy", 0.0, 2.0)),
    }


def test_channels_are_recordings_of_their_own(tmp_path):
    lines = [GOOD.replace("a 1", f"{name} {n}") for name, n in CHANNELS]
    path = write(tmp_path, "".join(lines), "a.rttm")
    segments = says(("sad", 0.5, 2.0))
    assert read_rttm(path) == {
        "a.wav:1": 2 * segments,
        "a.wav:2": segments,
        "b": segments,
    }
    assert set(read_hypothesis(path)) == {"a:1", "a:2", "b"}


CHANNELS = [("a.wav", 1), ("a.wav", 2), ("b", 2), ("a.wav", 1)]


@pytest.mark.parametrize(
    "id, change, sentence",
    [
        ("a b", {}, "'a b'"),
        ("a", {"emotion": "so sad"}, "'so sad'"),
        ("", {}, "the name ''"),
        ("a", None, "'a', which has no segment"),
        ("a", {"end": "1"}, "'a', segment 1.*'end'"),
    ],
)
def test_what_rttm_cannot_hold(tmp_path, id, change, sentence):
    path = write(tmp_path, GOOD, "a.rttm")
    sad = {"start": 0, "end": 1, "emotion": "sad"}
    segments = [] if change is None else [{**sad, **change}]
    with pytest.raises(UserError, match=sentence):
        write_rttm(path, {id: segments})
    assert path.read_text() == GOOD
