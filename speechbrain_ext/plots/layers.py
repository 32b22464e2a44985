"""Learned layer mixtures: how much each layer of an encoder counts."""

import numpy as np

from speechbrain_ext.base.errors import expected
from speechbrain_ext.plots import style

# Two of three differences are there in black and white. The lengths have no
# common divisor, so that combinations repeat late.
STYLES = ["-", (0, (5, 2)), (0, (1, 1.4)), (0, (7, 2, 1.5, 2))]
MARKERS = ["o", "s", "^", "D", "v"]
LINE_HUES = ("sad", "angry", "other", "happy", "disgust", "anxious", "bored")


def layer_weights(path, weights, title=None):
    """Draw how much each layer of an encoder counts in learned mixtures.

    One mixture becomes bars; several become a line a name, as in Figure 2 of
    Pepino et al. (2021): the mean over seeds, with the standard deviation
    (n - 1) as error bars.

    Arguments
    ---------
    path : str or os.PathLike
        The picture to write; its suffix is the format.
    weights : array or dict
        [layers]; or from the name of a model to [seeds, layers], where layer 0
        is the local encoder. Models may differ in seeds and layers.
    title : str, optional
        In any script.

    Raises
    ------
    UserError
        When the weights have another shape, or nothing can be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.png"
    >>> layer_weights(path, {"pretrained": [[0.1, 0.9], [0.2, 0.8]]})
    >>> path.exists()
    True
    """
    from matplotlib.ticker import MaxNLocator

    draw = _draw_lines if isinstance(weights, dict) else _draw_bars
    axis = draw(path, weights)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=14))
    axis.set_ylabel("weight", **style.LABEL)
    style.quiet(axis, keep=("left", "bottom"))
    style.save_figure(axis.figure, path, title)


def _draw_bars(path, weights):
    name = f"'{path}', layer weights"
    weights = style.to_array(weights, name, "one number a layer")
    width = min(10.0, 3 + 0.28 * len(weights))
    axis = style.new_figure(width, 3.2).subplots()
    colours = np.where(
        weights == weights.max(), style.COLOURS["sad"], "#9DB8D2"
    )
    axis.bar(np.arange(len(weights)), weights, width=0.78, color=colours)
    # Where a mixture begins before it has learned anything.
    mean = float(weights.mean())
    axis.axhline(mean, color=style.INK, lw=0.8, ls=(0, (4, 3)))
    look = {"va": "center", "fontsize": 9, "color": style.INK}
    axis.text(1.01, mean, "mean", transform=axis.get_yaxis_transform(), **look)
    axis.set_xlim(-0.7, len(weights) - 0.3)
    axis.set_xlabel("layer", **style.LABEL)
    return axis


def _draw_lines(path, weights):
    if not weights:
        raise expected(f"'{path}'", "weights of at least one model", weights)
    where, what = f"'{path}', layer weights of", "one row of layers a seed"
    rows = {
        name: style.to_array(each, f"{where} '{name}'", what, axes=(2,))
        for name, each in weights.items()
    }
    layers = max(each.shape[1] for each in rows.values())
    # The legend has a line of text for each model.
    letters = max(len(str(name)) for name in rows)
    figure = style.new_figure(
        max(min(10.0, 4.4 + 0.22 * layers), min(20.0, 2 + 0.09 * letters)),
        3.4 + 0.22 * len(rows),
    )
    axis = figure.subplots()
    # A little aside, so that no line hides another, and near its layer.
    step = min(0.12, 0.36 / len(rows))
    for place, each in enumerate(rows.values()):
        offset = step * (place - (len(rows) - 1) / 2)
        axis.errorbar(
            np.arange(each.shape[1]) + offset,
            each.mean(axis=0),
            yerr=each.std(axis=0, ddof=1) if len(each) > 1 else None,
            color=style.COLOURS[LINE_HUES[place % len(LINE_HUES)]],
            ls=STYLES[place % len(STYLES)],
            lw=1.6,
            marker=MARKERS[place % len(MARKERS)],
            markersize=4.5,
            # Every other one is hollow, as its line is broken.
            mfc="white" if place % 2 else None,
            capsize=2.5,
            elinewidth=1.0,
        )
    axis.set_xlim(-0.5, layers - 0.5)
    axis.set_xlabel("layer (0 is the local encoder)", **style.LABEL)
    axis.grid(axis="y", color="#E6E8EB", lw=0.8)
    axis.set_axisbelow(True)
    if min(each.min() for each in rows.values()) >= 0:
        axis.set_ylim(bottom=0)
    else:
        axis.axhline(0, color=style.INK, lw=0.8)
    blank = ["-"] * len(rows)
    legend = style.add_legend(figure, axis.containers, blank, handlelength=3.6)
    for text, (name, each) in zip(legend.get_texts(), rows.items()):
        [readable], font = style.legible(str(name))
        seeds = f"{len(each)} seed{'s' * (len(each) > 1)}"
        text.set(text=f"{readable} ({seeds})", **font)
    return axis
