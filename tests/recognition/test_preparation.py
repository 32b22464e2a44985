"""Manifests of a run: written once, complete, and never mixed up."""

import json

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import emodb
from speechbrain_ext.training import preparation as recognition
from speechbrain_ext.training.preparation import load_splits, prepare
from tests.corpora.trees import snapshot, tiny

SPEAKERS = list(emodb.GENDERS)


@pytest.fixture
def data(tmp_path):
    """Ten speakers in seven emotions, one recording each."""
    for speaker in SPEAKERS:
        for emotion in emodb.EMOTIONS:
            tiny(tmp_path / "emodb" / f"{speaker}a01{emotion}a.wav")
    return tmp_path / "emodb"


def options(data, **changes):
    return {
        "corpus": "emodb",
        "data_folder": str(data),
        "protocol": "grouped_kfold",
        "progress": False,
        **changes,
    }


def test_what_is_written(data, tmp_path):
    folder = tmp_path / "manifests"
    before = snapshot(data)
    record = prepare(folder, **options(data, fold=2))
    assert snapshot(data) == before
    assert sorted(path.name for path in folder.iterdir()) == [
        "protocol.json",
        "skipped.csv",
        "test.json",
        "train.json",
        "valid.json",
    ]
    assert json.loads((folder / "protocol.json").read_text()) == record
    splits = load_splits(folder)
    assert list(splits) == ["train", "valid", "test"]
    ids = [u.id for split in splits.values() for u in split]
    assert len(ids) == len(set(ids)) == 70
    speakers = [{u.speaker for u in split} for split in splits.values()]
    assert len(set.union(*speakers)) == sum(map(len, speakers)) == 10
    assert record["fold"] == 2 and record["skipped"] == 0
    assert record["recordings"] == {n: len(s) for n, s in splits.items()}


def test_it_is_done_once(data, tmp_path, monkeypatch):
    folder = tmp_path / "manifests"
    record = prepare(folder, **options(data))
    before = snapshot(folder)

    def never(*args):
        raise AssertionError("the corpus was read again")

    monkeypatch.setattr(recognition, "read_corpus", never)
    assert prepare(folder, **options(data)) == record
    assert snapshot(folder) == before


def test_a_preparation_that_was_killed_is_done_again(data, tmp_path):
    folder = tmp_path / "manifests"
    record = prepare(folder, **options(data))
    train = (folder / "train.json").read_bytes()
    (folder / "protocol.json").unlink()
    (folder / "train.json").write_text("{}")
    (folder / "test.json").unlink()
    assert prepare(folder, **options(data)) == record
    assert (folder / "train.json").read_bytes() == train


@pytest.mark.parametrize(
    "change",
    [
        {"fold": 2},
        {"split_seed": 2},
        {"protocol": "jafarzadeh"},
        {"label_map": {"sad": "sad", "angry": "angry"}},
        {"data_folder": "/no/such/place"},
        {"corpus": "savee"},
    ],
)
def test_other_options_do_not_meet_it(change, data, tmp_path):
    folder = tmp_path / "manifests"
    prepare(folder, **options(data))
    before = snapshot(folder)
    with pytest.raises(UserError, match="prepared with other options"):
        prepare(folder, **{**options(data), **change})
    assert snapshot(folder) == before


def test_folds_test_everything_once(data, tmp_path):
    tested = []
    for fold in range(1, 6):
        folder = tmp_path / str(fold)
        prepare(folder, **options(data, protocol="jafarzadeh", fold=fold))
        tested += [u.id for u in load_splits(folder)["test"]]
    assert len(tested) == len(set(tested)) == 70


def test_classes_by_a_label_map(data, tmp_path):
    labels = dict.fromkeys(emodb.EMOTIONS.values(), "other")
    labels |= {"angry": "high", "happy": "high", "bored": None}
    record = prepare(tmp_path / "m", **options(data, label_map=labels))
    assert set(record["classes"]) == {"high", "other"}
    assert record["left_out"] == {"bored": 10}
    for split in load_splits(tmp_path / "m").values():
        assert {u.emotion for u in split} == {"high", "other"}


def test_what_cannot_be_read_is_left_out(data, tmp_path):
    bad = data / "03a01Wa.wav"
    bad.write_bytes(bad.read_bytes()[:100])
    record = prepare(tmp_path / "m", **options(data))
    assert record["skipped"] == 1
    assert str(bad) in (tmp_path / "m" / "skipped.csv").read_text()
    assert sum(record["recordings"].values()) == 69


def test_longer_than_the_encoder_takes(data, tmp_path):
    tiny(data / "16a01Wa.wav", samples=3000)
    with pytest.raises(UserError, match="16a01Wa.wav.* has 0.2 s, the encoder"):
        prepare(tmp_path / "m", **options(data, max_samples=2999))
    assert not (tmp_path / "m" / "protocol.json").exists()
    prepare(tmp_path / "m", **options(data, max_samples=3000))


def test_a_part_without_a_class(data, tmp_path):
    for wav in data.glob("*Wa.wav"):
        wav.unlink()
    with pytest.raises(UserError, match="no recording of 'angry'"):
        prepare(tmp_path / "m", **options(data))
    assert not (tmp_path / "m").exists()
