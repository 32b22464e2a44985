"""SAVEE, EmoDB, AESDD and ShEMO: labels from short codes in file names."""

from collections import Counter

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import aesdd, emodb, read_corpus, savee, shemo
from speechbrain_ext.utterance import load_manifest, save_manifest
from tests.corpora import trees

NAMES = {
    "savee": trees.savee,
    "emodb": trees.emodb,
    "aesdd": trees.aesdd,
    "shemo": trees.shemo,
}
# From the publications: SAVEE and EmoDB. AESDD and ShEMO: the download.
EMOTIONS = {
    "savee": {"neutral": 120}
    | dict.fromkeys("angry disgust fearful happy sad surprised".split(), 60),
    "emodb": {
        "angry": 127,
        "bored": 81,
        "disgust": 46,
        "fearful": 69,
        "happy": 71,
        "sad": 62,
        "neutral": 79,
    },
    "aesdd": {
        "angry": 121,
        "disgust": 122,
        "fearful": 120,
        "happy": 119,
        "sad": 122,
    },
    "shemo": {
        "angry": 1034,
        "fearful": 29,
        "happy": 198,
        "neutral": 1018,
        "sad": 360,
        "surprised": 199,
    },
}
# What ShEMO's authors list, of which 162 are not in the archives.
SHEMO_LIST = {
    "angry": 1042,
    "fearful": 32,
    "happy": 203,
    "neutral": 1160,
    "sad": 362,
    "surprised": 201,
}
LANGUAGES = {"savee": "en", "emodb": "de", "aesdd": "el", "shemo": "fa"}


def count(utterances, *fields):
    return Counter(
        tuple(getattr(one, field) for field in fields) for one in utterances
    )


@pytest.fixture(scope="session", params=NAMES)
def whole(request, tmp_path_factory):
    corpus = request.param
    folder = trees.plant(
        tmp_path_factory.mktemp(corpus) / "tree", NAMES[corpus]()
    )
    before = trees.snapshot(folder)
    found = read_corpus(corpus, folder)
    assert trees.snapshot(folder) == before
    return corpus, *found


def read_names(module, tmp_path, names):
    folder = trees.plant(tmp_path / "tree", names)
    utterances, skipped = module.read(folder)
    return utterances, {
        file.removeprefix(f"{folder}/"): reason for file, reason in skipped
    }


def test_counts(whole, tmp_path):
    corpus, utterances, skipped = whole
    assert skipped == []
    assert count(utterances, "emotion") == {
        (emotion,): number for emotion, number in EMOTIONS[corpus].items()
    }
    assert len({one.id for one in utterances}) == len(utterances)
    assert {one.language for one in utterances} == {LANGUAGES[corpus]}
    assert all(one.speaker.startswith(f"{corpus}_") for one in utterances)
    save_manifest(utterances, tmp_path / "manifest.json")
    assert load_manifest(tmp_path / "manifest.json") == utterances


def test_counts_of_speakers(whole):
    corpus, utterances, _ = whole
    speakers = count(utterances, "speaker")
    genders = Counter(
        gender for _, gender in count(utterances, "speaker", "gender")
    )
    if corpus == "savee":
        assert set(speakers.values()) == {120} and len(speakers) == 4
        assert genders == {"male": 4}
    elif corpus == "emodb":
        assert len(speakers) == 10
        assert genders == {"female": 5, "male": 5}
        assert {one.text for one in utterances} == set(emodb.SENTENCES.values())
        assert count(utterances, "gender") == {
            ("female",): 302,
            ("male",): 233,
        }
    elif corpus == "aesdd":
        assert speakers == {
            ("aesdd_1",): 100,
            ("aesdd_2",): 100,
            ("aesdd_3",): 98,
            ("aesdd_4",): 99,
            ("aesdd_5",): 107,
            ("aesdd_6",): 100,
        }
        assert genders == {None: 6}
    else:
        assert genders == {"female": 31, "male": 56}


def test_shemo_lacks_recordings():
    missing = {
        emotion: SHEMO_LIST[emotion] - number
        for emotion, number in EMOTIONS["shemo"].items()
    }
    assert sum(SHEMO_LIST.values()) == 3000
    assert sum(missing.values()) == 162
    row = "{:<9}  {:<9}  {:<8}  {}"
    for emotion, number in missing.items():
        line = row.format(
            emotion,
            SHEMO_LIST[emotion],
            EMOTIONS["shemo"][emotion],
            number,
        )
        assert line in shemo.__doc__


def test_savee_layouts(tmp_path):
    name = "AudioData/{speaker}/{emotion}{number:02d}.wav"
    utterances, skipped = read_names(savee, tmp_path, trees.savee(name))
    assert skipped == {} and len(utterances) == 480
    flat, _ = savee.read(trees.plant(tmp_path / "flat", trees.savee()))
    assert [one.id for one in flat] == [one.id for one in utterances]
    (one,) = [o for o in utterances if o.id == "savee_JK_sa07"]
    assert (one.speaker, one.emotion) == ("savee_JK", "sad")
    assert one.extra == {"sentence": 7, "original_label": "sa"}


def test_savee_odd_names(tmp_path):
    utterances, skipped = read_names(
        savee,
        tmp_path,
        ["DC_a01.wav", "DC_b01.wav", "XX_a01.wav", "other/a01.wav", "a.wav"],
    )
    who = (
        "neither its name nor its folder is that of a speaker (DC, JE, JK, KL)"
    )
    assert [one.id for one in utterances] == ["savee_DC_a01"]
    assert skipped == {
        "DC_b01.wav": "SAVEE has no emotion 'b'",
        "XX_a01.wav": who,
        "other/a01.wav": who,
        "a.wav": "not named like a recording of SAVEE (DC_a01.wav or "
        "DC/a01.wav)",
    }


def test_emodb_record(tmp_path):
    (one,), _ = read_names(emodb, tmp_path, ["wav/03a01Fa.wav"])
    # The example in the corpus's own description.
    assert (one.speaker, one.gender, one.emotion) == (
        "emodb_03",
        "male",
        "happy",
    )
    assert one.text == "Der Lappen liegt auf dem Eisschrank."
    assert one.extra == {
        "sentence": "a01",
        "version": "a",
        "original_label": "F",
    }


def test_emodb_odd_names(tmp_path):
    utterances, skipped = read_names(
        emodb,
        tmp_path,
        ["03a01Fa.wav", "04a01Fa.wav", "03a03Fa.wav", "03a01Xa.wav"],
    )
    assert len(utterances) == 1
    assert skipped == {
        "04a01Fa.wav": "EmoDB has no speaker 04",
        "03a03Fa.wav": "EmoDB has no sentence a03",
        "03a01Xa.wav": "EmoDB has no emotion X",
    }


def test_aesdd_takes_and_speakers(tmp_path):
    utterances, skipped = read_names(
        aesdd,
        tmp_path,
        [
            "sadness/s01 (5)a.wav",
            "sadness/s01 (5)b.wav",
            "disgust/d03 (01).wav",
            "flat/h02(2).wav",
        ],
    )
    assert skipped == {}
    assert [
        (one.id, one.speaker, one.emotion, one.extra["take"])
        for one in utterances
    ] == [
        ("aesdd_d03_1", "aesdd_1", "disgust", ""),
        ("aesdd_h02_2", "aesdd_2", "happy", ""),
        ("aesdd_s01_5a", "aesdd_5", "sad", "a"),
        ("aesdd_s01_5b", "aesdd_5", "sad", "b"),
    ]


def test_aesdd_odd_names(tmp_path):
    utterances, skipped = read_names(
        aesdd,
        tmp_path,
        ["fear/f01 (1).wav", "fear/f01 (01).wav", "fear/a01 (1).wav"]
        + ["x/z01 (1).wav", "fear/f01.wav"],
    )
    assert [one.id for one in utterances] == ["aesdd_f01_1"]
    assert skipped.pop("fear/f01 (1).wav").startswith("same recording as")
    assert skipped == {
        "fear/a01 (1).wav": "it lies in 'fear', but its name begins with 'a'",
        "x/z01 (1).wav": "AESDD has no emotion 'z'",
        "fear/f01.wav": "not named like a recording of AESDD (a01 (1).wav)",
    }


def test_shemo_letters(tmp_path):
    utterances, skipped = read_names(
        shemo,
        tmp_path,
        ["female/F01F02.wav", "male/M01F02.wav", "male/M01X02.wav", "M1.wav"],
    )
    # The first F is the gender, the second one the emotion.
    assert [
        (one.id, one.speaker, one.gender, one.emotion) for one in utterances
    ] == [
        ("shemo_F01F02", "shemo_F01", "female", "fearful"),
        ("shemo_M01F02", "shemo_M01", "male", "fearful"),
    ]
    assert skipped == {
        "male/M01X02.wav": "ShEMO has no emotion X",
        "M1.wav": "not named like a recording of ShEMO (F01A01.wav)",
    }


@pytest.mark.parametrize("corpus", NAMES)
def test_wrong_folder(tmp_path, corpus):
    with pytest.raises(UserError, match="does not exist; give the folder"):
        read_corpus(corpus, tmp_path / "no")
    folder = trees.plant(tmp_path / "tree", ["03-01-05-01-02-01-12.wav"])
    with pytest.raises(UserError, match="recordings \\(looked for names like"):
        read_corpus(corpus, folder)
