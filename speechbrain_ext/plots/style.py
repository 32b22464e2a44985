"""What all pictures share: colours, fonts, arrays, figures and their files."""

import contextlib
import zlib
from pathlib import Path

import numpy as np

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.files import atomic_path

# Okabe and Ito's and Paul Tol's palettes for all kinds of colour vision; the
# emotions that most models know differ in lightness as well.
COLOURS = {
    "neutral": "#C4C7CC",
    "happy": "#E9A800",
    "sad": "#1F6FB4",
    "angry": "#C2301C",
    "fearful": "#8B3F9E",
    "disgust": "#1B8A6B",
    "surprised": "#56B4E9",
    "calm": "#A8D5BA",
    "bored": "#8A7967",
    "excited": "#F4D35E",
    "frustrated": "#7F1D3A",
    "amused": "#F2A38C",
    "sleepy": "#6A7FA0",
    "anxious": "#CC79A7",
    "apologetic": "#B5A7D6",
    "assertive": "#4C5B24",
    "concerned": "#2F4B7C",
    "encouraging": "#7FB800",
    "other": "#5B6068",
}
INK = "#2B2F36"
FAINT = "#59616E"
# The look of the names of axes.
LABEL = {"fontsize": 10, "color": INK}
# Weight, style and width of a font that matplotlib finds by its family alone.
_REGULAR = (400, "normal", "normal")


def to_array(values, name, wanted, axes=(1,), shape=None):
    """Finite numbers, of a tensor as well: so many axes, or of a shape."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        array = np.asarray(values)
        if not np.issubdtype(array.dtype, np.floating):
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        got = "values that are not numbers in rows of equal length"
    else:
        got = f"the shape {list(array.shape)}"
        fits = array.shape == shape if shape else array.ndim in axes
        if array.size and fits:
            if np.isfinite(array).all():
                return array
            got = "numbers that are not finite"
    raise UserError(f"{name}: expected {wanted}, got {got}.")


def colour(emotion):
    """The colour that an emotion has in every picture."""
    if emotion in COLOURS:
        return COLOURS[emotion]
    palette = [c for name, c in COLOURS.items() if name != NEUTRAL]
    return palette[zlib.crc32(emotion.encode()) % len(palette)]


def new_figure(width, height):
    """An empty figure; pyplot's state is left alone."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=160, layout="constrained")


def quiet(axis, keep=()):
    """Take away the frame of an axis, and keep its ticks in the background."""
    for side, spine in axis.spines.items():
        spine.set_visible(side in keep)
        spine.set_color("#9AA0A8")
    axis.tick_params(colors=FAINT, labelsize=9, length=3)


def add_legend(figure, handles, labels, **options):
    """A legend under a figure."""
    options.update(frameon=False, fontsize=10, labelcolor=INK)
    return figure.legend(handles, labels, loc="outside lower center", **options)


def legible(*texts):
    """The texts, and the fonts that together have all of their characters."""
    from matplotlib import font_manager

    default = font_manager.findfont("DejaVu Sans")
    families = ["DejaVu Sans"]
    known = set(font_manager.get_font(default).get_charmap())
    unknown = set(map(ord, "".join(texts))) - known
    for entry in font_manager.fontManager.ttflist:
        # Only text that needs another font pays for looking through them.
        if not unknown:
            break
        # The last resort has a box for every character, a letter for none.
        look = (entry.weight, entry.style, entry.stretch)
        if look != _REGULAR or entry.name.startswith("Last Resort"):
            continue
        with contextlib.suppress(OSError, RuntimeError):
            chars = set(font_manager.get_font(entry.fname).get_charmap())
            # The family must lead to this very file.
            family = font_manager.FontProperties(family=[entry.name])
            found = font_manager.findfont(family)
            if unknown & chars and found == entry.fname:
                families.append(entry.name)
                unknown -= chars
    replaced = dict.fromkeys(unknown, "\ufffd")
    readable = [text.translate(replaced) for text in texts]
    # A dollar sign in a name begins no formula.
    return readable, {"fontfamily": families, "parse_math": False}


def save_figure(figure, path, title=None):
    """Write a picture, whole or not at all, with a title in any script."""
    kind = Path(path).suffix.lower().lstrip(".")
    kinds = figure.canvas.get_supported_filetypes()
    if kind not in kinds:
        what = f"a picture, its suffix one of .{', .'.join(sorted(kinds))}"
        raise expected(f"'{path}'", what, f".{kind}")
    if title:
        [text], font = legible(title)
        # About as many letters as there is room for; a path is told by its end.
        room = int(9.5 * figure.get_figwidth())
        if len(text) > room:
            text = "\u2026" + text[1 - room :]
        figure.suptitle(text, fontsize=12, color=INK, x=0.01, ha="left", **font)
    with atomic_path(path) as part:
        figure.savefig(part, format=kind)
