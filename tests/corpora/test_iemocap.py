"""IEMOCAP: turns, the labels of all annotators, words."""

from collections import Counter

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import iemocap
from tests.corpora import trees

EMOTIONS = ["angry", "happy", "excited", "neutral", "sad"]
SESSIONS = dict(Ses01=1085, Ses02=1023, Ses03=1151, Ses04=1031, Ses05=1241)
FOLDER = "Session1/sentences/wav/Ses01F_impro01"
NAMES = [f"{FOLDER}/Ses01F_impro01_{x}.wav" for x in ("F000", "F001", "M000")]
LABELS = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t()
C-E4:\tNeutral;\t()
C-F1:\tNeutral;\t()
A-F1:\tval 3; act 2; dom  1;\t()

[10.0100 - 11.3925]\tSes01F_impro01_F001\tfru\t[2.5000, 2.0000, 2.0000]
C-E2:\tFrustration; Anger;\t()
C-E3:\tAnger; Frustration;\t(tired (a bit))
C-E4:\tNeutral;\t()
C-F1:\tAnger;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[14.8872 - 18.0175]\tSes01F_impro01_M000\txxx\t[2.5000, 2.5000, 2.5000]
C-E2:\tOther;\t(pleading)
C-E3:\tSurprise;\t()
C-E4:\tFear; Disgust; \t()
C-M1:\tSadness;\t()
"""
WORDS = """Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_F001 [010.0100-011.3925]: [LAUGHTER] Yeah: no.
M: Hm.
Ses01F_impro01_MXX0 [014.0000-014.2000]: [BREATHING]
"""


@pytest.fixture
def small(tmp_path):
    folder = trees.plant(tmp_path / "tree", NAMES)
    words = LABELS.replace("EmoEvaluation", "transcriptions")
    for name, text in {LABELS: EVALUATION, words: WORDS}.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    return folder


def relabelled(folder, old, new):
    """What is read with another text in the label file."""
    (folder / LABELS).write_text(EVALUATION.replace(old, new))
    return iemocap.CORPUS.read(folder)


def test_counts(tmp_path):
    names = list(trees.iemocap())
    folder = trees.plant(tmp_path / "IEMOCAP_full_release", names)
    trees.write_iemocap_labels(folder, trees.iemocap_codes(names))
    utterances, skipped = iemocap.CORPUS.read(folder)
    assert skipped == [] and len(utterances) == 5531
    names = dict(zip(trees.IEMOCAP_COUNTS, EMOTIONS))
    assert Counter(one.emotion for one in utterances) == {
        names[code]: count for code, count in trees.IEMOCAP_COUNTS.items()
    }
    assert Counter(one.session for one in utterances) == SESSIONS
    turns = [528, 557, 481, 542, 522, 629, 528, 503, 590, 651]
    speakers = [f"iemocap_{name}{sex}" for name in SESSIONS for sex in "FM"]
    found = Counter(one.speaker for one in utterances)
    assert found == dict(zip(speakers, turns))
    styles = Counter(one.extra["style"] for one in utterances)
    assert styles == {"improvised": 2943, "scripted": 2588}
    # Every turn has its own words and label.
    for one in utterances:
        assert one.text == f"Words of {one.id}."
        assert one.extra["agreement"] == 2 / 3
        assert one.id.startswith(one.extra["dialog"])
        assert one.speaker == f"iemocap_{one.id[:5]}{one.id[-4]}"
        assert one.gender == {"F": "female", "M": "male"}[one.id[-4]]


def test_record(small):
    utterances, skipped = iemocap.CORPUS.read(small)
    assert skipped == []
    first = {"id": utterances[0].id, **utterances[0].to_dict()}
    expected = {
        "id": "Ses01F_impro01_F000",
        "speaker": "iemocap_Ses01F",
        "emotion": "neutral",
        "gender": "female",
        "session": "Ses01",
        "text": "Excuse me.",
        "language": "en",
        "style": "improvised",
        "majority_label": "neu",
        "agreement": 1.0,
        "annotations": [
            {"annotator": name, "labels": ["neutral"]}
            for name in ("E2", "E3", "E4", "F1")
        ],
        "dimensions": {"valence": 2.5, "activation": 2.5, "dominance": 2.5},
        "dialog": "Ses01F_impro01",
        "dialog_start": 6.2901,
        "dialog_end": 8.2357,
    }
    assert {key: first[key] for key in expected} == expected


def test_several_labels_of_an_annotator_and_no_agreement(small):
    _, second, third = iemocap.CORPUS.read(small)[0]
    assert second.emotion == "frustrated"
    assert second.text == "[LAUGHTER] Yeah: no."
    # Two of three evaluators; what the actress says of herself is kept only.
    assert second.extra["agreement"] == 2 / 3
    annotations = second.extra["annotations"]
    assert [one["annotator"] for one in annotations] == ["E2", "E3", "E4", "F1"]
    assert [one["labels"] for one in annotations] == [
        ["frustrated", "angry"],
        ["angry", "frustrated"],
        ["neutral"],
        ["angry"],
    ]
    comments = [one["comment"] for one in annotations if "comment" in one]
    assert comments == ["tired (a bit)"]
    assert third.speaker == "iemocap_Ses01M" and third.text is None
    assert third.emotion == "no_agreement"
    assert third.extra["majority_label"] == "xxx"
    assert third.extra["agreement"] is None
    labels = [one["labels"] for one in third.extra["annotations"]]
    assert labels == [["other"], ["surprised"], ["fearful", "disgust"], ["sad"]]


def test_codes(small):
    codes = "ang dis exc fea fru hap neu oth sad sur xxx"
    assert " ".join(iemocap.EMOTIONS) == codes
    for code, emotion in iemocap.EMOTIONS.items():
        utterances, _ = relabelled(small, "\tfru\t", f"\t{code}\t")
        assert utterances[1].emotion == emotion
    utterances, skipped = relabelled(small, "\tfru\t", "\tjoy\t")
    assert [one.id[-4:] for one in utterances] == ["F000", "M000"]
    assert skipped == [(str(small / NAMES[1]), "IEMOCAP has no emotion 'joy'")]


def test_other_files_of_the_same_names(small):
    expected = iemocap.CORPUS.read(small)
    dialog = small / "Session1" / "dialog"
    for name in (
        "EmoEvaluation/Categorical/Ses01F_impro01.txt",
        "EmoEvaluation/Ses01F_impro01_e1_cat.txt",
        "EmoEvaluation/._Ses01F_impro01.txt",
        "MOCAP_hand/Ses01F_impro01.txt",
        "transcriptions/._Ses01F_impro01.txt",
    ):
        (dialog / name).parent.mkdir(exist_ok=True)
        (dialog / name).write_text(EVALUATION.replace("\tneu\t", "\tsad\t"))
    # A dialog as one file is no turn.
    trees.tiny(dialog / "wav" / "Ses01F_impro01.wav")
    assert iemocap.CORPUS.read(small) == expected


def test_audio_without_label_and_label_without_audio(small):
    extra = trees.tiny(small / NAMES[0].replace("F000", "F099"))
    other = trees.tiny(small / NAMES[0].replace("impro01", "script01_1b"))
    (small / NAMES[1]).unlink()
    utterances, skipped = iemocap.CORPUS.read(small)
    assert len(utterances) == 2
    reasons = dict(skipped)
    assert "Ses01F_impro01.txt has no label for it" in reasons[str(extra)]
    assert "Ses01F_script01_1b.txt is missing" in reasons[str(other)]
    reason = "it has a label for Ses01F_impro01_F001, which has no audio"
    assert reasons[str(small / LABELS)] == reason and len(reasons) == 3


def test_labels_given_twice_and_damaged(small):
    again = EVALUATION[EVALUATION.index("[6.") :].replace("\tneu\t", "\tsad\t")
    utterances, skipped = relabelled(small, EVALUATION, EVALUATION + again)
    assert utterances[0].emotion == "neutral"
    assert len(utterances[0].extra["annotations"]) == 4
    assert [reason for _, reason in skipped] == [
        f"line {line}: Ses01F_impro01_{turn} has its label in "
        f"'{small / LABELS}' already"
        for line, turn in ((22, "F000"), (29, "F001"), (36, "M000"))
    ]
    utterances, skipped = relabelled(small, "\tfru\t[2.5000,", "\tfru")
    assert len(utterances) == 2
    # The annotators of the damaged turn are not taken for the one before.
    assert len(utterances[0].extra["annotations"]) == 4
    (line, reason), (turn, _) = skipped
    assert line == str(small / LABELS)
    assert reason.startswith("line 10 is no label: '[10.0100 - 11.3925]")
    assert turn == str(small / NAMES[1])


def test_no_words_and_no_labels_at_all(small):
    (small / LABELS.replace("EmoEvaluation", "transcriptions")).unlink()
    utterances, skipped = iemocap.CORPUS.read(small)
    assert [one.text for one in utterances] == [None] * 3 and skipped == []
    (small / LABELS).unlink()
    with pytest.raises(UserError) as error:
        iemocap.CORPUS.read(small)
    assert str(error.value).startswith(
        f"'{small}' holds IEMOCAP recordings but no labels (looked for files "
    )
