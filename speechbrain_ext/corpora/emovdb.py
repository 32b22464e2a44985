"""EmoV-DB: sentences of CMU ARCTIC, read by four speakers in five styles."""

import re

from speechbrain_ext.corpora.base import AudioError, Corpus, pairs

GENDERS = pairs("bea=female jenie=female josh=male sam=male")


def _describe(match, folders):
    label, sentence = match.groups()
    CORPUS.check_codes(emotion=(label.lower(), CORPUS.emotions))
    firsts = [re.split(r"[_\W]", name.lower())[0] for name in folders]
    speaker = next((first for first in firsts if first in GENDERS), None)
    if speaker is None:
        names = ", ".join(GENDERS)
        raise AudioError(
            f"no folder above it is named after a speaker ({names})"
        )
    return {
        "id": f"{speaker}_{match[0]}",
        "speaker": speaker,
        "label": label,
        "gender": GENDERS[speaker],
        "sentence": int(sentence),
    }


CORPUS = Corpus(
    name="emovdb",
    title="EmoV-DB",
    notes="""
Names: bea_Amused/amused_1-15_0001.wav (OpenSLR) or bea/Amused/...: speaker,
style, range of sentences of the recording sheet and number of the sentence.
Counts of neutral, amused, angry, sleepy and disgust in the sorted release on
OpenSLR, a little less than the authors announce: bea 355, 296, 303, 497, 333;
jenie 417, 222, 496, 466, 189; josh 302, 296, 0, 263, 0; sam 492, 501, 468, 494,
497.
Genders are the authors'; there are no texts.
Source: A. Adigwe, N. Tits, K. El Haddad, S. Ostadabbas and T. Dutoit, "The
Emotional Voices Database: Towards Controlling the Emotion Dimension in Voice
Generation Systems", arXiv:1806.09514, 2018; for non-commercial purposes.""",
    emotions=pairs(
        "amused anger=angry angry disgust disgusted=disgust neutral "
        "sleepiness=sleepy sleepy"
    ),
    example="bea_Amused/amused_1-15_0001.wav",
    language="en",
    pattern=r"([a-z]+)_\d+[-_]\d+_(\d+)",
    describe=_describe,
)
