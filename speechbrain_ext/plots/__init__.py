"""Pictures: emotions over time, layer mixtures, fusion, confusion matrices."""

from speechbrain_ext.plots.confusion import (
    confusion_matrices,
    write_confusion_csv,
)
from speechbrain_ext.plots.fusion import fusion_weights
from speechbrain_ext.plots.layers import layer_weights
from speechbrain_ext.plots.timeline import timeline, waveforms

__all__ = [
    "confusion_matrices",
    "fusion_weights",
    "layer_weights",
    "timeline",
    "waveforms",
    "write_confusion_csv",
]
