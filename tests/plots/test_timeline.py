"""Timelines are written whole, with what they should show."""

from pathlib import Path

import matplotlib.pyplot
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.plots import timeline, waveforms
from speechbrain_ext.plots.style import colour
from tests.plots.conftest import texts

COLUMNS = 2000
RATE = 16000
TONE = np.sin(np.arange(4 * RATE) / 20).astype(np.float32)


def segment(start, end, emotion):
    return {"start": float(start), "end": float(end), "emotion": emotion}


HYPOTHESIS = [segment(0, 1, "neutral"), segment(1, 3, "happy")]
REFERENCE = [{"emo": "angry", "start": 0.0, "end": 3.0}]
LABELS = ["neutral", "happy", "sad", "angry"]


def boxes(axis):
    """(x, y, width, height, colour) of the boxes of a bar, sorted."""
    return sorted(
        (*path.get_extents().bounds, tuple(collection.get_facecolor()[0][:3]))
        for collection in axis.collections
        for path in collection.get_paths()
    )


def expected(*found):
    """The same for names of emotions in place of colours."""
    return sorted((*box, to_rgb(colour(name))) for *box, name in found)


def test_panels(tmp_path, figures):
    path = tmp_path / "deep" / "a.png"
    posteriors = np.tile([0.1, 0.6, 0.0, 0.3], (200, 1))
    edges = np.linspace(0, 4, 201)
    timeline(
        path, TONE, RATE, HYPOTHESIS, 4.0, REFERENCE, posteriors, edges, LABELS
    )
    axes = figures[0].axes
    names = [axis.get_ylabel() for axis in axes]
    assert names == ["waveform", "reference", "hypothesis", "probability"]
    assert {axis.get_xlim() for axis in axes} == {(0, 4)}
    assert texts(figures[0].legends[0].get_texts()) == LABELS
    # Stacked to the full height, in the given order.
    tops = [patch.get_data().values.max() for patch in axes[3].patches]
    assert tops == pytest.approx([0.1, 0.7, 0.7, 1.0])
    assert path.exists() and matplotlib.pyplot.get_fignums() == []


def test_bars_show_the_segments(png, figures):
    timeline(png, TONE, RATE, HYPOTHESIS, 4.0, REFERENCE)
    _, reference, hypothesis = figures[0].axes
    assert boxes(reference) == expected(
        (0, 0, 3, 1, "angry"), (3, 0, 1, 1, "neutral")
    )
    # The uncovered end is neutral, too.
    assert boxes(hypothesis) == expected(
        (0, 0, 1, 1, "neutral"), (1, 0, 2, 1, "happy"), (3, 0, 1, 1, "neutral")
    )
    assert texts(hypothesis.texts) == ["neutral", "neutral", "happy"]
    # Emotions at once share the bar.
    several = [(1, 4, "sad"), (0, 2, "happy"), (3, 9, "angry")]
    timeline(png, TONE, RATE, [segment(*one) for one in several], 4.0)
    # Sad stays above when happy gives way to angry.
    assert boxes(figures[1].axes[1]) == expected(
        (0, 0, 1, 1, "happy"),
        (1, 0, 1, 0.5, "happy"),
        (1, 0.5, 1, 0.5, "sad"),
        (2, 0, 1, 1, "sad"),
        (3, 0, 1, 0.5, "sad"),
        (3, 0.5, 1, 0.5, "angry"),
    )


def test_an_hour_and_less(png, figures):
    duration, frames = 3600.0, 180_000
    samples = np.zeros(3600 * RATE, dtype=np.float32)
    samples[1800 * RATE] = 1.0
    edges = np.linspace(0, duration, frames + 1)
    hypothesis = [segment(2 * n, 2 * n + 1, "sad") for n in range(1800)]
    panel = np.full((frames, 4), 0.25, np.float32), edges, LABELS
    timeline(png, samples, RATE, hypothesis, duration, None, *panel)
    # No more is drawn than a screen shows.
    waveform, _, probability = figures[0].axes
    outline = waveform.collections[0].get_paths()[0].vertices
    assert len(outline) < 3 * COLUMNS
    assert len(probability.patches[0].get_data().values) <= COLUMNS
    # One sample among 57 million is still drawn, and where it is.
    top = outline[outline[:, 1].argmax()]
    assert top == pytest.approx([1800, 1.0], abs=2) and top[1] == 1.0
    first, second, *_, last = texts(probability.get_xticklabels())
    assert (first, second, last) == ("0:00:00", "0:05:00", "1:00:00")
    for duration, ticks in ((4, ["0 s", "0.5 s"]), (180, ["0:00", "0:15"])):
        timeline(png, TONE[:100], 25, HYPOTHESIS, float(duration))
        labels = figures[-1].axes[-1].get_xticklabels()
        assert texts(labels)[:2] == ticks


def test_posteriors_are_averaged_over_time(png, figures):
    # Twice as many frames as columns: 1, 0, 1, 0 ... of which the ones last
    # three times as long.
    frames = 2 * COLUMNS
    ones = (np.arange(frames) % 2 == 0).astype(float)
    edges = np.append(0, np.cumsum(np.where(ones == 1, 0.003, 0.001)))
    panel = np.stack([ones, 1 - ones], 1), edges, ["happy", "sad"]
    timeline(png, TONE, RATE, HYPOTHESIS, edges[-1], None, *panel)
    first = figures[0].axes[2].patches[0].get_data()
    assert len(first.values) == COLUMNS
    assert first.values == pytest.approx(0.75)
    assert first.edges[-1] == edges[-1]


@pytest.mark.filterwarnings("error")
def test_any_waveform(png):
    stereo = np.zeros((RATE, 2), dtype=np.int16)
    tensor = torch.zeros(RATE, requires_grad=True)
    for waveform in (tensor, stereo, [0.0, 1.0, -1.0], np.zeros(1)):
        timeline(png, waveform, RATE, [], 1.0)
        assert png.stat().st_size


def test_a_failed_picture_leaves_the_old_one(png, monkeypatch):
    png.write_bytes(b"old")

    def fail(self, file, **options):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(UserError, match="No space left"):
        timeline(png, TONE, RATE, [], 4.0)
    assert png.read_bytes() == b"old" and list(png.parent.iterdir()) == [png]


def test_waveforms_share_time_and_scale(png, figures):
    short = 0.5 * TONE[: 2 * RATE]
    waveforms(png, {"before": TONE, "after": short}, RATE)
    axes = figures[0].axes
    assert [axis.get_ylabel() for axis in axes] == ["before", "after"]
    assert {axis.get_xlim() for axis in axes} == {(0, 4)}
    [(low, high)] = {axis.get_ylim() for axis in axes}
    assert low == -high and 1 < high < 1.1
    times = axes[1].collections[0].get_paths()[0].vertices[:, 0]
    assert times.max() == pytest.approx(2, abs=0.01)
    assert png.exists() and matplotlib.pyplot.get_fignums() == []
    with pytest.raises(UserError, match="^waveform: .*not finite"):
        waveforms(png, {"before": np.array([np.nan])}, RATE)
