"""The protocols of the papers, on the names of the real corpora."""

import json
import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from speechbrain_ext.base.emotions import VOCABULARY
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.conditioning.balancing import balance
from speechbrain_ext.corpora import iemocap, read_corpus
from speechbrain_ext.protocols import (
    PROTOCOLS,
    classes_of,
    num_folds,
    partition,
)
from speechbrain_ext.protocols.folds import hold_out_ratio
from speechbrain_ext.utterance import Utterance
from tests.corpora import trees

EIGHT = "neutral calm happy sad angry fearful disgust surprised".split()
SEVEN = [name for name in EIGHT if name != "calm"]
FOUR = ["neutral", "happy", "sad", "angry"]
FIVE = ["cremad", "savee", "tess", "ravdess", "iemocap"]
ANY = ["leave_one_speaker_out", "grouped_kfold"]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("protocols")
    found = {
        "iemocap": list(fake_iemocap()),
        "synthetic": [
            utterance(f"{s}-{e}-{i}", f"s{s:02d}", e, "synthetic")
            for s in range(12)
            for e in FOUR
            for i in range(3)
        ],
    }
    for corpus in ("emodb", "aesdd", "shemo", *FIVE[:-1]):
        names = [*getattr(trees, corpus)()]
        if corpus == "ravdess":
            names += trees.ravdess("02")
        folder = trees.plant(root / corpus, names)
        found[corpus], skipped = read_corpus(corpus, folder)
        assert not skipped
    found["five"] = sum((found[corpus] for corpus in FIVE), [])
    return found


def utterance(id, speaker, emotion, corpus):
    speaker = f"{corpus}_{speaker}" if speaker else ""
    return Utterance(
        f"{corpus}_{id}", 1.0, speaker, emotion, corpus, wav="x.wav"
    )


# What the listing lacks: a few turns of those of which there are thousands.
OTHERS = dict(
    no_agreement=5, frustrated=5, other=3, disgust=2, fearful=40, surprised=107
)


def fake_iemocap():
    """The real turns in the published counts, and those of other labels."""
    turns = {
        turn: iemocap.EMOTIONS[code]
        for turn, code in trees.iemocap_codes(trees.iemocap()).items()
    }
    labels = [name for name, count in OTHERS.items() for _ in range(count)]
    for index, label in enumerate(labels):
        turns[f"Ses0{index % 5 + 1}F_impro09_F{index:03d}"] = label
    for index, (turn, emotion) in enumerate(turns.items()):
        agreed = 1.0 if index % 3 else 2 / 3
        style = "improvised" if "impro" in turn else "scripted"
        yield Utterance(
            turn,
            20.0 if index % 50 == 0 else 4.0,
            f"iemocap_{turn[:5]}{turn.split('_')[-1][0]}",
            emotion,
            "iemocap",
            wav="x.wav",
            session=turn[:5],
            extra={
                "style": style,
                "agreement": None if "impro09" in turn else agreed,
            },
        )


def ids(part):
    return [one.id for one in part]


def classes(part):
    return Counter(one.emotion for one in part)


def whole(part):
    return part.train + part.valid + part.test


def groups(part):
    parts = (part.train, part.valid, part.test)
    return [{one.speaker for one in split} for split in parts]


def combinations():
    for protocol in PROTOCOLS.values():
        # Its texts have no speakers, and tests of their own.
        if protocol.name == "goemotions":
            continue
        known = {*protocol.corpora, *(["synthetic"] * protocol.any_corpus)}
        known = {"five"} if protocol.several else known
        for corpus in sorted(known):
            yield protocol.name, corpus


@pytest.mark.parametrize("protocol, corpus", list(combinations()))
def test_every_recording_is_tested_once(data, protocol, corpus):
    utterances = data[corpus]
    folds = num_folds(protocol, utterances)
    # All of ShEMO's 87 speakers would take long.
    shown = range(1, folds + 1) if folds <= 24 else range(1, folds + 1, 8)
    tested = []
    for fold in shown:
        part = partition(protocol, utterances, fold, seed=3)
        names = ids(whole(part))
        assert len(set(names)) == len(names)
        left_out = sum(part.left_out.values())
        assert len(names) + left_out == len(utterances)
        assert part.valid and len(part.valid) < len(part.train)
        tested += ids(part.test)
        record = part.record()
        shared = record["speakers_shared_with_train"]
        if PROTOCOLS[protocol].disjoint:
            assert shared == {"valid": 0, "test": 0}
            speakers = groups(part)
            assert len(set.union(*speakers)) == sum(map(len, speakers))
        else:
            assert shared["test"] > 0
        lacking = set(part.classes) - set(classes(part.train))
        # Without RAVDESS nobody is calm.
        alone = protocol == "sharma_cross" and part.test[0].corpus == "ravdess"
        assert lacking == ({"calm"} if alone else set())
        assert json.loads(json.dumps(record)) == record
    assert len(set(tested)) == len(tested)
    if folds == len(shown) > 1:
        calm = 192 if protocol == "sharma_cross" else 0
        assert len(tested) + calm == len(names)
    if protocol == "grouped_kfold":
        assert folds == min(5, len({one.speaker for one in utterances}))


@pytest.mark.parametrize("protocol, corpus", list(combinations()))
def test_order_and_seed(data, protocol, corpus):
    utterances = data[corpus]
    shuffled = random.Random(1).sample(utterances, len(utterances))
    first = partition(protocol, utterances, 1, seed=5)
    assert partition(protocol, shuffled, 1, seed=5) == first
    other = partition(protocol, utterances, 1, seed=6)
    same = other.test == first.test and other.valid == first.valid
    if protocol.startswith("pepino") or protocol == "issa_iemocap":
        assert same
    elif len({one.speaker for one in utterances}) > 10:
        assert not same


def test_classes():
    for protocol, corpus, expected in [
        ("pepino_ravdess", "ravdess", SEVEN),
        ("pepino_iemocap", "iemocap", FOUR),
        ("issa_iemocap", "iemocap", FOUR),
        ("issa_ravdess", "ravdess", EIGHT),
        *((one, "iemocap", FOUR) for one in ANY),
        *((one, "synthetic", FOUR) for one in ANY),
        *((one, "ravdess", EIGHT) for one in ("jafarzadeh", *ANY)),
        *((one, "savee", SEVEN) for one in ("jafarzadeh", *ANY)),
        *((one, "shemo", FOUR + ["surprised"]) for one in ("jafarzadeh", *ANY)),
    ]:
        assert classes_of(protocol, corpus) == expected
    for protocol in ANY:
        counts = {"emodb": 7, "aesdd": 5, "esd": 5, "emovdb": 5, "jlcorpus": 10}
        for corpus, count in counts.items():
            found = classes_of(protocol, corpus)
            assert len(found) == count and set(found) <= set(VOCABULARY)


def test_pepino_ravdess(data):
    part = partition("pepino_ravdess", data["ravdess"], 1)
    actors = [f"ravdess_{number:02d}" for number in range(1, 25)]
    expected = [set(actors[:20]), set(actors[20:22]), set(actors[22:])]
    assert groups(part) == expected
    # 104 vocalizations an actor (section 2.4); actor 18 did not sing.
    assert len(part.train) == 20 * 104 - 44
    assert len(part.valid) == len(part.test) == 208
    # Per actor: 4 + 8 spoken and 4 + 8 sung neutral or calm ones, 8 and 8 of
    # the emotions that are sung too, 8 of those that are not.
    counts = [48, 32, 32, 32, 32, 16, 16]
    assert classes(part.test) == dict(zip(SEVEN, counts, strict=True))
    without = [u for u in data["ravdess"] if u.speaker != "ravdess_03"]
    assert partition("pepino_ravdess", without, 1).test == part.test


def test_pepino_iemocap(data):
    sessions = [1085, 1023, 1151, 1031, 1241]
    for fold, size in enumerate(sessions, 1):
        part = partition("pepino_iemocap", data["iemocap"], fold)
        assert {one.session for one in part.test} == {f"Ses0{fold}"}
        assert {one.session for one in part.valid} == {f"Ses0{fold % 5 + 1}"}
        assert len(part.test) == size
        assert len(part.valid) == sessions[fold % 5]
        assert part.left_out == OTHERS
        used = whole(part)
        # 1103 angry, 595 happy and 1041 excited, 1708 neutral, 1084 sad.
        assert classes(used) == dict(zip(FOUR, [1708, 1636, 1084, 1103]))
        long = [one for one in used if one.stop is not None]
        assert {(one.stop, one.duration) for one in long} == {(15.0, 15.0)}
        assert len(long) == part.cut == 111
        assert max(one.duration for one in used) == 15.0


def test_makiuchi(data):
    """5531 turns of IEMOCAP, none of them cut; groups of actors in turn."""
    part = partition("makiuchi_iemocap", data["iemocap"], 2)
    assert len(whole(part)) == 5531 and part.cut == 0
    assert {one.session for one in part.valid} == {"Ses03"}
    found = partition("pepino_iemocap", data["iemocap"], 2)
    assert [one.id for one in part.test] == [one.id for one in found.test]
    parts = [
        partition("makiuchi_grouped", data["ravdess"], fold)
        for fold in range(1, 6)
    ]
    tests, valids = ([groups(x)[n] for x in parts] for n in (2, 1))
    assert len(set.union(*tests)) == sum(map(len, tests)) == 24
    assert valids == [*tests[1:], tests[0]]
    for part in parts:
        assert classes(whole(part)) == dict(zip(FOUR, [96, 192, 192, 192]))
        assert part.left_out["calm"] == 192 and "song" in part.left_out


def test_issa(data):
    part = partition("issa_iemocap", data["iemocap"], 2)
    found = {(u.extra["style"], u.extra["agreement"]) for u in whole(part)}
    assert found == {("improvised", 1)}
    assert {one.session for one in part.test} == {"Ses02"}
    assert set(part.left_out) == {"scripted", "partial agreement"}
    for fold in range(1, 6):
        part = partition("issa_ravdess", data["ravdess"], fold)
        assert part.left_out == {"song": 1012}
        parts = part.record()["recordings"]
        assert parts == {"train": 1036, "valid": 116, "test": 288}
        assert part.record()["speakers_shared_with_train"]["test"] == 24


# Files by corpus and class, in the order of SHARMA; the sums by class less
# those of table 4, which counts what silence removal leaves, are small.
SHARMA = "angry calm disgust fearful happy sad surprised".split()
COUNTS = {
    "cremad": [1271, 0, 1271, 1271, 1271, 1271, 0],
    "savee": [60, 0, 60, 60, 60, 60, 60],
    "tess": [400, 0, 400, 400, 400, 400, 400],
    "ravdess": [192] * 7,
    "iemocap": [1103, 0, 2, 40, 595, 1084, 107],
}
TABLE_4 = [2955, 192, 1923, 1927, 2499, 2995, 745]


def by_corpus(part):
    return {
        corpus: classes(one for one in part if one.corpus == corpus)
        for corpus in FIVE
    }


@pytest.mark.parametrize("protocol", ["sharma", "sharma_clean"])
def test_sharma(data, protocol):
    """The 13 390 files of figure 1."""
    part = partition(protocol, data["five"], 1)
    assert part.classes == EIGHT[1:]
    found = by_corpus(whole(part))
    for corpus, counts in COUNTS.items():
        assert [found[corpus][name] for name in SHARMA] == counts
    sums = [*map(sum, zip(*COUNTS.values()))]
    assert sum(sums) == len(whole(part)) == 13390
    lost = [a - b for a, b in zip(sums, TABLE_4, strict=True)]
    assert lost == [71, 0, 2, 36, 19, 12, 14] and sum(lost) == 13390 - 13236
    assert part.left_out["song"] == 1012
    # All that is neutral, and what is excited, which no table counts.
    assert part.left_out["neutral"] == 1087 + 120 + 400 + 96 + 1708
    assert part.left_out["excited"] == 1041
    if protocol == "sharma":
        assert len(part.test) == 2678 and len(part.valid) == 2142
        for name, number in classes(whole(part)).items():
            assert abs(classes(part.test)[name] - number / 5) < 1
            rest = number - classes(part.test)[name]
            assert abs(classes(part.valid)[name] - rest / 5) < 1


def test_sharma_balanced(data):
    """After the test 2000 a class, of which a fifth validates: the sums of
    tables 1 and 2, with happy and surprised as large as the others."""
    part = partition("sharma", data["five"], 1)
    plan = balance(part.train + part.valid, 2000, seed=1)
    counts, tested = classes(whole(part)), classes(part.test)
    too_many = {x: n - tested[x] - 2000 for x, n in counts.items()}
    assert plan.left_out == {x: n for x, n in too_many.items() if n > 0}
    assert plan.left_out.keys() == {"angry", "happy", "sad"}
    lost = {u.id for u in part.train + part.valid} - {u.id for u in plan.kept}
    assert len(lost) == sum(plan.left_out.values())
    assert all(id.startswith("cremad") for id in lost)
    copies = [replace(u, id=f"{u.id}_{n}") for u, n in plan.copies]
    train, valid = hold_out_ratio(plan.kept + copies, 1, 1, one_in=5)
    assert classes(train) == dict.fromkeys(SHARMA, 1600)
    assert classes(valid) == dict.fromkeys(SHARMA, 400)
    clean = partition("sharma_clean", data["five"], 1)
    assert PROTOCOLS["sharma"].one_in == 5
    assert PROTOCOLS["sharma_clean"].one_in is None
    plan = balance(clean.train, 2000, seed=1)
    found = classes([*plan.kept, *(u for u, _ in plan.copies)])
    assert found == dict.fromkeys(SHARMA, 2000)


def test_sharma_clean(data):
    """About a fifth of the speakers of each, and so of each class."""
    for seed in (1, 2, 3):
        part = partition("sharma_clean", data["five"], 1, seed=seed)
        counts = [
            Counter(speaker.split("_")[0] for speaker in split)
            for split in groups(part)
        ]
        sizes = [[one[corpus] for one in counts] for corpus in FIVE]
        train, valid, test = zip(*sizes)
        assert 17 <= test[0] <= 20 and 13 <= valid[0] <= 16
        assert sizes[1:3] == [[2, 1, 1], [1, 0, 1]]
        assert test[3] in (4, 5) and valid[3] in (3, 4)
        # Sessions of two actors.
        assert sizes[4] == [6, 2, 2]
        sessions = [{u.session for u in x} - {None} for x in parts_of(part)]
        assert [len(one) for one in sessions] == [3, 1, 1]
        assert len(set.union(*sessions)) == 5
        every = by_corpus(whole(part))
        for corpus, found in by_corpus(part.test).items():
            if corpus in ("cremad", "savee", "tess", "ravdess"):
                share = sum(found.values()) / sum(every[corpus].values())
                for name, number in found.items():
                    assert abs(number / every[corpus][name] - share) < 0.01


def test_sharma_cross(data):
    """Each corpus tests once, in all of the classes that the others have."""
    for fold, corpus in enumerate(sorted(FIVE), 1):
        part = partition("sharma_cross", data["five"], fold)
        assert part.folds == 5
        assert {one.corpus for one in part.test} == {corpus}
        assert {one.corpus for one in part.train} == {*FIVE} - {corpus}
        unknown = COUNTS["ravdess"][1] if corpus == "ravdess" else 0
        assert len(part.test) == sum(COUNTS[corpus]) - unknown
        assert part.left_out.get("calm, not in training", 0) == unknown
        train, valid, _ = groups(part)
        assert not train & valid
        known = {"calm"} if corpus == "ravdess" else set()
        assert set(classes(part.train)) == set(EIGHT[1:]) - known


def parts_of(part):
    return part.train, part.valid, part.test


@pytest.mark.parametrize("protocol", ["sharma", "sharma_clean"])
def test_sharma_of_what_is_there(data, protocol):
    """Any of the corpora, with those of the classes that they have."""
    for corpora in (["tess", "ravdess"], ["savee", "tess"], ["cremad"]):
        utterances = sum((data[corpus] for corpus in corpora), [])
        part = partition(protocol, utterances, 1)
        lacking = {"calm"} if "ravdess" not in corpora else set()
        lacking |= {"surprised"} if corpora == ["cremad"] else set()
        assert part.classes == [x for x in EIGHT[1:] if x not in lacking]
        assert set(classes(part.test)) == set(part.classes)
        counts = map(sum, zip(*(COUNTS[corpus] for corpus in corpora)))
        assert len(whole(part)) == sum(counts)


@pytest.mark.parametrize(
    "corpus, size", [("savee", 480), ("emodb", 535), ("shemo", 2838 - 29)]
)
def test_jafarzadeh(data, corpus, size):
    for fold in range(1, 6):
        part = partition("jafarzadeh", data[corpus], fold)
        assert len(whole(part)) == size
        assert abs(len(part.test) - size / 5) < 1
        for name, number in classes(whole(part)).items():
            rest = number - classes(part.test)[name]
            assert abs(classes(part.test)[name] - number / 5) < 1
            assert abs(classes(part.valid)[name] - rest / 10) < 1
    left_out = {"fearful": 29} if corpus == "shemo" else {}
    assert part.left_out == left_out


def test_speakers_without_a_class(data):
    # Speaker 08 of EmoDB has no disgust.
    part = partition("leave_one_speaker_out", data["emodb"], 2)
    assert {one.speaker for one in part.test} == {"emodb_08"}
    assert part.record()["classes_not_tested"] == ["disgust"]


def test_label_map(data):
    label_map = {"neutral": "low", "sad": "low", "angry": "high", "happy": None}
    part = partition("grouped_kfold", data["synthetic"], 1, label_map=label_map)
    assert part.classes == ["high", "low"]
    assert part.left_out == {"happy": 36}
    assert classes(part.train).keys() == {"high", "low"}
    only_one = {**dict.fromkeys(FOUR), "sad": "sad"}
    some = [
        one
        for one in data["synthetic"]
        if one.emotion != "sad" or one.speaker < "synthetic_s04"
    ]
    assert num_folds("leave_one_speaker_out", some) == 12
    assert num_folds("leave_one_speaker_out", some, only_one) == 4


def test_unknown_speakers():
    data = [
        utterance(f"{e}{i}", "", e, "savee") for e in SEVEN for i in range(9)
    ]
    for protocol in ANY:
        with pytest.raises(UserError, match="speaker of 63 .* is not known"):
            partition(protocol, data, 1)
    record = partition("jafarzadeh", data, 1).record()
    assert record["speakers_shared_with_train"] == {"valid": None, "test": None}
    assert record["speakers"]["train"] == 0


SAD, NONE = {"sad": "sad"}, dict.fromkeys(SEVEN)


@pytest.mark.parametrize(
    "corpus, arguments, sentence",
    [
        ("ravdess", ("pepino", 1), "expected one of pep.* got 'pepino'"),
        ("savee", ("pepino_ravdess", 1), "is for ravdess, not for 'savee'"),
        ("synthetic", ("jafarzadeh", 1), "savee, .*not for 'synthetic'"),
        ("savee", ("jafarzadeh", 6), "fold: .* from 1 to 5, .* got 6"),
        ("savee", ("jafarzadeh", 0), "fold: .* from 1 to 5, .* got 0"),
        ("savee", ("jafarzadeh", "all"), "fold: .* from 1 to 5, .* got 'all'"),
        ("savee", ("jafarzadeh", 1, -1), "seed: expected .* got -1"),
        ("savee", ("grouped_kfold", 5), "fold: .* from 1 to 4, .* got 5"),
        ("savee", ("jafarzadeh", 1, 1, SAD), "label_map: .* fixes its classes"),
        ("savee", ("grouped_kfold", 1, 1, SAD), "not name 'angry' .60 recordi"),
        ("savee", ("grouped_kfold", 1, 1, NONE), "leaves none of the 480 reco"),
    ],
)
def test_what_does_not_go_together(data, corpus, arguments, sentence):
    protocol, *rest = arguments
    with pytest.raises(UserError, match=sentence):
        partition(protocol, data[corpus], *rest)


PEPINO = "pepino_ravdess", "ravdess"
ACTORS = ("ravdess_21", "ravdess_22", "ravdess_23", "ravdess_24")


@pytest.mark.parametrize(
    "protocol, corpora, leaves_out, sentence",
    [
        ("sharma_clean", "tess", {"id": "-"}, "2 speakers are too few to hold"),
        ("sharma_cross", "ravdess", {"id": "-"}, "another one beside ravdess"),
        ("sharma_clean", "iemocap", {"id": "-"}, "part has .* of 'disgust'"),
        ("sharma", "iemocap", {"id": "-"}, "'disgust' has 2 recordings, too"),
        ("sharma", "tess ravdess", {"id": ".*_03-01-02"}, "train .* 'calm'"),
        ("sharma", "savee emodb", {"id": "-"}, "not for 'emodb'; choose"),
        (*PEPINO, {"vocal_channel": "speech"}, "train part .* of 'disgust'"),
        (*PEPINO, {"id": ".*-04-.*-2[34]"}, "test part .* of 'sad'"),
        *((*PEPINO, {"speaker": x}, f"{x}, .* the whole") for x in ACTORS),
        ("pepino_iemocap", "iemocap", {"session": "Ses04"}, "session Ses04, "),
        ("grouped_kfold", "savee", {"speaker": ".*_[JK]"}, "three speakers"),
        ("jafarzadeh", "savee", {"id": ".*_sa(?!03)"}, "'sad' has 4 recordi"),
        ("jafarzadeh", "savee emodb", {"id": "-"}, "one corpus, got 2"),
    ],
)
def test_missing_data(data, protocol, corpora, leaves_out, sentence):
    ((field, pattern),) = leaves_out.items()
    utterances = [
        one
        for name in corpora.split()
        for one in data[name]
        if not re.match(pattern, {"id": one.id, **one.to_dict()}[field])
    ]
    with pytest.raises(UserError, match=sentence):
        partition(protocol, utterances, 1)


def test_labels_that_no_protocol_knows():
    zed = [utterance("1", "a", [{"emo": "sad"}], "zed")]
    with pytest.raises(UserError, match="several emotions"):
        num_folds("grouped_kfold", zed)
    with pytest.raises(UserError, match="labels of 'mine' are not known"):
        classes_of("grouped_kfold", "mine")
    assert classes_of("grouped_kfold", "mine", {"x": "sad"}) == ["sad"]


def test_several_corpora(data):
    """The labels of each are mapped by its own rule."""
    names = ["savee", "shemo", "iemocap"]
    utterances = sum((data[name] for name in names), [])
    part = partition("grouped_kfold", utterances, 1)
    assert part.classes == classes_of("grouped_kfold", names) == SEVEN
    # Fear of ShEMO is left out, that of SAVEE is not.
    assert part.left_out == OTHERS | {"fearful": 40 + 29}
    assert len(whole(part)) == len(utterances) - sum(part.left_out.values())
    assert classes(whole(part))["fearful"] == 60
    assert part.record()["corpus"] == "iemocap+savee+shemo"
    shared = part.record()["speakers_shared_with_train"]
    assert shared == {"valid": 0, "test": 0}
