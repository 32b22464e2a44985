"""The corpora whose labels stand in the names of files."""

import operator
from collections import Counter

import pytest

from speechbrain_ext.corpora import find_corpus, read_corpus
from speechbrain_ext.corpora.emodb import SENTENCES
from tests.corpora import trees


def numbers(text):
    """From ``"sad 3 happy calm 4"``: of happy and calm there are 4 each."""
    found, waiting = {}, []
    for word in text.split():
        if word.isdigit():
            found |= dict.fromkeys(waiting, int(word))
            waiting = []
        else:
            waiting.append(word)
    return found


# What each whole corpus has, from the publications; AESDD, ShEMO and EmoV-DB:
# what can be downloaded.
EMOTIONS = {
    "ravdess": "neutral 96 calm happy sad angry fearful disgust surprised 192",
    "esd": "neutral angry happy sad surprised 7000",
    "emovdb": "neutral 1566 amused 1315 angry 1267 sleepy 1720 disgust 1019",
    "jlcorpus": f"{' '.join(trees.JL_EMOTIONS)} 240",
    "savee": "neutral 120 angry disgust fearful happy sad surprised 60",
    "emodb": "angry 127 bored 81 disgust 46 fearful 69 happy 71 sad 62 "
    "neutral 79",
    "aesdd": "angry 121 disgust 122 fearful 120 happy 119 sad 122",
    "shemo": "angry 1034 fearful 29 happy 198 neutral 1018 sad 360 "
    "surprised 199",
    "cremad": "neutral 1087 angry disgust fearful happy sad 1271",
    "tess": "neutral angry disgust fearful happy sad surprised 400",
}
EMOTIONS = {corpus: numbers(text) for corpus, text in EMOTIONS.items()}
# Recordings by speaker.
SPEAKERS = {
    "ravdess": {f"ravdess_{actor:02d}": 60 for actor in range(1, 25)},
    "emovdb": numbers(
        "emovdb_bea 1784 emovdb_jenie 1790 emovdb_josh 861 emovdb_sam 2452"
    ),
    "savee": numbers("savee_DC savee_JE savee_JK savee_KL 120"),
    "aesdd": numbers(
        "aesdd_1 aesdd_2 100 aesdd_3 98 aesdd_4 99 aesdd_5 107 aesdd_6 100"
    ),
    "cremad": {f"cremad_{actor}": 82 for actor in range(1001, 1092)}
    | numbers(
        "cremad_1002 cremad_1076 81 cremad_1008 cremad_1009 cremad_1019 76"
    ),
    "tess": numbers("tess_OAF tess_YAF 1400"),
}
# Speakers by gender.
GENDERS = {
    "ravdess": {"male": 12, "female": 12},
    "esd": {"male": 10, "female": 10},
    "emovdb": {"male": 2, "female": 2},
    "jlcorpus": {"male": 2, "female": 2},
    "savee": {"male": 4},
    "emodb": {"female": 5, "male": 5},
    "aesdd": {None: 6},
    "shemo": {"female": 31, "male": 56},
    "cremad": {None: 91},
    "tess": {"female": 2},
}
LANGUAGES = {"savee": "en", "emodb": "de", "aesdd": "el", "shemo": "fa"}


def count(utterances, *fields):
    return Counter(operator.attrgetter(*fields)(one) for one in utterances)


def read_names(corpus, folder, names):
    folder = trees.plant(folder / "tree", names)
    utterances, skipped = read_corpus(corpus, folder)
    start = f"{folder}/"
    return utterances, {file.removeprefix(start): why for file, why in skipped}


@pytest.mark.parametrize("corpus", EMOTIONS)
def test_counts(corpus, tmp_path):
    names = getattr(trees, corpus)()
    utterances, skipped = read_names(corpus, tmp_path, names)
    assert skipped == {}
    emotions = Counter(one.emotion for one in utterances)
    assert emotions == EMOTIONS[corpus]
    assert set(emotions) == set(find_corpus(corpus).emotions.values())
    assert len({one.id for one in utterances}) == len(utterances)
    if corpus != "esd":
        language = LANGUAGES.get(corpus, "en")
        assert {one.language for one in utterances} == {language}
    speakers = Counter(one.speaker for one in utterances)
    assert SPEAKERS.get(corpus, speakers) == speakers
    by_gender = count(utterances, "speaker", "gender")
    assert len(by_gender) == len(speakers)
    assert Counter(gender for _, gender in by_gender) == GENDERS[corpus]
    trees.check_manifest(utterances[:: len(utterances) // 100], tmp_path)
    found = count(utterances, "speaker", "emotion")
    if corpus in ("esd", "jlcorpus"):
        assert set(found.values()) == {{"esd": 350, "jlcorpus": 60}[corpus]}
    if corpus == "emovdb":
        # Josh was neither angry nor disgusted.
        assert len(found) == 18 and len(utterances) == 6887
        assert found["emovdb_josh", "sleepy"] == 263
    if corpus == "emodb":
        assert {one.text for one in utterances} == set(SENTENCES.values())
        genders = Counter(one.gender for one in utterances)
        assert genders == {"female": 302, "male": 233}
    if corpus in ("cremad", "tess"):
        texts = {one.text for one in utterances}
        assert len(texts) == {"cremad": 12, "tess": 200}[corpus]
    if corpus == "esd":
        # Speakers 0001 to 0020, as the ReadMe of the release lists them.
        letters = {"F": "female", "M": "male"}
        assert set(count(utterances, "speaker", "gender", "language")) == {
            (f"esd_{n:04d}", letters[letter], "zh" if n <= 10 else "en")
            for n, letter in enumerate("FFFMMMFMFMMMMMFFFFFM", 1)
        }
        of_speaker = [one for one in utterances if one.speaker == "esd_0013"]
        sentences = Counter(one.extra["sentence"] for one in of_speaker)
        assert sentences == dict.fromkeys(range(1, 351), 5)


# A name, and what its record has.
GOOD = {
    "ravdess": {
        # The example in the corpus's own description.
        "Actor_12/03-01-06-01-02-01-12.wav": "id=ravdess_03-01-06-01-02-01-12, "
        "emotion=fearful, gender=female, text=Dogs are sitting by the door., "
        "vocal_channel=speech, intensity=normal, statement=2, repetition=1, "
        "original_label=06, speaker=ravdess_12",
        "03-02-06-01-02-01-12.wav": "vocal_channel=song",
    },
    "esd": {
        "ESD/0011/Angry/train/0011_000371.wav": "emotion=angry, part=train",
        "ESD/0011/Angry/evaluation/0011_000351.wav": "part=evaluation",
        "ESD/0011/Angry/test/0011_000361.wav": "part=test",
        "flat/0012_001051.wav": "emotion=sad, part=None, sentence=1, text=None",
        "0013/Surprise/0013_001401.wav": "original_label=Surprise",
    },
    "emovdb": {
        "bea_Amused/amused_1-15_0001.wav": "id=emovdb_bea_amused_1-15_0001, "
        "emotion=amused, sentence=1, text=None",
        "sam_Disgust/Disgust_169_196_0170.wav": "sentence=170, "
        "original_label=Disgust",
        "x/jenie/Angry/anger_1-28_0001.wav": "id=emovdb_jenie_anger_1-28_0001",
        "BEA/Angry/anger_1-28_0003.wav": "speaker=emovdb_bea",
    },
    "savee": {
        "AudioData/JK/sa07.wav": "id=savee_JK_sa07, speaker=savee_JK, "
        "emotion=sad, sentence=7, original_label=sa",
        "DC_a01.wav": "id=savee_DC_a01, emotion=angry",
    },
    "emodb": {
        # The example in the corpus's own description.
        "wav/03a01Fa.wav": "id=emodb_03a01Fa, speaker=emodb_03, gender=male, "
        "emotion=happy, text=Der Lappen liegt auf dem Eisschrank., "
        "sentence=a01, version=a, original_label=F",
    },
    "aesdd": {
        "sadness/s01 (5)a.wav": "id=aesdd_s01_5a, speaker=aesdd_5, take=a",
        "disgust/d03 (01).wav": "id=aesdd_d03_1, take=",
        "flat/h02(2).wav": "id=aesdd_h02_2, emotion=happy",
    },
    "shemo": {
        # The first F is the gender, the second one the emotion.
        "female/F01F02.wav": "id=shemo_F01F02, speaker=shemo_F01, number=2, "
        "gender=female, emotion=fearful",
    },
    "jlcorpus": {
        "female1_angry_10a_1.wav": "id=jlcorpus_female1_angry_10a_1, "
        "sentence=10a, take=1, original_label=angry, text=None",
    },
    "cremad": {
        "AudioWAV/1001_IEO_ANG_HI.wav": "id=cremad_1001_IEO_ANG_HI, "
        "speaker=cremad_1001, emotion=angry, text=It's eleven o'clock., "
        "sentence=IEO, intensity=high, original_label=ANG, gender=None",
        "1001_DFA_FEA_XX.wav": "emotion=fearful, intensity=unspecified",
        # Named so in the release.
        "1040_ITH_SAD_X.wav": "id=cremad_1040_ITH_SAD_XX, "
        "intensity=unspecified",
    },
    "tess": {
        "YAF_pleasant_surprised/YAF_back_ps.wav": "id=tess_YAF_back_ps, "
        "speaker=tess_YAF, emotion=surprised, text=Say the word back., "
        "word=back, gender=female, age=26, original_label=ps",
        "OAF_Fear/OAF_back_fear.wav": "emotion=fearful, age=64",
        "OAF_neutral/OA_bite_neutral.wav": "id=tess_OAF_bite_neutral, "
        "speaker=tess_OAF",
    },
}
# A name, and how the reason begins for which it is skipped.
BAD = {
    "ravdess": {
        "03-01-09-01-01-01-01.wav": "RAVDESS has no emotion '09'",
        "03-01-01-03-01-01-01.wav": "RAVDESS has no intensity '03'",
        "03-03-01-01-01-01-01.wav": "RAVDESS has no vocal channel '03'",
        "03-01-01-01-03-01-01.wav": "RAVDESS has no statement '03'",
        "03-01-01-01-01-01-25.wav": "RAVDESS has no actor '25'",
        "01-01-01-01-01-01-01.wav": "modality 01 is the sound of a video; ",
    },
    "esd": {
        "0011/Happy/0011_000351.wav": "it lies in 'Happy', but number 000351 ",
        "0021/Angry/0021_000351.wav": "ESD has no speaker '0021'",
        "0011/Angry/0011_001751.wav": "ESD has no recording '001751'",
        "0011/Angry/0011_000000.wav": "ESD has no recording '000000'",
    },
    "emovdb": {
        "Angry/anger_1-28_0001.wav": "no folder above it is named after a spea",
        "bea_Angry/rage_1-28_0001.wav": "EmoV-DB has no emotion 'rage'",
    },
    "savee": {
        "DC_b01.wav": "SAVEE has no emotion 'b'",
        "XX_a01.wav": "neither its name nor its folder is that of a speaker (",
        "other/a01.wav": "neither its name nor its folder is that of a speaker",
    },
    "emodb": {
        "04a01Fa.wav": "EmoDB has no speaker '04'",
        "03a03Fa.wav": "EmoDB has no sentence 'a03'",
        "03a01Xa.wav": "EmoDB has no emotion 'X'",
    },
    "aesdd": {
        "fear/a01 (1).wav": "it lies in 'fear', but its name begins with 'a'",
        "x/z01 (1).wav": "AESDD has no emotion 'z'",
    },
    "shemo": {"male/M01X02.wav": "ShEMO has no emotion 'X'"},
    "jlcorpus": {"male1_proud_1a_1.wav": "JL-Corpus has no emotion 'proud'"},
    "cremad": {
        "1092_DFA_ANG_XX.wav": "CREMA-D has no actor '1092'",
        "1001_ABC_ANG_XX.wav": "CREMA-D has no sentence 'ABC'",
        "1001_DFA_SUR_XX.wav": "CREMA-D has no emotion 'SUR'",
        "1001_DFA_ANG_ZZ.wav": "CREMA-D has no intensity 'ZZ'",
    },
    "tess": {
        "MAF_back_sad.wav": "TESS has no speaker 'MAF'",
        "OAF_back_proud.wav": "TESS has no emotion 'proud'",
    },
}


@pytest.mark.parametrize("corpus", GOOD)
def test_names(tmp_path, corpus):
    # A folder above the one that is given has no say.
    utterances, skipped = read_names(
        corpus, tmp_path / "sam", [*GOOD[corpus], *BAD[corpus]]
    )
    assert skipped.keys() == BAD[corpus].keys()
    assert all(skipped[name].startswith(BAD[corpus][name]) for name in skipped)
    records = {one.wav: one for one in utterances}
    assert len(records) == len(GOOD[corpus])
    for name, text in GOOD[corpus].items():
        one = records[f"{tmp_path}/sam/tree/{name}"]
        record = {"id": one.id, **one.to_dict()}
        for field in text.split(", "):
            key, value = field.split("=")
            assert str(record.get(key)) == value
        assert record["speaker"].startswith(f"{corpus}_")


def test_ravdess_itself(ravdess_folder):
    utterances, skipped = read_corpus("ravdess", ravdess_folder)
    assert skipped == [] and len(utterances) == 1440
    emotions = Counter(one.emotion for one in utterances)
    assert emotions == EMOTIONS["ravdess"]
    # Livingstone and Russo's recordings last from 3 to 5 seconds or so.
    assert all(2.5 < one.duration < 5.5 for one in utterances)


def test_tess_itself(tess_folder):
    """Half of the words, in the recordings as they were published."""
    utterances, skipped = read_corpus("tess", tess_folder)
    assert skipped == [] and len(utterances) == 1413
    emotions = Counter(one.emotion for one in utterances)
    assert emotions == numbers("angry 201 disgust fearful happy 202") | numbers(
        "neutral sad surprised 202"
    )
    assert {one.speaker for one in utterances} == {"tess_OAF", "tess_YAF"}
    assert "tess_OAF_bite_neutral" in {one.id for one in utterances}
    assert all(1 < one.duration < 4 for one in utterances)
    words = (trees.DATA / "tess.txt").read_text().split()
    assert {one.extra["word"] for one in utterances} < set(words)


def test_cremad_actors(tmp_path):
    """Who they are stands in a table, if it is there."""
    names = [f"AudioWAV/100{i}_DFA_SAD_XX.wav" for i in (1, 2, 3)]
    folder = trees.plant(tmp_path / "tree", names)
    table = folder / "VideoDemographics.csv"
    (folder / "SentenceFilenames.csv").write_text('"Stimulus_Number"\n1\n')
    table.write_text(
        '"ActorID","Age","Sex","Race","Ethnicity"\n'
        '1001,51,"Male","Caucasian","Not Hispanic"\r\n'
        '1002,,"Female","Unknown","Hispanic"\n'
    )
    utterances, skipped = read_corpus("cremad", folder)
    assert skipped == []
    assert [one.gender for one in utterances] == ["male", "female", None]
    found = [one.extra.get("age") for one in utterances]
    assert found == [51, None, None]
    assert utterances[1].extra["ethnicity"] == "Hispanic"
    for text, reason in {
        "ActorID,Sex\n1001,Male\n": "expected the columns ActorID, Age, Sex, ",
        "ActorID,Sex\n1001\n": f"'{table}', line 2: expected 2 fields",
    }.items():
        table.write_text(text)
        utterances, [(file, why)] = read_corpus("cremad", folder)
        assert {one.gender for one in utterances} == {None}
        assert file == str(table) and why.startswith(reason)


@pytest.mark.parametrize(
    "speaker, encodings",
    [
        ("0001", "gb18030 gb2312 utf-16 utf-8-sig"),
        ("0016", "utf-8 utf-16 cp1252 gb18030"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_esd_texts(tmp_path, speaker, encodings, end):
    mandarin = speaker == "0001"
    text = "打远一看，它们的确很是美丽。" if mandarin else "It’s the nine."
    label = "中立" if mandarin else "Neutral"
    names = [f"{speaker}/Neutral/{speaker}_00000{i}.wav" for i in range(1, 7)]
    folder = trees.plant(tmp_path / "tree", names)
    ends = [
        f"1\t{text}\t{label}",
        f"2\t{text}\t{label}\t ",
        f"3 {text} {label}",
        f"4\t{text}",
        f"5\t {text} \t{label}",
    ]
    lines = end.join(f"  {speaker}_00000{one}{end}" for one in ends)
    path = folder / speaker / f"{speaker}.txt"
    for encoding in encodings.split():
        path.write_bytes(lines.lstrip().encode(encoding))
        utterances, skipped = read_corpus("esd", folder)
        assert skipped == []
        assert [one.text for one in utterances] == [text] * 5 + [None]


def test_esd_text_that_ends_in_an_emotion(tmp_path):
    folder = trees.plant(tmp_path / "tree", ["0011/Sad/0011_001051.wav"])
    for line, text in {
        " I am sad": "I am sad",
        "\tSad\tSad": "Sad",
        "\tOne part,\tand one more.": "One part,\tand one more.",
    }.items():
        (folder / "0011" / "0011.txt").write_text(f"0011_001051{line}\n")
        assert read_corpus("esd", folder)[0][0].text == text


def test_jlcorpus_texts(tmp_path):
    names = [f"JL(wav+txt)/female1_angry_10a_{take}.wav" for take in (1, 2, 3)]
    folder = trees.plant(tmp_path / "tree", names)
    texts = [(folder / name).with_suffix(".txt") for name in names]
    texts[0].write_bytes(b"\xef\xbb\xbfJack views  an art piece.\r\n\r\n")
    texts[1].symlink_to("/no/such/file")
    (folder / "JL(wav+txt)" / "readme.txt").write_text("Not this one.")
    utterances, skipped = read_corpus("jlcorpus", folder)
    found = [one.text for one in utterances]
    assert found == ["Jack views an art piece.", None, None]
    reason = "is not readable: No such file or directory"
    assert skipped == [(str(texts[1]), reason)]
