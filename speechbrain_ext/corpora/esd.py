"""ESD: parallel sentences by ten Mandarin and ten English speakers."""

import re

from speechbrain_ext.corpora.base import AudioError, Corpus, pairs
from speechbrain_ext.corpora.texts import text_lines

# In the order of the numbers of the recordings.
EMOTIONS = pairs("neutral angry happy sad surprise=surprised")
# What stands for the emotion at the end of a line of text.
LABELS = {name.capitalize() for name in EMOTIONS}
LABELS |= {"中立", "生气", "快乐", "伤心", "惊喜"}
MEN = {4, 5, 6, 8, 10, 11, 12, 13, 14, 20}
PARTS = {"train", "evaluation", "test"}
SENTENCES = 350


def _describe(match, folders):
    speaker, number = (int(part) for part in match.groups())
    block, sentence = divmod(number - 1, SENTENCES)
    CORPUS.check_codes(
        speaker=(match[1], [f"{one:04d}" for one in range(1, 21)]),
        recording=(match[2], [match[2]] if block in range(5) else ()),
    )
    numbered = list(EMOTIONS)[block]
    named = (name for name in folders if name.lower() in EMOTIONS)
    label = next(named, numbered)
    if label.lower() != numbered:
        raise AudioError(
            f"it lies in '{label}', but number {match[2]} belongs to {numbered}"
        )
    parts = {"part": x.lower() for x in folders[::-1] if x.lower() in PARTS}
    return {
        "id": match[0],
        "speaker": match[1],
        "label": label,
        "gender": "male" if speaker in MEN else "female",
        "language": "zh" if speaker <= 10 else "en",
        "sentence": sentence + 1,
        **parts,
    }


def _read_texts(files, skipped):
    texts = {}
    for path in files:
        if not re.fullmatch(r"\d{4}\.txt", path.name, re.IGNORECASE):
            continue
        mandarin = int(path.stem) <= 10
        for line in text_lines(path, skipped, mandarin):
            match = re.match(r"\s*(\d{4}_\d{6})\s+(.*?)\s*$", line)
            text = _without_label(match[2]) if match else ""
            if text:
                texts.setdefault(match[1], text)
    return texts


def _without_label(line):
    *texts, last = (field.strip() for field in line.split("\t"))
    if texts and " " not in last:
        return " ".join(texts)
    # Where blanks take the place of tabs, only the capital letter tells the
    # label from a last word such as "sad".
    text, _, last = line.rpartition(" ")
    return text.rstrip() if last in LABELS else line


CORPUS = Corpus(
    name="esd",
    title="ESD",
    notes="""
Names: 0011/Angry/0011_000351.wav, in one release with a folder train,
evaluation or test below the emotion. Speakers 0001 to 0010 speak Mandarin,
0011 to 0020 English (the ReadMe has their genders). The numbers go by emotion:
1 to 350 neutral, then angry, happy, sad and surprised. 0011/0011.txt has id,
text and emotion in each line, set apart by tabs or blanks, in UTF-8, UTF-16,
GB 18030 or cp1252. Counts: 35,000 recordings, 350 of each speaker in each
emotion.
Source: K. Zhou, B. Sisman, R. Liu and H. Li, "Emotional Voice Conversion:
Theory, Databases and ESD", Speech Communication 137, 2022; for research
purposes, under the authors' own licence.""",
    emotions=EMOTIONS,
    example="0011_000351.wav",
    pattern=r"(\d{4})_(\d{6})",
    describe=_describe,
    read_texts=_read_texts,
)
