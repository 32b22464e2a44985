"""Windows over long recordings."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.inference.interfaces import (
    check_overlap,
    check_window,
    merge_windows,
    plan_windows,
    window_weights,
)
from tests.inference.runs import refused, sound

SSL = FrameGrid([(10, 5, 0), *[(3, 2, 0)] * 4, *[(2, 2, 0)] * 2])
CENTRED = FrameGrid([(1, 160, 0), (3, 1, 1), (3, 2, 1)], first=-160)
POOLED = FrameGrid([*SSL.convolutions, (3, 4, 0)])
GRIDS = st.sampled_from([SSL, CENTRED, POOLED])


@settings(max_examples=200, deadline=None)
@given(
    grid=GRIDS,
    num_samples=st.integers(1, 600_000),
    window=st.floats(0.5, 8.0),
    share=st.floats(0.0, 0.6),
)
def test_windows_cover_the_recording(grid, num_samples, window, share):
    spans = plan_windows(num_samples, window, share * window, grid)
    size = round(window * 16000)
    assert (len(spans) == 1) == (num_samples <= size)
    assert spans[0][0] == 0 and spans[-1][1] == num_samples
    covered = np.zeros(grid.num_frames(num_samples), int)
    for start, stop in spans:
        assert start % grid.stride == 0 and stop - start <= size
        begin = start // grid.stride
        frames = grid.num_frames(stop - start)
        # Frames of the last window are the last ones of the recording.
        assert begin + frames <= len(covered)
        covered[begin : begin + frames] += 1
    assert begin + frames == len(covered)
    assert covered.min() >= 1
    lengths = [stop - start for start, stop in spans]
    assert max(lengths) - min(lengths) <= grid.stride
    shared = [stop - begin for (_, stop), (begin, _) in zip(spans, spans[1:])]
    assert len(set(shared)) <= 1
    for samples in shared:
        assert samples >= share * window * 16000 - 1
        # One window less would leave something out.
        longest = size - size % grid.stride
        reach = (len(spans) - 1) * (longest - samples) + samples
        assert reach < num_samples


@settings(max_examples=50, deadline=None)
@given(
    grid=GRIDS,
    num_samples=st.integers(20_000, 200_000),
    overlap=st.floats(0.0, 0.8),
)
def test_equal_windows_merge_to_themselves(grid, num_samples, overlap):
    rng = np.random.default_rng(num_samples)
    whole = rng.dirichlet([0.3] * 4, grid.num_frames(num_samples)) + 1e-9
    spans = plan_windows(num_samples, 1.0, overlap, grid)
    parts = [
        np.log(whole[start // grid.stride :][: grid.num_frames(stop - start)])
        for start, stop in spans
    ]
    merged = merge_windows(parts, spans, overlap, num_samples, grid)
    np.testing.assert_allclose(np.exp(merged), whole, rtol=1e-4)


def test_merging_fades_from_one_window_to_the_next():
    grid = FrameGrid([(320, 320, 0)])
    num_samples = 8 * 16000
    spans = plan_windows(num_samples, 5.0, 2.0, grid)
    assert spans == [(0, 80000), (48000, 128000)]
    # As few as can be, and all alike.
    longer = plan_windows(10 * 16000, 5.0, 2.0, grid)
    assert longer == [(0, 74560), (42560, 117120), (85120, 160000)]
    parts = [np.log(np.tile([p, 1 - p], (250, 1))) for p in (0.2, 0.8)]
    merged = np.exp(merge_windows(parts, spans, 2.0, num_samples, grid))[:, 0]
    np.testing.assert_allclose(merged[:150], 0.2, rtol=1e-6)
    np.testing.assert_allclose(merged[250:], 0.8, rtol=1e-6)
    steps = np.diff(merged[149:251])
    np.testing.assert_allclose(steps, 0.6 / 101, atol=1e-5)


def test_weights_are_full_at_the_ends_of_the_recording():
    assert (window_weights(10, 4, True, True) == 1).all()
    weights = window_weights(10, 4, False, False)
    np.testing.assert_allclose(weights[:5], [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(weights, weights[::-1])


def test_windows_that_make_no_sense():
    for window in (0.01, -1.0, np.nan, np.inf, None, 31.0):
        refused("^window", check_window, window, SSL, 30.0)
    for overlap in (1.0, 0.999, -0.1, np.nan, "1"):
        refused("^overlap", check_overlap, overlap, 1.0, SSL)


HOUR = """
import resource, sys
from speechbrain_ext.inference import EmotionDiarizer
folder, minute, hour = sys.argv[1:]
diarizer = EmotionDiarizer.from_hparams(folder, run_opts={"device": "cpu"})
diarizer.diarize_file(minute)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
segments = diarizer.diarize_file(hour, {"min_duration": 0.5})
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(segments[-1]["end"], (after - before) / 1e6)
"""


@pytest.mark.slow
def test_memory_of_an_hour(tmp_path, small_run):
    paths = [str(tmp_path / name) for name in ("minute.wav", "hour.wav")]
    minute = sound(60.0, 44100, 2)
    for path, minutes in zip(paths, (1, 60)):
        with soundfile.SoundFile(path, "w", 44100, 2) as file:
            for _ in range(minutes):
                file.write(minute)
    command = [sys.executable, "-c", HOUR, str(small_run[0]), *paths]
    end, gigabytes = map(float, subprocess.check_output(command).split())
    assert end == 3600.0
    # The recording alone would take 0.23 GB as mono at 16 kHz, 1.3 GB as read.
    assert gigabytes < 0.5
