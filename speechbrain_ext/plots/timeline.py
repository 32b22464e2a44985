"""Timelines: which emotion appears when."""

from datetime import timedelta

import numpy as np

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.metrics.segments import (
    check_hypothesis,
    emotions,
    stretches,
)
from speechbrain_ext.plots.style import (
    COLOURS,
    FAINT,
    INK,
    LABEL,
    add_legend,
    colour,
    new_figure,
    quiet,
    save_figure,
    to_array,
)

CENTRED = {"ha": "center", "va": "center_baseline"}
# Wider than any screen shows; more points would only cost time.
COLUMNS = 2000


def timeline(
    path,
    waveform,
    sample_rate,
    hypothesis,
    duration,
    reference=None,
    posteriors=None,
    frame_edges=None,
    labels=None,
    title=None,
):
    """Draw which emotion appears when, under the waveform.

    Arguments
    ---------
    path : str or os.PathLike
        The picture to write; its suffix is the format.
    waveform : array
        [time] or [time, channels].
    sample_rate : int
        In Hz.
    hypothesis, reference : list of dict
        ``{"start", "end", "emotion"}`` and ``{"emo", "start", "end"}`` each,
        in seconds.
    duration : float
        Length in seconds.
    posteriors, frame_edges, labels : optional
        Probabilities [frames, classes], seconds [frames + 1], names of classes.
    title : str, optional
        In any script.

    Raises
    ------
    UserError
        When the arrays do not fit together, or nothing can be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.png"
    >>> hypothesis = [{"start": 1.0, "end": 2.0, "emotion": "happy"}]
    >>> timeline(path, np.sin(np.arange(32000)), 16000, hypothesis, 2.0)
    >>> path.exists()
    True
    """
    bars = {"reference": reference, "hypothesis": hypothesis}
    bars = {
        name: check_hypothesis(segments, f"the {name}")
        for name, segments in bars.items()
        if segments is not None
    }
    heights = [1.5] + [0.42] * len(bars) + [1.3] * (posteriors is not None)
    figure = new_figure(10, sum(heights) + 1.15)
    figure.get_layout_engine().set(h_pad=0.03, w_pad=0.06, hspace=0.02)
    axes = figure.subplots(
        len(heights), sharex=True, squeeze=False, height_ratios=heights
    )[:, 0]
    present = set()
    _draw_waveform(axes[0], waveform, sample_rate)
    for axis, (name, segments) in zip(axes[1:], bars.items()):
        present |= _draw_bar(axis, segments, duration)
        _name_panel(axis, name)
    if posteriors is not None:
        edges = [] if frame_edges is None else frame_edges
        labels = [] if labels is None else labels
        _draw_posteriors(axes[-1], posteriors, edges, labels)
        present |= set(labels)
    _draw_time(axes, duration)
    _write_legend(figure, present)
    save_figure(figure, path, title)


def _write_legend(figure, present):
    from matplotlib.patches import Patch

    known = [name for name in COLOURS if name in present]
    names = known + sorted(present.difference(known))
    boxes = [Patch(facecolor=colour(name)) for name in names]
    size = {"handlelength": 1.1, "handleheight": 1.1, "columnspacing": 1.6}
    add_legend(figure, boxes, names, ncols=min(len(names), 8), **size)


def _draw_waveform(axis, waveform, sample_rate):
    what = "samples [time] or [time, channels]"
    signal = to_array(waveform, "waveform", what, (1, 2))
    if signal.ndim == 2:
        signal = signal.mean(axis=1)
    # One column holds what lies between its neighbours' first samples.
    columns = min(COLUMNS, len(signal))
    starts = np.arange(columns) * len(signal) // columns
    high = np.maximum.reduceat(signal, starts)
    low = np.minimum.reduceat(signal, starts)
    ends = np.append(starts[1:], len(signal))
    if len(signal) > COLUMNS:
        axis.fill_between(
            (starts + ends) / 2 / sample_rate, low, high, lw=0.3, color=FAINT
        )
    else:
        axis.plot(starts / sample_rate, signal, lw=0.8, color=FAINT)
    # Silence is drawn as a line, too.
    loudest = max(float(high.max()), -float(low.min()), 1e-9)
    axis.set_ylim(-1.08 * loudest, 1.08 * loudest)
    axis.set_yticks([])
    quiet(axis)
    _name_panel(axis, "waveform")


def _draw_bar(axis, segments, duration):
    """A bar of colours; the names in it."""
    boxes, names = {}, []
    for start, end, labels in stretches(duration, segments):
        names = _places(emotions(labels) or {NEUTRAL}, names)
        share = 1 / len(names)
        for place, name in enumerate(names):
            box = (place * share, share)
            boxes.setdefault((name, box), []).append((start, end - start))
    for (name, box), spans in boxes.items():
        axis.broken_barh(spans, box, facecolor=colour(name), lw=0)
        for start, length in spans:
            _name_box(axis, name, start, length, box, duration)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    quiet(axis)
    return {name for name, _ in boxes}


def _places(names, before):
    """Order names so that one that goes on stays in its place."""
    places = [name if name in names else None for name in before[: len(names)]]
    places += [None] * (len(names) - len(places))
    others = iter(sorted(set(names).difference(places)))
    return [next(others) if name is None else name for name in places]


def _name_box(axis, name, start, length, box, duration):
    """Write the name on a box that is wide enough for it."""
    # A letter takes about 1/120 of the width.
    if length / duration < (len(name) + 2) / 120 or box[1] < 0.5:
        return
    from matplotlib.colors import to_rgb

    bright = np.dot(to_rgb(colour(name)), (0.299, 0.587, 0.114))
    look = {
        "fontsize": 10 if box[1] == 1 else 7,
        "color": INK if bright > 0.55 else "white",
    }
    where = start + length / 2, box[0] + box[1] / 2
    axis.text(*where, name, **CENTRED, parse_math=False, **look)


def _draw_posteriors(axis, posteriors, edges, labels):
    wanted = (
        f"[frames, classes] that fit {len(edges)} frame edges (one more than "
        f"frames) and {len(labels)} labels"
    )
    shape = len(edges) - 1, len(labels)
    posteriors = to_array(posteriors, "posteriors", wanted, shape=shape)
    edges = to_array(edges, "frame_edges", "seconds")
    # Means over neighbouring frames, weighted by how long they last.
    step = -(-len(posteriors) // COLUMNS)
    starts = np.arange(0, len(posteriors), step)
    lengths = np.diff(edges)[:, None]
    shares = np.add.reduceat(posteriors * lengths, starts, axis=0)
    shares /= np.maximum(np.add.reduceat(lengths, starts, axis=0), 1e-12)
    edges = np.append(edges[starts], edges[-1])
    base = np.zeros(len(starts))
    for place, name in enumerate(labels):
        top = base + shares[:, place]
        axis.stairs(
            top, edges, baseline=base, fill=True, lw=0, color=colour(name)
        )
        base = top
    axis.set_ylim(0, 1)
    axis.yaxis.tick_right()
    axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    quiet(axis)
    _name_panel(axis, "probability")


def _draw_time(axes, duration):
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in axes:
        axis.set_xlim(0, duration)
        axis.tick_params(axis="x", bottom=False, labelbottom=False)
    last = axes[-1]
    last.tick_params(axis="x", bottom=True, labelbottom=True)
    last.spines["bottom"].set_visible(True)
    if duration <= 120:
        last.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 5, 10]))
        last.xaxis.set_major_formatter(FuncFormatter(lambda t, _: f"{t:g} s"))
        return
    # Whole steps of a clock, at most about a dozen.
    steps = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200]
    step = next((s for s in steps if duration / s <= 12), 86400)
    ticks = range(0, int(duration) + 1, step)
    names = [f"{t // 60}:{t % 60:02d}" for t in ticks]
    if duration >= 3600:
        names = [str(timedelta(seconds=t)) for t in ticks]
    last.set_xticks(ticks, names)


def _name_panel(axis, name):
    axis.set_ylabel(name, rotation=0, ha="right", va="center", **LABEL)
