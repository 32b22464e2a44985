"""Named inputs -> emotion: normalisation, mixture of layers, heads."""

from speechbrain_ext.models.heads import (
    ConvHead,
    LinearHead,
    RecurrentHead,
    make_head,
)
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.models.normalization import make_normalizer

__all__ = [
    "ConvHead",
    "Input",
    "LayerMixture",
    "LinearHead",
    "RecurrentHead",
    "make_head",
    "make_normalizer",
]
