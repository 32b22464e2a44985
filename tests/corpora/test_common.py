"""What must hold for every corpus: layouts, bad inputs, nothing written."""

import os
import shutil
from pathlib import Path

import numpy
import pytest
import soundfile

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import write_json
from speechbrain_ext.corpora import CORPORA, find_corpus, read_corpus
from speechbrain_ext.corpora import base as common
from speechbrain_ext.corpora.texts import decode
from tests.corpora import trees

# Four recordings of each corpus.
SMALL = {
    "ravdess": [f"Actor_02/03-01-05-01-01-0{i}-02.wav" for i in (1, 2)]
    + [f"Actor_03/03-01-04-02-02-0{i}-03.wav" for i in (1, 2)],
    "esd": [f"0011/Angry/0011_00035{i}.wav" for i in (1, 2, 3, 4)],
    "emovdb": [f"bea_Amused/amused_1-15_000{i}.wav" for i in (1, 2)]
    + [f"sam_Angry/anger_225_252_022{i}.wav" for i in (5, 6)],
    "jlcorpus": [f"JL(wav+txt)/male2_sad_{i}a_1.wav" for i in (1, 2, 3, 4)],
    "iemocap": [
        f"Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}.wav"
        for turn in ("F000", "F001", "M000", "M001")
    ],
    "zed": [f"happy/{i}.wav" for i in (1, 2, 3, 4)],
    "savee": [f"{name}/sa0{i}.wav" for name in ("DC", "KL") for i in (1, 2)],
    "emodb": [f"wav/{s}a0{i}Wa.wav" for s in ("03", "08") for i in (1, 2)],
    "aesdd": [f"anger/a0{i} ({s}).wav" for s in (1, 2) for i in (1, 2)],
    "shemo": [f"male/M0{s}A0{i}.wav" for s in (1, 2) for i in (1, 2)],
    "cremad": [f"AudioWAV/100{i}_DFA_SAD_XX.wav" for i in (1, 2, 3, 4)],
    "tess": [f"{s}_Sad/{s}_{w}_sad.wav" for s in ("OAF", "YAF") for w in "ab"],
}
TITLES = {corpus: find_corpus(corpus).title for corpus in SMALL}
each = pytest.mark.parametrize("corpus", SMALL)


@pytest.fixture
def small(tmp_path, corpus):
    folder, names = tmp_path / "tree", SMALL[corpus]
    for name in names:
        trees.tiny(folder / name)
    # Labels outside the names.
    if corpus == "iemocap":
        trees.write_iemocap_labels(folder, trees.iemocap_codes(names))
    if corpus == "zed":
        segments = [{"emo": "sad", "start": 0.0, "end": 0.01}]
        records = {
            f"z{number}": {"wav": f"datafolder/{name}", "emotion": segments}
            for number, name in enumerate(names)
        }
        write_json(records, folder / "ZED.json")
    return folder


@each
def test_records_and_nothing_written(small, corpus, monkeypatch):
    before = trees.snapshot(small)
    monkeypatch.chdir(small.parent)
    utterances, skipped = read_corpus(corpus, small.name)
    assert trees.snapshot(small) == before
    ids = [one.id for one in utterances]
    assert ids == sorted(set(ids)) and len(ids) == 4 and skipped == []
    for one in utterances:
        assert corpus in ("iemocap", "zed") or one.id.startswith(f"{corpus}_")
        assert one.corpus == corpus
        assert one.wav.startswith(f"{small}/") and os.path.isfile(one.wav)
        assert one.duration == 160 / 16000
        assert corpus == "zed" or one.speaker.startswith(f"{corpus}_")


@each
def test_depth_and_flac_do_not_matter(small, corpus, tmp_path):
    flat = read_corpus(corpus, small)[0]
    for name in SMALL[corpus]:
        samples, rate = soundfile.read(small / name)
        soundfile.write((small / name).with_suffix(".flac"), samples, rate)
        (small / name).unlink()
    shutil.copytree(small, tmp_path / "given" / "Release 1 (wav)" / "tree")
    deep, skipped = read_corpus(corpus, tmp_path / "given")
    assert skipped == [] and all(u.wav.endswith(".flac") for u in deep)
    for one, other in zip(flat, deep, strict=True):
        for field in ("id", "emotion", "duration"):
            assert getattr(one, field) == getattr(other, field)


@each
def test_files_of_macos_and_hidden_ones_are_ignored(small, corpus):
    before = read_corpus(corpus, small)
    for path in [path for path in small.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
    shutil.copytree(small, small.parent / "copy")
    shutil.move(small.parent / "copy", small / "__MACOSX")
    shutil.copytree(small / "__MACOSX", small / ".cache")
    assert read_corpus(corpus, small) == before


@each
def test_wrong_folder(corpus, tmp_path):
    archive = tmp_path / "corpus.zip"
    archive.write_bytes(b"PK")
    other = "esd" if corpus != "esd" else "ravdess"
    folder = trees.plant(tmp_path / "tree", SMALL[other])
    origin = find_corpus(corpus).origin
    where = f"give the folder where {TITLES[corpus]} was unpacked"
    where += f" ({origin})." if origin else "."
    looked_for = f"holds no {TITLES[corpus]} recordings (looked for names like "
    looked_for += f"{find_corpus(corpus).example} at any depth); give the "
    if corpus == "zed":
        looked_for = f"holds no ZED.json at any depth; {where}"
    for given, sentence in (
        (tmp_path / "no", f"does not exist; {where}"),
        (archive, f"is a file, not a folder; {where}"),
        (folder, looked_for),
    ):
        with pytest.raises(UserError) as error:
            read_corpus(corpus, given)
        assert str(error.value).startswith(f"'{given}' {sentence}")


def test_unknown_corpus():
    with pytest.raises(UserError, match="did you mean 'emovdb'"):
        read_corpus("emovox", "/")
    assert set(SMALL) | {"synthetic", "goemotions"} == set(CORPORA)


def cut(path, stop):
    path.write_bytes(path.read_bytes()[:stop])


@pytest.mark.parametrize("corpus", ["savee"])
def test_names_that_are_not_utf8(small, tmp_path):
    utterances, _ = read_corpus("savee", small)
    odd = small / "sa01\udcff.wav"
    os.rename(utterances[0].wav, os.fsencode(odd))
    again, skipped = read_corpus("savee", small)
    assert again == utterances[1:]
    assert (str(odd), "its name is not UTF-8; rename it") in skipped
    moved = small.rename(tmp_path / "tree\udcff")
    with pytest.raises(UserError, match="name that is not UTF-8"):
        read_corpus("savee", moved)


def claim_flac_without_length(path):
    soundfile.write(path, numpy.zeros(160), 16000, format="FLAC")
    data = bytearray(path.read_bytes())
    # 36 bits of the number of samples, at the end of byte 21 of the file.
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)


def link_to_nowhere(path):
    path.unlink()
    path.symlink_to("/no/such/file")


NO_AUDIO = "is not readable as audio: "
DAMAGE = {
    "is an empty file (0 bytes)": lambda path: cut(path, 0),
    f"{NO_AUDIO}Format not recognised": lambda path: path.write_text("<html>"),
    NO_AUDIO: lambda path: cut(path, 20),
    "is truncated: the header promises 320 bytes, the file holds 220": (
        lambda path: cut(path, -100)
    ),
    "has no samples": lambda path: soundfile.write(path, numpy.zeros(0), 16000),
    "has a header without the length": claim_flac_without_length,
    "does not exist": link_to_nowhere,
}


@each
@pytest.mark.parametrize("reason", DAMAGE)
def test_damaged_file_is_skipped_and_nothing_else(small, corpus, reason):
    before = read_corpus(corpus, small)[0]
    broken = small / SMALL[corpus][1]
    DAMAGE[reason](broken)
    utterances, skipped = read_corpus(corpus, small)
    assert [file for file, _ in skipped] == [str(broken)]
    assert skipped[0][1].startswith(reason)
    assert utterances == [one for one in before if one.wav != str(broken)]
    assert len(utterances) == 3


@each
def test_all_damaged(small, corpus):
    for name in SMALL[corpus]:
        (small / name).write_bytes(b"")
    with pytest.raises(UserError) as error:
        read_corpus(corpus, small)
    assert str(error.value) == (
        f"None of the {TITLES[corpus]} recordings in '{small}' is usable (the "
        f"first, '{small / sorted(SMALL[corpus])[0]}': is an empty file (0 "
        "bytes)); unpack the archive again."
    )


by_name = pytest.mark.parametrize("corpus", [c for c in SMALL if c != "zed"])


@by_name
def test_second_copies_and_foreign_audio_are_skipped(small, corpus):
    before, _ = read_corpus(corpus, small)
    shutil.copytree(small, small / "again" / "tree")
    trees.tiny(small / "music.wav")
    utterances, skipped = read_corpus(corpus, small)
    assert utterances == before
    skipped = dict(skipped)
    for name in SMALL[corpus]:
        reason = f"same recording as '{small / name}'"
        assert skipped[str(small / "again" / "tree" / name)] == reason
    foreign = f"not named like a recording of {TITLES[corpus]}"
    assert skipped[str(small / "music.wav")].startswith(foreign)


@by_name
def test_originals_win_over_copies_of_another_length(small, corpus):
    copies = []
    for name in SMALL[corpus]:
        # SpeechBrain's recipe leaves out a level of folders.
        parts = Path(name).parts
        copy = small / "processed" / parts[0] / parts[-1]
        copies.append(str(trees.tiny(copy, samples=320)))
    utterances, skipped = read_corpus(corpus, small)
    assert {one.duration for one in utterances} == {0.01}
    assert len(utterances) == 4
    assert sorted(file for file, _ in skipped) == sorted(copies)
    name = SMALL[corpus][0]
    reason = dict(skipped)[copies[0]]
    assert f"as '{small / name}', which is used" in reason
    assert "(0.020 s, not 0.010 s)" in reason
    # A good copy takes the place of a damaged one.
    (small / name).write_bytes(b"")
    utterances, skipped = read_corpus(corpus, small)
    assert len(utterances) == 4
    assert dict(skipped)[str(small / name)] == "is an empty file (0 bytes)"


def test_links_to_folders_are_followed_once(tmp_path):
    folder = trees.plant(tmp_path / "store", SMALL["esd"])
    given = trees.plant(tmp_path / "given", [])
    (given / "0011").symlink_to(folder / "0011")
    (given / "loop").symlink_to(given)
    (folder / "0011" / "back").symlink_to(given)
    utterances, skipped = read_corpus("esd", given)
    assert len(utterances) == 4 and skipped == []
    assert utterances[0].wav.startswith(str(given))


def test_folder_that_is_not_readable_is_listed(tmp_path, monkeypatch):
    folder = trees.plant(tmp_path / "tree", SMALL["ravdess"])
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("Actor_03"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    # The tests may run as a user who may read everything.
    monkeypatch.setattr(os, "scandir", guarded)
    utterances, skipped = read_corpus("ravdess", folder)
    assert len(utterances) == 2
    reason = "is not readable: Permission denied"
    assert skipped == [(str(folder / "Actor_03"), reason)]


def test_order_does_not_depend_on_the_disk(tmp_path, monkeypatch):
    folder = trees.plant(tmp_path / "tree", list(trees.esd([11]))[:60])
    trees.plant(folder / "copy", list(trees.esd([11]))[:60])
    expected, walk = read_corpus("esd", folder), os.walk

    def reversed_walk(*args, **kwargs):
        for root, folders, names in walk(*args, **kwargs):
            folders.reverse()
            yield root, folders, names[::-1]

    monkeypatch.setattr(os, "walk", reversed_walk)
    assert read_corpus("esd", folder) == expected


def test_many_files_have_a_progress_bar(tmp_path, monkeypatch, capsys):
    folder = trees.plant(tmp_path / "tree", SMALL["esd"])
    for many, shown in ((4, True), (5, False)):
        monkeypatch.setattr(common, "MANY_FILES", many)
        read_corpus("esd", folder)
        assert ("Reading ESD" in capsys.readouterr().err) == shown


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
@pytest.mark.parametrize("mandarin", [True, False])
def test_decode_unicode(encoding, mandarin):
    text = "0001_000001\t打远一看,它们的确很是美丽。\t中立\r\n“It’s”\n"
    assert decode(text.encode(encoding), mandarin) == text


def test_decode_other_encodings_without_loss():
    mandarin = "0001_000001\t打远一看，它们的确很是美丽。\t中立\r\n"
    assert decode(mandarin.encode("gb18030"), mandarin=True) == mandarin
    for text in ("It’s a “ruse”.", "It’s café résumé\u00a0time…"):
        assert decode(text.encode("cp1252")) == text
    assert decode("It’s a “ruse”.".encode("gb18030")) == "It’s a “ruse”."
    data = bytes(range(1, 256))
    assert decode(data) == data.decode("cp1252", "backslashreplace")
    broken = "中立".encode("gb18030") + b"\xff a"
    assert decode(broken, mandarin=True) == "中立\\xff a"
