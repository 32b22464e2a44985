"""What libsndfile does not notice about the files that hold recordings.

It takes a WAV that was never closed for an empty one, half an OGG for a short
one, and decodes no more of an MP3 than its first header announces.
"""

import functools
import io
import mmap
import os
import struct

# Layer III: kbit/s by index and samples of a frame, in MPEG 1 and in MPEG 2.
_BITRATES = {
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_FRAME = {1: 1152, 2: 576}
_RATES = (44100, 48000, 32000)
# Version bits -> MPEG 1 or 2, and what its rates are divided by.
_VERSIONS = {3: (1, 1), 2: (2, 2), 0: (2, 4)}
# Frames by which encoder and decoder may differ, at the start and at the end.
_MP3_SLACK = 6
# An OGG page has at most 65 307 bytes.
_OGG_TAIL = 1 << 17
_OGG_END = 4
# Chunks before the samples of a WAV.
_WAV_HEAD = 1 << 16


def mp3_problem(raw, frames):
    """What is wrong with an MP3 that is said to hold ``frames``, or None."""
    status = os.fstat(raw.fileno())
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    found, headers, size = _mp3_samples(raw.fileno(), *key)
    if headers > 1:
        return f"is {headers} MP3 files, one behind the other"
    if found > frames + _MP3_SLACK * size:
        return "is an MP3 of varying bit rate without a header of its length"
    if found < frames - _MP3_SLACK * size:
        return f"is truncated: {found} of {frames} samples are there"
    return None


@functools.lru_cache(maxsize=4096)
def _mp3_samples(descriptor, *_):
    """Samples in all frames of Layer III, Xing headers, samples of a frame."""
    samples, headers, size, place = 0, 0, 0, 0
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        while place + 4 <= len(data):
            frame = _mp3_frame(data[place : place + 4])
            if frame is None:
                if data[place : place + 3] == b"ID3":
                    place += 10 + _syncsafe(data[place + 6 : place + 10])
                elif (place := data.find(b"\xff", place + 1)) < 0:
                    break
                continue
            length, size = frame
            begin = data[place : place + 44]
            if b"Xing" in begin or b"Info" in begin:
                headers += 1
            elif place + length <= len(data):
                samples += size
            place += length
    return samples, headers, size


def _mp3_frame(four):
    """Bytes and samples of a frame of Layer III, by its header."""
    (bits,) = struct.unpack(">I", four)
    sync, version, layer = bits >> 21, bits >> 19 & 3, bits >> 17 & 3
    bitrate, rate = bits >> 12 & 15, bits >> 10 & 3
    if sync != 0x7FF or layer != 1 or version not in _VERSIONS:
        return None
    if bitrate in (0, 15) or rate == 3:
        return None
    mpeg, divisor = _VERSIONS[version]
    hertz, size = _RATES[rate] // divisor, _FRAME[mpeg]
    kilobits = _BITRATES[mpeg][bitrate - 1]
    return size // 8 * kilobits * 1000 // hertz + (bits >> 9 & 1), size


def _syncsafe(four):
    """The size of an ID3 tag: seven bits of every byte."""
    return int("".join(f"{byte & 127:07b}" for byte in four) or "0", 2)


def ogg_problem(raw):
    """Whether an OGG is cut within a page, and whether it has its last one."""
    # Without a move of the place where libsndfile reads.
    size = os.fstat(raw.fileno()).st_size
    tail = os.pread(raw.fileno(), _OGG_TAIL, max(0, size - _OGG_TAIL))
    place = tail.rfind(b"OggS")
    page = tail[place:]
    count = page[26] if len(page) > 26 else 255
    complete = len(page) >= 27 + count + sum(page[27 : 27 + count])
    return not complete, not (complete and page[5] & _OGG_END)


def closed_wav(raw):
    """A WAV that was never closed with its sizes, as a file; None if it is
    another."""
    size = os.fstat(raw.fileno()).st_size
    head = bytearray(os.pread(raw.fileno(), _WAV_HEAD, 0))
    data, place = -1, 12
    while head[:4] == b"RIFF" and place + 8 <= len(head):
        if head[place : place + 4] == b"data":
            data = place
            break
        (length,) = struct.unpack_from("<I", head, place + 4)
        place += 8 + length + length % 2
    if data < 0 or any(head[data + 4 : data + 8]) or size <= data + 8:
        return None
    raw.seek(0)
    struct.pack_into("<I", head, 4, min(size - 8, 2**32 - 1))
    struct.pack_into("<I", head, data + 4, min(size - data - 8, 2**32 - 1))
    return _Patched(raw, bytes(head))


class _Patched(io.RawIOBase):
    """A file whose first bytes are others."""

    def __init__(self, raw, head):
        self.raw, self.head = raw, head

    def seekable(self):
        """It is."""
        return True

    def readable(self):
        """It is."""
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        """As of every file."""
        return self.raw.seek(offset, whence)

    def tell(self):
        """As of every file."""
        return self.raw.tell()

    def readinto(self, buffer):
        """As of every file, with the other bytes at the start."""
        place = self.raw.tell()
        count = self.raw.readinto(buffer)
        own = self.head[place : place + count]
        buffer[: len(own)] = own
        return count
