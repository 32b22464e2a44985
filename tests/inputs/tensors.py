"""Waveforms as tensors and arrays, by what they are."""

import functools

import numpy as np
import torch

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.inference import EmotionDiarizer, EmotionRecognizer
from tests.inference.runs import load, sound

WAV = sound(1.0).T
GOOD = torch.from_numpy(np.concatenate([WAV, WAV[:, ::-1]]))
LOUD = 32768 * GOOD


def _with(value):
    wavs = GOOD.clone()
    wavs[1, 100] = value
    return wavs


#: From a name to waveforms, or to waveforms and their lengths.
WAVS = {
    "good": GOOD,
    "one": GOOD[0],
    "float16": GOOD.half(),
    "bfloat16": GOOD.bfloat16(),
    "float64": GOOD.double(),
    "int16": LOUD.short(),
    "int32": (65536 * LOUD).int(),
    "int8": (LOUD / 256).char(),
    "uint8": (LOUD / 256 + 128).byte(),
    "int16 of little range in int32": LOUD.int(),
    "with gradient": GOOD.clone().requires_grad_(),
    "not contiguous": GOOD.T.contiguous().T,
    "array": GOOD.numpy(),
    "array backwards": GOOD.numpy()[:, ::-1],
    "array of int16": LOUD.short().numpy(),
    "array of big-endian int16": LOUD.short().numpy().astype(">i2"),
    "silent": torch.zeros(2, 16000),
    "ten milliseconds": GOOD[:, :160],
    "one sample": GOOD[:, :1] + 0.5,
    "int64": LOUD.long(),
    "bool": GOOD > 0,
    "complex": GOOD + 0j,
    "scaled by 32768": LOUD,
    "float16 scaled by 32768": LOUD.half(),
    "1e25": 1e26 * GOOD,
    "nan": _with(float("nan")),
    "inf": _with(float("inf")),
    "three dimensions": GOOD[:, None],
    "no dimension": torch.tensor(0.5),
    "no waveforms": GOOD[:0],
    "no samples": GOOD[:, :0],
    "list": GOOD.tolist(),
    "text": "good.wav",
    "nothing": None,
    "array of texts": np.array([["a", "b"]]),
    "array of objects": np.array([[None, None]]),
    "lengths": (GOOD, torch.tensor([1.0, 0.5])),
    "lengths as list": (GOOD, [1.0, 0.5]),
    "lengths as array": (GOOD, np.array([1.0, 0.5])),
    "lengths a little over 1": (GOOD, torch.tensor([1.0002, 0.5])),
    "nan beyond the length": (_with(float("nan")), [1.0, 50 / 16000]),
    "lengths in samples": (GOOD, torch.tensor([16000, 8000])),
    "lengths of 1.01": (GOOD, [1.01, 0.5]),
    "length of 0": (GOOD, [1.0, 0.0]),
    "negative length": (GOOD, [1.0, -0.5]),
    "length of nan": (GOOD, [1.0, float("nan")]),
    "one length": (GOOD, [1.0]),
    "three lengths": (GOOD, [1.0, 0.5, 0.5]),
    "one number as length": (GOOD, 1.0),
    "lengths in a column": (GOOD, [[1.0], [0.5]]),
    "lengths as texts": (GOOD, ["1", "0.5"]),
}


@functools.cache
def _model(cls, folder):
    return load(folder, cls)


def _judge(cls, name, method, given, place):
    """NAME: what a model makes of a batch."""
    wavs = WAVS[given]
    wavs = wavs if isinstance(wavs, tuple) else (wavs,)
    judge = getattr(_model(cls, place.models[name]), method)
    print(exits_cleanly(judge)(*wavs))


ENTRIES = {
    "classify_batch": functools.partial(
        _judge, EmotionRecognizer, "recognizer", "classify_batch"
    ),
    "diarize_batch": functools.partial(
        _judge, EmotionDiarizer, "diarizer", "diarize_batch"
    ),
}
