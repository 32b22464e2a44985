"""Manifests and other files are written whole or not at all."""

import errno
import json
import os
import subprocess
import sys

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open, read_json, write_json
from speechbrain_ext.utterance import Utterance, load_manifest, save_manifest

UTTERANCE = Utterance("a", 1.0, "s", "sad", "demo", wav="a.wav")


def test_a_full_disk_leaves_the_old_manifest(tmp_path):
    """A real failure of the system's: files may hold no more than 4 kB."""
    path = tmp_path / "train.json"
    save_manifest([UTTERANCE], path)
    before = path.read_bytes()
    code = f"""
import resource, signal
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.utterance import Utterance, save_manifest
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
many = [
    Utterance(str(i), 1.0, "s", "sad", "demo", wav="a.wav") for i in range(999)
]
try:
    save_manifest(many, {str(path)!r})
except UserError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert f"Cannot write '{path}'" in done.stdout
    assert "free some space" in done.stdout
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["train.json"]


def test_no_space_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        save_manifest([UTTERANCE], tmp_path / "train.json")
    assert os.listdir(tmp_path) == []


def test_killed_while_writing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = f"""
import os, signal
from speechbrain_ext.base.files import atomic_open
with atomic_open({str(path)!r}) as file:
    file.write("new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code])
    assert path.read_text() == "old"


def test_an_error_inside_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        with atomic_open(tmp_path / "a.txt") as file:
            file.write("part")
            raise KeyError
    assert os.listdir(tmp_path) == []


def test_others_can_read_it(tmp_path):
    umask = os.umask(0o022)
    try:
        write_json([], tmp_path / "a.json")
    finally:
        os.umask(umask)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


def test_numbers_that_json_lacks(tmp_path):
    with pytest.raises(ValueError):
        write_json({"loss": float("nan")}, tmp_path / "a.json")


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "line 1: not valid JSON"),
        ('{"a": 1}\n}', "line 2: not valid JSON"),
        ("[]", "holds no object of ids"),
        ('{"a": 3}', "'a': the record is not an object"),
        ('{"a": {"duration": 1}}', "the field 'speaker' is missing"),
    ],
)
def test_manifests_that_are_none(tmp_path, text, sentence):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence) as raised:
        load_manifest(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"duration": -1}, "'duration' is -1, not a length"),
        ({"duration": True}, "'duration' is True"),
        ({"wav": None}, "it has neither 'wav' nor 'pieces'"),
        ({"emotion": 3}, "not a list of segments"),
        ({"emotion": [{"emo": "sad"}]}, "segment 1 lacks the field 'start'"),
        (
            {"emotion": [{"emo": "sad", "start": 0, "end": 9}]},
            "segment 1 runs from 0 to 9 s",
        ),
        (
            {"emotion": [{"emo": "", "start": 0, "end": 1}]},
            "not a word",
        ),
    ],
)
def test_records_that_cannot_be(tmp_path, change, sentence):
    path = tmp_path / "m.json"
    write_json({"a": {**UTTERANCE.to_dict(), **change}}, path)
    with pytest.raises(UserError, match=sentence) as raised:
        load_manifest(path)
    assert "utterance 'a'" in str(raised.value)


def test_duplicate_ids(tmp_path):
    other = Utterance("a", 1.0, "s", "sad", "demo", wav="b.wav")
    with pytest.raises(UserError, match="id 'a' .*a.wav.*b.wav"):
        save_manifest([UTTERANCE, other], tmp_path / "m.json")
    assert os.listdir(tmp_path) == []


def test_a_manifest_is_what_speechbrain_reads(tmp_path):
    from speechbrain.dataio.dataset import DynamicItemDataset

    path = tmp_path / "m.json"
    save_manifest([UTTERANCE], path)
    dataset = DynamicItemDataset.from_json(
        path, output_keys=["id", "wav", "emotion"]
    )
    assert dataset[0] == {"id": "a", "wav": "a.wav", "emotion": "sad"}
    assert json.loads(path.read_text()) == read_json(path)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ('{"x": [1], "y": [], "x": [2]}', "the key 'x' is there twice"),
        ('{"a": [{"end": 1, "end": 2}]}', "the key 'end' is there twice"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": "\\ud800"}', "half of a character"),
        ('{"\\udc00": 1}', "half of a character"),
        ("1" * 5000, "a value that cannot be read"),
    ],
)
def test_json_that_would_be_misread(text, sentence, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence) as raised:
        read_json(path)
    assert f"'{path}'" in str(raised.value)


def test_repeated_keys_where_they_are_allowed(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"x": 1, "x": 2}')
    assert read_json(path, unique_keys=False) == {"x": 2}


def test_pairs_of_surrogates_are_characters(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": "\\ud83d\\ude00"}')
    assert read_json(path) == {"a": "\U0001f600"}


@pytest.mark.parametrize("name", ["duration", "start", "end"])
def test_an_integer_beyond_every_float(name, tmp_path):
    path = tmp_path / "m.json"
    segment = {"emo": "sad", "start": 0.0, "end": 1.0}
    record = {**UTTERANCE.to_dict(), "emotion": [segment]}
    (record if name == "duration" else segment)[name] = 10**400
    write_json({"a": record}, path)
    with pytest.raises(UserError, match="not a") as raised:
        load_manifest(path)
    assert len(str(raised.value)) < 300
