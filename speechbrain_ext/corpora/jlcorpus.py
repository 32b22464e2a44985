"""JL-Corpus: New Zealand English by four speakers in ten emotions.

J. James, L. Tian and C. I. Watson, "An Open Source Emotional Speech Corpus for
Human Robot Interaction Applications", Interspeech, 2018.

Names: ``female1_angry_10a_1.wav`` for speaker, emotion, sentence (1 to 15, a
or b) and take; beside it ``female1_angry_10a_1.txt`` with what is said. The
archive on Kaggle has them in ``Raw JL corpus (unchecked and
unannotated)/JL(wav+txt)``.

Counts: 2400 recordings, 60 of each speaker in each emotion: the primary
emotions neutral, happy, sad, angry and excited, and the secondary emotions
anxious, apologetic, assertive, concerned and encouraging.

Speaker, gender and emotion are words in the names. What the letter of the
sentence and the last number stand for is not documented with the archive;
they are kept as they are.
"""

import re

from speechbrain_ext.corpora.base import Unusable, read_by_name
from speechbrain_ext.corpora.texts import text_lines

EMOTIONS = {
    "neutral",
    "happy",
    "sad",
    "angry",
    "excited",
    "anxious",
    "apologetic",
    "assertive",
    "concerned",
    "encouraging",
}
PATTERN = r"((female|male)\d)_([a-z]+)_(\d+[a-z])_(\d)"


def read(folder):
    """Read JL-Corpus."""
    return read_by_name(
        folder,
        corpus="jlcorpus",
        title="JL-Corpus",
        pattern=PATTERN,
        example="female1_angry_10a_1.wav",
        describe=_describe,
        read_texts=_read_texts,
    )


def _describe(match, folders):
    speaker, gender, emotion, sentence, take = match.groups()
    if emotion.lower() not in EMOTIONS:
        raise Unusable(f"JL-Corpus has no emotion '{emotion}'")
    return {
        "id": f"jlcorpus_{match[0]}",
        "speaker": f"jlcorpus_{speaker.lower()}",
        "emotion": emotion.lower(),
        "gender": gender.lower(),
        "language": "en",
        "extra": {
            "sentence": sentence.lower(),
            "take": int(take),
            "original_label": emotion,
        },
    }


def _read_texts(files, skipped):
    texts = {}
    for path in files:
        if path.suffix.lower() != ".txt":
            continue
        if not re.fullmatch(PATTERN, path.stem, re.IGNORECASE):
            continue
        text = " ".join(" ".join(text_lines(path, skipped)).split())
        if text and path.stem not in texts:
            texts[path.stem] = text
    return texts
