"""Ready-to-use models, from Python or from the command line::

python -m speechbrain_ext.inference diarize MODEL FILE...
python -m speechbrain_ext.inference recognize MODEL FILE...
"""

import importlib

_HOMES = {
    "Analysis": "diarizer",
    "EmotionDiarizer": "diarizer",
    "EmotionRecognizer": "recognizer",
    "FusedRecognizer": "fused",
}
__all__ = [
    "Analysis",
    "EmotionDiarizer",
    "EmotionRecognizer",
    "FusedRecognizer",
]


def __getattr__(name):
    """Import a class when it is asked for: its libraries take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)
