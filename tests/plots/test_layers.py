"""Layer weights: bars of one mixture, lines of several over seeds."""

import statistics

import numpy as np
import pytest
import torch

from speechbrain_ext.plots import layer_weights
from tests.plots.conftest import texts

SEEDS = [[0.1, 0.2, 0.7], [0.2, 0.2, 0.6], [0.3, 0.1, 0.6]]


def test_lines_are_means_with_standard_deviations(png, figures):
    layer_weights(png, {"PT": SEEDS, "FT": [[0.5, 0.5]]}, "Two")
    axis = figures[0].axes[0]
    first, second = axis.containers
    columns = list(zip(*SEEDS))
    line, _, (bars,) = first
    means = list(map(statistics.mean, columns))
    assert line.get_ydata() == pytest.approx(means)
    halves = [(ends[1, 1] - ends[0, 1]) / 2 for ends in bars.get_segments()]
    assert halves == pytest.approx(list(map(statistics.stdev, columns)))
    # Both belong to the same layers, side by side.
    assert np.rint(line.get_xdata()).tolist() == [0, 1, 2]
    assert np.rint(second[0].get_xdata()).tolist() == [0, 1]
    assert abs(line.get_xdata() - [0, 1, 2]).max() < 0.2
    # One seed has no spread.
    assert second[0].get_ydata().tolist() == [0.5, 0.5]
    assert not second.has_yerr
    legend = texts(figures[0].legends[0].get_texts())
    assert legend == ["PT (3 seeds)", "FT (1 seed)"]
    assert "0 is the local encoder" in axis.get_xlabel()
    assert figures[0].get_suptitle() == "Two"


def test_lines_are_told_apart_without_colour(png, figures):
    names = {f"model {n}": SEEDS for n in range(12)}
    layer_weights(png, names)
    drawn = [container[0] for container in figures[0].axes[0].containers]
    assert drawn[0].get_linestyle() == "-"
    assert drawn[1].get_linestyle() == "--"
    looks = {(str(x._dash_pattern), x.get_marker()) for x in drawn}
    assert len(looks) == 12
    # Where they are equal none hides another.
    assert len({x.get_xdata()[0] for x in drawn}) == 12


def test_bars_of_one_mixture_and_a_line_at_zero(png, figures):
    weights = torch.softmax(torch.arange(25.0, requires_grad=True) % 7, 0)
    for given in (weights, {"a": [[-0.2, 1.2]]}, {"a": [[0.2, 0.8]]}):
        layer_weights(png, given, "WavLM")
    bars, below, above = (figure.axes[0] for figure in figures)
    heights = [bar.get_height() for bar in bars.patches]
    assert heights == pytest.approx(weights.tolist())
    assert figures[0].get_suptitle() == "WavLM"
    assert below.get_ylim()[0] < -0.2 and above.get_ylim()[0] == 0
