"""Bootstrap intervals and a sign-flip test over the units of a test set.

Units are speakers where every one is known and there are two or more, else
utterances. Intervals are percentiles (Efron and Tibshirani, 1993, chapter 13).
"""

import numpy as np

FEW = 10  # With fewer units, a bootstrap interval is too narrow.
TOO_FEW = 6  # With fewer units, a sign-flip test does not reach p < 0.05.
_EXACT = 12  # Up to this many units all swaps are enumerated.
# Numbers drawn at once; keeps memory flat where utterances are the units.
_BLOCK = 1_000_000


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
    """Places of units; sizes of a test set, and what intervals are over."""
    kind, index = find_units(ids, speakers)
    return index, {
        "utterances": len(ids),
        "speakers": len(set(speakers)) if all(speakers) else None,
        "intervals_over": kind,
    }


def interval(sums, figure, draws=1000, seed=0):
    """95 % interval [low, high] of a figure of the sums of units.

    ``sums`` are ``[units, ...]``; None with fewer than two units, or no draws.
    """
    if len(sums) < 2 or draws < 1:
        return None
    return _percentiles(figure, [sums], draws, seed)


def paired_test(first, second, figure, draws=10_000, seed=0):
    """Low, high and p of the difference of a figure of the sums of two systems.

    A paired bootstrap interval and a sign-flip test; None with one unit.
    """
    number = len(first)
    if number < 2:
        return None, None, None

    def difference(one, other):
        return figure(other) - figure(one)

    low, high = _percentiles(difference, [first, second], draws, seed)
    total = first.sum(axis=0)
    # One unit swapped at a time: what every unit adds to the difference.
    swapped = total + (second - first)
    shares = difference(np.broadcast_to(total, swapped.shape), swapped)
    return low, high, _sign_flip(shares, draws, seed)


def _percentiles(figure, systems, draws, seed):
    """Ends of 95 % of the figure over drawn test sets."""
    random = np.random.default_rng(seed)
    number = len(systems[0])
    share = np.full(number, 1 / number)
    found = []
    for size in _blocks(draws, number):
        times = random.multinomial(number, share, size).astype(float)
        found.append(figure(*(np.tensordot(times, s, 1) for s in systems)))
    return np.percentile(np.concatenate(found), [2.5, 97.5]).tolist()


def _blocks(draws, number):
    """Sizes of the blocks in which so many draws of so many units are made."""
    block = max(1, _BLOCK // number)
    return [min(block, draws - begin) for begin in range(0, draws, block)]


def _sign_flip(shares, draws, seed):
    """Two-sided p of the sum of shares against random signs.

    The p of a bootstrap's draws would be too small with few units: below 0.05
    for equal systems in four of ten cases with two speakers.
    """
    number = len(shares)
    # Equal sums differ by rounding.
    least = abs(shares.sum()) - 1e-9
    if number <= _EXACT:
        swaps = np.arange(2**number)[:, None] >> np.arange(number) & 1
        return float((abs((1 - 2 * swaps) @ shares) >= least).mean())
    random = np.random.default_rng(seed)
    found = sum(
        (abs(random.choice([-1, 1], (size, number)) @ shares) >= least).sum()
        for size in _blocks(draws, number)
    )
    # What was observed is one more draw, so that p is never 0.
    return float((found + 1) / (draws + 1))
