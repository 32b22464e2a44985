"""Timelines: which emotion appears when."""

from datetime import timedelta

import numpy as np

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.metrics.segments import (
    check_hypothesis,
    emotions,
    stretches,
)
from speechbrain_ext.plots import style

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
    labels=(),
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
    bars = {"hypothesis": check_hypothesis(hypothesis, "the hypothesis")}
    if reference is not None:
        checked = check_hypothesis(reference, "the reference")
        bars = {"reference": checked, **bars}
    panels = {"waveform": 1.5, **dict.fromkeys(bars, 0.42)}
    if posteriors is not None:
        panels["probability"] = 1.3
    heights = list(panels.values())
    figure = style.new_figure(10, sum(heights) + 1.15)
    figure.get_layout_engine().set(h_pad=0.03, w_pad=0.06, hspace=0.02)
    axes = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    for axis, name in zip(axes, panels):
        _begin_panel(axis, name, duration)
    present = set()
    _draw_waveform(axes[0], waveform, sample_rate)
    for axis, segments in zip(axes[1:], bars.values()):
        present |= _draw_bar(axis, segments, duration)
    if posteriors is not None:
        _draw_posteriors(axes[-1], posteriors, frame_edges, labels)
        present.update(labels)
    _draw_time(axes[-1], duration)
    _add_legend(figure, present)
    style.save_figure(figure, path, title)


def waveforms(path, named, sample_rate):
    """Draw waveforms under each other, on one axis of time.

    Arguments
    ---------
    path : str or os.PathLike
        The picture to write; its suffix is the format.
    named : dict
        Name to waveform, [time] or [time, channels].
    sample_rate : int
        In Hz.

    Raises
    ------
    UserError
        When a waveform holds no finite samples, or nothing can be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.png"
    >>> tone = np.sin(np.arange(32000))
    >>> waveforms(path, {"before": tone, "after": tone / 2}, 16000)
    >>> path.exists()
    True
    """
    duration = max(len(one) for one in named.values()) / sample_rate
    figure = style.new_figure(10, 1.1 * len(named) + 0.35)
    axes = figure.subplots(len(named), sharex=True, sharey=True, squeeze=False)
    loudest = []
    for axis, (name, waveform) in zip(axes[:, 0], named.items()):
        _begin_panel(axis, name, duration)
        _draw_waveform(axis, waveform, sample_rate)
        loudest.append(axis.get_ylim())
    # All on the scale of the loudest.
    axes[0, 0].set_ylim(max(loudest, key=max))
    _draw_time(axes[-1, 0], duration)
    style.save_figure(figure, path)


def _begin_panel(axis, name, duration):
    """An empty panel with its name and no ticks."""
    style.quiet(axis)
    axis.set(xlim=(0, duration), yticks=[])
    axis.tick_params(axis="x", bottom=False, labelbottom=False)
    look = {"rotation": 0, "ha": "right", "va": "center", **style.LABEL}
    axis.set_ylabel(name, **look)


def _add_legend(figure, present):
    from matplotlib.patches import Patch

    known = [name for name in style.COLOURS if name in present]
    names = known + sorted(present.difference(known))
    boxes = [Patch(facecolor=style.colour(name)) for name in names]
    size = {"handlelength": 1.1, "handleheight": 1.1, "columnspacing": 1.6}
    style.add_legend(figure, boxes, names, ncols=min(len(names), 8), **size)


def _draw_waveform(axis, waveform, sample_rate):
    what = "samples [time] or [time, channels]"
    signal = style.to_array(waveform, "waveform", what, (1, 2))
    if signal.ndim == 2:
        signal = signal.mean(axis=1)
    # One column holds what lies between its neighbours' first samples.
    columns = min(COLUMNS, len(signal))
    starts = np.arange(columns) * len(signal) // columns
    if len(signal) > COLUMNS:
        high = np.maximum.reduceat(signal, starts)
        low = np.minimum.reduceat(signal, starts)
        times = (starts + np.append(starts[1:], len(signal))) / 2 / sample_rate
        axis.fill_between(times, low, high, lw=0.3, color=style.FAINT)
    else:
        axis.plot(starts / sample_rate, signal, lw=0.8, color=style.FAINT)
    # Silence is drawn as a line, too.
    loudest = 1.08 * max(float(signal.max()), -float(signal.min()), 1e-9)
    axis.set_ylim(-loudest, loudest)


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
        axis.broken_barh(spans, box, facecolor=style.colour(name), lw=0)
        for start, length in spans:
            # A letter takes about 1/120 of the width.
            if length / duration >= (len(name) + 2) / 120 and box[1] >= 0.5:
                _name_box(axis, name, start + length / 2, box)
    axis.set_ylim(0, 1)
    return {name for name, _ in boxes}


def _places(names, before):
    """Order names so that one that goes on stays in its place."""
    places = [name if name in names else None for name in before[: len(names)]]
    places += [None] * (len(names) - len(places))
    others = iter(sorted(set(names).difference(places)))
    return [next(others) if name is None else name for name in places]


def _name_box(axis, name, middle, box):
    from matplotlib.colors import to_rgb

    bright = np.dot(to_rgb(style.colour(name)), (0.299, 0.587, 0.114))
    axis.text(
        middle,
        box[0] + box[1] / 2,
        name,
        fontsize=10 if box[1] == 1 else 7,
        color=style.INK if bright > 0.55 else "white",
        ha="center",
        va="center_baseline",
        parse_math=False,
    )


def _draw_posteriors(axis, posteriors, edges, labels):
    edges = style.to_array(edges, "frame_edges", "seconds")
    wanted = (
        f"[frames, classes] that fit {len(edges)} frame edges (one more than "
        f"frames) and {len(labels)} labels"
    )
    shape = len(edges) - 1, len(labels)
    posteriors = style.to_array(posteriors, "posteriors", wanted, shape=shape)
    # Means over neighbouring frames, weighted by how long they last.
    step = -(-len(posteriors) // COLUMNS)
    starts = np.arange(0, len(posteriors), step)
    lengths = np.diff(edges)[:, None]
    shares = np.add.reduceat(posteriors * lengths, starts, axis=0)
    shares /= np.maximum(np.add.reduceat(lengths, starts, axis=0), 1e-12)
    edges = np.append(edges[starts], edges[-1])
    base = np.zeros(len(starts))
    for name, share in zip(labels, shares.T):
        look = {"fill": True, "lw": 0, "color": style.colour(name)}
        axis.stairs(base + share, edges, baseline=base, **look)
        base = base + share
    axis.set_ylim(0, 1)
    axis.yaxis.tick_right()
    axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def _draw_time(axis, duration):
    from matplotlib.ticker import MaxNLocator

    axis.tick_params(axis="x", bottom=True, labelbottom=True)
    axis.spines["bottom"].set_visible(True)
    if duration <= 120:
        axis.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 5, 10]))
        axis.xaxis.set_major_formatter("{x:g} s")
        return
    # Whole steps of a clock, at most about a dozen.
    steps = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200]
    step = next((s for s in steps if duration / s <= 12), 86400)
    ticks = range(0, int(duration) + 1, step)
    names = [str(timedelta(seconds=t)) for t in ticks]
    if duration < 3600:
        names = [f"{t // 60}:{t % 60:02d}" for t in ticks]
    axis.set_xticks(ticks, names)
