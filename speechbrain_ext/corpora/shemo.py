"""ShEMO: Persian from radio plays, 87 speakers in six emotions.

O. Mohamad Nezami, P. Jamshid Lou and M. Karami, "ShEMO: a large-scale
validated database for Persian speech emotion detection", Language Resources
and Evaluation 53(1), 2019.

Names: ``F01A01.wav`` for gender (``F``, ``M``), speaker, emotion (``A`` angry,
``F`` fearful, ``H`` happy, ``N`` neutral, ``S`` sad, ``W`` surprised) and
number. Men and women are counted apart: F01 and M01 are two people.

Layout: the folders ``female`` and ``male``.

Counts: the publication and the authors' list of labels have 3000 recordings
by 31 women and 56 men; the archives that can be downloaded hold 2838 by the
same 87 speakers.

=========  =========  ========  =========
           announced  released  missing
=========  =========  ========  =========
angry      1042       1034      8
fearful    32         29        3
happy      203        198       5
neutral    1160       1018      142
sad        362        360       2
surprised  201        199       2
=========  =========  ========  =========

How sure: the letters and the speaker codes are explained by the authors, and
their list of labels agrees with every name. The codes say who speaks as far as
the authors could tell from the plays. The emotion is what most of twelve
annotators heard; how many agreed is not told. The archives hold no texts.
"""

from speechbrain_ext.corpora.base import Unusable, read_by_name

EMOTIONS = {
    "A": "angry",
    "F": "fearful",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
    "W": "surprised",
}
GENDERS = {"F": "female", "M": "male"}


def read(folder):
    """Read ShEMO."""
    return read_by_name(
        folder,
        corpus="shemo",
        title="ShEMO",
        pattern=r"([FM])(\d\d)([A-Z])(\d\d)",
        example="F01A01.wav",
        describe=_describe,
    )


def _describe(match, folders):
    gender, speaker, emotion, number = match.groups()
    gender, emotion = gender.upper(), emotion.upper()
    if emotion not in EMOTIONS:
        raise Unusable(f"ShEMO has no emotion {emotion}")
    return {
        "id": f"shemo_{match[0].upper()}",
        "speaker": f"shemo_{gender}{speaker}",
        "emotion": EMOTIONS[emotion],
        "gender": GENDERS[gender],
        "language": "fa",
        "extra": {"number": int(number), "original_label": emotion},
    }
