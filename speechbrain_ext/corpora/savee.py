"""SAVEE: British English by four men in seven emotions.

S. Haq and P. J. B. Jackson, "Multimodal Emotion Recognition", in W. Wang
(ed.), Machine Audition: Principles, Algorithms and Systems, IGI Global, 2010.
The recordings are given out for research on registration.

Names: speaker (DC, JE, JK, KL), emotion and number of the sentence. The
emotions are ``a`` angry, ``d`` disgust, ``f`` fearful, ``h`` happy, ``n``
neutral, ``sa`` sad and ``su`` surprised.

Layouts: ``AudioData/DC/a01.wav`` (the release) and ``DC_a01.wav`` (an archive
on Kaggle).

Counts: 480 recordings, 120 a speaker: 30 neutral ones and 15 of each other
emotion.

Speaker, gender and emotion follow from the published description. Sentences
with the same number differ between emotions, so they have no common id.
"""

from speechbrain_ext.corpora.base import Unusable, read_by_name

EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
SPEAKERS = ("DC", "JE", "JK", "KL")


def read(folder):
    """Read SAVEE."""
    return read_by_name(
        folder,
        corpus="savee",
        title="SAVEE",
        pattern=r"(?:([A-Z]{2})_)?(sa|su|[a-z])(\d\d)",
        example="DC_a01.wav or DC/a01.wav",
        describe=_describe,
    )


def _describe(match, folders):
    speaker, emotion, number = match.groups()
    if emotion.lower() not in EMOTIONS:
        raise Unusable(f"SAVEE has no emotion '{emotion}'")
    speaker = (speaker or folders[0]).upper()
    if speaker not in SPEAKERS:
        raise Unusable(
            f"neither its name nor its folder is that of a speaker "
            f"({', '.join(SPEAKERS)})"
        )
    return {
        "id": f"savee_{speaker}_{emotion.lower()}{number}",
        "speaker": f"savee_{speaker}",
        "emotion": EMOTIONS[emotion.lower()],
        "gender": "male",
        "language": "en",
        "extra": {"sentence": int(number), "original_label": emotion},
    }
