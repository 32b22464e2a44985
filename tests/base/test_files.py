"""Manifests and other files are written whole or not at all."""

import errno
import json
import os
import subprocess
import sys

import pytest

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import (
    DAY,
    atomic_open,
    read_json,
    sweep,
    write_json,
)
from speechbrain_ext.utterance import Utterance, load_manifest, save_manifest

UTTERANCE = Utterance("a", 1.0, "s", "sad", "demo", wav="a.wav")
RECORD = UTTERANCE.to_dict()


def python(code):
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True).stdout


def test_a_full_disk_leaves_the_old_manifest(tmp_path, monkeypatch):
    """A real failure of the system's: files may hold no more than 4 kB."""
    path = tmp_path / "train.json"
    save_manifest([UTTERANCE], path)
    before = path.read_bytes()
    error = python(f"""
import resource, signal
from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.utterance import Utterance, save_manifest
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
ids = map(str, range(999))
many = [Utterance(i, 1.0, "s", "sad", "demo", wav="a.wav") for i in ids]
try:
    save_manifest(many, {str(path)!r})
except UserError as error:
    print(error)
""")
    assert f"Cannot write '{path}'" in error and "free some space" in error
    assert path.read_bytes() == before

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        save_manifest([UTTERANCE], tmp_path / "other.json")
    assert os.listdir(tmp_path) == ["train.json"]


def test_killed_while_writing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    python(f"""
import os, signal
from speechbrain_ext.base.files import atomic_open
with atomic_open({str(path)!r}) as file:
    file.write("new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
""")
    assert path.read_text() == "old"


def test_an_error_inside_leaves_nothing(tmp_path):
    with pytest.raises(KeyError):
        with atomic_open(tmp_path / "a.txt") as file:
            file.write("part")
            raise KeyError
    with pytest.raises(ValueError):
        write_json({"loss": float("nan")}, tmp_path / "a.json")
    other = Utterance("a", 1.0, "s", "sad", "demo", wav="b.wav")
    with pytest.raises(UserError, match="id 'a' .*a.wav.*b.wav"):
        save_manifest([UTTERANCE, other], tmp_path / "m.json")
    assert os.listdir(tmp_path) == []


def test_what_killed_processes_leave(tmp_path):
    old, new = tmp_path / ".a.part-1.npy", tmp_path / ".b.part-2.npy"
    kept = tmp_path / ".hidden"
    for path in (old, new, kept):
        path.write_text("half")
        os.utime(path, (0, 0) if path == old else None)
    sweep([tmp_path], DAY)
    assert [p.name for p in tmp_path.iterdir() if p != kept] == [new.name]
    sweep([tmp_path, tmp_path / "not there"])
    assert [*tmp_path.iterdir()] == [kept]


@pytest.mark.parametrize("name, raised", [("ENOSPC", 2), ("ECHILD", None)])
def test_a_disk_that_is_full(name, raised, capsys):
    """A sentence; other errors of the system are of the code."""
    number = getattr(errno, name)

    def write():
        raise OSError(number, os.strerror(number), "a.txt")

    with pytest.raises((SystemExit, OSError)) as ended:
        exits_cleanly(write)()
    assert getattr(ended.value, "code", None) == raised
    assert ("Cannot use 'a.txt': No space" in capsys.readouterr().err) == (
        raised == 2
    )


def test_what_is_not_read_at_once(tmp_path):
    pipe, huge = tmp_path / "pipe", tmp_path / "huge"
    os.mkfifo(pipe)
    huge.touch()
    os.truncate(huge, 10**12)
    for path in (pipe, huge):
        with pytest.raises(UserError, match="no file of up to 500 MB"):
            read_json(path)


def test_others_can_read_it(tmp_path):
    umask = os.umask(0o022)
    try:
        write_json([], tmp_path / "a.json")
    finally:
        os.umask(umask)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


HUGE = 10**400


def changed(**change):
    return json.dumps({"a": {**RECORD, **change}})


def segment(emo, end):
    return changed(emotion=[{"emo": emo, "start": 0, "end": end}])


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "line 1: not valid JSON"),
        ('{"a": 1}\n}', "line 2: not valid JSON"),
        ('{"x": [1], "y": [], "x": [2]}', "the key 'x' is there twice"),
        ('{"a": [{"end": 1, "end": 2}]}', "the key 'end' is there twice"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": "\\ud800"}', "half of a character"),
        ('{"\\udc00": 1}', "half of a character"),
        ("1" * 5000, "an invalid value"),
        ("[]", "holds no object of ids"),
        ('{"a": 3}', "'a': the record is not an object"),
        ('{"a": {"duration": 1}}', "'a': the field 'speaker' is missing"),
        (changed(duration=-1), "'a': .*'duration' is -1, not a length"),
        (changed(duration=True), "'a': .*'duration' is True"),
        (changed(wav=None), "'a': it has neither 'wav' nor 'pieces'"),
        (changed(emotion=3), "'a'.*: .*not a list of segments"),
        (changed(emotion=[{"emo": "sad"}]), "segment 1 lacks the field 'start"),
        (segment("sad", 9), "'a'.*segment 1 runs from 0 to 9 s"),
        (segment("", 1), "'a'.*not a word"),
        # Integers beyond every float.
        (changed(duration=HUGE), "'a'.* not a"),
        (segment("sad", HUGE), "'a'.* not a"),
        (changed(emotion=[{"emo": "sad", "start": HUGE, "end": 1}]), "not a"),
    ],
)
def test_invalid_manifests(tmp_path, text, sentence):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence) as raised:
        load_manifest(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 350


def test_a_manifest_is_what_speechbrain_reads(tmp_path):
    from speechbrain.dataio.dataset import DynamicItemDataset

    path = tmp_path / "m.json"
    save_manifest([UTTERANCE], path)
    keys = ["id", "wav", "emotion"]
    dataset = DynamicItemDataset.from_json(path, output_keys=keys)
    assert dataset[0] == {"id": "a", "wav": "a.wav", "emotion": "sad"}
    assert json.loads(path.read_text()) == read_json(path)


def test_json_that_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"x": 1, "x": "\\ud83d\\ude00"}')
    assert read_json(path, unique_keys=False) == {"x": "\U0001f600"}
