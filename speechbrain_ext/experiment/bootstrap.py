"""Bootstrap over test speakers: intervals, and a paired test of two rows.

The percentile method (Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13): the units of the test set, speakers where they
are known, are drawn with replacement.
"""

from dataclasses import dataclass

import numpy as np

from speechbrain_ext.errors import UserError
from speechbrain_ext.experiment.predictions import score

# Draws at once; keeps memory flat where utterances are the units.
_BLOCK = 500


@dataclass(frozen=True)
class Difference:
    """The paired test.

    Arguments
    ---------
    metric : str
        Which.
    values : tuple of float
        Of the two systems, in percent.
    difference : float
        Second less first, in percent points.
    low, high : float or None
        95 % interval of the difference; None where nothing can be drawn.
    p : float or None
        Two-sided: twice the smaller share of draws on one side of 0.
    kind : str
        What was drawn.
    number : int
        How many there are of them.
    """

    metric: str
    values: tuple
    difference: float
    low: float | None
    high: float | None
    p: float | None
    kind: str
    number: int


def interval(predictions, metric, draws=1000, seed=0):
    """95 % interval of a metric.

    Arguments
    ---------
    predictions : Predictions
        Of all runs of a row.
    metric : str
        One of ``predictions.names()``.
    draws : int
        How often to draw the test set anew.
    seed : int
        Of the draws.

    Returns
    -------
    tuple of float, or None
        Low and high in percent; None where there is one utterance only.

    Example
    -------
    >>> from speechbrain_ext.experiment.predictions import Predictions
    >>> right = Predictions(["a", "b"], ["s", "t"], ["sad", "happy"],
    ...                     [{"sad": 1.0}, {"happy": 1.0}])
    >>> interval(right, "UA")
    (100.0, 100.0)
    """
    _, index = predictions.units()
    sums = _by_unit(predictions.sums(predictions.classes()), index)
    if len(sums) < 2:
        return None
    found = np.concatenate(
        [score(metric, each) for (each,) in _resampled([sums], draws, seed)]
    )
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def compare(first, second, metric, draws=10_000, seed=0):
    """Paired test of two systems on the same utterances.

    Arguments
    ---------
    first : Predictions
        Of all runs of a row.
    second : Predictions
        Of all runs of another.
    metric : str
        Which.
    draws : int
        How often to draw the test set anew.
    seed : int
        Of the draws.

    Returns
    -------
    Difference

    Raises
    ------
    UserError
        When the utterances or their references differ.

    Example
    -------
    >>> from speechbrain_ext.experiment.predictions import Predictions
    >>> truth = ["a", "b"], ["s", "t"], ["sad", "happy"]
    >>> right = Predictions(*truth, [{"sad": 1.0}, {"happy": 1.0}])
    >>> wrong = Predictions(*truth, [{"happy": 1.0}, {"sad": 1.0}])
    >>> compare(wrong, right, "UA").difference
    100.0
    """
    _check_pair(first, second)
    classes = sorted({*first.classes(), *second.classes()})
    kind, index = first.units()
    pair = [_by_unit(each.sums(classes), index) for each in (first, second)]
    values = tuple(float(score(metric, each.sum(axis=0))) for each in pair)
    difference = values[1] - values[0]
    number = len(pair[0])
    if number < 2:
        return Difference(
            metric, values, difference, None, None, None, kind, number
        )
    found = np.concatenate(
        [
            score(metric, drawn_second) - score(metric, drawn_first)
            for drawn_first, drawn_second in _resampled(pair, draws, seed)
        ]
    )
    low, high = np.percentile(found, [2.5, 97.5])
    # The test set itself is one more draw, so that p is never 0. Equal
    # systems differ by rounding alone.
    side = min((found <= 1e-9).sum(), (found >= -1e-9).sum())
    p = min(1.0, 2 * (side + 1) / (draws + 1))
    return Difference(
        metric, values, difference, float(low), float(high), p, kind, number
    )


def _check_pair(first, second):
    if first.names() != second.names():
        raise UserError(
            "--compare: one row predicts one emotion an utterance and the "
            "other diarizes."
        )
    alone = set(first.ids).symmetric_difference(second.ids)
    if alone:
        raise UserError(
            f"--compare: {len(alone)} utterances, such as '{min(alone)}', "
            "were tested in one of the rows only; compare rows with the same "
            "test set, both finished."
        )
    truths = zip(first.ids, first.truths, second.truths)
    for id, one, other in truths:
        if one != other:
            raise UserError(
                f"--compare: the reference of '{id}' is '{one}' in one row "
                f"and '{other}' in the other; compare rows with the same "
                "classes."
            )


def _by_unit(sums, index):
    """Sums over the utterances of every unit, [units, ...]."""
    units = np.zeros((index.max() + 1, *sums.shape[1:]))
    np.add.at(units, index, sums)
    return units


def _resampled(systems, draws, seed):
    """Blocks of drawn test sets: sums [draws, ...] of each system."""
    random = np.random.default_rng(seed)
    number = len(systems[0])
    for begin in range(0, draws, _BLOCK):
        counts = random.multinomial(
            number,
            np.full(number, 1 / number),
            size=min(_BLOCK, draws - begin),
        ).astype(float)
        yield [np.tensordot(counts, each, axes=1) for each in systems]
