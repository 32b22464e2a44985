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

# Values of the enumerations in espeak-ng's header ``speak_lib.h``.
OUTPUT_SYNCHRONOUS = 2
# Report phonemes, as IPA, and do not end the process on a failure.
INITIALIZE_OPTIONS = 0x0001 | 0x0002 | 0x8000
PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4}
POSITION_CHARACTER = 1
TEXT_IS_UTF8 = 1
EVENT_END_OF_LIST = 0
EVENT_PHONEME = 7
RANDOM_SEED = 1
STRESS_MARKS = "\u02c8\u02cc"
SILENCE = "sil"


_INT, _UINT = ctypes.c_int, ctypes.c_uint


class _Identifier(ctypes.Union):
    _fields_ = [("name", ctypes.c_void_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", _INT),
        ("unique_identifier", _UINT),
        ("text_position", _INT),
        ("length", _INT),
        ("audio_position", _INT),
        ("sample", _INT),
        ("user_data", ctypes.c_void_p),
        ("id", _Identifier),
    ]


_SAMPLES, _EVENTS = ctypes.POINTER(ctypes.c_short), ctypes.POINTER(_Event)
_Callback = ctypes.CFUNCTYPE(_INT, _SAMPLES, _INT, _EVENTS)
_SIGNATURES = {
    "espeak_Initialize": (_INT, [_INT, _INT, ctypes.c_char_p, _INT]),
    "espeak_Info": (ctypes.c_char_p, [ctypes.c_void_p]),
    "espeak_SetSynthCallback": (None, [_Callback]),
    "espeak_SetVoiceByName": (_INT, [ctypes.c_char_p]),
    "espeak_SetParameter": (_INT, [_INT, _INT, _INT]),
    "espeak_Synth": (
        _INT,
        [ctypes.c_char_p, ctypes.c_size_t, _UINT, _INT, _UINT, _UINT]
        + 2 * [ctypes.c_void_p],
    ),
    "espeak_Terminate": (_INT, []),
    "espeak_ng_GetSampleRate": (_INT, []),
    "espeak_ng_SetRandSeed": (None, [ctypes.c_long]),
}


class Espeak:
    """A context in which espeak-ng speaks."""

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError:
            raise UserError(
                "Synthetic speech needs the package espeakng-loader; install "
                'it with `pip install -e ".[quickstart]"`.'
            ) from None
        self._original = Path(espeakng_loader.get_library_path())
        self._data = str(espeakng_loader.get_data_path())
        self._folder = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="espeak_")
        self._copy = Path(self._folder.name) / self._original.name
        shutil.copyfile(self._original, self._copy)
        return self

    def __exit__(self, *_):
        self._folder.cleanup()
        self._folder = None

    def version(self):
        """Version of the library."""
        with self._library() as library:
            return library.espeak_Info(None).decode().split()[0]

    def say(self, text, voice, rate=175, pitch=50, range=50, volume=50):
        """Speak a sentence."""
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
                    marks.append((event.sample, event.id.string))

        callback = _Callback(receive)
        values = rate, volume, pitch, range
        data = text.encode() + b"\0"
        options = 0, POSITION_CHARACTER, 0, TEXT_IS_UTF8, None, None
        with self._library() as library:
            library.espeak_SetSynthCallback(callback)
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise _no_voice(voice)
            for (name, number), value in zip(PARAMETERS.items(), values):
                status = library.espeak_SetParameter(number, value, 0)
                _check(status, f"set the {name} to {value}")
            library.espeak_ng_SetRandSeed(RANDOM_SEED)
            status = library.espeak_Synth(data, len(data), *options)
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
        if self._folder is None:
            raise RuntimeError("Espeak works only within its with block.")
        library = ctypes.CDLL(str(self._copy))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
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
