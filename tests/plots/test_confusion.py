"""Confusion matrices in pictures and tables, against scikit-learn's."""

import csv
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from speechbrain_ext.plots import confusion_matrices, write_confusion_csv
from tests.plots.conftest import texts

CLASSES = ["neutral", "calm", "happy", "sad", "angry"]


def labels(size=300, seed=0, classes=CLASSES):
    """References and predictions, mostly right."""
    random = np.random.default_rng(seed)
    reference = random.choice(classes, size)
    other = random.choice(classes, size)
    return reference, np.where(random.random(size) < 0.6, reference, other)


def written(axis):
    """Texts of the cells by row and column."""
    return {
        (int(text.get_position()[1]), int(text.get_position()[0])): text
        for text in axis.texts
    }


def test_cells_show_percent_of_the_row(png, figures):
    truth = {"one": labels(seed=0), "two": labels(seed=1)}
    matrices = {
        name: confusion_matrix(*pair, labels=CLASSES)
        for name, pair in truth.items()
    }
    confusion_matrices(png, matrices, CLASSES, "RAVDESS")
    assert list(png.parent.iterdir()) == [png]
    assert figures[0].get_suptitle() == "RAVDESS"
    axes = figures[0].axes
    # Side by side, the reference from top to bottom, named once.
    left, right = (axis.get_position() for axis in axes)
    assert left.y0 == pytest.approx(right.y0) and left.x1 < right.x0
    assert texts(axes[0].get_yticklabels()) == CLASSES
    for axis, (name, pair) in zip(axes, truth.items(), strict=True):
        assert axis.get_title() == name and axis.get_ylim() == (5, 0)
        percent = 100 * confusion_matrix(
            *pair, labels=CLASSES, normalize="true"
        )
        cells = written(axis)
        numbers = [float(cells[place].get_text()) for place in sorted(cells)]
        assert numbers == pytest.approx(percent.ravel(), abs=0.0501)
        drawn = axis.collections[0].get_array().filled(np.nan)
        assert drawn.ravel() == pytest.approx(percent.ravel())
        assert texts(axis.get_xticklabels()) == CLASSES


def test_blank_rows_whole_shares_and_shades(png, figures):
    counts = np.array([[199.0, 1, 0], [0, 5, 0], [0, 0, 0]])
    confusion_matrices(png, {"a": counts}, ["sad", "happy", "angry"])
    assert counts[2].tolist() == [0, 0, 0]
    axis, cells = figures[0].axes[0], written(figures[0].axes[0])
    # Only whole shares have no decimal; a class without reference is blank.
    said = [cells[place].get_text() for place in sorted(cells)]
    assert said == ["99.5", "0.5", "0", "0", "100", "0"]
    shades = axis.collections[0].get_facecolors()
    assert shades[2].tolist() == [1, 1, 1, 1]
    assert shades[4, :3].mean() < 0.3
    assert shades[6:, 3].tolist() == [0, 0, 0]
    assert cells[1, 1].get_color() == "white"


@pytest.mark.parametrize("count, models", [(4, 1), (4, 3), (10, 2), (10, 3)])
def test_nothing_overlaps(png, figures, count, models):
    more = "frustrated concerned surprised apologetic encouraging".split()
    classes = (CLASSES + more)[-count:]
    matrix = np.full((count, count), 1) + 98 * np.eye(count, dtype=int)
    name = "wav2vec 2.0, fine-tuned with adapters"
    matrices = {f"{name} {n}": matrix for n in range(models)}
    confusion_matrices(png, matrices, classes, "title")
    figure = figures[0]
    figure.canvas.draw()
    page = figure.bbox
    for axis in figure.axes:
        cell = axis.bbox.width / count
        assert axis.bbox.width == pytest.approx(axis.bbox.height, rel=0.01)
        # A number leaves room to its neighbours.
        for text in axis.texts:
            assert text.get_window_extent().width < 0.85 * cell
        title = axis.title.get_window_extent()
        assert title.width < 1.1 * axis.bbox.width
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    for box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1
        assert page.y0 <= box.y0 and box.y1 <= page.y1
    boxes.append(figure._suptitle.get_window_extent())
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


@given(st.integers(2, 10), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_table_agrees_with_scikit_learn(tmp_path_factory, size, rows, seed):
    classes = [f"class {n}" for n in range(size)]
    pair = labels(rows, seed, classes)
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    counts = confusion_matrix(*pair, labels=classes)
    write_confusion_csv(path, {"model": counts}, classes)
    header, *lines = csv.reader(path.read_text().splitlines())
    assert header == ["model", "reference", *classes, "count"]
    expected = 100 * confusion_matrix(*pair, labels=classes, normalize="true")
    for name, line, shares in zip(classes, lines, expected, strict=True):
        count = int((pair[0] == name).sum())
        assert line[:2] + line[-1:] == ["model", name, str(count)]
        if count:
            found = [float(field) for field in line[2:-1]]
            assert found == pytest.approx(shares, abs=0.00501)
        else:
            assert set(line[2:-1]) == {""}
