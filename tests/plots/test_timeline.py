"""Timelines are written whole, with what they should show, and fast."""

import time
import warnings

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.plots import timeline
from speechbrain_ext.plots.style import colour

COLUMNS = 2000
RATE = 16000
TONE = np.sin(np.arange(4 * RATE) / 20).astype(np.float32)
HYPOTHESIS = [
    {"start": 0.0, "end": 1.0, "emotion": "neutral"},
    {"start": 1.0, "end": 3.0, "emotion": "happy"},
]
REFERENCE = [{"emo": "angry", "start": 0.0, "end": 3.0}]
LABELS = ["neutral", "happy", "sad", "angry"]


def spans(axis):
    """(start, end, colour) of the boxes of a bar, sorted by time."""
    found = []
    for collection in axis.collections:
        for path in collection.get_paths():
            edge = path.get_extents()
            face = tuple(collection.get_facecolor()[0])
            found.append((edge.x0, edge.x1, face))
    return sorted(found)


def seen(path, emotion):
    """The share of a picture's pixels in an emotion's colour."""
    pixels = imread(path)[..., :3]
    return np.all(abs(pixels - to_rgb(colour(emotion))) < 0.01, -1).mean()


def test_panels(tmp_path, figures):
    path = tmp_path / "deep" / "a.png"
    posteriors = np.tile([0.1, 0.6, 0.0, 0.3], (200, 1))
    edges = np.linspace(0, 4, 201)
    timeline(
        path, TONE, RATE, HYPOTHESIS, 4.0, REFERENCE, posteriors, edges, LABELS
    )
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
    names = [axis.get_ylabel() for axis in figures[0].axes]
    assert names == ["waveform", "reference", "hypothesis", "probability"]
    assert {axis.get_xlim() for axis in figures[0].axes} == {(0, 4)}
    legend = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert legend == LABELS
    # Stacked to the full height, in the given order.
    steps = figures[0].axes[3].patches
    tops = [patch.get_data().values.max() for patch in steps]
    assert tops == pytest.approx([0.1, 0.7, 0.7, 1.0])


def test_bars_show_the_segments(tmp_path, figures):
    timeline(tmp_path / "a.png", TONE, RATE, HYPOTHESIS, 4.0, REFERENCE)
    reference, hypothesis = (spans(axis) for axis in figures[0].axes[1:])

    def expected(*boxes):
        return [(s, e, (*to_rgb(colour(name)), 1.0)) for s, e, name in boxes]

    assert reference == expected((0, 3, "angry"), (3, 4, "neutral"))
    # The uncovered end is neutral, too.
    assert hypothesis == expected(
        (0, 1, "neutral"), (1, 3, "happy"), (3, 4, "neutral")
    )
    written = [text.get_text() for text in figures[0].axes[2].texts]
    assert written == ["neutral", "neutral", "happy"]


def test_emotions_at_once_share_the_bar(tmp_path, figures):
    hypothesis = [
        {"start": 1.0, "end": 4.0, "emotion": "sad"},
        {"start": 0.0, "end": 2.0, "emotion": "happy"},
        {"start": 3.0, "end": 9.0, "emotion": "angry"},
    ]
    timeline(tmp_path / "a.png", TONE, RATE, hypothesis, 4.0)
    boxes = {}
    for collection in figures[0].axes[1].collections:
        for path in collection.get_paths():
            edge = path.get_extents()
            key = tuple(collection.get_facecolor()[0][:3])
            boxes.setdefault(key, []).append(edge.bounds)
    # x, y, width, height: sad stays above when happy gives way to angry.
    assert sorted(boxes[to_rgb(colour("sad"))]) == [
        (1, 0.5, 1, 0.5),
        (2, 0, 1, 1),
        (3, 0, 1, 0.5),
    ]
    assert sorted(boxes[to_rgb(colour("happy"))]) == [
        (0, 0, 1, 1),
        (1, 0, 1, 0.5),
    ]
    assert boxes[to_rgb(colour("angry"))] == [(3, 0.5, 1, 0.5)]


def test_colours_reach_the_picture(tmp_path):
    path = tmp_path / "a.png"
    timeline(path, TONE, RATE, HYPOTHESIS, 4.0)
    assert seen(path, "happy") > 0.03
    assert seen(path, "neutral") > 0.03
    assert seen(path, "sad") == 0


def test_an_hour_is_fast(tmp_path, figures):
    duration, frames = 3600.0, 180_000
    samples = np.zeros(3600 * RATE, dtype=np.float32)
    samples[1800 * RATE] = 1.0
    posteriors = np.full((frames, 4), 0.25, dtype=np.float32)
    edges = np.linspace(0, duration, frames + 1)
    hypothesis = [
        {"start": 2.0 * n, "end": 2.0 * n + 1, "emotion": "sad"}
        for n in range(1800)
    ]
    begin = time.monotonic()
    timeline(
        tmp_path / "a.png",
        samples,
        RATE,
        hypothesis,
        duration,
        posteriors=posteriors,
        frame_edges=edges,
        labels=LABELS,
    )
    assert time.monotonic() - begin < 20
    # One sample among 57 million is still drawn, and where it is.
    outline = figures[0].axes[0].collections[0].get_paths()[0].vertices
    top = outline[outline[:, 1].argmax()]
    assert top[1] == 1.0
    assert top[0] == pytest.approx(1800, abs=2)
    ticks = [text.get_text() for text in figures[0].axes[-1].get_xticklabels()]
    assert ticks[:2] == ["0:00:00", "0:05:00"]
    assert ticks[-1] == "1:00:00"


@pytest.mark.parametrize(
    "duration, ticks",
    [(4.0, ["0 s", "0.5 s"]), (180.0, ["0:00", "0:15"])],
)
def test_time_axis(tmp_path, figures, duration, ticks):
    timeline(tmp_path / "a.png", TONE[:100], 25, HYPOTHESIS, duration)
    axis = figures[0].axes[-1]
    assert [text.get_text() for text in axis.get_xticklabels()][:2] == ticks


def test_posteriors_are_averaged_over_time(tmp_path, figures):
    # Twice as many frames as columns: 1, 0, 1, 0 ... of which the ones last
    # three times as long.
    frames = 2 * COLUMNS
    ones = (np.arange(frames) % 2 == 0).astype(float)
    edges = np.append(0, np.cumsum(np.where(ones == 1, 0.003, 0.001)))
    timeline(
        tmp_path / "a.png",
        TONE,
        RATE,
        HYPOTHESIS,
        edges[-1],
        posteriors=np.stack([ones, 1 - ones], 1),
        frame_edges=edges,
        labels=["happy", "sad"],
    )
    first = figures[0].axes[2].patches[0].get_data()
    assert len(first.values) == COLUMNS
    assert first.values == pytest.approx(0.75)
    assert first.edges[-1] == edges[-1]


@pytest.mark.parametrize(
    "waveform",
    [
        torch.zeros(RATE, requires_grad=True),
        np.zeros((RATE, 2), dtype=np.int16),
        [0.0, 1.0, -1.0],
        np.zeros(1),
    ],
)
def test_any_waveform(tmp_path, waveform):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        timeline(tmp_path / "a.png", waveform, RATE, [], 1.0)
    assert (tmp_path / "a.png").stat().st_size


def test_a_failed_picture_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    timeline(path, TONE, RATE, HYPOTHESIS, 4.0)
    before = path.read_bytes()

    def fail(self, file, **options):
        with open(file, "wb") as part:
            part.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(UserError, match="No space left"):
        timeline(path, TONE, RATE, [], 4.0)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_bad_input(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(UserError, match="cannot be written as '.text'"):
        timeline(tmp_path / "a.text", TONE, RATE, HYPOTHESIS, 4.0)
    with pytest.raises(UserError, match="waveform has the shape"):
        timeline(path, np.zeros((1, 2, 3)), RATE, HYPOTHESIS, 4.0)
    with pytest.raises(UserError, match="or is not finite"):
        timeline(path, [0.0, np.nan], RATE, HYPOTHESIS, 4.0)
    with pytest.raises(UserError, match="the reference, segment 1"):
        timeline(path, TONE, RATE, HYPOTHESIS, 4.0, [{"emo": "sad"}])
    with pytest.raises(UserError, match="does not fit 3 frame edges and 2 lab"):
        timeline(
            path,
            TONE,
            RATE,
            HYPOTHESIS,
            4.0,
            posteriors=np.ones((3, 2)),
            frame_edges=[0, 1, 2],
            labels=["happy", "sad"],
        )
    assert not list(tmp_path.iterdir())


def test_pyplot_is_left_alone(tmp_path):
    import matplotlib.pyplot

    timeline(tmp_path / "a.png", TONE, RATE, HYPOTHESIS, 4.0)
    assert matplotlib.pyplot.get_fignums() == []
