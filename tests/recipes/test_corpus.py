"""The corpus of Sharma (2023): what there is, beside the paper's tables."""

import csv
import re

import pytest

from speechbrain_ext.training.preparation import load_splits
from tests.conditioning.conftest import COUNTS, savee_folder  # noqa: F401
from tests.corpora.trees import snapshot
from tests.recipes.running import SHARMA, script

# The sums of rows that the paper prints: train, validation and test.
PRINTED = {
    "savee": (327, 91, 73),
    "ravdess": (2670, 696, 262),
    "tess": (2262, 540, 458),
    "iemocap": (1998, 474, 528),
    "cremad": (3827, 971, 1327),
}


@pytest.fixture(scope="module")
def corpus():
    return script(SHARMA, "corpus")


def test_the_papers_tables_add_up(corpus):
    """But for the two misprints, as its own sums tell."""
    train, valid, test = corpus.PAPER.values()
    for name, sums in PRINTED.items():
        found = (sum(table[name]) for table in (train, valid, test))
        assert tuple(found) == sums
    totals = [*corpus.PAPER_TOTALS.values()]
    assert totals[0] == [1600, 1600, 1600, 1600, 1598, 1600, 1486]
    assert totals[1] == [400, 400, 400, 400, 400, 400, 372]
    assert totals[2] == [591, 38, 385, 385, 501, 599, 149]
    assert [*map(sum, totals)] == [11084, 2772, 2648, 13236]
    # The test is a fifth of each class of table 4, but for one of happy.
    for tested, every in zip(totals[2], totals[3]):
        assert abs(tested - every / 5) < 1 + (every == 2499)
    # Of three classes nothing but the recordings themselves is left for the
    # other parts, or less: two are reduced, one is as it is.
    left = [every - tested for tested, every in zip(totals[2], totals[3])]
    named = dict(zip(corpus.CLASSES, left))
    assert (named["happy"], named["calm"]) == (1998, 154)
    assert (named["angry"], named["sad"]) == (2364, 2396)


def test_tables_of_what_is_there(
    corpus,
    savee_folder,  # noqa: F811
    tmp_path,
    capsys,
):
    before = snapshot(savee_folder)
    out = tmp_path / "out"
    words = [f"--savee_folder={savee_folder}", "--balancing=30", "--jobs=1"]
    corpus.main([*words, str(out)])
    assert snapshot(savee_folder) == before
    text = (out / "tables.md").read_text()
    assert text in capsys.readouterr().out
    with open(out / "tables.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    number = {(x["table"], x["corpus"], x["class"]): x for x in rows}
    assert len(number) == len(rows) == 5 * 2 * 8
    train, valid, test = corpus.PAPER
    splits = load_splits(out / "manifests").values()
    for title, part in zip((train, valid, test), splits):
        for name in corpus.CLASSES:
            ours = sum(one.emotion == name for one in part)
            row = number[title, "savee", name]
            assert int(row["ours"]) == ours
            paper = corpus.PAPER[title]["savee"]
            assert int(row["paper"]) == paper[corpus.CLASSES.index(name)]
        assert int(number[title, "total", "total"]["ours"]) == len(part)
    files = number["Figure 1: files", "total", "total"]
    # All but the neutral ones; of one nothing but half a second is left.
    count = 4 * (sum(COUNTS.values()) - COUNTS["n"])
    assert (files["ours"], files["paper"]) == (str(count), "13390")
    left = number["Table 4: after cleaning", "total", "total"]
    assert (left["ours"], left["paper"]) == (str(count - 1), "13236")
    line = re.search(r"Table 1: train\n\n.*\n.*\n\| SAVEE (.*)\n", text)[1]
    assert re.findall(r"\((\d+)\)", line) == "38 0 52 54 38 37 108 327".split()
    # The same again.
    audio = snapshot(out / "audio")
    corpus.main([*words, str(out)])
    assert (out / "tables.md").read_text() == text
    assert snapshot(out / "audio") == audio
