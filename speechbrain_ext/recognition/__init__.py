"""What the recipes that give an utterance one emotion have in common."""

from speechbrain_ext.recognition.brain import RecognitionBrain
from speechbrain_ext.recognition.preparation import (
    load_splits,
    prepare,
    prepared_splits,
)
from speechbrain_ext.recognition.results import show

__all__ = [
    "RecognitionBrain",
    "load_splits",
    "prepare",
    "prepared_splits",
    "show",
]
