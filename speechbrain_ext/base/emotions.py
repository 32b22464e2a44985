"""The names of emotions: one vocabulary for all corpora."""

import reprlib

from speechbrain_ext.base.errors import UserError

NEUTRAL = "neutral"
# The classes of every protocol stand in this order.
VOCABULARY = (
    "neutral calm happy sad angry fearful disgust surprised bored excited "
    "frustrated amused sleepy anxious apologetic assertive concerned "
    "encouraging other no_agreement"
).split()
# The labels that SpeechBrain's ``Speech_Emotion_Diarization`` gives.
LETTERS = {"n": NEUTRAL, "h": "happy", "s": "sad", "a": "angry"}


def emotion_name(label, where="a segment"):
    """The full English word for a label."""
    name = label.strip().lower() if isinstance(label, str) else ""
    # Half of a surrogate pair cannot be written; NIST writes <NA> for nothing.
    if (
        not any(map(str.isalpha, name))
        or any("\ud800" <= char <= "\udfff" for char in name)
        or name == "<na>"
    ):
        raise UserError(
            f"{where}: the emotion {reprlib.repr(label)} is not a word."
        )
    if len(name) == 1 and name not in LETTERS:
        letters = ", ".join(f"{key} ({word})" for key, word in LETTERS.items())
        raise UserError(
            f"{where}: the emotion {label!r} is none of the letters "
            f"{letters}; write the full word."
        )
    return LETTERS.get(name, name)
