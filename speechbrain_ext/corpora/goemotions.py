"""GoEmotions: written comments, without audio."""

import re

from speechbrain_ext.corpora.base import Corpus, list_files, pairs
from speechbrain_ext.corpora.texts import text_lines
from speechbrain_ext.utterance import Utterance

SPLITS = ("train", "dev", "test")
# The names of the labels, one a line, in the release and in copies of it.
_NAMES = ("emotions.txt", "labels.txt")
# The grouping that comes with the data; what lies in several groups has none.
EMOTIONS = pairs(
    "anger=angry annoyance=angry disapproval=angry disgust=disgust "
    "fear=fearful nervousness=fearful "
    "joy=happy amusement=happy approval=happy excitement=happy "
    "gratitude=happy love=happy optimism=happy relief=happy pride=happy "
    "admiration=happy desire=happy caring=happy "
    "sadness=sad disappointment=sad embarrassment=sad grief=sad remorse=sad "
    "surprise=surprised realization=surprised confusion=surprised "
    "curiosity=surprised neutral several=no_agreement"
)


def _read(folder):
    _, others, skipped = list_files(folder)
    files = {}
    for path in others:
        name = path.name.lower()
        if files.setdefault(name, path) is not path:
            skipped.append((str(path), f"'{files[name]}' is used"))
    tables = [(split, files.get(f"{split}.tsv")) for split in SPLITS]
    listed = next((files[name] for name in _NAMES if name in files), None)
    if listed is None or not all(path for _, path in tables):
        raise CORPUS.no_recordings(folder)
    names = [x.strip() for x in text_lines(listed, skipped) if x.strip()]
    found = {}
    for split, path in tables:
        for number, line in enumerate(text_lines(path, skipped), 1):
            if not line:
                continue
            try:
                one = _utterance(line, names, split)
                if one.id in found:
                    raise ValueError(f"the id {one.id} is there again")
                found[one.id] = one
            except ValueError as error:
                skipped.append((f"{path}:{number}", str(error)))
    return list(found.values()), skipped


def _utterance(line, names, split):
    text, *rest = line.split("\t")
    if len(rest) != 2 or not rest[1].strip():
        raise ValueError("it is no line of text, labels and id")
    if not text.strip():
        raise ValueError("it has no text")
    numbers, id = rest
    if not re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", numbers):
        raise ValueError(f"its labels '{numbers}' are no numbers")
    labels = [names[int(n)] for n in numbers.split(",") if int(n) < len(names)]
    groups = {EMOTIONS.get(label) for label in labels}
    if len(labels) < numbers.count(",") + 1 or None in groups:
        raise ValueError(f"GoEmotions has no emotion '{numbers}'")
    emotion = groups.pop() if len(groups) == 1 else EMOTIONS["several"]
    return Utterance(
        id=f"goemotions_{id.strip()}",
        duration=0.0,
        # Who wrote it is not told.
        speaker="",
        emotion=emotion,
        corpus="goemotions",
        language="en",
        text=text,
        extra={"original_label": ",".join(labels), "split": split},
    )


CORPUS = Corpus(
    name="goemotions",
    title="GoEmotions",
    notes="""
Layout: train.tsv, dev.tsv and test.tsv with text, numbers of labels and id in
every line, and emotions.txt (or labels.txt) with the names of the 28 labels.
There is no audio, so that every duration is 0. Counts: 43 410, 5426 and 5427
comments in English. ``emotion`` is the group of all labels of a comment in the
grouping by Ekman's emotions that comes with the data (joy, with admiration,
approval and caring, is happy), or no_agreement where they lie in several.
Source: D. Demszky et al., "GoEmotions: A Dataset of Fine-Grained Emotions",
ACL 2020 (arXiv:2005.00547); Apache 2.0.""",
    emotions=EMOTIONS,
    example="train.tsv",
    language="en",
    reader=_read,
)
