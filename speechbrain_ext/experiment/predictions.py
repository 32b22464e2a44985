"""Predictions of several runs, utterance by utterance.

An utterance that several runs have predicted, by seed or by fold, counts once:
with the average of what they said.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechbrain_ext.errors import UserError

#: The predictions of a run.
PREDICTIONS = "predictions.csv"


@dataclass
class Predictions:
    """Test utterances with what there is to sum up over any set of them.

    Arguments
    ---------
    ids : list of str
        Of the utterances, sorted.
    speakers : list of str
        Of each utterance; empty where unknown.
    truths : list of str
        Reference of each utterance; empty for diarization.
    said : list of dict
        Of each utterance, from predicted class to its share; for diarization
        ``{"eder": percent}``.

    Example
    -------
    >>> one = Predictions(["a", "b"], ["s", "t"], ["sad", "happy"],
    ...                   [{"sad": 1.0}, {"sad": 0.5, "happy": 0.5}])
    >>> one.metrics()
    {'UA': 75.0, 'WA': 75.0}
    """

    ids: list
    speakers: list
    truths: list
    said: list

    def names(self):
        """Names of the metrics."""
        return ["UA", "WA"] if any(self.truths) else ["EDER"]

    def classes(self):
        """Names of all classes that are true or said somewhere."""
        said = {name for shares in self.said for name in shares}
        return sorted(said.union(self.truths))

    def metrics(self):
        """The metrics over all utterances, in percent."""
        total = self.sums(self.classes()).sum(axis=0)
        return {name: float(score(name, total)) for name in self.names()}

    def sums(self, classes):
        """What adds up to a metric.

        Arguments
        ---------
        classes : list of str
            From ``classes``; may have more.

        Returns
        -------
        numpy.ndarray
            Confusion matrices [utterances, classes, classes], reference by
            prediction; for diarization [utterances, 2], EDER and a 1.
        """
        if not any(self.truths):
            eder = [shares["eder"] for shares in self.said]
            return np.stack([eder, np.ones(len(eder))], axis=1)
        index = {name: position for position, name in enumerate(classes)}
        matrices = np.zeros((len(self.ids), len(classes), len(classes)))
        for matrix, truth, shares in zip(matrices, self.truths, self.said):
            for name, share in shares.items():
                matrix[index[truth], index[name]] = share
        return matrices

    def units(self):
        """What a bootstrap draws: speakers, or utterances where it must.

        Returns
        -------
        kind : str
            ``speakers``, or ``utterances`` where not every speaker is known
            or there is only one.
        index : numpy.ndarray
            The unit of each utterance.
        """
        names = self.speakers
        kind = "speakers"
        if "" in names or len(set(names)) < 2:
            kind, names = "utterances", self.ids
        return kind, np.unique(names, return_inverse=True)[1]


def score(name, sums):
    """A metric from the sums over a set of utterances.

    UA is the mean of the recalls of the classes that the reference has, WA
    the fraction of correct utterances, EDER the mean over utterances.

    Arguments
    ---------
    name : str
        ``UA``, ``WA`` or ``EDER``.
    sums : numpy.ndarray
        ``[..., classes, classes]`` or, for EDER, ``[..., 2]``.

    Returns
    -------
    numpy.ndarray
        In percent, ``[...]``.

    Example
    -------
    >>> matrix = np.array([[3.0, 1.0], [0.0, 4.0]])
    >>> float(score("UA", matrix)), float(score("WA", matrix))
    (87.5, 87.5)
    """
    if name == "EDER":
        return sums[..., 0] / sums[..., 1]
    right = np.diagonal(sums, axis1=-2, axis2=-1)
    if name == "WA":
        return 100 * right.sum(axis=-1) / sums.sum(axis=(-2, -1))
    total = sums.sum(axis=-1)
    present = total > 0
    recalls = np.divide(
        right, total, out=np.zeros_like(right), where=present
    ).sum(axis=-1)
    return 100 * recalls / present.sum(axis=-1)


def read_predictions(folders):
    """Pool the predictions of runs.

    Arguments
    ---------
    folders : list of str or os.PathLike
        Run folders, each with a ``predictions.csv``.

    Returns
    -------
    Predictions or None
        None where no run has the file.

    Raises
    ------
    UserError
        When a file has no such columns, or two of them disagree about the
        truth.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "predictions.csv").write_text(
    ...     "id,speaker,reference,predicted\\na,s,sad,happy\\n")
    >>> read_predictions([folder]).said
    [{'happy': 1.0}]
    """
    speakers, truths, said = {}, {}, {}
    eder, kinds = {}, set()
    for path in (Path(folder) / PREDICTIONS for folder in folders):
        if not path.exists():
            continue
        for line, row in _rows(path):
            id = row["id"]
            kinds.add("eder" in row)
            known = speakers.setdefault(id, row.get("speaker") or "")
            truth = "" if "eder" in row else row["reference"]
            if (known, truths.setdefault(id, truth)) != (
                row.get("speaker") or "",
                truth,
            ):
                raise UserError(
                    f"'{path}', line {line}: '{id}' has another speaker or "
                    "reference than in another run; these runs do not belong "
                    "into one table."
                )
            if "eder" in row:
                eder.setdefault(id, []).append(_number(row, path, line))
            else:
                said.setdefault(id, Counter())[row["predicted"]] += 1
    if len(kinds) > 1:
        raise UserError(
            "Some runs predict one emotion an utterance and some diarize; "
            "these do not belong into one table."
        )
    if not truths:
        return None
    ids = sorted(truths)
    return Predictions(
        ids=ids,
        speakers=[speakers[id] for id in ids],
        truths=[truths[id] for id in ids],
        said=[
            {"eder": sum(eder[id]) / len(eder[id])}
            if eder
            else {
                name: count / said[id].total()
                for name, count in sorted(said[id].items())
            }
            for id in ids
        ],
    )


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
