"""GoEmotions: comments, their groups, and what no line of it is."""

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.protocols import partition
from speechbrain_ext.training.preparation import load_splits, prepare
from tests.corpora import trees

NAMES = "admiration anger annoyance fear grief neutral surprise".split()
LINES = {
    "train": ["Nice one.\t0\ta", "No!\t1,2\tb", "Why?\t4\tc", "ok\t5\td"],
    "dev": ["Um.\t5\te", "“Hm” 😀\t0,5\tf"],
    "test": ["a\t0\tg", "b\t1\th", "c\t4\ti", "d\t5\tj", "Oh\t3\tk", "e\t6\tl"],
}


def write(folder, name="emotions.txt", **changes):
    inner = folder / "data"
    inner.mkdir(parents=True)
    (inner / name).write_text("\n".join(NAMES) + "\n")
    for split, lines in (LINES | changes).items():
        text = "".join(f"{line}\n" for line in lines)
        (inner / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder


def test_groups_and_split(tmp_path):
    folder = write(tmp_path / "given")
    before = trees.snapshot(folder)
    data, skipped = read_corpus("goemotions", folder)
    assert trees.snapshot(folder) == before and skipped == []
    assert [one.id for one in data] == [
        f"goemotions_{x}" for x in "abcdefghijkl"
    ]
    emotions = "happy angry sad neutral neutral no_agreement happy angry sad "
    emotions += "neutral fearful surprised"
    assert [one.emotion for one in data] == emotions.split()
    assert data[5].text == "“Hm” 😀"
    assert data[1].extra == {
        "original_label": "anger,annoyance",
        "split": "train",
    }
    part = partition("goemotions", data, 1)
    assert part.classes == ["neutral", "happy", "sad", "angry"]
    assert [len(x) for x in (part.train, part.valid, part.test)] == [4, 1, 4]
    left_out = {"fearful": 1, "no_agreement": 1, "surprised": 1}
    assert part.left_out == left_out
    # Without audio, through preparation and back.
    options = {"corpus": "goemotions", "data_folder": str(folder)}
    options |= {"protocol": "goemotions", "progress": False}
    prepare(tmp_path / "run", **options)
    assert load_splits(tmp_path / "run")["test"] == part.test
    one, said = part.test[0].id, part.test[0].text
    needs = [lambda record: "has no audio" if record["text"] == said else None]
    record = prepare(tmp_path / "other", **options, lacks=needs)
    table = (tmp_path / "other" / "skipped.csv").read_text()
    assert record["skipped"] == 1 and f"{one},has no audio" in table
    with pytest.raises(UserError, match="no recording is left.*has no audio"):
        prepare(tmp_path / "none", **options, reads={"audio"})


BAD = {
    "\t1\tx": "it has no text",
    "a\t1": "it is no line of text, labels and id",
    "a\t1\tx\ty": "it is no line of text, labels and id",
    "a\tone\tx": "its labels 'one' are no numbers",
    "a\t7\tx": "GoEmotions has no emotion '7'",
    "a\t1,27\tx": "GoEmotions has no emotion '1,27'",
    "a\t1\tc": "the id goemotions_c is there again",
}


def test_odd_lines(tmp_path):
    folder = write(tmp_path, "labels.txt", dev=[*LINES["dev"], *BAD])
    data, skipped = read_corpus("goemotions", folder)
    assert len(data) == 12
    expected = [
        (f"{folder}/data/dev.tsv:{number}", reason)
        for number, reason in enumerate(BAD.values(), 3)
    ]
    assert skipped == sorted(expected)
    (folder / "data" / "dev.tsv").unlink()
    with pytest.raises(UserError, match="names like train.tsv at any depth"):
        read_corpus("goemotions", folder)
