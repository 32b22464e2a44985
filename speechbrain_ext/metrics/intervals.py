"""Paired bootstrap interval and a sign-flip test, over test speakers.

Intervals are of the percentile method (Efron and Tibshirani, "An Introduction
to the Bootstrap", 1993, chapter 13): the units of the test set, speakers where
they are known, are drawn with replacement; every fold's figure is computed
from those of its units that were drawn, and the figures are averaged as in the
table.

With few speakers a bootstrap sees less variance than there is, so that a p of
its draws would call equal systems different: with two speakers in four of ten
cases. The p here is that of a sign-flip test (a paired permutation test; the
same book, chapter 15, has the unpaired one). If two systems are equally good,
it does not matter which of them said what about a speaker, so that all of a
speaker's predictions can be swapped between them; p is the share of such swaps
with a difference at least as large as the one observed. This holds for any
number of speakers; with n of them, no p is below 2^(1 - n).
"""

from dataclasses import dataclass

import numpy as np

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.predictions import score

#: With fewer units than this, a sign-flip test cannot reach p < 0.05.
TOO_FEW = 6

# Up to this many units all swaps are enumerated.
_EXACT = 12

# Draws at once; keeps memory flat where utterances are the units.
_BLOCK = 500


@dataclass(frozen=True)
class Difference:
    """Two systems on the same test sets."""

    metric: str
    values: tuple
    difference: float
    low: float | None
    high: float | None
    p: float | None
    kind: str
    number: int


def interval(predictions, metric, draws=1000, seed=0):
    """95 % interval of a metric, the mean over test sets."""
    _, index = predictions.units()
    sums = predictions.sums(predictions.classes(), index)
    if len(sums) < 2:
        return None
    found = np.concatenate(
        [
            score(metric, each, predictions.weights)
            for (each,) in _resampled([sums], draws, seed)
        ]
    )
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def compare(first, second, metric, draws=10_000, seed=0):
    """Paired bootstrap interval and sign-flip test of two systems."""
    _check_pair(first, second)
    classes = sorted({*first.classes(), *second.classes()})
    kind, index = first.units()
    pair = [each.sums(classes, index) for each in (first, second)]

    def differences(pair):
        one, other = (score(metric, each, first.weights) for each in pair)
        return other - one

    values = tuple(system.metrics()[metric] for system in (first, second))
    difference = values[1] - values[0]
    number = len(pair[0])
    if number < 2:
        return Difference(
            metric, values, difference, None, None, None, kind, number
        )
    found = np.concatenate(
        [differences(drawn) for drawn in _resampled(pair, draws, seed)]
    )
    low, high = np.percentile(found, [2.5, 97.5])
    p = _sign_flip(_shares(pair, differences), draws, seed)
    return Difference(
        metric, values, difference, float(low), float(high), p, kind, number
    )


def _shares(pair, differences):
    """What every unit adds to the difference, [units]."""
    first, second = pair
    total = first.sum(axis=0)
    one_swapped = total + (second - first)
    return differences([np.broadcast_to(total, one_swapped.shape), one_swapped])


def _sign_flip(shares, draws, seed):
    """Two-sided p of the sum of shares against random signs."""
    number = len(shares)
    # Equal sums differ by rounding.
    least = abs(shares.sum()) - 1e-9
    if number <= _EXACT:
        swaps = np.arange(2**number)[:, None] >> np.arange(number) & 1
        return float((abs((1 - 2 * swaps) @ shares) >= least).mean())
    random = np.random.default_rng(seed)
    found = 0
    for begin in range(0, draws, _BLOCK):
        size = min(_BLOCK, draws - begin), number
        signs = random.choice([-1.0, 1.0], size)
        found += int((abs(signs @ shares) >= least).sum())
    # What was observed is one more draw, so that p is never 0.
    return (found + 1) / (draws + 1)


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
    truths = dict(zip(first.ids, first.truths))
    for id, other in zip(second.ids, second.truths):
        if truths[id] != other:
            raise UserError(
                f"--compare: the reference of '{id}' is '{truths[id]}' in one "
                f"row and '{other}' in the other; compare rows with the same "
                "classes."
            )
    same = (first.ids, first.tests) == (second.ids, second.tests)
    if not same or not np.allclose(first.weights, second.weights):
        raise UserError(
            "--compare: the test utterances of the two rows are the same, but "
            "not their folds, or not the number of finished runs of each "
            "fold; compare rows with the same folds, both finished."
        )


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
