"""Inputs as users, strangers and disks give them: one row each, in the tables.

Every ``*.tsv`` beside this file has the columns ``entry`` (a function of
``entries.py``), ``input`` (what it is given), ``outcome`` and ``says``:

* sentence: it ends with status 2 and one sentence that says this;
* warning: it ends well, and a warning says this;
* accepted: it ends well, and what it prints says this.

No row may end in a traceback, hang, or leave half of a file behind.
"""

import csv
import re
import signal
from pathlib import Path

import pytest

from tests.inputs.entries import ENTRIES

# Longer than any row takes, shorter than anybody waits (s).
_LIMIT = 60
csv.register_dialect("tables", delimiter="\t", quoting=csv.QUOTE_NONE)
_TABLES = sorted(Path(__file__).parent.glob("*.tsv"))


def _rows():
    for table in _TABLES:
        with open(table, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, dialect="tables"):
                name = f"{table.stem}: {row['entry']} {row['input']}"
                yield pytest.param(*row.values(), id=name)


@pytest.fixture
def time_limit():
    """End a test that hangs."""

    def end(*_):
        raise TimeoutError(f"it took over {_LIMIT} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(_LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("entry, given, outcome, says", list(_rows()))
def test_row(entry, given, outcome, says, place, time_limit, capfd, caplog):
    try:
        ENTRIES[entry](given, place)
        status = 0
    except SystemExit as error:
        status = error.code or 0
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    if outcome == "sentence":
        # argparse has the name of the program before it.
        errors = [
            x for x in err.splitlines() if re.match(r"(\S+.*: )?error: ", x)
        ]
        assert status == 2 and len(errors) == 1, (status, err)
        assert says in errors[0]
        ours = errors[0].startswith("error: ")
        assert errors[0].endswith((".", "?", ":")) or not ours
    else:
        assert status == 0, err
        # SpeechBrain's log goes to the standard output.
        said = caplog.text + err + out if outcome == "warning" else out
        assert says in said
    assert not [*place.folder.rglob(".*")], "half-written files"


def test_the_tables_are_long_enough():
    rows = list(_rows())
    assert len(rows) >= 200
    assert len({row.id for row in rows}) == len(rows)
    assert {row.values[2] for row in rows} <= {
        "sentence",
        "warning",
        "accepted",
    }
