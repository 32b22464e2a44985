"""Bootstrap intervals and a sign-flip test over the units of a test set.

One rule everywhere: the units are speakers where every speaker is known and
there are two or more of them, otherwise utterances.

Intervals are of the percentile method (Efron and Tibshirani, "An Introduction
to the Bootstrap", 1993, chapter 13): units are drawn with replacement; every
fold's figure is computed from those of its units that were drawn, and the
figures are averaged as in the table.

With few units a bootstrap sees less variance than there is: a p of its draws
would call equal systems different in four of ten cases with two speakers. The
p here is that of a sign-flip test (a paired permutation test; chapter 15 has
the unpaired one): all of a unit's predictions are swapped between the two
systems or not, and p is the share of such swaps with a difference at least as
large as the one observed. With n units, no p is below 2^(1 - n).
"""

from dataclasses import dataclass

import numpy as np

from speechbrain_ext.base.errors import UserError

#: With fewer units than this, a bootstrap interval is too narrow.
FEW = 10

#: With fewer units than this, a sign-flip test does not reach p < 0.05.
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
    kind: str
    number: int
    low: float | None = None
    high: float | None = None
    p: float | None = None


def find_units(ids, speakers):
    """What is drawn, and the place of each utterance's unit among them."""
    kind, names = "speakers", list(speakers)
    if not all(names) or len(set(names)) < 2:
        kind, names = "utterances", list(ids)
    return kind, np.unique(names, return_inverse=True)[1]


def describe_units(kind, number):
    """The units of an interval in words, and whether they are too few."""
    if kind == "utterances":
        kind += " (fewer than two speakers are known)"
    few = ", too few for the interval to be trusted" if number < FEW else ""
    return f"over {number} test {kind}{few}"


def describe_test_set(ids, speakers):
    """Sizes of a test set, and what intervals are over."""
    known = set(speakers) if all(speakers) else None
    return {
        "utterances": len(ids),
        "speakers": None if known is None else len(known),
        "intervals_over": find_units(ids, speakers)[0],
    }


def interval(sums, figure, draws=1000, seed=0):
    """95 % interval [low, high] of a figure of the sums of units.

    ``sums`` are ``[units, ...]``; None with fewer than two units, or draws.
    """
    if len(sums) < 2 or draws < 1:
        return None
    drawn = _draw([sums], draws, seed)
    return _percentiles([figure(each) for (each,) in drawn])


def compare(first, second, metric, draws=10_000, seed=0):
    """Paired bootstrap interval and sign-flip test of two ``Predictions``."""
    _check_pair(first, second)
    classes = sorted({*first.classes(), *second.classes()})
    kind, index = first.units()
    pair = [each.sums(classes, index) for each in (first, second)]

    def differences(pair):
        one, other = (first.figure(metric, each) for each in pair)
        return other - one

    values = tuple(system.metrics()[metric] for system in (first, second))
    number = len(pair[0])
    found = metric, values, values[1] - values[0], kind, number
    if number < 2:
        return Difference(*found)
    drawn = _draw(pair, draws, seed)
    low, high = _percentiles([differences(each) for each in drawn])
    total = pair[0].sum(axis=0)
    # One unit swapped at a time: what every unit adds to the difference.
    swapped = total + (pair[1] - pair[0])
    shares = differences([np.broadcast_to(total, swapped.shape), swapped])
    return Difference(*found, low, high, _sign_flip(shares, draws, seed))


def _draw(systems, draws, seed):
    """Blocks of drawn test sets: sums [draws, ...] of each system."""
    random = np.random.default_rng(seed)
    number = len(systems[0])
    for begin in range(0, draws, _BLOCK):
        times = random.multinomial(
            number, np.full(number, 1 / number), min(_BLOCK, draws - begin)
        ).astype(float)
        yield [np.tensordot(times, each, axes=1) for each in systems]


def _percentiles(blocks):
    return np.percentile(np.concatenate(blocks), [2.5, 97.5]).tolist()


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
            "other diarizes; compare rows of one kind."
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
