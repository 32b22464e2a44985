"""Long recordings as overlapping windows, and their posteriors as one whole.

Windows begin at multiples of the encoder's stride, so that a frame of a window
is a frame of the recording. Where windows overlap their posteriors are
averaged, with weights that fall towards the borders of a window, where a frame
lacks context.
"""

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE, to_samples
from speechbrain_ext.base.errors import UserError


def plan_windows(num_samples, window, overlap, grid):
    """Cut a recording into windows of equal length."""
    check_window(window, overlap, grid)
    size = to_samples(window)
    if num_samples <= size:
        return [(0, num_samples)]
    size -= size % grid.stride
    # Some encoders make no frame of a window's last samples.
    step = min(
        size - ramp_frames(overlap, grid) * grid.stride,
        grid.num_frames(size) * grid.stride,
    )
    last = -(-(num_samples - size) // grid.stride) * grid.stride
    starts = range(0, last, step)
    return [
        *((start, start + size) for start in starts),
        (last, num_samples),
    ]


def check_window(window, overlap, grid):
    """Refuse a window or an overlap that makes no sense."""
    shortest = (grid.min_samples + 2 * grid.stride) / SAMPLE_RATE
    if not shortest <= window < float("inf"):
        raise UserError(
            f"window: {window} s is too short to make frames of, or no "
            f"length; give {shortest:g} s or more."
        )
    size = to_samples(window) // grid.stride
    if not 0 <= overlap < window or ramp_frames(overlap, grid) >= size:
        raise UserError(
            f"overlap: {overlap} s leaves nothing of a window of {window} s; "
            "give less than the window, and not less than 0."
        )


def ramp_frames(overlap, grid):
    """Frames over which a window gains or loses its weight."""
    return -(-to_samples(overlap) // grid.stride)


def window_weights(frames, ramp, first, last):
    """Weight of every frame of a window."""
    weights = np.ones(frames)
    rise = np.arange(1, frames + 1) / (ramp + 1)
    if not first:
        weights = np.minimum(weights, rise)
    if not last:
        weights = np.minimum(weights, rise[::-1])
    return weights


def merge_windows(parts, spans, ramp, num_samples, grid):
    """Log posteriors of a recording from those of its windows."""
    if len(spans) == 1:
        return next(iter(parts))
    total, weight = None, np.zeros((grid.num_frames(num_samples), 1))
    for number, (part, (start, _)) in enumerate(zip(parts, spans)):
        if total is None:
            total = np.zeros((len(weight), part.shape[1]))
        weights = window_weights(
            len(part), ramp, number == 0, number == len(spans) - 1
        )[:, None]
        begin = start // grid.stride
        total[begin : begin + len(part)] += weights * np.exp(part)
        weight[begin : begin + len(part)] += weights
    total /= weight
    tiny = np.finfo(np.float32).tiny
    return np.log(np.maximum(total, tiny)).astype(np.float32)
