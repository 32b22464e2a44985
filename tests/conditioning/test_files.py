"""Files of what is made of recordings: shared, resumed, bounded."""

import os
import shutil
from dataclasses import replace

import pytest
import soundfile
import torch

from speechbrain_ext.audio import AudioError, read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.conditioning import Cleaner, files
from speechbrain_ext.conditioning.copies import augment
from speechbrain_ext.conditioning.files import AudioFolder
from speechbrain_ext.corpora import read_corpus
from tests.corpora.trees import snapshot

QUICK = Cleaner(reduce_noise=False)


@pytest.fixture
def some(savee_folder):
    return read_corpus("savee", savee_folder)[0][:12]


def audio(folder, **options):
    options = {"gigabytes": 1, "progress": False, **options}
    return AudioFolder(folder, **options)


def contents(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in paths}


def test_a_cleaned_recording(some, savee_folder, tmp_path):
    before = snapshot(savee_folder)
    found, skipped = audio(tmp_path / "audio").clean(some, QUICK)
    assert snapshot(savee_folder) == before
    (lost,) = {one.id for one in some} - {one.id for one in found}
    assert lost == "savee_DC_a01"
    ((path, reason),) = skipped
    assert path == str(savee_folder / "DC_a01.wav")
    assert reason.startswith("lasts 0.6") and reason.endswith("tion of 1 s")
    known = {one.id: one for one in some}
    for one in found:
        was = known[one.id]
        wav = read_audio(one.wav)
        # To the last bit what a trained model is given.
        assert torch.equal(wav, QUICK.clean(read_audio(was.wav)))
        assert one.duration == len(wav) / 16000 < was.duration
        assert one.extra == {"origin": was.wav, **was.extra}
        for name in ("speaker", "gender", "emotion", "corpus", "language"):
            assert getattr(one, name) == getattr(was, name)
        assert one.start is one.stop is one.alignment is None


def test_a_part_of_a_file(some, tmp_path):
    part = replace(some[1], start=0.25, stop=1.25, duration=1.0)
    found, _ = audio(tmp_path / "audio").clean([part, some[1]], QUICK)
    assert found[0].wav != found[1].wav
    wanted = QUICK.clean(read_audio(part.wav, 4000, 20000))
    assert torch.equal(read_audio(found[0].wav), wanted)


def test_copies(some, tmp_path):
    folder = audio(tmp_path / "audio")
    cleaned, _ = folder.clean(some, QUICK)
    pairs = [(one, number) for one in cleaned[:2] for number in (1, 2, 3, 4)]
    found = folder.copy(pairs, seed=3)
    names = [f"{one.id}_copy{number}" for one, number in pairs]
    assert [one.id for one in found] == names
    assert len({one.wav for one in found}) == 8
    for copy, (one, _) in zip(found, pairs):
        drawn = copy.extra["augmentation"]
        wav = read_audio(copy.wav)
        assert torch.equal(wav, augment(read_audio(one.wav), **drawn))
        assert copy.duration == len(wav) / 16000
        # The recording, not what was cleaned of it.
        assert copy.extra["origin"] == one.extra["origin"]
        assert copy.emotion == one.emotion and copy.speaker == one.speaker
    again = folder.copy(pairs[::-1], seed=3)
    assert again == found[::-1]
    other = folder.copy(pairs, seed=4)
    assert {x.wav for x in other}.isdisjoint(x.wav for x in found)


def test_made_once_and_shared(some, tmp_path, monkeypatch):
    folder = tmp_path / "audio"
    first = audio(folder).clean(some, QUICK)
    before = snapshot(folder)
    calls = []
    monkeypatch.setattr(files, "load_waveform", calls.append)
    # A shorter recording that is needed makes no other files.
    assert audio(folder).clean(some, Cleaner(False, min_duration=1.05))
    assert audio(folder).clean(some, QUICK) == first
    assert not calls and snapshot(folder) == before


def test_wherever_the_corpus_lies(some, savee_folder, tmp_path, monkeypatch):
    folder = tmp_path / "audio"
    first, _ = audio(folder).clean(some, QUICK)
    moved = shutil.copytree(savee_folder, tmp_path / "elsewhere")
    there = read_corpus("savee", moved)[0][:12]
    monkeypatch.setattr(files, "load_waveform", None)
    found, _ = audio(folder).clean(there, QUICK)
    assert [one.wav for one in found] == [one.wav for one in first]
    os.utime(moved / "DC_a02.wav")
    assert audio(folder).clean(there, QUICK)[0] == found


def test_another_recording_of_the_name_is_another_file(some, tmp_path):
    folder = tmp_path / "audio"
    path = shutil.copy(some[1].wav, tmp_path / "DC_a02.wav")
    one = replace(some[1], wav=str(path))
    first, _ = audio(folder).clean([one], QUICK)
    wav, rate = soundfile.read(path)
    soundfile.write(path, 0.5 * wav, rate)
    os.utime(path, (1, 1))
    second, _ = audio(folder).clean([one], QUICK)
    assert first[0].wav != second[0].wav
    assert audio(folder).clean([one], Cleaner(False, top_db=30.0))[0] != second


@pytest.mark.slow
def test_several_processes_and_an_interruption(some, tmp_path, monkeypatch):
    alone, several = tmp_path / "alone", tmp_path / "several"
    monkeypatch.setattr(files, "_SHARE", 4)
    found = audio(alone).clean(some, QUICK)
    more = audio(several, jobs=2).clean(some, QUICK)
    # Byte by byte: whatever reads them is known by their content.
    assert contents(alone) == contents(several)
    assert found[1] == more[1] and len(found[0]) == len(more[0])
    # What was half done when it was killed.
    kept = sorted(alone.rglob("*.wav"))
    for path in kept[::2]:
        path.unlink()
    part = kept[0].with_name(f".{kept[0].stem}.part-x.wav")
    part.write_bytes(b"half")
    os.utime(part, (1, 1))
    made, load = [], files.load_waveform
    monkeypatch.setattr(
        files, "load_waveform", lambda x: made.append(x) or load(x)
    )
    assert audio(alone).clean(some, QUICK) == found
    assert len(made) == len(kept[::2])
    assert contents(alone) == contents(several)


def test_recordings_that_cannot_be_cleaned(some, tmp_path, savee_folder):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, torch.zeros(16000).numpy(), 16000)
    one = replace(some[0], wav=str(silent))
    for jobs in (1, 2):
        folder = audio(tmp_path / "audio", jobs=jobs)
        found, skipped = folder.clean([one, some[1]], QUICK)
        assert [x.id for x in found] == [some[1].id]
        assert skipped == [(str(silent), "has no sound")]


def test_a_copy_that_is_no_sound(some, tmp_path, monkeypatch):
    bad = torch.full((5,), float("nan"))
    monkeypatch.setattr(files, "augment", lambda *_: bad)
    with pytest.raises(AudioError, match="'.*DC_a01.wav' became values that"):
        audio(tmp_path).copy([(some[0], 1)], 1)
    assert not list(tmp_path.rglob("*.wav"))


def test_bounds(some, tmp_path, monkeypatch):
    """Before anything is written."""
    folder = tmp_path / "audio"
    tight = audio(folder, gigabytes=1e-4)
    sentence = "holds 0 GB, and up to 0.0014 GB .* 0.0001 GB of audio_gigabytes"
    with pytest.raises(UserError, match=sentence):
        tight.clean(some, QUICK)
    assert not folder.exists()
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="GB that are free on its disk; free s"):
        audio(folder).clean(some, QUICK)
    assert not folder.exists()
    monkeypatch.undo()
    found = audio(folder).clean(some, QUICK)
    # What is there needs no room, and counts.
    assert audio(folder, gigabytes=1e-4).clean(some, QUICK) == found
    with pytest.raises(UserError, match="audio_folder: .* delete what other"):
        audio(folder, gigabytes=1e-3).clean(some, Cleaner(False, top_db=20.0))


def test_a_full_disk(some, tmp_path, monkeypatch):
    from scipy.io import wavfile

    def full(path, rate, wav):
        path.write_bytes(b"RIFF")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wavfile, "write", full)
    sentence = "Cannot write '.*': No space left on device; free some space"
    with pytest.raises(UserError, match=sentence):
        audio(tmp_path).clean(some, QUICK)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_never_in_a_corpus(savee_folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(savee_folder)
    for place in (savee_folder, savee_folder / "audio", link / "a" / "b"):
        with pytest.raises(
            UserError, match="audio_folder: .* never written to"
        ):
            audio(place, corpora=[str(savee_folder)])
    audio(savee_folder.parent / "savee_audio", corpora=[str(savee_folder)])
    for value in (None, ""):
        with pytest.raises(UserError, match="audio_folder: expected"):
            audio(value)
    with pytest.raises(UserError, match="audio_gigabytes: expected a number"):
        audio(tmp_path, gigabytes=0)
