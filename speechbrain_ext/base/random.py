"""Random numbers that follow from names."""

import hashlib

import numpy as np


def stable_rng(*keys):
    """Random numbers that follow from the keys, on every machine."""
    text = "\x1f".join(str(key) for key in keys)
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16])))
