"""Decoding of posteriors."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hyperpyyaml import load_hyperpyyaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from speechbrain import parse_arguments

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.decoding import (
    PostProcessing,
    _drop_short,
    candidates,
    tune,
)
from speechbrain_ext.encoders.grid import FrameGrid

CLASSES = ["neutral", "happy", "sad"]
GRID = FrameGrid([(400, 320, 0)])
RECIPE = Path(__file__).parents[1] / "recipes" / "emotion_diarization"
YAMLS = sorted((RECIPE / "hparams").glob("*.yaml"))


def posteriors(shape):
    scores = arrays(float, shape, elements=st.floats(-4, 4))
    return scores.map(
        lambda x: x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    )


def runs(labels):
    return [(k, len(list(g))) for k, g in itertools.groupby(labels)]


def allowed(begin, end, frames, shortest):
    """Whether event and neutral sides are long enough, or are all there is."""
    lengths = [end - begin, *(n for n in (begin, frames - end) if n)]
    return (begin, end) == (0, frames) or min(lengths) >= shortest


@given(
    st.integers(1, 12).flatmap(lambda n: posteriors((n, 3))),
    st.sampled_from([None, 0, 0.01, 0.02, 0.04, 0.05, 0.06, 0.14, 0.2, 1.0]),
)
def test_one_event_is_the_best_of_all(log_probs, min_duration):
    """Every run of every class is tried, one after the other."""
    frames = len(log_probs)
    # Fractions are exact where 0.14 / 0.02 is not.
    shortest = max(1, math.ceil(round((min_duration or 0) * 100) / 2))
    best = max(
        log_probs[:begin, 0].sum()
        + log_probs[begin:end, c].sum()
        + log_probs[end:, 0].sum()
        for c in (1, 2)
        for begin in range(frames)
        for end in range(begin + 1, frames + 1)
        if allowed(begin, end, frames, shortest)
    )
    options = PostProcessing(one_event=True, min_duration=min_duration)
    labels = options.decode(log_probs, CLASSES, 0.02)
    places = [CLASSES.index(label) for label in labels]
    assert log_probs[range(frames), places].sum() == pytest.approx(best)
    ((label, length),) = [run for run in runs(labels) if run[0] != "neutral"]
    begin = labels.index(label)
    assert allowed(begin, begin + length, frames, shortest)


def test_one_event_outlasts_a_longer_min_duration():
    """0.24 s of sad in 10 s become 0.5 s around them, not neutral."""
    probs = np.tile([0.8, 0.1, 0.1], (500, 1))
    probs[200:212] = [0.02, 0.03, 0.95]
    options = PostProcessing(one_event=True, min_duration=0.5)
    found = runs(options.decode(np.log(probs), CLASSES, 0.02))
    assert [label for label, _ in found] == ["neutral", "sad", "neutral"]
    assert found[1][1] == 25
    assert 187 <= found[0][1] <= 200
    found = runs(options.decode(np.log(probs[200:215]), CLASSES, 0.02))
    assert found == [("sad", 15)]


def drop_short_step_by_step(labels, shortest):
    """The rule as it reads: look at all runs anew after every change."""
    labels = list(labels)
    while True:
        found = runs(labels)
        at = min(range(len(found)), key=lambda i: (found[i][1], i))
        if len(found) == 1 or found[at][1] >= shortest:
            return labels
        sides = [i for i in (at - 1, at + 1) if 0 <= i < len(found)]
        to = max(sides, key=lambda i: (found[i][1], -i))
        found[at] = (found[to][0], found[at][1])
        labels = [label for label, n in found for _ in range(n)]


def labels_of_runs(least, most, longest):
    return st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, longest)),
        min_size=least,
        max_size=most,
    ).map(lambda pairs: np.repeat(*np.array(pairs).T))


@settings(max_examples=300)
@given(labels_of_runs(1, 40, 6), st.integers(1, 30))
def test_short_runs_go_in_the_right_order(labels, shortest):
    found = _drop_short(labels, shortest)
    assert found.tolist() == drop_short_step_by_step(labels, shortest)


def test_min_duration_of_very_many_runs():
    """20000 runs: between anchors, single frames go to the earlier one."""
    block = [0] * 7 + [1, 2] * 4 + [1]
    labels = np.array(block * 2000)
    posterior = np.log(np.eye(3)[labels] * 0.9 + 0.03)
    found = PostProcessing(min_duration=0.14).decode(posterior, CLASSES, 0.02)
    assert set(found) == {"neutral"} and len(found) == len(labels)
    # Anchors of two classes in turn remain, each with what comes after it.
    blocks = [block, [2] * 7 + [1, 0] * 4 + [1]]
    found = runs(_drop_short(np.concatenate(blocks * 1000), 7).tolist())
    expected = drop_short_step_by_step(np.concatenate(blocks * 10), 7)
    assert found == runs(expected * 100)


@given(posteriors((15, 3)), st.none() | st.floats(0, 1))
def test_unsure_frames_are_neutral(log_probs, threshold):
    """All others, and all of them without a threshold, have the best class."""
    found = PostProcessing(threshold=threshold).decode(log_probs, CLASSES, 0.02)
    for label, frame in zip(found, np.exp(log_probs), strict=True):
        sure = frame.max() >= (threshold or 0)
        assert label == (CLASSES[frame.argmax()] if sure else "neutral")


def test_the_median_filter_removes_a_blip_and_keeps_an_edge():
    probs = np.tile([0.9, 0.05, 0.05], (30, 1))
    probs[5] = [0.05, 0.9, 0.05]
    probs[15:] = [0.05, 0.05, 0.9]
    labels = PostProcessing(median=0.1).decode(np.log(probs), CLASSES, 0.02)
    assert runs(labels) == [("neutral", 15), ("sad", 15)]


@given(st.integers(1, 40000), st.data())
def test_segments_cover_the_recording(samples, draw):
    frames = GRID.num_frames(samples)
    log_probs = draw.draw(posteriors((frames, 3)))
    segments = PostProcessing().diarize(log_probs, CLASSES, samples, GRID)
    assert segments[0]["start"] == 0
    assert segments[-1]["end"] == samples / 16000
    for a, b in zip(segments, segments[1:]):
        assert a["end"] == b["start"] and a["emotion"] != b["emotion"]


NAN, INF = math.nan, math.inf
INVALID = {
    "threshold": [1.5, "0.5", True, [0.5], NAN],
    "median": [-1, "0.1", True, INF],
    "min_duration": [-0.1, {}, NAN, INF],
    "one_event": [None, 1, "yes"],
}


@pytest.mark.parametrize("name", INVALID)
def test_options_that_do_not_work(name):
    for value in INVALID[name]:
        with pytest.raises(UserError, match=f"^postprocessing.{name}: "):
            PostProcessing(**{name: value})
        sentence = f"^postprocessing_grid: {name}: expected"
        with pytest.raises(UserError, match=sentence):
            candidates({name: [value]})
    with pytest.raises(UserError, match="^threshold and one_event exclude"):
        PostProcessing(one_event=True, threshold=0.5)
    with pytest.raises(UserError, match="posteriors that are not finite"):
        PostProcessing().decode(np.full((5, 3), np.nan), CLASSES, 0.02)


@pytest.mark.parametrize(
    "grid, sentence",
    [
        ([0.1], "expected lists of values"),
        (0, "expected lists of values"),
        ({"smooth": [1]}, "there is no option 'smooth'"),
        ({"median": 0.1}, r"median: .*list.*\[null\].* got 0.1"),
        ({"median": "0.1"}, "median: .*list.* got '0.1'"),
        ({"median": None}, "median: .*list.* got None"),
        ({"median": []}, r"median: .*list.* got \[\]"),
        ({"one_event": True}, r"one_event: .*list.*\[false\].* got True"),
        ({"median": [0.1, "0.2"]}, "median: expected .* seconds .* got '0.2'"),
        # Wrong even where one_event leaves every combination out.
        ({"one_event": [True], "threshold": [2]}, "threshold: .* got 2"),
        ({"one_event": [True], "threshold": [0.5]}, "leaves no combination"),
    ],
)
def test_grids_that_do_not_work(grid, sentence):
    with pytest.raises(UserError, match=f"^postprocessing_grid: .*{sentence}"):
        tune(grid, lambda _: 1.0)
    assert candidates({}) == candidates(None) == []


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_grids_of_the_recipe_on_the_command_line(path):
    """The lines of a YAML itself, overridden as the recipe does it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    at = [i for i, s in enumerate(lines) if s.startswith("postprocessing_g")]
    block = "\n".join(lines[at[0] : lines.index("", at[0])])

    def load(value):
        option = f"--postprocessing_grid={value}"
        overrides = parse_arguments([str(path), option])[2]
        return load_hyperpyyaml(block, overrides)["postprocessing_grid"]

    whole = load_hyperpyyaml(block)["postprocessing_grid"]
    assert load("null") is None
    assert load("{median: [0.1]}") == {**whole, "median": [0.1]}
    tried = candidates(load("{one_event: [False], median: [null, 0.1]}"))
    assert {c.median for c in tried} == {None, 0.1}
    assert not any(c.one_event for c in tried)
    chosen = "{one_event: [True], median: [null], min_duration: [null]}"
    assert candidates(load(chosen)) == [PostProcessing(one_event=True)]


def test_tuning_takes_the_mildest_of_equals():
    grid = {"one_event": [False, True], "threshold": [None, 0.5]}
    best, tried = tune(grid, lambda _: 1.0)
    assert best == PostProcessing()
    assert len(tried) == 3, "the two exclude each other"
    best, tried = tune({"median": [None, 0.1]}, lambda one: -(one.median or 0))
    assert best == PostProcessing(median=0.1)
    assert tried[1] == {"median": 0.1, "error": -0.1}
