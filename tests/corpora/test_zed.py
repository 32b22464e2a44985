"""ZED: segments from ZED.json."""

import json

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import write_json
from speechbrain_ext.corpora import zed
from tests.corpora import trees


def segment(*values):
    return dict(zip(("emo", "start", "end"), values))


def record(name):
    return {
        "wav": f"datafolder/{name}",
        "duration": 2.0,
        "emotion": [segment("angry", 0.5, 1.25)],
        "transcription": "No way.",
    }


def write(folder, ids=("u0", "u1", "u2"), **changes):
    """ZED.json of three recordings, of which the second may be changed."""
    records = {id: record(f"clips/{n}.wav") for n, id in enumerate(ids)}
    # None takes a field away.
    fields = {**records[ids[1]], **changes}.items()
    records[ids[1]] = {k: v for k, v in fields if v is not None}
    write_json(records, folder / "ZED.json")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "given" / "ZED"
    for number in range(3):
        trees.tiny(folder / f"clips/{number}.wav", samples=32000)
    write(folder)
    return folder


def change(folder, **changes):
    """The second record when it is changed, or what is skipped then."""
    write(folder, **changes)
    utterances, skipped = zed.CORPUS.read(folder)
    if not skipped:
        return utterances[1]
    assert [one.id for one in utterances] == ["u0", "u2"] and len(skipped) == 1
    return skipped[0]


def test_record(folder):
    utterances, skipped = zed.CORPUS.read(folder.parent)
    assert skipped == []
    assert [one.id for one in utterances] == ["u0", "u1", "u2"]
    one = utterances[0]
    assert one.emotion == [segment("angry", 0.5, 1.25)]
    assert (one.speaker, one.duration, one.text) == ("", 2.0, "No way.")
    assert one.wav == str(folder / "clips" / "0.wav")
    trees.check_manifest(utterances, folder.parent)


def test_several_segments_and_rounded_ends(folder):
    segments = [segment("happy", 0, 1), segment("sad", 1, 2)]
    one = change(folder, duration=2, emotion=segments)
    assert one.emotion == segments
    assert one.extra == {"original_label": ["happy", "sad"]}
    one = change(folder, duration=2.04, emotion=[segment("sad", 0.0, 2.04)])
    assert one.emotion == [segment("sad", 0.0, 2.0)]


def test_windows_separators_flac_and_a_missing_file(folder):
    (folder / "clips" / "1.wav").unlink()
    lost = str(folder / "clips" / "1.wav"), "does not exist"
    assert change(folder) == lost
    trees.tiny(folder / "clips" / "1.flac", samples=32000)
    one = change(folder, wav="datafolder\\clips\\1.wav")
    assert one.wav == str(folder / "clips" / "1.flac")


OTHER = "but the recording lasts 2.000 s (truncated, or another one)."
OUTSIDE = "s, which is not a stretch of an utterance of 2.0 s."


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"duration": 5.0}, f"the field 'duration' is 5.0, {OTHER}"),
        ({"duration": "two"}, f"the field 'duration' is 'two', {OTHER}"),
        ({"emotion": "sad"}, "the field 'emotion' is not a list of segments."),
        (("sad", 0.5, 3.0), f"segment 1 runs from 0.5 to 3.0 {OUTSIDE}"),
        (("sad", 0.5), "segment 1 lacks the field 'end'."),
        (("proud", 0.5, 1.0), "ZED has no emotion 'proud'."),
        ({"emotion": None}, "the field 'emotion' is missing."),
        ({"wav": None}, "the field 'wav' names no file."),
    ],
)
def test_bad_field(folder, changes, sentence):
    if isinstance(changes, tuple):
        changes = {"emotion": [segment(*changes)]}
    file, reason = change(folder, **changes)
    named = "ZED.json" if "wav" in changes else "clips/1.wav"
    assert file == str(folder / named)
    assert reason == f"'{folder / 'ZED.json'}', utterance 'u1': {sentence}"


def test_what_is_there_twice(folder):
    path, copy = folder / "ZED.json", folder / "deeper" / "ZED.json"
    first = json.dumps(record("clips/0.wav"))
    second = json.dumps(record("clips/1.wav"))
    path.write_text(f'{{"a": {first}, "b": {second}, "a": {second}}}')
    write_json({}, copy)
    utterances, skipped = zed.CORPUS.read(folder)
    found = [(one.id, one.wav[-5:]) for one in utterances]
    assert found == [("a", "0.wav"), ("b", "1.wav")]
    assert skipped == [
        (str(path), "the id 'a' is there again; the first is used"),
        (str(copy), f"'{path}' is used"),
    ]


def test_an_id_that_rttm_does_not_allow(folder):
    for id in ("u 1", "u\t1", " u1", ""):
        write(folder, ids=("u0", id, "u2"))
        utterances, ((file, reason),) = zed.CORPUS.read(folder)
        assert [one.id for one in utterances] == ["u0", "u2"]
        assert file == str(folder / "clips" / "1.wav")
        assert f"utterance '{id}': the id is empty or has a space" in reason


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{,}", "ZED.json', line 1: not valid JSON"),
        ("[1]", "ZED.json' holds no object of ids; take the official ZED"),
        ("{}", "ZED.json' holds no object of ids; take the official ZED"),
        (None, "holds no ZED.json at any depth; give the folder where ZED was"),
    ],
)
def test_json_that_is_not_zed(folder, text, sentence):
    path = folder / "ZED.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=sentence) as error:
        zed.CORPUS.read(folder)
    assert str(folder) in str(error.value)
