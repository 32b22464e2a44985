"""Speech from espeak-ng, the same for the same request, whatever came before.

espeak-ng keeps the phase of its flutter and other counters in variables that
no call resets: every request gets a library loaded anew (under a millisecond),
from a private copy of the file that nothing else in the process holds open.
"""

import _ctypes
import contextlib
import ctypes
import itertools
import shutil
import tempfile
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError

# Values from espeak-ng's header ``speak_lib.h``.
OUTPUT_SYNCHRONOUS = 2
# Report phonemes, as IPA, and do not end the process on a failure.
INITIALIZE_OPTIONS = 0x0001 | 0x0002 | 0x8000
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
POSITION_CHARACTER = 1
TEXT_IS_UTF8 = 1
EVENT_END_OF_LIST = 0
EVENT_PHONEME = 7
RANDOM_SEED = 1
STRESS_MARKS = "\u02c8\u02cc"
SILENCE = "sil"


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        # Of a union; in the events of phonemes it is their name.
        ("id", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_short),
    ctypes.c_int,
    ctypes.POINTER(_Event),
)


class Espeak(contextlib.ExitStack):
    """A context in which espeak-ng speaks."""

    def __init__(self):
        super().__init__()
        try:
            import espeakng_loader
        except ImportError:
            raise UserError(
                "Synthetic speech needs the package espeakng-loader; install "
                'it with `pip install -e ".[quickstart]"`.'
            ) from None
        original = Path(espeakng_loader.get_library_path())
        self._data = str(espeakng_loader.get_data_path())
        folder = tempfile.TemporaryDirectory(prefix="espeak_")
        self._copy = Path(self.enter_context(folder), original.name)
        shutil.copyfile(original, self._copy)

    def version(self):
        """Version of the library."""
        with self._library() as library:
            return library.espeak_Info(None).decode().split()[0]

    def say(self, text, voice, rate=175, pitch=50, range=50):
        """Samples, their rate, and the phones of a sentence."""
        # espeak-ng would take the voice without the variant and say nothing.
        variant = voice.partition("+")[2]
        if variant and not Path(self._data, "voices", "!v", variant).is_file():
            raise _no_voice(voice)
        pieces, marks = [], []

        def receive(samples, number, events):
            if samples and number > 0:
                piece = np.ctypeslib.as_array(samples, (number,))
                pieces.append(piece.copy())
            for index in itertools.count():
                event = events[index]
                if event.type == EVENT_END_OF_LIST:
                    return 0
                if event.type == EVENT_PHONEME:
                    marks.append((event.sample, event.id))

        callback = _Callback(receive)
        # espeak-ng's own volume steps coarsely and clips.
        values = {RATE: rate, VOLUME: 50, PITCH: pitch, RANGE: range}
        data = text.encode() + b"\0"
        size = ctypes.c_size_t(len(data))
        options = 0, POSITION_CHARACTER, 0, TEXT_IS_UTF8, None, None
        with self._library() as library:
            library.espeak_SetSynthCallback(callback)
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise _no_voice(voice)
            for number, value in values.items():
                status = library.espeak_SetParameter(number, value, 0)
                _check(status, f"set parameter {number} to {value}")
            library.espeak_ng_SetRandSeed(RANDOM_SEED)
            status = library.espeak_Synth(data, size, *options)
            _check(status, f"speak {text!r}")
            sample_rate = library.espeak_ng_GetSampleRate()
        phones = _tile(marks, sum(len(piece) for piece in pieces))
        if all(phone["phone"] == SILENCE for phone in phones):
            raise UserError(
                f"espeak-ng finds nothing to say in {text!r}; give words."
            )
        return np.concatenate(pieces), sample_rate, phones

    @contextlib.contextmanager
    def _library(self):
        """A library that has not spoken yet."""
        library = ctypes.CDLL(str(self._copy))
        # All others return int or nothing.
        library.espeak_Info.restype = ctypes.c_char_p
        # A library that was not unloaded knows its sample rate; what it says
        # next would depend on what it has said.
        if library.espeak_ng_GetSampleRate() != 0:
            raise RuntimeError("This system does not unload espeak-ng.")
        options = OUTPUT_SYNCHRONOUS, 0, self._data.encode(), INITIALIZE_OPTIONS
        if library.espeak_Initialize(*options) <= 0:
            raise RuntimeError(f"espeak-ng did not read '{self._data}'.")
        try:
            yield library
        finally:
            library.espeak_Terminate()
            # Windows has the same function under another name.
            close = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
            close(library._handle)


def _no_voice(voice):
    return UserError(
        f"espeak-ng has no voice '{voice}'; give one such as 'en-us+f2'."
    )


def _check(status, what):
    if status != 0:
        raise RuntimeError(f"espeak-ng did not {what} (status {status}).")


def _tile(marks, length):
    """Beginnings of phones -> phones that cover [0, length) without a gap."""
    phones = []
    starts = [start for start, _ in marks[1:]] + [length]
    if marks and marks[0][0] > 0:
        phones.append({"phone": SILENCE, "start": 0, "end": marks[0][0]})
    for (start, name), end in zip(marks, starts):
        # Some dialects write the mark of length as a colon.
        phone = name.decode().strip(STRESS_MARKS).replace(":", "\u02d0")
        phone = phone or SILENCE
        if end <= start:
            continue
        if phone == SILENCE and phones and phones[-1]["phone"] == SILENCE:
            phones[-1]["end"] = end
        else:
            phones.append({"phone": phone, "start": start, "end": end})
    return phones
