"""predictions.csv: written and read, and the figures from what is in it."""

import csv
import functools

import numpy as np

from speechbrain_ext.base.errors import UserError, is_number
from speechbrain_ext.base.files import atomic_open, read_csv
from speechbrain_ext.base.values import to_number
from speechbrain_ext.metrics.intervals import interval

#: The predictions of a run, by split.
FILES = {"valid": "predictions_valid.csv", "test": "predictions.csv"}

_AGAIN = "delete the run's results.json and start the run again"


def write_predictions(path, rows):
    """Write one row an utterance, whole or not at all."""
    rows = list(rows)
    if not rows:
        raise UserError(f"'{path}': no utterance was scored.")
    with atomic_open(path, newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_predictions(path, columns=()):
    """Rows of a run's predictions, from id to (where it stands, row)."""
    names, lines = read_csv(path, _AGAIN)
    if not columns and "eder" not in names:
        columns = ("reference", "predicted")
    for name in ("id", *columns):
        if name not in names:
            raise UserError(
                f"'{path}' has no column '{name}'; expected id, "
                f"{', '.join(columns)}; or for diarization id, eder."
            )
    rows = {}
    for where, row in lines:
        if (id := row["id"]) in rows:
            wrong = f"'{id}' has been predicted already"
            raise UserError(f"{where}: {wrong}; {_AGAIN}.")
        rows[id] = where, row
    if not rows:
        raise UserError(f"'{path}' has no predictions; {_AGAIN}.")
    return rows


def read_number(row, column, where, most=100):
    """A number from 0 to ``most`` from a row."""
    value = to_number(row[column])
    # What is written may have been rounded up.
    if not is_number(value) or not 0 <= value <= most + 1e-5:
        wrong = f"{column} is '{row[column]}', not a number from 0 to {most}"
        raise UserError(f"{where}: {wrong}; {_AGAIN}.")
    return value


def check_posteriors(log_probs, where):
    """Raise a ``UserError`` unless log posteriors are those of a model."""
    if not np.isfinite(np.exp(log_probs)).all():
        raise UserError(
            f"{where}: the model gives posteriors that are not finite numbers, "
            "so its parameters are damaged; use another checkpoint."
        )


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


def measure(key, name, sums, draws, seed):
    """A metric of the sums of units, and its interval, named by ``key``."""
    figure = functools.partial(figure_of, name)
    return {
        key: float(figure(sums.sum(axis=0))),
        f"{key}_interval": interval(sums, figure, draws, seed),
    }


def _ratio(part, whole):
    """0 where there is nothing to divide by."""
    part = np.asarray(part, dtype=float)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
