"""Recordings in: headers, parts, streams, at any rate, as mono float32."""

import contextlib
import math
import os
import re
import stat
from dataclasses import dataclass, field

import numpy as np
import soundfile
import soxr

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.containers import closed_wav, mp3_problem, ogg_problem

__all__ = ["SAMPLE_RATE", "AudioError", "AudioStream", "probe", "read_audio"]

SAMPLE_RATE = 16000
# Frames that are decoded and resampled at a time.
BLOCK = 1 << 16
# What is read beside a part (s), so that the resampler sees its surroundings.
_MARGIN = 0.05
# libsndfile takes a file that was cut off for a short one, and notes here that
# the header promises more bytes than there are.
_PROMISE = re.compile(
    r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*:"
    r"\s*(\d+) \(should be (\d+)\)",
    re.MULTILINE,
)
# Programs that write to a pipe do not know the length, and promise this much.
_UNKNOWN = 0x7FFFEFFF
# Rates of recordings of speech, from poor to absurdly good (Hz).
_RATES = (2000, 768_000)
# Full scale is 1. Decoders go a little beyond, samples of 16 bits a lot.
MAX_LEVEL = 8.0
# Below it a recording is silent (-80 dB).
SILENCE = 1e-4
# Less of the channels' peak in their mean: they cancel each other.
_CANCELLED = 0.01
# A shorter recording is hardly a sound (s).
_SHORT = 0.1
_REASONS = {
    FileNotFoundError: ("does not exist", "check the path"),
    IsADirectoryError: ("is a folder", "give a recording"),
}


class AudioError(UserError):
    """A recording that is not usable; ``reason`` follows the file's name."""

    def __init__(self, reason, path=None, remedy="replace the file"):
        sentence = f"'{path}' {reason}; {remedy}."
        super().__init__(reason if path is None else sentence)
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """What a recording's header says."""

    sample_rate: int
    frames: int
    channels: int
    # What a user is to know of the file, though it is read.
    notes: tuple = field(default=(), repr=False)

    @property
    def duration(self):
        """Length in seconds."""
        return self.frames / self.sample_rate


def to_samples(seconds):
    """Nearest sample to a time."""
    return round(seconds * SAMPLE_RATE)


def num_samples(header):
    """Number of samples that ``read_audio`` gives for a whole file."""
    return -(-header.frames * SAMPLE_RATE // header.sample_rate)


def probe(path):
    """The header of a recording; an ``AudioError`` for one that is not good.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros((8000, 2)), 16000)
    >>> probe(path)
    Header(sample_rate=16000, frames=8000, channels=2)
    """
    with _opened(path) as (file, notes):
        return Header(file.samplerate, file.frames, file.channels, notes)


def read_audio(path, start=0, stop=None):
    """Read a recording at 16 kHz, or a part, as the mean of its channels.

    Arguments
    ---------
    path : str or os.PathLike
        The audio file, of any rate.
    start, stop : int
        First sample wanted and the one after the last, at 16 kHz.

    Returns
    -------
    torch.Tensor
        Waveform [samples], float32.

    Raises
    ------
    AudioError
        When the file is missing, empty, truncated or not audio, ends before
        ``stop``, or has samples that are not finite numbers, lie far beyond
        full scale, or cancel each other in the mean of the channels.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros((8000, 2)), 8000)
    >>> read_audio(path).shape, read_audio(path, 16000 - 160).shape
    (torch.Size([16000]), torch.Size([160]))
    """
    with _opened(path) as (file, _):
        divisor = math.gcd(file.samplerate, SAMPLE_RATE)
        old, new = file.samplerate // divisor, SAMPLE_RATE // divisor
        size = -(-file.frames * new // old)
        stop = size if stop is None else stop
        if not 0 <= start < stop <= size:
            raise _too_short(path, size, max(stop, start + 1))
        if old == new:
            blocks = _decode(file, path, start, stop)
            return _tensor(np.concatenate(list(blocks)))
        # Inputs and outputs coincide at every ``old``-th input.
        margin = math.ceil(_MARGIN * divisor)
        first = max(start // new - margin, 0)
        end = min((stop // new + 1 + margin) * old, file.frames)
        blocks = _decode(file, path, first * old, end)
        blocks = list(_resample(blocks, old, new))
    start, stop = start - first * new, stop - first * new
    return _tensor(np.concatenate(blocks)[start:stop])


class AudioStream:
    """A recording of any rate as mono blocks at 16 kHz.

    ``num_samples`` is its length at 16 kHz, ``duration`` that in seconds,
    ``notes`` what a user is to know of what has been read so far.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros((44101, 2)), 44100)
    >>> stream = AudioStream(path)
    >>> stream.num_samples, sum(len(block) for block in stream.blocks())
    (16001, 16001)
    """

    def __init__(self, path):
        header = probe(path)
        self.path = os.fsdecode(path)
        self.duration = header.duration
        self.num_samples = num_samples(header)
        self._notes, self._peak = header.notes, None

    @property
    def notes(self):
        """What a user is to know, as parts of a sentence."""
        return list_notes(self._notes, self.duration, self._peak)

    def blocks(self):
        """Samples at 16 kHz, float32, ``num_samples`` of them in all."""
        with _opened(self.path) as (file, _):
            blocks = _decode(file, self.path, 0, file.frames)
            if file.samplerate != SAMPLE_RATE:
                blocks = _resample(blocks, file.samplerate, SAMPLE_RATE)
            for block in blocks:
                peak = float(np.abs(block).max(initial=0.0))
                self._peak = max(self._peak or 0.0, peak)
                yield block

    def windows(self, spans):
        """Stretches (start and stop at 16 kHz) in the order of their starts."""
        blocks = self.blocks()
        held, begin = np.empty(0, np.float32), 0
        for start, stop in spans:
            while begin + len(held) < stop:
                held = np.concatenate([held, next(blocks)])
            held, begin = held[start - begin :], start
            yield _tensor(held[: stop - start].copy())


def check_level(peak, path, scale="scale it, and write it again"):
    """Raise an ``AudioError`` unless samples up to a peak are those of sound.

    ``scale`` says how to mend those of another scale.
    """
    if not math.isfinite(peak):
        remedy = "mend it, or leave it out"
        raise AudioError("holds samples that are not finite", path, remedy)
    if peak > MAX_LEVEL:
        reason = f"holds samples up to {peak:.3g}, expected -1 to 1"
        raise AudioError(reason, path, scale)


def list_notes(notes, duration, peak):
    """What a user is to know of a recording, as parts of a sentence."""
    more = []
    if duration < _SHORT:
        more.append(f"lasts {1000 * duration:.3g} ms, hardly a sound")
    if peak is not None and peak < SILENCE:
        more.append("is silent, so that its emotion means nothing")
    return [*notes, *more]


@contextlib.contextmanager
def _opened(path):
    """A recording, opened once, whose header is sound, and notes on it."""
    with contextlib.ExitStack() as stack:
        try:
            # To open a pipe would wait for somebody who writes.
            if not stat.S_ISREG(os.stat(os.fspath(path)).st_mode):
                _refuse_special(path)
            raw = stack.enter_context(open(path, "rb", buffering=0))
            if os.fstat(raw.fileno()).st_size == 0:
                raise AudioError("is an empty file (0 bytes)", path)
            file = stack.enter_context(_sound_file(raw))
        except OSError as error:
            reason = f"is not readable: {error.strerror or error}"
            other = reason, "check its permissions"
            reason, remedy = _REASONS.get(type(error), other)
            raise AudioError(reason, path, remedy) from None
        except (TypeError, ValueError):
            remedy = "give the path of a recording"
            raise AudioError("is no path", str(path)[:80], remedy) from None
        except soundfile.LibsndfileError as error:
            reason = f"is not readable as audio: {error.error_string}"
            remedy = "replace the file, or convert it to WAV"
            raise AudioError(reason.rstrip(". :"), path, remedy) from None
        yield file, _check_header(file, raw, path)


def _sound_file(raw):
    file = soundfile.SoundFile(raw.fileno(), closefd=False)
    if file.frames == 0 and file.format.startswith("WAV"):
        closed = closed_wav(raw)
        if closed is not None:
            file.close()
            return soundfile.SoundFile(closed)
    return file


def _refuse_special(path):
    if os.path.isdir(path):
        raise IsADirectoryError
    remedy = "write the sound to a file first"
    raise AudioError("is no regular file", path, remedy)


def _check_header(file, raw, path):
    """Notes on a file whose header is sound; raise for others."""
    again = "encode it again, for example as WAV"
    for promised, held in _PROMISE.findall(file.extra_info):
        if int(held) < int(promised) < _UNKNOWN:
            raise AudioError(
                f"is truncated: the header promises {promised} bytes, "
                f"the file holds {held}",
                path,
            )
    notes = ()
    if file.format == "OGG":
        is_cut, is_open = ogg_problem(raw)
        if is_cut:
            raise AudioError("is truncated within its last page", path)
        if is_open:
            notes = ("has no mark of its end and may be cut off",)
    if file.frames == 0:
        raise AudioError("has no samples", path)
    # libsndfile's way to say that a header gives no length.
    if file.frames >= 2**62:
        raise AudioError("has a header without the length", path, again)
    low, high = _RATES
    if not low <= file.samplerate <= high:
        rates = f"expected {low} to {high}"
        reason = f"has a sample rate of {file.samplerate} Hz, {rates}"
        raise AudioError(reason, path, again)
    if file.format == "MP3":
        if problem := mp3_problem(raw, file.frames):
            raise AudioError(problem, path, again)
    return notes


def _decode(file, path, begin, end):
    """Frames ``begin`` to ``end`` as mono blocks."""
    try:
        if begin:
            file.seek(begin)
        while begin < end:
            size = min(BLOCK, end - begin)
            block = file.read(size, dtype="float32", always_2d=True)
            if not len(block):
                raise _too_short(path, begin, end)
            begin += len(block)
            yield _as_mono(block, path)
    except soundfile.SoundFileError as error:
        raise AudioError("is truncated or damaged", path) from error


def _as_mono(block, path):
    """The mean of the channels of sound samples."""
    peak = np.abs(block).max()
    check_level(peak, path)
    mono = block.mean(axis=1)
    if peak > SILENCE and np.abs(mono).max() < _CANCELLED * peak:
        remedy = "give one of its channels"
        raise AudioError("has channels that cancel each other", path, remedy)
    return mono


def _resample(blocks, old, new):
    """Blocks at another rate: ``ceil(frames * new / old)`` samples in all."""
    resampler = soxr.ResampleStream(old, new, 1, dtype="float32")
    received = sent = 0
    for block in blocks:
        received += len(block)
        found = resampler.resample_chunk(block)
        sent += len(found)
        yield found
    # Zeros follow the signal, for soxr rounds its length down.
    zeros = np.zeros(old // new + 2, np.float32)
    found = resampler.resample_chunk(zeros, last=True)
    yield found[: -(-received * new // old) - sent]


def _too_short(path, found, wanted):
    reason = f"ends at sample {found}, expected {wanted} (truncated)"
    return AudioError(reason, path)


def _tensor(samples):
    import torch

    return torch.from_numpy(samples)
