"""All pictures: any text, colours that are told apart, bad input."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.plots import (
    confusion_matrices,
    layer_weights,
    timeline,
    write_confusion_csv,
)
from speechbrain_ext.plots.style import COLOURS, colour, legible
from tests.plots.conftest import texts

TEXTS = "日本語.wav|Привет é|cost $1 and $2|a\nb\udc80\x00|🙂|_x|" + "x" * 500


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", TEXTS.split("|"))
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_any_text(tmp_path, text, suffix, caplog):
    a, b, c, d = (tmp_path / f"{name}{suffix}" for name in "abcd")
    two = {text: np.eye(2), "b": np.eye(2)}
    timeline(a, np.ones(9), 9, [], 1.0, title=text)
    layer_weights(b, [0.2, 0.8], title=text)
    layer_weights(c, {text: [[0.2, 0.8]]}, text)
    confusion_matrices(d, two, [text[:30], "sad"], text)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(list(tmp_path.iterdir())) == 4


def test_names_are_written_as_they_are(png, figures):
    # But for characters that no font has.
    assert legible("Zoë ($5)", "a\u0378b")[0] == ["Zoë ($5)", "a\ufffdb"]
    names = ["_cost $1 and $2", "Привет"]
    layer_weights(png, {name: [[0.2, 0.8]] for name in names})
    confusion_matrices(png, {name: np.eye(2) for name in names}, names)
    lines, panels = figures
    legend = texts(lines.legends[0].get_texts())
    assert legend == [f"{name} (1 seed)" for name in names]
    for axis, name in zip(panels.axes, names, strict=True):
        # Long ones are broken between words.
        assert axis.get_title().split() == name.split()
        assert texts(axis.get_xticklabels()) == names


def test_colours_are_told_apart():
    assert len(set(COLOURS.values())) == len(COLOURS)
    # The four that most pictures have differ in lightness, too.
    four = [to_rgb(COLOURS[x]) for x in ("neutral", "happy", "sad", "angry")]
    light = np.sort(np.dot(four, (0.299, 0.587, 0.114)))
    assert min(np.diff(light)) > 0.02
    assert colour("smug") != colour("neutral")


def test_matplotlib_is_imported_by_drawing_alone():
    code = "import sys, speechbrain_ext.plots as p; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0
    assert not {b"matplotlib", b"torch"} & set(done.stdout.split())


TWO = ["sad", "happy"]
ROWS = "numbers in rows of equal length"
MATRICES = [
    ({}, ["sad"], "at least one model"),
    ({"a": []}, [], "at least one model"),
    ({"a": np.eye(2)}, ["sad", "sad"], "classes with different names"),
    ({"a": np.eye(3)}, TWO, r"'a': .* \[2, 2\], got the shape \[3, 3\]"),
    ({"a": [[1, 2], [3]]}, TWO, ROWS),
    ({"a": [["x"]]}, ["sad"], ROWS),
    ({"a": [[-1]]}, ["sad"], "counts, not shares, got -1"),
    ({"a": [[np.nan]]}, ["sad"], "not finite"),
    ({"a": [[0.5]]}, ["sad"], "expected counts, not shares, got 0.5"),
]
WEIGHTS = [
    ([], "expected one number a layer"),
    ([[1.0]], r"got the shape \[1, 1\]"),
    ([np.nan], "not finite"),
    ([0.5, "x"], "not numbers"),
    ({}, "at least one model"),
    ({"PT": [0.5, 0.5]}, "'PT': expected one row of layers a seed"),
    ({"PT": []}, "'PT': expected one row of layers a seed"),
    ({"PT": [[0.5, np.inf]]}, "not finite"),
    ({"PT": [[0.5, 0.5], [1.0]]}, ROWS),
    ({"PT": None}, "expected one row of layers a seed"),
]
WAVE = [0.0, 1.0]
PANEL = dict(frame_edges=[0, 1, 2], labels=TWO)
FIT = "fit 3 frame edges .* and 2 labels, got the shape"
TIMELINES = [
    (np.zeros((1, 2, 3)), {}, r"waveform: .* got the shape \[1, 2, 3\]"),
    ([0.0, np.nan], {}, "waveform: .* not finite"),
    (WAVE, {"reference": [{"emo": "sad"}]}, "the reference, segment 1"),
    (WAVE, {"posteriors": np.ones((3, 2)), **PANEL}, FIT),
]


@pytest.mark.parametrize(
    "draw, args, options, message",
    [(confusion_matrices, (m, c), {}, text) for m, c, text in MATRICES]
    + [(write_confusion_csv, (m, c), {}, text) for m, c, text in MATRICES]
    + [(layer_weights, (w,), {}, text) for w, text in WEIGHTS]
    + [(timeline, (w, 2, [], 1.0), o, text) for w, o, text in TIMELINES],
)
def test_bad_input(png, draw, args, options, message):
    with pytest.raises(UserError, match=message) as caught:
        draw(png, *args, **options)
    assert draw is timeline or "a.png'" in str(caught.value)
    assert not list(png.parent.iterdir())


def test_bad_format(tmp_path):
    with pytest.raises(UserError, match="a picture, .* .eps, .*, got '.text'"):
        layer_weights(tmp_path / "a.text", [1.0])
    assert not list(tmp_path.iterdir())
