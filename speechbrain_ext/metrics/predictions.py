"""Predictions of several runs, utterance by utterance.

Runs with the same test set, such as the seeds of a fold, become one: each
utterance with the average of what they said. As the reference is the same for
all of them, a figure of the average is the average of the figures. Different
test sets, such as those of folds, stay apart: a figure is the mean over the
test sets, which is not that of all utterances thrown together where a fold
lacks a class.
"""

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError

#: The predictions of a run.
PREDICTIONS = "predictions.csv"


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

    def metrics(self):
        """The metrics in percent, mean over the test sets."""
        everything = np.zeros(len(self.ids), dtype=int)
        (sums,) = self.sums(self.classes(), everything)
        return {
            name: float(score(name, sums, self.weights))
            for name in self.names()
        }

    def sums(self, classes, index):
        """What adds up to a metric."""
        shape = int(max(index)) + 1, len(self.weights)
        if not any(self.truths):
            sums = np.zeros((*shape, 2))
            for unit, test, shares in zip(index, self.tests, self.said):
                sums[unit, test] += shares["eder"], 1
            return sums
        place = {name: position for position, name in enumerate(classes)}
        sums = np.zeros((*shape, len(classes), len(classes)))
        for unit, test, truth, shares in zip(
            index, self.tests, self.truths, self.said
        ):
            for name, share in shares.items():
                sums[unit, test, place[truth], place[name]] += share
        return sums

    def units(self):
        """What a bootstrap draws: speakers, or utterances where it must."""
        names = self.speakers
        kind = "speakers"
        if "" in names or len(set(names)) < 2:
            kind, names = "utterances", self.ids
        return kind, np.unique(names, return_inverse=True)[1]


def score(name, sums, weights=(1.0,)):
    """A metric from sums over utterances: the mean over test sets.

    In a test set, UA is the mean of the recalls of the classes that its
    reference has, WA the fraction of correct utterances, EDER the mean over
    utterances. A test set without utterances is left out of the mean.

    Arguments
    ---------
    name : str
        ``UA``, ``WA`` or ``EDER``.
    sums : numpy.ndarray
        ``[..., tests, classes, classes]`` or, for EDER, ``[..., tests, 2]``.
    weights : sequence of float
        Of the test sets.

    Returns
    -------
    numpy.ndarray
        In percent, ``[...]``.

    Example
    -------
    >>> folds = np.array([[[3.0, 1.0], [0.0, 4.0]], [[0.0, 0.0], [1.0, 1.0]]])
    >>> float(score("UA", folds, (0.5, 0.5)))
    68.75
    >>> float(score("WA", folds[:1])), float(score("UA", folds[:1]))
    (87.5, 87.5)
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
    return (weights * figures).sum(axis=-1) / weights.sum(axis=-1)


def _ratio(part, whole):
    """0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def read_predictions(folders, weights=None):
    """The predictions of runs."""
    paths = [Path(folder) / PREDICTIONS for folder in folders]
    if not paths or not all(path.exists() for path in paths):
        return None
    known, tests, kinds = {}, {}, set()
    for path, weight in zip(paths, weights or [1 / len(paths)] * len(paths)):
        run = _read_run(path, known, kinds)
        if not run:
            raise UserError(
                f"'{path}' has no predictions; delete the run's folder and "
                "run it again."
            )
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
            speaker, truth = known[id]
            said = Counter()
            for weight, run in runs:
                for name, share in run[id].items():
                    said[name] += share * weight / total
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
    for line, row in _rows(path):
        id, diarized = row["id"], "eder" in row
        kinds.add(diarized)
        if id in run:
            raise UserError(
                f"'{path}', line {line}: '{id}' has been predicted already; "
                "give each utterance once."
            )
        own = row.get("speaker") or "", "" if diarized else row["reference"]
        if known.setdefault(id, own) != own:
            raise UserError(
                f"'{path}', line {line}: '{id}' has another speaker or "
                "reference than in another run; these runs do not belong "
                "into one table."
            )
        run[id] = (
            {"eder": _number(row, path, line)}
            if diarized
            else {row["predicted"]: 1.0}
        )
    return run


def _rows(path):
    """Line number and row of every utterance of a file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            names = set(reader.fieldnames or ())
            if "id" not in names or not (
                "eder" in names or {"reference", "predicted"} <= names
            ):
                raise UserError(
                    f"'{path}': the columns must be id, speaker and either "
                    "reference and predicted, or eder."
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"'{path}' cannot be read as CSV: {error}") from None
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(
                f"'{path}', line {line}: the line has not as many fields as "
                "there are columns."
            )
        yield line, row


def _number(row, path, line):
    try:
        return float(row["eder"])
    except ValueError:
        raise UserError(
            f"'{path}', line {line}: eder is '{row['eder']}', not a number."
        ) from None
