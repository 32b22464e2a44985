#!/usr/bin/env python3
"""Make the corpus of Sharma (2023) of what is there, and count it.

> python corpus.py --ravdess_folder=RAVDESS --tess_folder=TESS corpus

Recordings are cleaned, split and balanced as a run of train.py does it, and
shared with such runs if they have the same audio_folder. The folder gets
tables.csv and tables.md: tables 1 to 4 beside the paper's, and the recordings
before cleaning.
"""

import argparse
import sys
from pathlib import Path

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import atomic_open, write_csv
from speechbrain_ext.base.values import check_value, to_number

PROTOCOLS = "sharma", "sharma_clean", "sharma_cross"
#: The rows of the paper's tables, the columns of all tables.
TITLES = {
    "savee": "SAVEE",
    "ravdess": "RAVDESS",
    "tess": "TESS",
    "iemocap": "IEMOCAP",
    "cremad": "CREMA-D",
}
CLASSES = "angry calm disgust fearful happy sad surprised".split()
#: What the paper counts, by table, corpus and class.
PAPER = {
    "Table 1: train": {
        "savee": [38, 0, 52, 54, 38, 37, 108],
        "ravdess": [122, 1600, 145, 182, 120, 115, 386],
        "tess": [258, 0, 344, 348, 270, 251, 791],
        "iemocap": [691, 0, 0, 20, 379, 707, 201],
        "cremad": [491, 0, 1059, 996, 791, 490, 0],
    },
    "Table 2: validation": {
        "savee": [11, 0, 8, 17, 9, 9, 37],
        "ravdess": [29, 400, 56, 43, 35, 41, 92],
        "tess": [67, 0, 70, 77, 55, 69, 202],
        "iemocap": [163, 0, 2, 5, 95, 168, 41],
        "cremad": [130, 0, 264, 258, 206, 113, 0],
    },
    # Two misprints are mended, as the sums of rows and columns tell: sad of
    # SAVEE is 14 (printed: 4), and surprised adds up to 149 (printed: 1149).
    "Table 3: test": {
        "savee": [11, 0, 14, 7, 13, 14, 14],
        "ravdess": [41, 38, 38, 32, 37, 36, 40],
        "tess": [75, 0, 75, 72, 75, 80, 81],
        "iemocap": [188, 0, 0, 12, 117, 197, 14],
        "cremad": [276, 0, 258, 262, 259, 272, 0],
    },
}
PAPER_TOTALS = {
    **{
        title: [*map(sum, zip(*rows.values()))] for title, rows in PAPER.items()
    },
    "Table 4: after cleaning": [2955, 192, 1923, 1927, 2499, 2995, 745],
}
#: Of figure 1, in all.
PAPER_FILES = 13390
NOTE = """\
Ours, and the paper's in brackets. Two misprints of its table 3 are mended: sad
of SAVEE is 14 (printed: 4), and surprised adds up to 149 (printed: 1149).
"""


def count(manifests, record):
    """Recordings by table, corpus and class."""
    from speechbrain_ext.conditioning.balancing import count_classes
    from speechbrain_ext.training.preparation import load_splits

    splits = load_splits(manifests).values()
    train, valid, test = map(count_classes, splits)
    return {
        "Figure 1: files": record["conditioning"]["before"],
        "Table 4: after cleaning": record["conditioning"]["after"],
        "Table 1: train": train,
        "Table 2: validation": valid,
        "Table 3: test": test,
    }


def tabulate(counts):
    """Lines of the CSV: table, corpus, class, ours and the paper's number,
    which is empty where it gives none; ``total`` adds up."""
    for title, found in counts.items():
        named = [
            x for x in TITLES if any(x in some for some in counts.values())
        ]
        rows = {
            corpus: [found.get(corpus, {}).get(name, 0) for name in CLASSES]
            for corpus in named
        }
        rows["total"] = [*map(sum, zip(*rows.values()))]
        for corpus, numbers in rows.items():
            paper = PAPER.get(title, {}).get(corpus)
            if corpus == "total":
                paper = PAPER_TOTALS.get(title)
            total = sum(paper) if paper else None
            if (title, corpus) == ("Figure 1: files", "total"):
                total = PAPER_FILES
            paper = paper or [None] * len(CLASSES)
            for name, one, other in zip(CLASSES, numbers, paper):
                yield title, corpus, name, one, other
            yield title, corpus, "total", sum(numbers), total


def to_text(lines):
    """The tables as Markdown."""
    from speechbrain_ext.experiment.table import to_markdown

    tables = {}
    for title, corpus, _, ours, paper in lines:
        row = tables.setdefault(title, {}).setdefault(corpus, [])
        row.append(f"{ours}" if paper is None else f"{ours} ({paper})")
    parts = [NOTE]
    for title, rows in tables.items():
        cells = [["", *CLASSES, "total"]]
        cells += [[TITLES.get(x, x), *row] for x, row in rows.items()]
        parts.append(f"{title}\n\n{to_markdown(cells)}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def read_options(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where manifests and tables go")
    add = parser.add_argument
    for corpus, title in TITLES.items():
        add(f"--{corpus}_folder", metavar="FOLDER", help=f"of {title}")
    add("--protocol", choices=PROTOCOLS, default="sharma")
    add("--fold", type=int, default=1, help="(default: 1)")
    add("--split_seed", type=int, default=1, help="(default: 1)")
    text = "recordings of every class (default: 2000)"
    add("--balancing", type=int, default=2000, metavar="N", help=text)
    text = "for cleaned recordings and copies (default: audio in FOLDER)"
    add("--audio_folder", metavar="FOLDER", help=text)
    text = "how large that may become (default: 10)"
    add("--audio_gigabytes", type=to_number, default=10, metavar="N", help=text)
    add("--jobs", type=int, default=2, help="processes (default: 2)")
    options = parser.parse_args(arguments)
    for name in ("fold", "split_seed", "balancing", "audio_gigabytes"):
        check_value(name, getattr(options, name))
    check_value("preparation.jobs", options.jobs, "jobs")
    return options


@exits_cleanly
def main(arguments):
    """The command line."""
    options = read_options(arguments)
    corpora = {x: getattr(options, f"{x}_folder") for x in TITLES}
    if not any(corpora.values()):
        names = ", ".join(f"--{name}_folder" for name in TITLES)
        raise UserError(f"No corpus is given; give one of {names}.")
    # With libraries whose import takes seconds.
    from speechbrain_ext.training.preparation import prepare

    folder = Path(options.folder)
    record = prepare(
        folder / "manifests",
        options.protocol,
        corpora,
        fold=options.fold,
        seed=options.split_seed,
        jobs=options.jobs,
        cache=folder / "recordings.json",
        preprocessing={},
        balancing=options.balancing,
        audio_folder=options.audio_folder or folder / "audio",
        audio_gigabytes=options.audio_gigabytes,
    )
    lines = list(tabulate(count(folder / "manifests", record)))
    header = ["table", "corpus", "class", "ours", "paper"]
    write_csv(folder / "tables.csv", header, lines)
    text = to_text(lines)
    with atomic_open(folder / "tables.md") as file:
        file.write(text)
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
