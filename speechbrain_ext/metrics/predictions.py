"""predictions.csv: written, read, and several runs' pooled.

Runs with the same test set, such as the seeds of a fold, become one: each
utterance with the average of what they said. As the reference is the same for
all of them, a figure of the average is the average of the figures. Different
test sets, such as those of folds, stay apart: a figure is the mean over the
test sets, which is not that of all utterances thrown together where a fold
lacks a class.
"""

import csv
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.metrics.intervals import find_units, interval

#: The predictions of a run, by split.
FILES = {"valid": "predictions_valid.csv", "test": "predictions.csv"}

_RECOGNITION = ("reference", "predicted")
_AGAIN = "delete the run's results.json and start the run again"


def write_predictions(path, rows):
    """Write one row an utterance, whole or not at all."""
    rows = list(rows)
    if not rows:
        raise UserError(
            f"'{path}': no utterance was scored, so there is nothing to write."
        )
    with atomic_open(path, newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_predictions(path, columns=()):
    """Rows of a run's predictions, from id to (where it stands, row)."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            lines = [(reader.line_num, row) for row in reader]
            names = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(f"'{path}' does not exist; {_AGAIN}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"'{path}' is not readable as CSV ({error}); {_AGAIN}."
        ) from None
    wanted = ["id", *columns]
    if not columns and "eder" not in names:
        wanted += _RECOGNITION
    for name in wanted:
        if name not in names:
            raise UserError(
                f"'{path}' has no column '{name}'; expected "
                f"{', '.join(wanted)}{'' if columns else ', or id, eder'}."
            )
    rows = {}
    for line, row in lines:
        where = f"'{path}', line {line}"
        if None in row or None in row.values():
            raise UserError(
                f"{where}: expected {len(names)} fields, one for each column; "
                f"{_AGAIN}."
            )
        if row["id"] in rows:
            raise UserError(
                f"{where}: '{row['id']}' has been predicted already; give each "
                "utterance once."
            )
        rows[row["id"]] = where, row
    if not rows:
        raise UserError(f"'{path}' has no predictions; {_AGAIN}.")
    return rows


def read_number(row, column, where):
    """A finite number from a row."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{where}: {column} is '{row[column]}', not a number; {_AGAIN}."
        )
    return value


def figure_of(name, sums, weights=(1.0,)):
    """A metric in percent from sums over utterances: the mean over test sets.

    In a test set, UA is the mean of the recalls of the classes that its
    reference has, WA the fraction of correct utterances, EDER the mean over
    utterances. A test set without utterances is left out of the mean. ``sums``
    are ``[..., tests, classes, classes]`` or, for EDER, ``[..., tests, 2]``.
    """
    if name == "EDER":
        right, total = sums[..., 0], sums[..., 1]
    else:
        right = 100 * np.diagonal(sums, axis1=-2, axis2=-1)
        total = sums.sum(axis=-1)
        if name == "WA":
            right, total = right.sum(axis=-1), total.sum(axis=-1)
    figures = _ratio(right, total)
    present = total > 0
    if name == "UA":
        figures = _ratio(figures.sum(axis=-1), present.sum(axis=-1))
        present = present.any(axis=-1)
    weights = np.where(present, weights, 0.0)
    return _ratio((weights * figures).sum(axis=-1), weights.sum(axis=-1))


def _ratio(part, whole):
    """0 where there is nothing to divide by."""
    part = np.asarray(part, dtype=float)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


@dataclass
class Predictions:
    """Test utterances with what there is to sum up over any set of them."""

    ids: list
    speakers: list
    truths: list
    said: list
    tests: list = None
    weights: list = field(default_factory=lambda: [1.0])

    def __post_init__(self):
        if self.tests is None:
            self.tests = [0] * len(self.ids)

    def names(self):
        """Names of the metrics."""
        return ["UA", "WA"] if any(self.truths) else ["EDER"]

    def classes(self):
        """Names of all classes that are true or said somewhere."""
        said = {name for shares in self.said for name in shares}
        return sorted(said.union(self.truths))

    def units(self):
        """What a bootstrap draws."""
        return find_units(self.ids, self.speakers)

    def figure(self, metric, sums):
        """A metric from sums."""
        return figure_of(metric, sums, self.weights)

    def metrics(self):
        """The metrics in percent, mean over the test sets."""
        (sums,) = self.sums(self.classes(), np.zeros(len(self.ids), dtype=int))
        return {name: float(self.figure(name, sums)) for name in self.names()}

    def interval(self, metric, draws=1000, seed=0):
        """95 % interval of a metric."""
        sums = self.sums(self.classes(), self.units()[1])
        return interval(sums, lambda s: self.figure(metric, s), draws, seed)

    def sums(self, classes, index):
        """What adds up to a metric, for each unit and test set."""
        shape = int(max(index)) + 1, len(self.weights)
        rows = zip(index, self.tests, self.truths, self.said)
        if not any(self.truths):
            sums = np.zeros((*shape, 2))
            for unit, test, _, shares in rows:
                sums[unit, test] += shares["eder"], 1
            return sums
        place = {name: position for position, name in enumerate(classes)}
        sums = np.zeros((*shape, len(classes), len(classes)))
        for unit, test, truth, shares in rows:
            for name, share in shares.items():
                sums[unit, test, place[truth], place[name]] += share
        return sums


def pool_predictions(folders, weights=None):
    """The predictions of runs as one; None unless all runs have them."""
    paths = [Path(folder) / FILES["test"] for folder in folders]
    if not paths or not all(path.exists() for path in paths):
        return None
    known, tests, kinds = {}, {}, set()
    for path, weight in zip(paths, weights or [1 / len(paths)] * len(paths)):
        run = _read_run(path, known, kinds)
        tests.setdefault(frozenset(run), []).append((weight, run))
    if len(kinds) > 1:
        raise UserError(
            "Some runs predict one emotion an utterance and some diarize; "
            "these do not belong into one table."
        )
    found = Predictions([], [], [], [], [], [])
    for ids in sorted(tests, key=sorted):
        runs = tests[ids]
        total = sum(weight for weight, _ in runs)
        for id in sorted(ids):
            said = Counter()
            for weight, run in runs:
                for name, share in run[id].items():
                    said[name] += share * weight / total
            speaker, truth = known[id]
            found.ids.append(id)
            found.speakers.append(speaker)
            found.truths.append(truth)
            found.said.append(dict(sorted(said.items())))
            found.tests.append(len(found.weights))
        found.weights.append(total)
    return found


def _read_run(path, known, kinds):
    """What a run said, by id; ``known`` speakers and truths are checked."""
    run = {}
    for id, (where, row) in read_predictions(path).items():
        diarized = "eder" in row
        kinds.add(diarized)
        own = row.get("speaker", ""), "" if diarized else row["reference"]
        if known.setdefault(id, own) != own:
            raise UserError(
                f"{where}: '{id}' has another speaker or reference than in "
                "another run; these runs do not belong into one table."
            )
        run[id] = (
            {"eder": read_number(row, "eder", where)}
            if diarized
            else {row["predicted"]: 1.0}
        )
    return run
