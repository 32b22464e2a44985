"""The frame grid, against convolutions and against counting samples."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.encoders.grid import (
    FrameGrid,
    absolute_lengths,
    frame_labels,
    labels_to_segments,
)

WAV2VEC = FrameGrid([(10, 5, 0)] + [(3, 2, 0)] * 4 + [(2, 2, 0)] * 2)
WHISPER = FrameGrid([(1, 160, 0), (3, 1, 1), (3, 2, 1)], first=-160)
# Small enough to count every sample in a test.
TINY = FrameGrid([(5, 3, 0), (2, 2, 0)])
TINY_CENTRED = FrameGrid([(1, 4, 0), (3, 1, 1), (3, 2, 1)], first=-4)
GRIDS = [WAV2VEC, WHISPER, TINY, TINY_CENTRED]


def test_known_numbers():
    assert (WAV2VEC.stride, WAV2VEC.min_samples) == (320, 400)
    assert (WHISPER.stride, WHISPER.min_samples) == (320, 1)
    assert (TINY.min_samples, TINY_CENTRED.min_samples) == (8, 1)
    assert WAV2VEC.num_frames(16000) == 49
    assert WHISPER.num_frames(16000) == 50
    assert WHISPER.num_frames(480000) == 1500
    assert WAV2VEC.edges(1100).tolist() == [0, 320, 640, 1100]
    # Frames centred at 0, 320, 640 and 960.
    assert WHISPER.edges(1100).tolist() == [0, 160, 480, 800, 1100]


@pytest.mark.parametrize("grid", GRIDS)
def test_num_frames_is_what_convolutions_make(grid):
    for num_samples in [*range(1, 60), *range(395, 405), 719, 720, 1041, 4567]:
        x = torch.zeros(1, 1, max(num_samples, grid.min_samples))
        for kernel, stride, padding in grid.convolutions:
            x = torch.conv1d(
                x, torch.ones(1, 1, kernel), stride=stride, padding=padding
            )
        assert grid.num_frames(num_samples) == x.shape[-1] >= 1


@given(st.sampled_from(GRIDS), st.integers(1, 100_000))
def test_edges_cover_the_utterance(grid, num_samples):
    frames = grid.num_frames(num_samples)
    assert grid.num_frames(torch.tensor([num_samples])).tolist() == [frames]
    edges = grid.edges(num_samples)
    assert edges[0] == 0 and edges[-1] == num_samples
    assert len(edges) == frames + 1
    assert (np.diff(edges) > 0).all()
    assert (np.diff(edges)[1:-1] == grid.stride).all()


def test_mistakes():
    with pytest.raises(ValueError):
        WAV2VEC.num_frames(0)
    with pytest.raises(ValueError):
        FrameGrid([(3, 2, 0)], first=-2)
    with pytest.raises(ValueError, match="3 labels for the 49 frames"):
        labels_to_segments(["sad"] * 3, 16000, 16000, WAV2VEC)


@given(st.integers(1, 2**22), st.data())
def test_relative_lengths_come_back(longest, data):
    length = data.draw(st.integers(1, longest))
    relative = torch.tensor([length / longest], dtype=torch.float32)
    assert absolute_lengths(relative, longest).item() == length


@st.composite
def labelled(draw):
    """Segments in samples, some overlapping, some out of bounds, some empty."""
    num_samples = draw(st.integers(1, 200))
    cuts = st.integers(0, num_samples + 3)
    emotions = st.sampled_from(["sad", "happy", "neutral"])
    segments = draw(st.lists(st.tuples(emotions, cuts, cuts), max_size=6))
    return num_samples, [
        {"emo": emo, "start": min(a, b), "end": max(a, b)}
        for emo, a, b in segments
    ]


def count_by_hand(segments, num_samples, grid):
    """Fill an array of samples for each label and count."""
    filled = {emo: np.zeros(num_samples, bool) for emo in ("sad", "happy")}
    for segment in segments:
        if segment["emo"] in filled:
            filled[segment["emo"]][segment["start"] : segment["end"]] = True
    filled["neutral"] = ~np.any([*filled.values()], axis=0)
    edges = grid.edges(num_samples)
    best = []
    for start, end in zip(edges, edges[1:]):
        ranks = {
            label: (mask[start:end].sum(), -np.argmax(mask[start:end]))
            for label, mask in filled.items()
            if mask[start:end].any()
        }
        top = max(ranks.values())
        best.append({label for label, rank in ranks.items() if rank == top})
    return best


@settings(max_examples=300)
@given(labelled(), st.sampled_from([TINY, TINY_CENTRED]))
def test_labels_are_those_of_most_samples(case, grid):
    """Ties go to the earlier, and where nothing is said it is neutral."""
    num_samples, segments = case
    labels = frame_labels(segments, num_samples, 1, grid)
    expected = count_by_hand(segments, num_samples, grid)
    assert len(labels) == len(expected)
    assert all(label in best for label, best in zip(labels, expected))


@given(st.sampled_from(GRIDS), st.integers(1, 20_000), st.data())
def test_round_trip_by_segments_that_cover_exactly(grid, num_samples, data):
    emotion = st.sampled_from(["neutral", "sad", "happy"])
    frames = grid.num_frames(num_samples)
    labels = data.draw(st.lists(emotion, min_size=frames, max_size=frames))
    parts = labels_to_segments(labels, num_samples, 16000, grid)
    assert parts[0]["start"] == 0.0
    assert parts[-1]["end"] == num_samples / 16000
    for left, right in zip(parts, parts[1:]):
        assert left["end"] == right["start"]
        assert left["emotion"] != right["emotion"]
    assert all(part["start"] < part["end"] for part in parts)
    segments = [{"emo": part["emotion"], **part} for part in parts]
    assert frame_labels(segments, num_samples, 16000, grid) == labels
