"""RAVDESS, ESD, EmoV-DB and JL-Corpus: labels from the names of files."""

import os
from collections import Counter

import pytest

from speechbrain_ext.corpora import emovdb, esd, jlcorpus, ravdess
from speechbrain_ext.utterance import load_manifest, save_manifest
from tests.corpora import trees


def counts(utterances, *fields):
    return Counter(
        tuple(getattr(one, field) for field in fields) for one in utterances
    )


@pytest.fixture(scope="session")
def read_ravdess(tmp_path_factory):
    # The layout of Kaggle's archive: everything twice.
    folder = tmp_path_factory.mktemp("ravdess") / "archive"
    trees.plant(folder, trees.ravdess())
    trees.plant(folder / "audio_speech_actors_01-24", trees.ravdess())
    return folder, *ravdess.read(folder)


@pytest.fixture(scope="session")
def read_esd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("esd") / "ESD"
    trees.plant(folder, trees.esd())
    before = trees.snapshot(folder)
    found = esd.read(folder)
    assert trees.snapshot(folder) == before
    return found


@pytest.fixture(scope="session")
def read_emovdb(tmp_path_factory):
    folder = trees.plant(
        tmp_path_factory.mktemp("emovdb") / "tree", trees.emovdb()
    )
    return folder, *emovdb.read(folder)


@pytest.fixture(scope="session")
def read_jlcorpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jl") / "archive"
    return jlcorpus.read(trees.plant(folder, trees.jlcorpus()))


def test_ravdess_counts(read_ravdess):
    _, utterances, _ = read_ravdess
    assert len(utterances) == 1440
    assert counts(utterances, "emotion") == {
        ("neutral",): 96,
        **{
            (emotion,): 192
            for emotion in (
                "calm",
                "happy",
                "sad",
                "angry",
                "fearful",
                "disgust",
                "surprised",
            )
        },
    }
    assert counts(utterances, "speaker") == {
        (f"ravdess_{actor:02d}",): 60 for actor in range(1, 25)
    }
    assert counts(utterances, "gender") == {("male",): 720, ("female",): 720}


def test_ravdess_second_copies(read_ravdess):
    folder, utterances, skipped = read_ravdess
    assert len(skipped) == 1440
    kept = {one.wav for one in utterances}
    for file, reason in skipped:
        first = file.replace("/audio_speech_actors_01-24", "")
        assert reason == f"same recording as '{first}'"
        assert first in kept


def test_ravdess_record(read_ravdess):
    folder, utterances, _ = read_ravdess
    (one,) = [o for o in utterances if o.id == "ravdess_03-01-06-01-02-01-12"]
    # The example in the corpus's own description.
    assert (one.emotion, one.gender, one.language) == (
        "fearful",
        "female",
        "en",
    )
    assert one.text == "Dogs are sitting by the door."
    assert one.wav == f"{folder}/Actor_12/03-01-06-01-02-01-12.wav"
    assert one.extra == {
        "vocal_channel": "speech",
        "intensity": "normal",
        "statement": 2,
        "repetition": 1,
        "original_label": "06",
    }


def test_ravdess_sung_part(tmp_path):
    folder = trees.plant(tmp_path / "tree", trees.ravdess("02"))
    utterances, skipped = ravdess.read(folder)
    assert skipped == []
    # 44 recordings of 23 actors, in six emotions.
    assert len(utterances) == 1012
    assert {one.extra["vocal_channel"] for one in utterances} == {"song"}
    assert set(counts(utterances, "emotion")) == {
        ("neutral",),
        ("calm",),
        ("happy",),
        ("sad",),
        ("angry",),
        ("fearful",),
    }


def test_ravdess_codes_that_do_not_exist(tmp_path):
    names = {
        "03-01-09-01-01-01-01.wav": "RAVDESS has no emotion 09",
        "03-01-01-03-01-01-01.wav": "RAVDESS has no intensity 03",
        "03-03-01-01-01-01-01.wav": "RAVDESS has no vocal channel 03",
        "03-01-01-01-03-01-01.wav": "RAVDESS has no statement 03",
        "03-01-01-01-01-01-25.wav": "RAVDESS has no actor 25",
        "01-01-01-01-01-01-01.wav": "modality 01 is the sound of a video; "
        "RAVDESS has it as a recording of its own (03)",
    }
    good = "03-01-01-01-01-01-01.wav"
    folder = trees.plant(tmp_path / "tree", [*names, good])
    utterances, skipped = ravdess.read(folder)
    assert [one.id for one in utterances] == ["ravdess_03-01-01-01-01-01-01"]
    assert dict(skipped) == {
        str(folder / name): reason for name, reason in names.items()
    }


@pytest.mark.skipif(
    "RAVDESS_FOLDER" not in os.environ, reason="RAVDESS_FOLDER is not set"
)
def test_ravdess_itself():
    utterances, skipped = ravdess.read(os.environ["RAVDESS_FOLDER"])
    assert skipped == []
    assert len(utterances) == 1440
    assert counts(utterances, "emotion")[("neutral",)] == 96
    # Livingstone and Russo's recordings last from 3 to 5 seconds or so.
    assert all(2.5 < one.duration < 5.5 for one in utterances)


def test_esd_counts(read_esd):
    utterances, skipped = read_esd
    assert skipped == []
    assert len(utterances) == 35_000
    assert counts(utterances, "speaker", "emotion") == {
        (f"esd_{speaker:04d}", emotion): 350
        for speaker in range(1, 21)
        for emotion in ("neutral", "angry", "happy", "sad", "surprised")
    }
    assert counts(utterances, "language", "gender") == {
        ("zh", "female"): 5 * 1750,
        ("zh", "male"): 5 * 1750,
        ("en", "female"): 5 * 1750,
        ("en", "male"): 5 * 1750,
    }


def test_esd_genders(read_esd):
    found = dict(counts(read_esd[0], "speaker", "gender").keys())
    # Speakers 0001 to 0020, as the ReadMe of the release lists them.
    assert found == {
        f"esd_{number:04d}": {"F": "female", "M": "male"}[letter]
        for number, letter in enumerate("FFFMMMFMFMMMMMFFFFFM", 1)
    }


def test_esd_sentences_are_parallel(read_esd):
    of_speaker = [one for one in read_esd[0] if one.speaker == "esd_0013"]
    sentences = Counter(one.extra["sentence"] for one in of_speaker)
    assert sentences == {number: 5 for number in range(1, 351)}
    (one,) = [o for o in of_speaker if o.id == "esd_0013_001401"]
    assert one.extra == {"sentence": 1, "original_label": "Surprise"}
    assert one.text is None


def test_esd_layouts(tmp_path):
    names = [
        "ESD/0011/Angry/train/0011_000371.wav",
        "ESD/0011/Angry/evaluation/0011_000351.wav",
        "ESD/0011/Angry/test/0011_000361.wav",
        "flat/0012_001051.wav",
    ]
    utterances, skipped = esd.read(trees.plant(tmp_path / "tree", names))
    assert skipped == []
    assert [(one.emotion, one.extra.get("part")) for one in utterances] == [
        ("angry", "evaluation"),
        ("angry", "test"),
        ("angry", "train"),
        ("sad", None),
    ]


def test_esd_names_that_cannot_be(tmp_path):
    names = {
        "0011/Happy/0011_000351.wav": "it lies in 'Happy', but number 000351 "
        "belongs to angry",
        "0021/Angry/0021_000351.wav": "ESD has no speaker 0021",
        "0011/Angry/0011_001751.wav": "ESD has no recording 001751",
        "0011/Angry/0011_000000.wav": "ESD has no recording 000000",
    }
    folder = trees.plant(
        tmp_path / "tree", [*names, "0011/Angry/0011_000352.wav"]
    )
    utterances, skipped = esd.read(folder)
    assert [one.id for one in utterances] == ["esd_0011_000352"]
    assert dict(skipped) == {
        str(folder / name): reason for name, reason in names.items()
    }


@pytest.mark.parametrize(
    "speaker, encoding",
    [
        ("0001", "gb18030"),
        ("0001", "gb2312"),
        ("0003", "utf-16"),
        ("0003", "utf-8-sig"),
        ("0011", "utf-8"),
        ("0012", "utf-16"),
        ("0016", "cp1252"),
        ("0016", "gb18030"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_esd_texts(tmp_path, speaker, encoding, end):
    mandarin = int(speaker) <= 10
    text = "打远一看，它们的确很是美丽。" if mandarin else "It’s the nine."
    label = "中立" if mandarin else "Neutral"
    names = [f"{speaker}/Neutral/{speaker}_00000{i}.wav" for i in range(1, 7)]
    folder = trees.plant(tmp_path / "tree", names)
    lines = [
        f"{speaker}_000001\t{text}\t{label}",
        f"{speaker}_000002\t{text}\t{label}\t ",
        "",
        f"{speaker}_000003 {text} {label}",
        f"{speaker}_000004\t{text}",
        f"  {speaker}_000005\t {text} \t{label}",
    ]
    (folder / speaker / f"{speaker}.txt").write_bytes(
        end.join(lines).encode(encoding)
    )
    utterances, skipped = esd.read(folder)
    assert skipped == []
    assert [one.text for one in utterances] == [text] * 5 + [None]
    save_manifest(utterances, tmp_path / "manifest.json")
    assert load_manifest(tmp_path / "manifest.json") == utterances


def test_esd_text_that_ends_in_an_emotion(tmp_path):
    folder = trees.plant(tmp_path / "tree", ["0011/Sad/0011_001051.wav"])
    text = folder / "0011" / "0011.txt"
    text.write_text("0011_001051 I am sad\n")
    assert esd.read(folder)[0][0].text == "I am sad"
    text.write_text("0011_001051\tSad\tSad\n")
    assert esd.read(folder)[0][0].text == "Sad"
    text.write_text("0011_001051\tOne part,\tand one more.\n")
    assert esd.read(folder)[0][0].text == "One part,\tand one more."


# Speaker and emotion: files of the release and, where it differs, the number
# that the authors announce.
EMOVDB = {
    ("bea", "neutral"): (355, 373),
    ("bea", "amused"): (296, 309),
    ("bea", "angry"): (303, 317),
    ("bea", "sleepy"): (497, 520),
    ("bea", "disgust"): (333, 347),
    ("jenie", "neutral"): (417, 417),
    ("jenie", "amused"): (222, 222),
    ("jenie", "angry"): (496, 523),
    ("jenie", "sleepy"): (466, 466),
    ("jenie", "disgust"): (189, 189),
    ("josh", "neutral"): (302, 302),
    ("josh", "amused"): (296, 298),
    ("josh", "sleepy"): (263, 263),
    ("sam", "neutral"): (492, 493),
    ("sam", "amused"): (501, 501),
    ("sam", "angry"): (468, 468),
    ("sam", "sleepy"): (494, 495),
    ("sam", "disgust"): (497, 497),
}


def test_emovdb_counts(read_emovdb):
    _, utterances, skipped = read_emovdb
    assert skipped == []
    assert len(utterances) == 6887
    found = counts(utterances, "speaker", "emotion")
    assert found == {
        (f"emovdb_{speaker}", emotion): released
        for (speaker, emotion), (released, _) in EMOVDB.items()
    }
    # The release never has more than announced; 113 are missing in all.
    assert all(released <= said for released, said in EMOVDB.values())
    assert sum(said for _, said in EMOVDB.values()) - len(utterances) == 113
    assert {(one.speaker, one.gender) for one in utterances} == {
        ("emovdb_bea", "female"),
        ("emovdb_jenie", "female"),
        ("emovdb_josh", "male"),
        ("emovdb_sam", "male"),
    }


def test_emovdb_shapes_of_names(read_emovdb):
    by_id = {one.id: one for one in read_emovdb[1]}
    for id, emotion, label, sentence in [
        ("emovdb_bea_amused_1-15_0001", "amused", "amused", 1),
        ("emovdb_bea_amused_141_168_0141", "amused", "amused", 141),
        ("emovdb_sam_Disgust_169_196_0170", "disgust", "Disgust", 170),
        ("emovdb_jenie_sleepiness_365-392_0386", "sleepy", "sleepiness", 386),
        ("emovdb_jenie_anger_1-28_0001", "angry", "anger", 1),
    ]:
        one = by_id[id]
        assert (one.emotion, one.text) == (emotion, None)
        assert one.extra == {"sentence": sentence, "original_label": label}


@pytest.mark.parametrize(
    "folders", ["bea_Angry", "Bea_Angry", "bea/Angry", "BEA/Angry", "x/bea"]
)
def test_emovdb_folders(tmp_path, folders):
    names = [f"{folders}/anger_1-28_0001.wav"]
    # The folder that is given lies below one with another speaker's name.
    given = trees.plant(tmp_path / "sam" / "EmoV-DB", names)
    for folder in (given, (given / names[0]).parent):
        if folder.name == "Angry":
            continue
        utterances, skipped = emovdb.read(folder)
        assert skipped == []
        (one,) = utterances
        assert one.id == "emovdb_bea_anger_1-28_0001"
        assert (one.speaker, one.emotion) == ("emovdb_bea", "angry")


def test_emovdb_without_speaker_or_emotion(tmp_path):
    names = {
        "Angry/anger_1-28_0001.wav": "no folder on the way to it is named "
        "after a speaker (bea, jenie, josh, sam)",
        "bea_Angry/rage_1-28_0001.wav": "EmoV-DB has no emotion 'rage'",
    }
    folder = trees.plant(
        tmp_path / "sam" / "tree", [*names, "bea_Angry/anger_1-28_0002.wav"]
    )
    utterances, skipped = emovdb.read(folder)
    assert len(utterances) == 1
    assert dict(skipped) == {
        str(folder / name): reason for name, reason in names.items()
    }


def test_jlcorpus_counts(read_jlcorpus):
    utterances, skipped = read_jlcorpus
    assert skipped == []
    assert len(utterances) == 2400
    assert set(counts(utterances, "emotion").values()) == {240}
    assert counts(utterances, "speaker", "gender", "emotion") == {
        (f"jlcorpus_{gender}{number}", gender, emotion): 60
        for gender in ("female", "male")
        for number in (1, 2)
        for emotion in trees.JL_EMOTIONS
    }


def test_jlcorpus_texts(tmp_path):
    names = [f"JL(wav+txt)/female1_angry_10a_{take}.wav" for take in (1, 2)]
    folder = trees.plant(tmp_path / "tree", names)
    text = (folder / names[0]).with_suffix(".txt")
    text.write_bytes(b"\xef\xbb\xbfJack views  an art piece.\r\n\r\n")
    (folder / "JL(wav+txt)" / "readme.txt").write_text("Not this one.")
    first, second = jlcorpus.read(folder)[0]
    assert first.id == "jlcorpus_female1_angry_10a_1"
    assert first.text == "Jack views an art piece."
    assert first.extra == {
        "sentence": "10a",
        "take": 1,
        "original_label": "angry",
    }
    assert second.text is None


def test_jlcorpus_unknown_emotion(tmp_path):
    names = ["male1_sad_1a_1.wav", "male1_proud_1a_1.wav"]
    folder = trees.plant(tmp_path / "tree", names)
    utterances, skipped = jlcorpus.read(folder)
    assert [one.emotion for one in utterances] == ["sad"]
    assert skipped == [
        (str(folder / names[1]), "JL-Corpus has no emotion 'proud'")
    ]


def test_text_that_cannot_be_read_is_listed(tmp_path):
    folder = trees.plant(tmp_path / "tree", ["male1_sad_1a_1.wav"])
    text = folder / "male1_sad_1a_1.txt"
    text.symlink_to("/no/such/file")
    utterances, skipped = jlcorpus.read(folder)
    assert len(utterances) == 1
    assert skipped == [(str(text), "cannot be read: No such file or directory")]
