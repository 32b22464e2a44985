"""EmoV-DB: sentences of CMU ARCTIC, read by four speakers in five styles.

A. Adigwe, N. Tits, K. El Haddad, S. Ostadabbas and T. Dutoit, "The Emotional
Voices Database: Towards Controlling the Emotion Dimension in Voice Generation
Systems", arXiv:1806.09514, 2018. The licence allows non-commercial purposes.

Names: ``bea_Amused/amused_1-15_0001.wav`` (OpenSLR) or ``bea/Amused/...``: the
speaker is in the folder; the name gives the style, the range of sentences of
the recording sheet (``1-15``, in a few folders ``1_15``) and the number of the
sentence. Some names begin with a capital letter.

Counts: the sorted release on OpenSLR has fewer files than the authors' page
announces.

======  ==========================================  =======================
        neutral, amused, angry, sleepy, disgust     announced
======  ==========================================  =======================
bea     355, 296, 303, 497, 333                     373, 309, 317, 520, 347
jenie   417, 222, 496, 466, 189                     417, 222, 523, 466, 189
josh    302, 296, 0, 263, 0                         302, 298, 0, 263, 0
sam     492, 501, 468, 494, 497                     493, 501, 468, 495, 497
======  ==========================================  =======================

Genders are the authors': Bea and Jenie are women, Josh and Sam are men. The
release holds no texts, so the records have none.
"""

import re

from speechbrain_ext.corpora.base import Unusable, read_by_name

EMOTIONS = {
    "amused": "amused",
    "anger": "angry",
    "angry": "angry",
    "disgust": "disgust",
    "disgusted": "disgust",
    "neutral": "neutral",
    "sleepiness": "sleepy",
    "sleepy": "sleepy",
}
GENDERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}


def read(folder):
    """Read EmoV-DB."""
    return read_by_name(
        folder,
        corpus="emovdb",
        title="EmoV-DB",
        pattern=r"([a-z]+)_\d+[-_]\d+_(\d+)",
        example="bea_Amused/amused_1-15_0001.wav",
        describe=_describe,
    )


def _describe(match, folders):
    label, sentence = match.groups()
    if label.lower() not in EMOTIONS:
        raise Unusable(f"EmoV-DB has no emotion '{label}'")
    speaker = _speaker(folders)
    return {
        "id": f"emovdb_{speaker}_{match[0]}",
        "speaker": f"emovdb_{speaker}",
        "emotion": EMOTIONS[label.lower()],
        "gender": GENDERS[speaker],
        "language": "en",
        "extra": {"sentence": int(sentence), "original_label": label},
    }


def _speaker(folders):
    for name in folders:
        first = re.split(r"[_\W]", name.lower())[0]
        if first in GENDERS:
            return first
    raise Unusable(
        "no folder on the way to it is named after a speaker "
        f"({', '.join(GENDERS)})"
    )
