"""Fusion of several models: what the weights make of the validation set."""

import numpy as np

from speechbrain_ext.plots import style
from speechbrain_ext.plots.layers import LINE_HUES, MARKERS, STYLES


def fusion_weights(path, names, weights, figures, chosen, title=None):
    """Draw the UA that weights of a fusion reach on the validation set.

    A line a model: the best UA at each of its weights. Of two models only the
    second has one, as their weights add up to 1. What was chosen is marked.

    Arguments
    ---------
    path : str or os.PathLike
        The picture to write; its suffix is the format.
    names : list of str
        Names of the models.
    weights : array
        [tried, models], rows that add up to 1.
    figures : array
        UA (%) of each row.
    chosen : list of float
        The weights that were chosen.
    title : str, optional
        In any script.

    Raises
    ------
    UserError
        When the shapes do not fit, or nothing can be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "weights.png"
    >>> weights = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    >>> fusion_weights(path, ["a", "b"], weights, [60, 70, 65], [0.5, 0.5])
    >>> path.exists()
    True
    """
    where, number = f"'{path}', fusion weights", len(names)
    shape = (len(figures), number)
    weights = style.to_array(weights, where, f"weights {shape}", shape=shape)
    figures = style.to_array(figures, where, "one figure a row")
    figure = style.new_figure(5.4, 3.4 + 0.22 * number)
    axis = figure.subplots()
    for place in range(number) if number > 2 else [1]:
        steps = np.unique(weights[:, place])
        best = [figures[weights[:, place] == step].max() for step in steps]
        look = {
            "color": style.COLOURS[LINE_HUES[place % len(LINE_HUES)]],
            "ls": STYLES[place % len(STYLES)],
            "marker": MARKERS[place % len(MARKERS)],
            "markevery": [int(abs(steps - chosen[place]).argmin())],
        }
        axis.plot(steps, best, lw=1.6, markersize=8, **look)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel("weight (the mark is what was chosen)", **style.LABEL)
    axis.set_ylabel("UA on validation (%)", **style.LABEL)
    axis.grid(axis="y", color="#E6E8EB", lw=0.8)
    axis.set_axisbelow(True)
    style.quiet(axis, keep=("left", "bottom"))
    shown = names[1:] if number == 2 else names
    readable, font = style.legible(*map(str, shown))
    legend = style.add_legend(figure, axis.lines, ["-"] * len(shown))
    for text, name in zip(legend.get_texts(), readable):
        # A path is told by its end.
        name = name if len(name) <= 60 else f"\u2026{name[-59:]}"
        text.set(text=name, **font)
    style.save_figure(figure, path, title)
