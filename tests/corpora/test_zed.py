"""ZED: segments from ZED.json."""

import json

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import write_json
from speechbrain_ext.corpora import zed
from speechbrain_ext.utterance import load_manifest, save_manifest
from tests.corpora import trees


def record(name, **changes):
    return {
        "wav": f"datafolder/{name}",
        "duration": 2.0,
        "emotion": [{"emo": "angry", "start": 0.5, "end": 1.25}],
        "transcription": "No way.",
    } | changes


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "given" / "ZED"
    for number in range(3):
        trees.tiny(folder / f"clips/{number}.wav", samples=32000)
    write(folder, {f"u{n}": record(f"clips/{n}.wav") for n in range(3)})
    return folder


def write(folder, records):
    write_json(records, folder / "ZED.json")


def change(folder, **changes):
    """Change the second of three records; what is skipped then."""
    write(
        folder,
        {
            f"u{n}": record(f"clips/{n}.wav", **(changes if n == 1 else {}))
            for n in range(3)
        },
    )
    utterances, skipped = zed.CORPUS.read(folder)
    if not skipped:
        return utterances[1]
    assert [one.id for one in utterances] == ["u0", "u2"]
    ((file, reason),) = skipped
    return file, reason


def test_record(folder):
    utterances, skipped = zed.CORPUS.read(folder.parent)
    assert skipped == []
    assert [one.id for one in utterances] == ["u0", "u1", "u2"]
    one = utterances[0]
    assert one.emotion == [{"emo": "angry", "start": 0.5, "end": 1.25}]
    assert (one.speaker, one.duration, one.text) == ("", 2.0, "No way.")
    assert one.wav == str(folder / "clips" / "0.wav")
    save_manifest(utterances, folder.parent / "test.json")
    assert load_manifest(folder.parent / "test.json") == utterances


def test_every_id_is_read(tmp_path):
    folder = tmp_path / "ZED"
    names = [f"{number}.wav" for number in range(180)]
    trees.plant(folder, names)
    records = {
        f"{name}": record(name, duration=0.01, emotion=[]) for name in names
    }
    write(folder, records)
    utterances, skipped = zed.CORPUS.read(folder)
    assert {one.id for one in utterances} == set(records) and skipped == []


def test_several_segments_and_whole_durations(folder):
    segments = [
        {"emo": "happy", "start": 0, "end": 1},
        {"emo": "sad", "start": 1, "end": 2},
    ]
    one = change(folder, duration=2, emotion=segments)
    assert one.emotion == segments
    assert one.extra == {"original_label": ["happy", "sad"]}


def test_rounded_end_is_fitted(folder):
    segments = [{"emo": "sad", "start": 0.0, "end": 2.04}]
    one = change(folder, duration=2.04, emotion=segments)
    assert one.emotion == [{"emo": "sad", "start": 0.0, "end": 2.0}]


def test_windows_separators_and_flac(folder):
    (folder / "clips" / "1.wav").unlink()
    trees.tiny(folder / "clips" / "1.flac", samples=32000)
    one = change(folder, wav="datafolder\\clips\\1.wav")
    assert one.wav == str(folder / "clips" / "1.flac")


def test_missing_recording(folder):
    (folder / "clips" / "1.wav").unlink()
    file, reason = change(folder)
    assert file == str(folder / "clips" / "1.wav")
    assert reason == "does not exist"


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (
            {"duration": 5.0},
            "the field 'duration' is 5.0, but the recording lasts 2.000 s "
            "(truncated, or another one).",
        ),
        (
            {"duration": "two"},
            "the field 'duration' is 'two', but the recording lasts 2.000 s "
            "(truncated, or another one).",
        ),
        (
            {"emotion": [{"emo": "sad", "start": 1.5, "end": 1.0}]},
            "segment 1 runs from 1.5 to 1.0 s, which is not a stretch of an "
            "utterance of 2.0 s.",
        ),
        (
            {"emotion": [{"emo": "sad", "start": 0.5, "end": 3.0}]},
            "segment 1 runs from 0.5 to 3.0 s, which is not a stretch of an "
            "utterance of 2.0 s.",
        ),
        (
            {"emotion": [{"emo": "sad", "start": 0.5}]},
            "segment 1 lacks the field 'end'.",
        ),
        (
            {"emotion": [{"emo": "proud", "start": 0.5, "end": 1.0}]},
            "ZED has no emotion 'proud'.",
        ),
        ({"emotion": "sad"}, "the field 'emotion' is not a list of segments."),
    ],
)
def test_bad_field(folder, changes, sentence):
    file, reason = change(folder, **changes)
    assert file == str(folder / "clips" / "1.wav")
    assert reason == f"'{folder / 'ZED.json'}', utterance 'u1': {sentence}"


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("wav", "the field 'wav' names no file."),
        ("emotion", "the field 'emotion' is missing."),
    ],
)
def test_missing_field(folder, name, sentence):
    records = {f"u{n}": record(f"clips/{n}.wav") for n in range(3)}
    del records["u1"][name]
    write(folder, records)
    utterances, skipped = zed.CORPUS.read(folder)
    assert len(utterances) == 2
    ((_, reason),) = skipped
    assert reason == f"'{folder / 'ZED.json'}', utterance 'u1': {sentence}"


def test_duplicate_ids(folder):
    path = folder / "ZED.json"
    first = json.dumps(record("clips/0.wav"))
    second = json.dumps(record("clips/1.wav"))
    path.write_text(f'{{"a": {first}, "b": {second}, "a": {second}}}')
    utterances, skipped = zed.CORPUS.read(folder)
    assert [(one.id, one.wav[-5:]) for one in utterances] == [
        ("a", "0.wav"),
        ("b", "1.wav"),
    ]
    assert skipped == [
        (str(path), "the id 'a' is there again; the first is used")
    ]


@pytest.mark.parametrize("id", ["u 1", "u\t1", " u1", ""])
def test_an_id_that_rttm_cannot_hold(folder, id):
    names = ["u0", id, "u2"]
    write(folder, {x: record(f"clips/{n}.wav") for n, x in enumerate(names)})
    utterances, skipped = zed.CORPUS.read(folder)
    assert [one.id for one in utterances] == ["u0", "u2"]
    assert skipped == [
        (
            str(folder / "clips" / "1.wav"),
            f"'{folder / 'ZED.json'}', utterance '{id}': the id is empty or "
            "has a space, which RTTM does not allow; rename it.",
        )
    ]


def test_second_json(folder):
    copy = folder / "deeper" / "ZED.json"
    write_json({}, copy)
    utterances, skipped = zed.CORPUS.read(folder)
    assert len(utterances) == 3
    assert skipped == [(str(copy), f"'{folder / 'ZED.json'}' is used")]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{,}", "line 1: not valid JSON"),
        ("[1]", "holds no object of ids; take the official ZED.json."),
        ("{}", "holds no object of ids; take the official ZED.json."),
    ],
)
def test_json_that_is_not_zed(folder, text, sentence):
    (folder / "ZED.json").write_text(text)
    with pytest.raises(UserError) as error:
        zed.CORPUS.read(folder)
    assert str(folder / "ZED.json") in str(error.value)
    assert sentence in str(error.value)


def test_no_json(tmp_path):
    with pytest.raises(UserError) as error:
        zed.CORPUS.read(tmp_path)
    assert str(error.value) == (
        f"'{tmp_path}' holds no ZED.json at any depth; give the folder where "
        "ZED was unpacked."
    )
