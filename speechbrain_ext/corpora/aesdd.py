"""AESDD: Greek sentences by actors in five emotions.

N. Vryzas, R. Kotsakis, A. Liatsou, C. A. Dimoulas and G. Kalliris, "Speech
Emotion Recognition for Performance Interaction", Journal of the Audio
Engineering Society 66(6), 2018.

Names: ``anger/a01 (1).wav`` for emotion (``a`` angry, ``d`` disgust, ``f``
fearful, ``h`` happy, ``s`` sad), sentence (01 to 20, of which one is
improvised) and speaker. A letter at the end, ``a06 (5)b.wav``, tells takes of
a sentence apart. In five names of the release the speaker is ``(01)``; they
are the very ones that speaker 1 would lack otherwise, so this is speaker 1.

Layout: a folder an emotion, ``anger``, ``disgust``, ``fear``, ``happiness``
and ``sadness``. A recording whose folder says another emotion than its name is
skipped.

Counts: the publication has about 500 recordings of five actors, three women
and two men; the database has grown since. The files that can be downloaded are
604 by six speakers: 20 of each speaker in each emotion, but four are missing
and eight second takes are added (121 angry, 122 disgust, 120 fearful, 119
happy, 122 sad). Work that reports five speakers or 500 recordings used
another state.

How sure: that the number in parentheses is the speaker stands in the notes
that come with the recordings. Which speakers are women is not told, so the
records have no gender; nor do they have texts.
"""

from speechbrain_ext.corpora.base import Unusable, read_by_name

EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "s": "sad",
}
FOLDERS = {
    "anger": "a",
    "disgust": "d",
    "fear": "f",
    "happiness": "h",
    "sadness": "s",
}


def read(folder):
    """Read AESDD."""
    return read_by_name(
        folder,
        corpus="aesdd",
        title="AESDD",
        pattern=r"([a-z])(\d\d) ?\((\d+)\) ?([a-z]?)",
        example="a01 (1).wav",
        describe=_describe,
    )


def _describe(match, folders):
    emotion, sentence, speaker, take = match.groups()
    emotion, speaker, take = emotion.lower(), int(speaker), take.lower()
    if emotion not in EMOTIONS:
        raise Unusable(f"AESDD has no emotion '{emotion}'")
    folder = FOLDERS.get(folders[0].lower(), emotion)
    if folder != emotion:
        raise Unusable(
            f"it lies in '{folders[0]}', but its name begins with '{emotion}'"
        )
    return {
        "id": f"aesdd_{emotion}{sentence}_{speaker}{take}",
        "speaker": f"aesdd_{speaker}",
        "emotion": EMOTIONS[emotion],
        "language": "el",
        "extra": {
            "sentence": int(sentence),
            "take": take,
            "original_label": emotion,
        },
    }
