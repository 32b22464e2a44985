"""Streaming of recordings, and windows over them."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.audio import (
    BLOCK,
    AudioError,
    AudioStream,
    Resampler,
    read_audio,
)
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.inference.windows import (
    merge_windows,
    plan_windows,
    ramp_frames,
    window_weights,
)
from tests.run_folders import write_sound

SSL = FrameGrid(
    [(10, 5, 0), *[(3, 2, 0)] * 4, *[(2, 2, 0)] * 2],
)
CENTRED = FrameGrid([(1, 160, 0), (3, 1, 1), (3, 2, 1)], first=-160)
POOLED = FrameGrid([*SSL.convolutions, (3, 4, 0)])
GRIDS = st.sampled_from([SSL, CENTRED, POOLED])


def streamed(path):
    return np.concatenate(list(AudioStream(path).blocks()))


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_blocks_join_to_the_resampled_whole(tmp_path, rate):
    path = write_sound(tmp_path / "a.wav", 2 * BLOCK / rate + 0.3, rate)
    whole, _ = soundfile.read(path)
    whole = torchaudio.functional.resample(torch.from_numpy(whole), rate, 16000)
    found = streamed(path)
    assert len(found) == len(whole)
    assert np.abs(found - whole.numpy()).max() < 1e-6
    # Training reads by float32, which is a little less exact.
    assert np.abs(found - read_audio(path).numpy()).max() < 1e-4


@settings(max_examples=40, deadline=None)
@given(
    rate=st.integers(4000, 50000),
    length=st.integers(1, 3000),
    block=st.integers(1, 900),
)
def test_resampling_does_not_depend_on_the_blocks(rate, length, block):
    signal = np.random.default_rng(rate).standard_normal(length)
    signal = signal.astype(np.float32)
    whole = Resampler(rate, 16000)
    expected = np.concatenate([whole.push(signal), whole.finish()])
    parts = Resampler(rate, 16000)
    found = [
        parts.push(signal[start : start + block])
        for start in range(0, length, block)
    ]
    found = np.concatenate([*found, parts.finish()])
    assert len(found) == -(-length * 16000 // rate)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_formats_and_channels(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", 5, channels=2)
    expected = read_audio(path).numpy()
    np.testing.assert_allclose(streamed(path), expected, atol=1e-6)


def test_windows_of_a_stream(tmp_path):
    path = write_sound(tmp_path / "a.wav", 12)
    whole = read_audio(path)
    spans = [(0, 70000), (60000, 130000), (60000, 131000), (122000, 192000)]
    found = list(AudioStream(path).windows(spans))
    for wav, (start, stop) in zip(found, spans, strict=True):
        assert torch.equal(wav, whole[start:stop])


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "aiff", "au", "w64"])
def test_truncated(tmp_path, suffix):
    whole = tmp_path / f"whole.{suffix}"
    write_sound(whole, 4)
    path = tmp_path / f"half.{suffix}"
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"half\.\w+'.*(truncated|damaged)"):
        streamed(path)


def test_length_that_a_pipe_does_not_know(tmp_path):
    path = tmp_path / "a.wav"
    write_sound(path, 1)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(streamed(path)) == 16000


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    samples = np.zeros(3 * BLOCK, np.float32)
    samples[-5] = value
    soundfile.write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    with pytest.raises(AudioError, match="a.wav' holds samples that are not"):
        streamed(tmp_path / "a.wav")


def test_no_audio(tmp_path):
    empty = tmp_path / "empty.wav"
    empty.touch()
    text = tmp_path / "text.wav"
    text.write_text("no audio")
    for path, reason in [
        (empty, "0 bytes"),
        (text, "audio"),
        (tmp_path / "none.wav", "does not exist"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(AudioError, match=reason):
            AudioStream(path)


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
        assert start % grid.stride == 0
        assert stop - start <= size
        if len(spans) > 1:
            assert stop - start > size - 2 * grid.stride
        begin = start // grid.stride
        frames = grid.num_frames(stop - start)
        # Frames of the last window are the last ones of the recording.
        assert begin + frames <= len(covered)
        covered[begin : begin + frames] += 1
    assert begin + frames == len(covered)
    assert covered.min() >= 1
    for (start, stop), (following, _) in zip(spans, spans[1:]):
        assert start < following
        assert stop - following >= min(share * window * 16000 - 1, stop - start)


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
    merged = merge_windows(
        parts, spans, ramp_frames(overlap, grid), num_samples, grid
    )
    np.testing.assert_allclose(np.exp(merged), whole, rtol=1e-4)


def test_merging_fades_from_one_window_to_the_next():
    grid = FrameGrid([(320, 320, 0)])
    num_samples = 8 * 16000
    spans = plan_windows(num_samples, 5.0, 2.0, grid)
    assert spans == [(0, 80000), (48000, 128000)]
    parts = [np.log(np.tile([p, 1 - p], (250, 1))) for p in (0.2, 0.8)]
    merged = np.exp(merge_windows(parts, spans, 100, num_samples, grid))[:, 0]
    np.testing.assert_allclose(merged[:150], 0.2, rtol=1e-6)
    np.testing.assert_allclose(merged[250:], 0.8, rtol=1e-6)
    steps = np.diff(merged[149:251])
    np.testing.assert_allclose(steps, 0.6 / 101, atol=1e-5)


def test_one_window_is_left_alone():
    part = np.log(np.random.default_rng(0).dirichlet([1, 1], 5))
    merged = merge_windows([part], [(0, 2000)], 3, 2000, SSL)
    assert merged is part


def test_weights_are_full_at_the_ends_of_the_recording():
    assert (window_weights(10, 4, True, True) == 1).all()
    weights = window_weights(10, 4, False, False)
    np.testing.assert_allclose(weights[:5], [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(weights, weights[::-1])


@pytest.mark.parametrize(
    "window, overlap, word",
    [
        (0.01, 0.0, "window"),
        (-1.0, 0.0, "window"),
        (float("nan"), 0.0, "window"),
        (float("inf"), 0.0, "window"),
        (1.0, 1.0, "overlap"),
        (1.0, 0.999, "overlap"),
        (1.0, -0.1, "overlap"),
        (1.0, float("nan"), "overlap"),
    ],
)
def test_windows_that_make_no_sense(window, overlap, word):
    with pytest.raises(UserError, match=f"^{word}"):
        plan_windows(100000, window, overlap, SSL)


HOUR = """
import resource, sys
import numpy as np, soundfile, torch
from speechbrain_ext.encoders.prosody import ProsodyEncoder
from speechbrain_ext.inference import EmotionDiarizer
from speechbrain_ext.models.heads import LinearHead
path = sys.argv[1]
minute = np.random.default_rng(0).standard_normal(44100 * 60) * 3000
with soundfile.SoundFile(path, "w", 44100, 2) as file:
    for _ in range(int(sys.argv[2])):
        file.write(np.stack([minute, minute], 1).astype(np.int16))
encoder = ProsodyEncoder(channels=32, hidden=32)
modules = {"encoder": encoder, "head": LinearHead(64, 4)}
hparams = {"classes": ["neutral", "happy", "sad", "angry"]}
diarizer = EmotionDiarizer(modules, hparams, {"device": "cpu"})
diarizer.diarize_batch(torch.randn(1, 16000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
segments = diarizer.diarize_file(path, {"min_duration": 0.5})
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(segments[-1]["end"], (after - before) / 1e6)
"""


@pytest.mark.slow
def test_memory_of_an_hour(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", HOUR, str(tmp_path / "hour.wav"), "60"],
        capture_output=True,
        text=True,
        check=True,
    )
    end, gigabytes = map(float, done.stdout.split())
    assert end == 3600.0
    # The recording alone would take 0.23 GB as mono at 16 kHz, 1.3 GB as read.
    assert gigabytes < 0.5
