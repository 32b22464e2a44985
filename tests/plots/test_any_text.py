"""Names and titles in any script, and colours that are told apart."""

import logging
import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from speechbrain_ext.plots import confusion_matrices, layer_weights, timeline
from speechbrain_ext.plots.style import COLOURS, colour, legible


@pytest.mark.parametrize(
    "text",
    [
        "日本語.wav",
        "Привет é",
        "cost $1 and $2",
        "a\nb\udc80\x00",
        "🙂",
        "_x",
        "x" * 500,
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_any_text(tmp_path, text, suffix, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        timeline(tmp_path / f"a{suffix}", np.ones(9), 9, [], 1.0, title=text)
        layer_weights(tmp_path / f"b{suffix}", [0.2, 0.8], title=text)
        layer_weights(tmp_path / f"c{suffix}", {text: [[0.2, 0.8]]}, text)
        confusion_matrices(
            tmp_path / f"d{suffix}",
            {text: np.eye(2), "b": np.eye(2)},
            [text[:30], "sad"],
            text,
        )
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(list(tmp_path.iterdir())) == 4


def test_names_are_written_as_they_are(tmp_path, figures):
    names = ["_cost $1 and $2", "Привет"]
    layer_weights(tmp_path / "a.png", {name: [[0.2, 0.8]] for name in names})
    confusion_matrices(
        tmp_path / "b.png", {name: np.eye(2) for name in names}, names
    )
    lines, panels = figures
    legend = [text.get_text() for text in lines.legends[0].get_texts()]
    assert legend == [f"{name} (1 seed)" for name in names]
    for axis, name in zip(panels.axes, names, strict=True):
        # Long ones are broken between words.
        assert axis.get_title().split() == name.split()
        assert [t.get_text() for t in axis.get_xticklabels()] == names


def test_what_can_be_drawn_stays_as_it_is():
    assert legible("Привет, Zoë ($5)")[0] == "Привет, Zoë ($5)"
    assert legible("a\u0378b")[0] == "a\ufffdb"


def test_colours_are_told_apart():
    assert len(set(COLOURS.values())) == len(COLOURS)
    # The four that most pictures have differ in lightness, too.
    light = sorted(
        np.dot(to_rgb(colour(name)), (0.299, 0.587, 0.114))
        for name in ("neutral", "happy", "sad", "angry")
    )
    assert min(np.diff(light)) > 0.02
    assert colour("smug") != colour("neutral")
