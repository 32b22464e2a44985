"""Confusion matrices as in Tables 2 to 6 of Jafarzadeh et al. (2024): rows are
the reference, columns what was predicted, numbers percent of the row."""

import csv
import textwrap

import numpy as np

from speechbrain_ext.base.errors import expected
from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.plots import style

SHADES = ["#FFFFFF", "#9CC3E6", "#2F78B7", "#0B3C6F"]
# Width of a letter of a tick label and of a panel's name, in inches.
LETTER = 0.088
BIG_LETTER = 0.105


def confusion_matrices(path, matrices, classes, title=None):
    """Draw confusion matrices, one panel a model, two panels in a row.

    Arguments
    ---------
    path : str or os.PathLike
        The picture to write; its suffix is the format.
    matrices : dict
        From the name of a model to counts [classes, classes], reference by
        prediction. A class that the reference has not gets a blank row.
    classes : list of str
        Their names, in the order of the rows and of the columns.
    title : str, optional
        In any script.

    Raises
    ------
    UserError
        When a matrix has no counts of this shape, or nothing can be written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "confusion.png"
    >>> confusion_matrices(path, {"a": [[9, 1], [0, 8]]}, ["sad", "happy"])
    >>> path.exists()
    True
    """
    counts = _check(path, matrices, classes)
    cell = max(0.5, 0.8 - 0.03 * len(classes))
    side = cell * len(classes)
    room = int(side / BIG_LETTER)
    names = [textwrap.wrap(str(name), room) or [""] for name in counts]
    longest = LETTER * max(len(name) for name in classes)
    # Names that do not fit beside one another are slanted.
    slanted = longest > 0.95 * cell
    outside = 0.75 + 0.2 * max(map(len, names))
    outside += 0.64 * longest if slanted else 0.1
    columns = min(2, len(counts))
    rows = -(-len(counts) // columns)
    figure = style.new_figure(
        columns * (side + 0.25) + longest + 0.45,
        rows * (side + outside) + (0.35 if title else 0),
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in axes.flat[len(counts) :]:
        axis.remove()
    for axis, lines, matrix in zip(axes.flat, names, counts.values()):
        _draw_panel(axis, _percent(matrix), lines, classes, slanted)
    for axis in axes[:, 0]:
        axis.set_ylabel("reference", **style.LABEL)
    style.save_figure(figure, path, title)


def write_confusion_csv(path, matrices, classes):
    """Write confusion matrices as a table that spreadsheets read.

    Numbers are percent of the reference, empty where the reference has no
    utterance of a class; ``count`` are its utterances.

    Arguments
    ---------
    path : str or os.PathLike
        The file to write.
    matrices, classes
        As for ``confusion_matrices``, and the same errors.

    Example
    -------
    >>> path = getfixture("tmp_path") / "confusion.csv"
    >>> write_confusion_csv(path, {"a": [[2, 1], [0, 0]]}, ["sad", "happy"])
    >>> print(path.read_text())
    model,reference,sad,happy,count
    a,sad,66.67,33.33,3
    a,happy,,,0
    """
    counts = _check(path, matrices, classes)
    with atomic_open(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "reference", *classes, "count"])
        for model, matrix in counts.items():
            for name, row, shares in zip(classes, matrix, _percent(matrix)):
                fields = [f"{x:.2f}" if np.isfinite(x) else "" for x in shares]
                writer.writerow([model, name, *fields, int(row.sum())])


def _check(path, matrices, classes):
    """The matrices as arrays of counts."""
    if not matrices or not classes or len(set(classes)) < len(classes):
        what = "matrices of at least one model, classes with different names"
        raise expected(f"'{path}'", what, list(classes))
    shape, counts = (len(classes), len(classes)), {}
    for name, matrix in matrices.items():
        where = f"'{path}', confusion matrix of '{name}'"
        wanted = f"rows of counts {list(shape)}"
        matrix = style.to_array(matrix, where, wanted, shape=shape)
        counts[name] = matrix
        for wrong in matrix[(matrix < 0) | (matrix != matrix.round())]:
            raise expected(where, "counts, not shares", float(wrong))
    return counts


def _percent(counts):
    """Shares of each row; a row without counts is NaN."""
    total = counts.sum(axis=1, keepdims=True)
    blank = np.full_like(counts, np.nan)
    return np.divide(100 * counts, total, out=blank, where=total > 0)


def _draw_panel(axis, percent, lines, classes, slanted):
    from matplotlib.colors import LinearSegmentedColormap

    size = len(percent)
    axis.pcolormesh(
        np.ma.masked_invalid(percent),
        cmap=LinearSegmentedColormap.from_list("shades", SHADES),
        vmin=0,
        vmax=100,
        edgecolors="#DDE1E6",
        lw=0.8,
    )
    middle = {"ha": "center", "va": "center_baseline", "fontsize": 9}
    for row, column in np.argwhere(np.isfinite(percent)):
        value = percent[row, column]
        # Only whole shares go without a decimal.
        text = f"{value:.0f}" if value in (0, 100) else f"{value:.1f}"
        ink = style.INK if value else "#8A919B"
        ink = "white" if value > 60 else ink
        axis.text(column + 0.5, row + 0.5, text, color=ink, **middle)
    axis.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
    places = np.arange(len(classes)) + 0.5
    names, font = style.legible(*classes)
    slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(places, names, **font, **(slant if slanted else {}))
    axis.set_yticks(places, names, **font)
    style.quiet(axis)
    axis.tick_params(length=0, labelsize=10, labelcolor=style.INK)
    # Characters that no font has are replaced; line breaks are none of them.
    lines, font = style.legible(*lines)
    axis.set_title("\n".join(lines), fontsize=11, color=style.INK, **font)
    axis.set_xlabel("predicted (% of the reference)", **style.LABEL)
