"""From frame-wise posteriors to a diarization (Wang et al. 2023, section 3.1).

Every option is off by default; with all of them off a frame has the class of
the highest posterior.
"""

import heapq
import itertools
import math
from dataclasses import dataclass

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.values import check_keys, check_value
from speechbrain_ext.encoders.grid import labels_to_segments
from speechbrain_ext.metrics.predictions import check_posteriors


@dataclass(frozen=True)
class PostProcessing:
    """Decoding of the posteriors of one recording.

    Arguments
    ---------
    threshold : float, optional
        A frame whose highest posterior lies below becomes neutral.
    median : float, optional
        Length (s) of a median filter over each class's posteriors.
    min_duration : float, optional
        Shortest segment (s). The shortest one goes first, to the longer of
        its neighbours, until none is left.
    one_event : bool
        Whether the recording holds exactly one emotional event: the most
        probable of the sequences of Figure 5 is taken. With
        ``min_duration``, the event and the neutral time before and after it
        are each at least that long, or there is no neutral time on that
        side; an event that fits in no other way covers the whole recording.

    Raises
    ------
    UserError
        When an option is invalid, or ``threshold`` and ``one_event``, which
        leaves nothing to mask, are both given.

    Example
    -------
    >>> log_probs = np.log([[0.6, 0.4], [0.3, 0.7], [0.45, 0.55]])
    >>> masked = PostProcessing(threshold=0.6)
    >>> masked.decode(log_probs, ["neutral", "sad"], 0.02)
    ['neutral', 'sad', 'neutral']
    """

    threshold: float | None = None
    median: float | None = None
    min_duration: float | None = None
    one_event: bool = False

    def __post_init__(self):
        for name, value in vars(self).items():
            check_value(f"postprocessing.{name}", value)
        if self.one_event and self.threshold is not None:
            raise UserError(
                "threshold and one_event exclude each other; give one of them."
            )

    def decode(self, log_probs, classes, stride):
        """Label of every frame, from log posteriors ``[frames, classes]`` and
        the seconds from one frame to the next."""
        check_posteriors(log_probs, "a recording")
        if self.median:
            from scipy.ndimage import median_filter

            # An odd number of frames, so that nothing is shifted.
            size = 2 * round(self.median / stride / 2) + 1
            probs = np.exp(log_probs)
            probs = median_filter(probs, size=(size, 1), mode="nearest")
            log_probs = np.log(np.maximum(probs, 1e-12))
        neutral = classes.index(NEUTRAL)
        shortest = 1
        if self.min_duration:
            # 0.14 / 0.02 is a little more than 7.
            shortest = min(self.min_duration / stride - 1e-6, len(log_probs))
            shortest = max(1, math.ceil(shortest))
        if self.one_event:
            best = _one_event(log_probs, neutral, shortest)
        else:
            best = log_probs.argmax(axis=1)
            if self.threshold is not None:
                unsure = np.exp(log_probs.max(axis=1)) < self.threshold
                best = np.where(unsure, neutral, best)
            if shortest > 1:
                best = _drop_short(best, shortest)
        return [classes[index] for index in best]

    def diarize(self, log_probs, classes, num_samples, grid):
        """Segments of a recording, contiguous from 0 to its end.

        ``num_samples`` at 16 kHz; the frames are those of the ``grid``.
        """
        labels = self.decode(log_probs, classes, grid.stride / SAMPLE_RATE)
        return labels_to_segments(labels, num_samples, SAMPLE_RATE, grid)


def _one_event(log_probs, neutral, shortest=1):
    """Most probable labels with one run of one class between neutral."""
    frames = len(log_probs)
    shortest = min(shortest, frames)
    gains = log_probs - log_probs[:, [neutral]]
    best = (-np.inf, 0, 0, 0)
    for index in range(log_probs.shape[1]):
        if index == neutral:
            continue
        total = np.concatenate([[0.0], np.cumsum(gains[:, index])])
        begins = total.copy()
        begins[1:shortest] = np.inf
        ends = total.copy()
        ends[frames - shortest + 1 : frames] = -np.inf
        # The sum of the best run that ends at frame shortest, shortest + 1 ...
        lowest = np.minimum.accumulate(begins[: frames + 1 - shortest])
        rises = ends[shortest:] - lowest
        last = int(rises.argmax())
        if rises[last] > best[0]:
            begin = int(begins[: last + 1].argmin())
            best = (rises[last], index, begin, last + shortest)
    labels = np.full(frames, neutral)
    _, index, begin, end = best
    labels[begin:end] = index
    return labels


def _drop_short(labels, shortest):
    """Give runs of fewer frames than ``shortest`` to a neighbour."""
    begins = np.flatnonzero(np.diff(labels, prepend=-1))
    values = labels[begins]
    lengths = np.diff(begins, append=len(labels)).tolist()
    before = list(range(-1, len(lengths) - 1))
    after = [*range(1, len(lengths)), -1]
    queue = [(n, at) for at, n in enumerate(lengths) if n < shortest]
    heapq.heapify(queue)

    def remove(at, to):
        lengths[to] += lengths[at]
        lengths[at] = 0
        if before[at] >= 0:
            after[before[at]] = after[at]
        if after[at] >= 0:
            before[after[at]] = before[at]

    while queue:
        length, at = heapq.heappop(queue)
        if length != lengths[at]:
            continue
        left, right = before[at], after[at]
        sides = [side for side in (left, right) if side >= 0]
        if not sides:
            break
        to = max(sides, key=lambda side: lengths[side])
        remove(at, to)
        # The two sides of what went may now be one run.
        if len(sides) == 2 and values[left] == values[right]:
            remove(right, left)
            to = left
        if lengths[to] < shortest:
            heapq.heappush(queue, (lengths[to], to))
    return np.repeat(values, lengths)


def candidates(grid):
    """The combinations that a grid of options stands for."""
    if grid is not None and not isinstance(grid, dict):
        what = "lists of values by option, such as {median: [null, 0.1]}"
        remedy = "give {} to choose nothing"
        raise expected("postprocessing_grid", what, grid, remedy)
    if not grid:
        return []
    for name, values in grid.items():
        _check_values(name, values)
    combinations = (
        dict(zip(grid, values)) for values in itertools.product(*grid.values())
    )
    found = [
        PostProcessing(**options)
        for options in combinations
        if not options.get("one_event") or options.get("threshold") is None
    ]
    if not found:
        raise UserError(
            "postprocessing_grid: threshold and one_event exclude each other, "
            "which leaves no combination; add null to threshold or false to "
            "one_event."
        )
    return found


def _check_values(name, values):
    check_keys("postprocessing", [name], "postprocessing_grid")
    where = f"postprocessing_grid: {name}"
    if not isinstance(values, list) or not values:
        off = "[false]" if name == "one_event" else "[null]"
        what = f"a list of values, such as {off} to leave the option off"
        raise expected(where, what, values)
    for value in values:
        check_value(f"postprocessing.{name}", value, where)


def tune(grid, evaluate):
    """The options with the lowest error, the first of equals; all errors."""
    choices = candidates(grid)
    errors = [evaluate(choice) for choice in choices]
    tried = [
        {**{name: getattr(choice, name) for name in grid}, "error": error}
        for choice, error in zip(choices, errors)
    ]
    return choices[errors.index(min(errors))], tried
