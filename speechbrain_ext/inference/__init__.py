"""Ready-to-use models.

``EmotionDiarizer`` says which emotion appears when, ``EmotionRecognizer``
which one a whole recording expresses, from Python or from the command line::

    python -m speechbrain_ext.inference diarize MODEL FILE...
    python -m speechbrain_ext.inference recognize MODEL FILE...
"""

from speechbrain_ext.inference.diarizer import Analysis, EmotionDiarizer
from speechbrain_ext.inference.recognizer import EmotionRecognizer

__all__ = ["Analysis", "EmotionDiarizer", "EmotionRecognizer"]
