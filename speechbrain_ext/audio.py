"""The length of an audio file from its header, and what is wrong with it."""

import math
import os
import re
import struct
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from speechbrain.dataio import audio_io

from speechbrain_ext.base.errors import UserError


class Unusable(Exception):
    """A recording cannot be used; the message says why."""


def audio_seconds(path):
    """Length of an audio file in seconds, from its header."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise Unusable("empty file (0 bytes)")
            promised, held = _wav_frames(file, size)
        info = soundfile.info(path)
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror or error}") from None
    except soundfile.LibsndfileError as error:
        raise Unusable(
            f"not readable as audio: {error.error_string.rstrip('. ')}"
        ) from None
    if promised > held:
        raise Unusable(
            f"truncated: the header promises {promised} samples a channel, "
            f"the file holds {held}"
        )
    if info.frames == 0:
        raise Unusable("no samples")
    # libsndfile's way to say that a header gives no length.
    if info.frames >= 2**62:
        raise Unusable("the header does not give the length; encode it again")
    return info.frames / info.samplerate


def _wav_frames(file, size):
    # Frames that the header of a RIFF file promises and that the file holds;
    # libsndfile quietly takes the smaller of the two.
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 0, 0
    frame = 1
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            # Programs that write to a pipe put the largest number here.
            if length >= 0x7FFFFFFF - 0x1000:
                return 0, 0
            return length // frame, (size - file.tell()) // frame
        start = file.tell()
        if name == b"fmt ":
            frame = max(1, int.from_bytes(file.read(16)[12:14], "little"))
        file.seek(start + length + length % 2)
    return 0, 0


SAMPLE_RATE = 16000


class AudioError(UserError):
    """A recording that cannot be used; the message says why."""


def to_samples(seconds, sample_rate=SAMPLE_RATE):
    """Nearest sample to a time."""
    return round(seconds * sample_rate)


def read_audio(path, start=0, stop=None, sample_rate=SAMPLE_RATE):
    """Read a recording, or a part of it.

    Channels are averaged. A file at another rate is resampled as a whole
    before the part is cut out, so that a part equals the same stretch of the
    whole.

    Arguments
    ---------
    path : str or os.PathLike
        The audio file.
    start : int
        First sample wanted, at ``sample_rate``.
    stop : int, optional
        The sample after the last one wanted; to the end if absent.
    sample_rate : int
        Sample rate wanted, in Hz.

    Returns
    -------
    torch.Tensor
        Waveform [samples], float32.

    Raises
    ------
    AudioError
        When the file is missing, empty, truncated or no audio, or when it
        holds samples that are not finite numbers, or ends before ``stop``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> audio_io.save(path, torch.zeros(2, 8000), 8000)
    >>> read_audio(path).shape
    torch.Size([16000])
    >>> read_audio(path, 16000 - 160).shape
    torch.Size([160])
    """
    info = probe(path)
    direct = info.sample_rate == sample_rate
    wanted = info.frames - start if stop is None else stop - start
    try:
        waveform, _ = audio_io.load(
            str(path),
            dtype=torch.float32,
            frame_offset=start if direct else 0,
            num_frames=wanted if direct else -1,
        )
    except RuntimeError as error:
        raise AudioError(
            f"'{path}' cannot be decoded to its end (truncated or damaged); "
            "replace the file."
        ) from error
    if not direct and waveform.shape[1] < info.frames:
        raise AudioError(_too_short(path, waveform.shape[1], info.frames))
    if not torch.isfinite(waveform).all():
        raise AudioError(
            f"'{path}' holds samples that are not finite numbers (NaN or "
            "infinity); replace the file."
        )
    waveform = waveform.mean(dim=0)
    if not direct:
        waveform = torchaudio.functional.resample(
            waveform, info.sample_rate, sample_rate
        )[start:stop]
        wanted = waveform.shape[0] if stop is None else wanted
    if waveform.shape[0] < wanted or wanted <= 0:
        raise AudioError(
            _too_short(path, start + waveform.shape[0], start + wanted)
        )
    return waveform


def probe(path):
    """Read the header of a recording."""
    path = Path(path)
    if not path.exists():
        raise AudioError(f"'{path}' does not exist; check the path.")
    if path.is_dir():
        raise AudioError(f"'{path}' is a folder; give an audio file.")
    try:
        audio_seconds(path)
    except Unusable as error:
        raise AudioError(
            f"'{path}': {error}; replace the file, or convert it to WAV."
        ) from None
    return audio_io.info(str(path))


def num_samples(info, sample_rate=SAMPLE_RATE):
    """Number of samples that ``read_audio`` gives for a whole file."""
    # torchaudio's resampling gives ceil(frames * new / old) samples.
    return -(-info.frames * sample_rate // info.sample_rate)


def _too_short(path, found, wanted):
    return (
        f"'{path}' ends at sample {found} where {wanted} were expected "
        "(truncated); replace the file."
    )


BLOCK = 1 << 16
_ZERO_CROSSINGS = 6
_ROLLOFF = 0.99
# What libsndfile notes when the header of an AIFF, AU or W64 file promises more
# bytes than there are; WAV files are checked by ``probe``.
_PROMISE = re.compile(
    r"^\s*(?:SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)",
    re.MULTILINE,
)
# Programs that write to a pipe do not know the length, and promise this much.
_UNKNOWN = 0x7FFFF000


class AudioStream:
    """A recording as mono blocks at 16 kHz.

    Arguments
    ---------
    path : str or os.PathLike
        Any format that soundfile reads, any rate, any number of channels.

    Attributes
    ----------
    num_samples : int
        Length at 16 kHz.
    duration : float
        Length in seconds: the file's own samples by its own rate.

    Raises
    ------
    speechbrain_ext.audio.AudioError
        When the file is missing, empty, no audio, or shorter than its header
        says.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros((44101, 2)), 44100)
    >>> stream = AudioStream(path)
    >>> stream.num_samples, sum(len(block) for block in stream.blocks())
    (16001, 16001)
    >>> [len(part) for part in stream.windows([(0, 8000), (4000, 16001)])]
    [8000, 12001]
    """

    def __init__(self, path):
        self.path = str(path)
        info = probe(path)
        self.rate = info.sample_rate
        self.frames = info.frames
        self.duration = info.frames / info.sample_rate
        self.num_samples = num_samples(info)
        self._check_promise()

    def blocks(self):
        """Read the recording.

        Yields
        ------
        numpy.ndarray
            Samples at 16 kHz, float32, ``num_samples`` of them in all.

        Raises
        ------
        speechbrain_ext.audio.AudioError
            When the file cannot be decoded to its end, or holds samples that
            are not finite numbers.
        """
        resampler = None
        if self.rate != SAMPLE_RATE:
            resampler = Resampler(self.rate, SAMPLE_RATE)
        for block in self._read():
            yield block if resampler is None else resampler.push(block)
        if resampler is not None:
            yield resampler.finish()

    def windows(self, spans):
        """Read stretches of the recording that may overlap.

        Arguments
        ---------
        spans : iterable of (int, int)
            Start and stop in samples at 16 kHz; no start lies before the one
            of the stretch before it.

        Yields
        ------
        torch.Tensor
            Waveform ``[stop - start]``.

        Raises
        ------
        speechbrain_ext.audio.AudioError
            As ``blocks``.
        """
        blocks = self.blocks()
        held, begin = np.empty(0, np.float32), 0
        for start, stop in spans:
            while begin + len(held) < stop:
                held = np.concatenate([held, next(blocks)])
            held, begin = held[start - begin :], start
            yield torch.from_numpy(held[: stop - start].copy())

    def _read(self):
        done = 0
        try:
            with soundfile.SoundFile(self.path) as file:
                while done < self.frames:
                    block = file.read(
                        min(BLOCK, self.frames - done),
                        dtype="float32",
                        always_2d=True,
                    )
                    if not len(block):
                        break
                    done += len(block)
                    if not np.isfinite(block).all():
                        raise AudioError(
                            f"'{self.path}' holds samples that are not finite "
                            "numbers (NaN or infinity); replace the file."
                        )
                    yield block.mean(axis=1)
        except soundfile.SoundFileError as error:
            raise AudioError(
                f"'{self.path}' cannot be decoded to its end (truncated or "
                "damaged); replace the file."
            ) from error
        if done < self.frames:
            raise AudioError(
                f"'{self.path}' ends at sample {done} where {self.frames} "
                "were expected (truncated); replace the file."
            )

    def _check_promise(self):
        """libsndfile takes a file that was cut off for a short one."""
        with soundfile.SoundFile(self.path) as file:
            notes = file.extra_info
        for promised, found in _PROMISE.findall(notes):
            if int(found) < int(promised) < _UNKNOWN:
                raise AudioError(
                    f"'{self.path}' holds {found} bytes of audio where its "
                    f"header says {promised} (truncated); replace the file."
                )


class Resampler:
    """Resampling of a signal that comes in blocks."""

    def __init__(self, old, new):
        divisor = math.gcd(old, new)
        self.old, self.new = old // divisor, new // divisor
        cutoff = min(self.old, self.new) * _ROLLOFF
        self.width = math.ceil(_ZERO_CROSSINGS * self.old / cutoff)
        # An output lies between two inputs, at one of ``new`` places.
        place = np.arange(self.new) * self.old / self.new
        offsets = np.arange(2 * self.width + 2) - self.width
        time = np.floor(place)[:, None] + offsets - place[:, None]
        time = np.clip(
            time * cutoff / self.old, -_ZERO_CROSSINGS, _ZERO_CROSSINGS
        )
        window = np.cos(time * np.pi / _ZERO_CROSSINGS / 2) ** 2
        taps = np.sinc(time) * window * cutoff / self.old
        self.taps = taps.astype(np.float32)
        # The signal is preceded and followed by zeros.
        self.held = np.zeros(self.width, np.float32)
        self.begin = -self.width
        self.received = 0
        self.sent = 0

    def push(self, block):
        """Take a block, give what can be computed by now."""
        self.received += len(block)
        self.held = np.concatenate([self.held, block])
        # The last input that an output needs must have come.
        last = self.received - self.width - 2
        return self._send(max(-(-(last + 1) * self.new // self.old), 0))

    def finish(self):
        """The rest of the signal: ``ceil(samples * new / old)`` in all."""
        zeros = np.zeros(self.width + 2, np.float32)
        self.held = np.concatenate([self.held, zeros])
        return self._send(-(-self.received * self.new // self.old))

    def _send(self, until):
        parts = [np.empty(0, np.float32)]
        # In steps, for their taps are many times their number.
        for first in range(self.sent, until, BLOCK):
            outputs = np.arange(first, min(first + BLOCK, until))
            inputs = outputs * self.old // self.new - self.width - self.begin
            seen = np.lib.stride_tricks.sliding_window_view(
                self.held, self.taps.shape[1]
            )[inputs]
            parts.append(
                np.einsum("nt,nt->n", seen, self.taps[outputs % self.new])
            )
        self.sent = max(until, self.sent)
        needed = self.sent * self.old // self.new - self.width
        self.held = self.held[max(needed - self.begin, 0) :]
        self.begin = max(needed, self.begin)
        return np.concatenate(parts)
