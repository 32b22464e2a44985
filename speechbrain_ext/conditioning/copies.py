"""Augmented copies of recordings: stretched, shifted, louder or noisy.

Section III.A of Sharma 2023 names the four techniques, and neither a library
nor a range. The ranges are ours, and so narrow that the emotion stays what it
was; the noise is white.
"""

import contextlib
import random

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.random import stable_rng

#: From a transform of audiomentations to the least and the greatest value.
RANGES = {
    # Of the tempo, the pitch stays.
    "TimeStretch": (0.9, 1.1),
    # Semitones, the tempo stays.
    "PitchShift": (-2.0, 2.0),
    # dB.
    "Gain": (-6.0, 6.0),
    # dB by which the recording is louder than white noise.
    "AddGaussianSNR": (15.0, 30.0),
}
# No copy is longer than its recording by more.
LONGEST = 1 / RANGES["TimeStretch"][0]


def draw_augmentation(id, number, seed):
    """What makes a copy: it follows from seed, id and number alone.

    The copies of a recording go through the techniques in turn.

    Example
    -------
    >>> draw_augmentation("03-01-02-01-01-01-01", number=1, seed=1)["name"]
    'TimeStretch'
    """
    first = int(stable_rng("technique", seed, id).integers(len(RANGES)))
    name = list(RANGES)[(first + number - 1) % len(RANGES)]
    rng = stable_rng("copy", seed, id, number)
    value = round(float(rng.uniform(*RANGES[name])), 4)
    return {"name": name, "value": value, "seed": int(rng.integers(2**32))}


def augment(waveform, name, value, seed):
    """A copy of a waveform ``[samples]``, as ``draw_augmentation`` says."""
    import audiomentations
    import torch

    bounds, options = (value, value), {"p": 1.0}
    if name == "TimeStretch":
        options["leave_length_unchanged"] = False
    transform = getattr(audiomentations, name)(*bounds, **options)
    with _seeded(seed):
        changed = transform(waveform.numpy(), sample_rate=SAMPLE_RATE)
    return torch.from_numpy(np.ascontiguousarray(changed, np.float32))


@contextlib.contextmanager
def _seeded(seed):
    """Random numbers of a seed, for a library that takes the global ones; they
    go on afterwards as if nothing had been drawn."""
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
