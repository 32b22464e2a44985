"""References and hypotheses in every layout, good and bad."""

import json

import pytest
from speechbrain.inference.diarization import Speech_Emotion_Diarization

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.hypotheses import read_hypothesis, read_reference
from speechbrain_ext.utterance import Utterance, save_manifest

SAD = [{"emo": "sad", "start": 0.5, "end": 1.0}]


def write(folder, data, name="a.json"):
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_reference_in_the_layout_of_zed(tmp_path):
    record = {"wav": "x.wav", "duration": 2, "emotion": SAD, "transcript": "."}
    assert read_reference(write(tmp_path, {"x": record})) == {
        "x": {"emotion": SAD, "duration": 2.0, "speaker": None}
    }


def test_reference_from_manifests(tmp_path):
    path = tmp_path / "test.json"
    save_manifest(
        [
            Utterance("x", 2.0, "", "happy", "demo", wav="x.wav"),
            Utterance("y", 2.0, "s1", SAD, "demo", pieces=[]),
        ],
        path,
    )
    whole = [{"emo": "happy", "start": 0.0, "end": 2.0}]
    assert read_reference(path) == {
        "x": {"emotion": whole, "duration": 2.0, "speaker": None},
        "y": {"emotion": SAD, "duration": 2.0, "speaker": "s1"},
    }


@pytest.mark.parametrize(
    "data, sentence",
    [
        ("{", "line 1: not valid JSON"),
        ([], "is not a reference"),
        ({}, "is not a reference"),
        ({"x": []}, "'x': the record is not an object"),
        ({"x": {"emotion": SAD}}, "'x': the field 'duration' is missing"),
        ({"x": {"duration": 2}}, "'x': the field 'emotion' is missing"),
        ({"x": {"duration": -2, "emotion": SAD}}, "'duration' is -2"),
        ({"x": {"duration": "2", "emotion": SAD}}, "'duration' is '2'"),
        ({"x": {"duration": 0.8, "emotion": SAD}}, "segment 1 runs from 0.5"),
        ({"x": {"duration": 2, "emotion": [{"emo": "sad"}]}}, "'start'"),
        ({"x": {"duration": 2, "emotion": "q"}}, "'x': the emotion 'q' is"),
        ({"x": {"duration": 2, "emotion": SAD, "speaker": []}}, "'speaker'"),
    ],
)
def test_bad_references(tmp_path, data, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        read_reference(write(tmp_path, data))
    assert str(tmp_path / "a.json") in str(error.value)


def test_hypothesis_as_speechbrain_gives_it(tmp_path):
    class Frames:
        """What the real interface reads of its hyperparameters."""

        class hparams:
            stride = window_length = 1

        is_overlapped = Speech_Emotion_Diarization.is_overlapped
        merge_ssegs_same_emotion_adjacent = (
            Speech_Emotion_Diarization.merge_ssegs_same_emotion_adjacent
        )

    output = Speech_Emotion_Diarization.preds_to_diarization(
        Frames(), [["n", "n", "h", "h", "a"]], ["/data/ZED/spk1_x.1.wav"]
    )
    assert read_hypothesis(write(tmp_path, output)) == {
        "spk1_x.1": [
            {"start": 0.0, "end": 0.04, "emotion": "neutral"},
            {"start": 0.04, "end": 0.08, "emotion": "happy"},
            {"start": 0.08, "end": 0.1, "emotion": "angry"},
        ]
    }


def test_hypothesis_in_the_layout_of_zed(tmp_path):
    path = write(tmp_path, {"x": {"duration": 2, "emotion": SAD}})
    assert read_hypothesis(path) == {
        "x": [{"start": 0.5, "end": 1.0, "emotion": "sad"}]
    }


def test_hypothesis_as_rttm(tmp_path):
    line = "SPEAKER x.wav 1 0.5 0.5 <NA> <NA> s <NA> <NA>\n"
    path = write(tmp_path, line, "a.RTTM")
    assert read_hypothesis(path) == {
        "x": [{"start": 0.5, "end": 1.0, "emotion": "sad"}]
    }


@pytest.mark.parametrize(
    "name, ids, id",
    [
        ("x", None, "x"),
        ("x.1", None, "x.1"),
        ("a:b", None, "a:b"),
        ("x.wav", None, "x"),
        ("/data/x.1.FLAC", None, "x.1"),
        ("C:\\data\\x.wav", None, "x"),
        ("data/x", None, "x"),
        ("Actor_01/x.wav", ["Actor_01/x.wav"], "Actor_01/x.wav"),
        ("Actor_01/x.wav", ["x"], "x"),
        ("x.wav", ["x.wav"], "x.wav"),
    ],
)
def test_names_of_utterances(tmp_path, name, ids, id):
    assert read_hypothesis(write(tmp_path, {name: []}), ids) == {id: []}


@pytest.mark.parametrize(
    "data, sentence",
    [
        ({"x": "sad"}, "'x': it is not a list of segments"),
        ({"x": {"duration": 2}}, "'x': the field 'emotion' is missing"),
        ({"x": [[0, 1, "n"]]}, "'x', segment 1: .* is not an object"),
        ({"x": [{"start": 0, "end": 1}]}, "segment 1: the field 'emotion'"),
        ({"x": [{"start": "0", "end": 1, "emotion": "n"}]}, "'start' is '0'"),
        ({"x": [{"start": 0, "end": -1, "emotion": "n"}]}, "'end' is -1"),
        ({"x": [{"start": 0, "end": 1, "emotion": "f"}]}, "the emotion 'f' is"),
        ({"a/x.wav": [], "b/x.wav": []}, "both mean the utterance 'x'"),
        ([{"x": []}], "is not a hypothesis"),
    ],
)
def test_bad_hypotheses(tmp_path, data, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        read_hypothesis(write(tmp_path, data))
    assert str(tmp_path / "a.json") in str(error.value)


def test_a_format_no_one_knows(tmp_path):
    with pytest.raises(UserError, match="neither '.rttm' nor '.json'"):
        read_hypothesis(tmp_path / "a.csv")
