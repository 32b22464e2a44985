"""JL-Corpus: New Zealand English by four speakers in ten emotions."""

import re

from speechbrain_ext.corpora.base import Corpus, pairs
from speechbrain_ext.corpora.texts import text_lines

PATTERN = r"((female|male)\d)_([a-z]+)_(\d+[a-z])_(\d)"


def _describe(match, folders):
    speaker, gender, emotion, sentence, take = match.groups()
    return {
        "id": match[0],
        "speaker": speaker.lower(),
        "label": emotion,
        "gender": gender.lower(),
        "sentence": sentence.lower(),
        "take": int(take),
    }


def _read_texts(files, skipped):
    texts = {}
    for path in files:
        if path.suffix.lower() == ".txt" and re.fullmatch(
            PATTERN, path.stem, re.IGNORECASE
        ):
            text = " ".join(" ".join(text_lines(path, skipped)).split())
            if text:
                texts.setdefault(path.stem, text)
    return texts


CORPUS = Corpus(
    name="jlcorpus",
    title="JL-Corpus",
    notes="""
Names: speaker, emotion, sentence (1 to 15, a or b) and take; beside each a
.txt with what is said. The archive on Kaggle has them in "Raw JL corpus
(unchecked and unannotated)/JL(wav+txt)". What the letter and the last number
stand for is not documented. Counts: 2400 recordings, 60 of each speaker in
each emotion: five primary and five secondary ones.
Source: J. James, L. Tian and C. I. Watson, "An Open Source Emotional Speech
Corpus for Human Robot Interaction Applications", Interspeech, 2018.""",
    emotions=pairs(
        "neutral happy sad angry excited "
        "anxious apologetic assertive concerned encouraging"
    ),
    example="female1_angry_10a_1.wav",
    language="en",
    pattern=PATTERN,
    describe=_describe,
    read_texts=_read_texts,
)
