"""Reading recordings, good and bad, whole, in parts and as streams."""

import builtins
import os
import resource
import struct
from unittest import mock

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
    Header,
    _resample,
    num_samples,
    probe,
    read_audio,
)
from tests.corpora.trees import tiny

RATES = [4001, 8000, 11025, 16000, 22050, 22051, 24414, 44100, 48000, 96000]
FORMATS = ["wav", "flac", "mp3", "aiff", "au", "w64"]


def write_sound(path, seconds, rate=16000, channels=1):
    """Noise, the same at every rate up to 2 kHz and nothing above."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * rate))[:, None, None] / rate
    tones = rng.uniform(50, 2000, (1, channels, 20))
    sound = np.sin(2 * np.pi * (time * tones + rng.random(tones.shape)))
    soundfile.write(path, 0.02 * sound.sum(axis=2), rate)
    return str(path)


def streamed(path):
    return np.concatenate(list(AudioStream(path).blocks()))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate(tmp_path, rate, channels):
    path = write_sound(tmp_path / "a.wav", 4.7, rate, channels)
    whole = read_audio(path)
    size = -(-soundfile.info(path).frames * 16000 // rate)
    assert whole.shape == (size,) and num_samples(probe(path)) == size
    assert np.array_equal(streamed(path), whole.numpy())
    cuts = [(0, 500), (3000, 9001), (70000, None), (size - 1, size)]
    for start, stop in cuts:
        part = read_audio(path, start, stop)
        torch.testing.assert_close(part, whole[start:stop], atol=1e-5, rtol=0)
    spans = [(0, 50000), (40000, 51000), (40000, 60000), (60001, size)]
    parts = AudioStream(path).windows(spans)
    for part, (start, stop) in zip(parts, spans, strict=True):
        assert torch.equal(part, whole[start:stop])


@pytest.mark.parametrize("rate", [8000, 22051, 24414, 44100, 48000])
def test_what_is_resampled(tmp_path, rate):
    """What 16 kHz can hold stays, the rest goes."""
    path = write_sound(tmp_path / "a.wav", 1.0, rate)
    expected = read_audio(write_sound(tmp_path / "b.wav", 1.0))
    assert (read_audio(path) - expected)[800:-800].abs().max() < 1e-3
    if rate in (8000, 44100, 48000):  # others take torchaudio minutes
        whole = torch.from_numpy(soundfile.read(path)[0])
        other = torchaudio.functional.resample(whole, rate, 16000)
        assert (read_audio(path) - other)[800:-800].abs().max() < 2e-3
    high = 0.5 * np.sin(np.arange(rate) / rate * 2 * np.pi * 10500)
    soundfile.write(tmp_path / "c.wav", high, rate)
    if rate > 21000:
        assert read_audio(tmp_path / "c.wav")[800:-800].abs().max() < 1e-3


@settings(max_examples=60, deadline=None)
@given(
    rate=st.integers(4000, 200_000),
    length=st.integers(1, 3000),
    block=st.integers(1, 900),
)
def test_resampling_does_not_depend_on_the_blocks(rate, length, block):
    signal = np.random.default_rng(rate).standard_normal(length)
    signal = signal.astype(np.float32)
    blocks = [signal[at : at + block] for at in range(0, length, block)]
    found = np.concatenate(list(_resample(blocks, rate, 16000)))
    whole = np.concatenate(list(_resample([signal], rate, 16000)))
    assert len(found) == num_samples(Header(rate, length, 1))
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_a_file_is_opened_once_and_read_where_asked(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.wav", 60, 48000)
    opening = mock.Mock(side_effect=open)
    monkeypatch.setattr(builtins, "open", opening)
    how = {"autospec": True, "side_effect": soundfile.SoundFile.read}
    with mock.patch.object(soundfile.SoundFile, "read", **how) as read:
        read_audio(path, 160000, 176000)
    assert [call.args[0] for call in opening.mock_calls] == [path]
    assert sum(call.args[1] for call in read.mock_calls) < 1.2 * 48000


def test_memory_and_time_of_an_odd_rate(tmp_path):
    """What a filter for each phase of 22,051 Hz would take: gigabytes."""
    path = write_sound(tmp_path / "a.wav", 2.0, 22051)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(read_audio(path)) == 32000
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) / 1e3 < 100


@pytest.mark.parametrize("suffix", [*FORMATS, "ogg"])
def test_formats(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", 5, channels=2)
    expected, _ = soundfile.read(path, dtype="float32")
    found = read_audio(path).numpy()
    np.testing.assert_allclose(found, expected.mean(axis=1), atol=1e-6)
    assert np.array_equal(streamed(path), found)


@pytest.mark.parametrize("read", [read_audio, streamed])
@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated(tmp_path, suffix, read):
    path = tmp_path / f"half.{suffix}"
    write_sound(path, 4)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(AudioError, match=r"half\.\w+'.*(truncated|damaged)"):
        read(path)


SIZES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4, "ULAW": 1}


@pytest.mark.parametrize("subtype", SIZES)
@pytest.mark.parametrize("channels, rate", [(1, 8000), (2, 44100)])
def test_header(tmp_path, subtype, channels, rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((777, channels)), rate, subtype=subtype)
    assert probe(path) == Header(rate, 777, channels)
    assert probe(path).duration == 777 / rate
    path.write_bytes(path.read_bytes()[:-40])
    promised = 777 * channels * SIZES[subtype]
    with pytest.raises(AudioError, match=f"promises {promised} bytes, the fil"):
        probe(path)


@pytest.mark.parametrize("claim", [0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF])
def test_length_that_a_pipe_does_not_know(tmp_path, claim):
    path = tiny(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", claim)
    path.write_bytes(data)
    assert len(streamed(path)) == len(read_audio(path)) == 160


def test_wav_with_other_chunks(tmp_path):
    path = tiny(tmp_path / "a.wav")
    data = path.read_bytes()
    # A chunk of odd length takes a byte more.
    chunk = b"LIST" + struct.pack("<I", 5) + b"INFO\0\0"
    path.write_bytes(data[:12] + chunk + data[12:])
    assert probe(path).duration == 0.01
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AudioError, match="promises 320 bytes.* holds 319"):
        probe(path)


@pytest.mark.parametrize("read", [read_audio, streamed])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, value, read):
    samples = np.zeros(3 * BLOCK, np.float32)
    samples[-5] = value
    soundfile.write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    with pytest.raises(AudioError, match="a.wav' holds samples that are not"):
        read(tmp_path / "a.wav")


@pytest.mark.parametrize("read", [probe, read_audio, AudioStream])
def test_no_audio(tmp_path, read):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio at all")
    soundfile.write(tmp_path / "short.wav", np.zeros((0, 1)), 16000)
    for name, reason in [
        ("empty.wav", r"empty.wav' is an empty file \(0 bytes\)"),
        ("text.wav", "text.wav' is not readable as audio"),
        ("short.wav", "short.wav' has no samples"),
        ("none.wav", "none.wav' does not exist; check the path"),
        ("", "is a folder; give a recording"),
    ]:
        with pytest.raises(AudioError, match=reason):
            read(tmp_path / name)


def test_a_part_that_is_not_there(write_audio):
    for rate in (16000, 8000):
        path = write_audio(seconds=1.0, rate=rate)
        with pytest.raises(AudioError, match="ends at sample .* expected"):
            read_audio(path, 10, 16001)
        with pytest.raises(AudioError, match="ends at sample"):
            read_audio(path, 16000)
