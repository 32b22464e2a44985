"""Recordings as they come, made by their names."""

import functools
import os

import numpy as np
import soundfile

RATE = 16000


def _noise(seconds=2.0, channels=1, seed=0, rate=RATE):
    size = (round(seconds * rate), channels)
    return np.random.default_rng(seed).normal(0, 0.1, size).astype("float32")


def _write(path, data, rate=RATE, **how):
    soundfile.write(path, data, rate, **how)


def _bytes(suffix, folder, **how):
    """A good recording of some format as bytes."""
    path = folder / f"good{suffix}"
    _write(path, _noise(), **how)
    data = path.read_bytes()
    path.unlink()
    return data


def _quiet_then_loud():
    """Sound whose bit rate varies."""
    loud = _noise(3.0)
    return np.concatenate([loud[: 2 * RATE] * 1e-3, loud * 3])


def _joined(path, **how):
    data = _bytes(path.suffix, path.parent, **how)
    path.write_bytes(data + data)


def _half(path, **how):
    data = _bytes(path.suffix, path.parent, **how)
    path.write_bytes(data[: len(data) // 2])


def _open_ogg(path):
    """Cut where the last page begins."""
    data = _bytes(".ogg", path.parent)
    path.write_bytes(data[: data.rfind(b"OggS")])


def _without_xing(path):
    _write(path, _quiet_then_loud(), bitrate_mode="VARIABLE")
    data = path.read_bytes()
    place = data.find(b"\xff", max(data.find(b"Xing"), data.find(b"Info")))
    while data[place + 1] & 0xE0 != 0xE0:
        place = data.find(b"\xff", place + 1)
    path.write_bytes(data[place:])


def _header(path, at, four):
    """A WAV with four other bytes in its header."""
    _write(path, _noise())
    data = bytearray(path.read_bytes())
    data[at : at + 4] = four
    path.write_bytes(data)


def _never_closed(path):
    _header(path, 4, bytes(4))
    data = bytearray(path.read_bytes())
    place = data.find(b"data") + 4
    data[place : place + 4] = bytes(4)
    path.write_bytes(data)


def _opposite(path):
    mono = _noise()
    _write(path, np.concatenate([mono, -mono], axis=1))


def _level(path, level, subtype="FLOAT"):
    data = _noise()
    _write(path, data / np.abs(data).max() * level, subtype=subtype)


def _not_finite(path, value):
    data = _noise()
    data[1000] = value
    _write(path, data, subtype="FLOAT")


def _text(path, text):
    path.write_text(text, encoding="utf-8")


def _no_permission(path):
    _write(path, _noise())
    path.chmod(0)


#: From a file's name to what makes it.
MAKERS = {
    "good.wav": lambda p: _write(p, _noise()),
    "good.flac": lambda p: _write(p, _noise(channels=2), 44100),
    "good.mp3": lambda p: _write(p, _noise()),
    "variable.mp3": lambda p: _write(
        p, _quiet_then_loud(), bitrate_mode="VARIABLE"
    ),
    "good.ogg": lambda p: _write(p, _noise()),
    "good.opus": lambda p: _write(p, _noise(), format="OGG", subtype="OPUS"),
    "good.aiff": lambda p: _write(p, _noise()),
    "24bit.wav": lambda p: _write(p, _noise(), subtype="PCM_24"),
    "8bit.wav": lambda p: _write(p, _noise(), subtype="PCM_U8"),
    "ulaw.wav": lambda p: _write(p, _noise(), subtype="ULAW"),
    "odd_rate.wav": lambda p: _write(p, _noise(), 22051),
    "six_channels.wav": lambda p: _write(p, _noise(channels=6)),
    "with space.wav": lambda p: _write(p, _noise()),
    "-dash.wav": lambda p: _write(p, _noise()),
    "ümläut-日本.wav": lambda p: _write(p, _noise()),
    "no_suffix": lambda p: _write(p, _noise(), format="WAV"),
    "bad\udcff.wav": lambda p: _write(os.fsencode(p), _noise()),
    "joined.mp3": _joined,
    "joined_constant.mp3": functools.partial(_joined, bitrate_mode="CONSTANT"),
    "without_xing.mp3": _without_xing,
    "half.mp3": _half,
    "half.ogg": _half,
    "open.ogg": _open_ogg,
    "half.opus": functools.partial(_half, format="OGG", subtype="OPUS"),
    "half.flac": _half,
    "half.wav": _half,
    "never_closed.wav": _never_closed,
    "opposite.wav": _opposite,
    "silent.wav": lambda p: _write(p, np.zeros(2 * RATE)),
    "almost_silent.wav": lambda p: _level(p, 1e-5),
    "one_sample.wav": lambda p: _write(p, np.full(1, 0.5)),
    "ten_ms.wav": lambda p: _write(p, _noise(0.01)),
    "no_samples.wav": lambda p: _write(p, np.zeros(0)),
    "1hz.wav": lambda p: _header(p, 24, (1).to_bytes(4, "little")),
    "4ghz.wav": lambda p: _header(p, 24, (2**32 - 1).to_bytes(4, "little")),
    "0hz.wav": lambda p: _header(p, 24, bytes(4)),
    "0_channels.wav": lambda p: _header(p, 20, b"\1\0\0\0"),
    "scaled_by_32768.wav": lambda p: _level(p, 3000.0),
    "1e25.wav": lambda p: _level(p, 1e25),
    "a_little_over.wav": lambda p: _level(p, 1.5),
    "nan.wav": lambda p: _not_finite(p, np.nan),
    "inf.wav": lambda p: _not_finite(p, np.inf),
    "empty.wav": lambda p: p.write_bytes(b""),
    "text.wav": lambda p: _text(p, "This is no sound.\n"),
    "html.mp3": lambda p: _text(p, "<html><body>404</body></html>\n"),
    "lfs_pointer.wav": lambda p: _text(
        p, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    ),
    "riff_only.wav": lambda p: p.write_bytes(b"RIFF\0\0\0\0WAVE"),
    "zeros.wav": lambda p: p.write_bytes(bytes(4096)),
    "folder.wav": lambda p: p.mkdir(),
    "missing.wav": lambda p: None,
    "dangling.wav": lambda p: p.symlink_to("nowhere.wav"),
    "itself.wav": lambda p: p.symlink_to(p.name),
    "pipe.wav": os.mkfifo,
}
