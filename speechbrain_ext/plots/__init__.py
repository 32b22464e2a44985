"""Pictures: emotions over time, learned layer mixtures, confusion matrices."""

from speechbrain_ext.plots.confusion import (
    confusion_matrices,
    write_confusion_csv,
)
from speechbrain_ext.plots.layers import layer_weights
from speechbrain_ext.plots.timeline import timeline

__all__ = [
    "confusion_matrices",
    "layer_weights",
    "timeline",
    "write_confusion_csv",
]
