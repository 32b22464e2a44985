"""IEMOCAP: ten actors in improvised and scripted dialogs, five sessions."""

import re

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora.base import Corpus, list_files, pairs, probe_all
from speechbrain_ext.corpora.texts import text_lines

EMOTIONS = pairs(
    "ang=angry dis=disgust exc=excited fea=fearful fru=frustrated "
    "hap=happy neu=neutral oth=other sad=sad sur=surprised "
    "xxx=no_agreement"
)
# The words that evaluators chose from, where they are others.
WORDS = {"neutral state": "neutral"} | pairs(
    "anger=angry fear=fearful frustration=frustrated happiness=happy "
    "sadness=sad surprise=surprised"
)
DIALOG = (
    r"(?P<dialog>Ses(?P<session>0[1-5])[FM]_"
    r"(?P<style>impro|script)\d\d(?:_\d)?[a-z]?)"
)
TURN = DIALOG + r"_(?P<gender>[FM])[\dX]{3}"
LABEL_LINE = re.compile(
    r"\[\s*([\d.]+)\s*-\s*([\d.]+)\s*\]\s+(\w+)\s+(\w+)\s+"
    r"\[\s*([-\d.]+)\s*,\s*([-\d.]+)\s*,\s*([-\d.]+)\s*\]"
)
CATEGORY_LINE = re.compile(
    r"C-([EFM]\d+)\s*:\s*([^()]*?)\s*(?:\((.*?)\)?)?\s*$"
)
DIMENSIONS = "valence", "activation", "dominance"
WORDS_LINE = re.compile(r"(Ses\w+)\s*(?:\[[^\]]*\])?\s*:\s*(.*?)\s*$")


def _read(folder):
    audio, others, skipped = list_files(folder)
    turns, named = {}, []
    for path in audio:
        match = re.fullmatch(TURN, path.stem)
        if match:
            named.append((path.stem, path))
            turns[path.stem] = match
        # The archive also has each dialog as one file.
        elif not re.fullmatch(DIALOG, path.stem):
            skipped.append((str(path), CORPUS.foreign()))
    if not turns:
        raise CORPUS.no_recordings(folder)
    label_files = _official(others, "emoevaluation", skipped)
    if not label_files:
        raise UserError(
            f"'{folder}' holds IEMOCAP recordings but no labels (looked for "
            "files like dialog/EmoEvaluation/Ses01F_impro01.txt at any "
            "depth); unpack them too."
        )
    labels = _read_labels(label_files.values(), skipped)
    texts = {}
    for path in _official(others, "transcriptions", skipped).values():
        for line in text_lines(path, skipped):
            match = WORDS_LINE.match(line.strip())
            if match and match[2]:
                texts.setdefault(match[1], match[2])
    usable, more = probe_all(named, "IEMOCAP")
    skipped += more
    for id in labels.keys() - turns.keys():
        reason = f"it has a label for {id}, which has no audio"
        skipped.append((labels[id]["file"], reason))
    utterances = []
    for id, (path, seconds) in usable.items():
        turn, label = turns[id], labels.get(id)
        if label is None or label["majority_label"] not in EMOTIONS:
            reason = _why_skipped(label, turn["dialog"], label_files)
            skipped.append((str(path), reason))
            continue
        session, gender = f"Ses{turn['session']}", turn["gender"]
        fields = {
            **label,
            "speaker": f"iemocap_{session}{gender}",
            "emotion": EMOTIONS[label["majority_label"]],
            "gender": "female" if gender == "F" else "male",
            "session": session,
            "text": texts.get(id),
            "style": "improvised" if turn["style"] == "impro" else "scripted",
            "agreement": _agreement(label),
            "dialog": turn["dialog"],
        }
        del fields["file"]
        utterances.append(CORPUS.utterance(id, path, seconds, fields))
    return utterances, skipped


def _official(files, kind, skipped):
    # Label or word files of dialogs, one a dialog. Files of the same names
    # with other content lie in other folders (MOCAP_hand, Categorical, ...).
    official = {}
    for path in files:
        if path.parent.name.lower() == kind and re.fullmatch(
            DIALOG + r"\.txt", path.name
        ):
            first = official.setdefault(path.stem, path)
            if first is not path:
                skipped.append((str(path), f"'{first}' is used"))
    return official


def _read_labels(files, skipped):
    labels = {}
    for path in files:
        current = None
        for number, line in enumerate(text_lines(path, skipped), 1):
            label = LABEL_LINE.match(line)
            category = CATEGORY_LINE.match(line)
            if label:
                start, end, id, code, *values = label.groups()
                current = {
                    "file": str(path),
                    "majority_label": code.lower(),
                    "dialog_start": float(start),
                    "dialog_end": float(end),
                    "dimensions": dict(zip(DIMENSIONS, map(float, values))),
                    "annotations": [],
                }
                first = labels.setdefault(id, current)["file"]
                if labels[id] is not current:
                    reason = f"{id} has its label in '{first}' already"
                    skipped.append((str(path), f"line {number}: {reason}"))
            elif category and current:
                current["annotations"].append(_annotation(*category.groups()))
            elif line.startswith("["):
                current = None
                reason = f"line {number} is no label: '{line}'"
                skipped.append((str(path), reason))
    return labels


def _annotation(annotator, words, comment):
    words = [word.strip().lower() for word in words.split(";")]
    labels = [WORDS.get(word, word) for word in words if word]
    annotation = {"annotator": annotator, "labels": labels}
    comment = (comment or "").strip()
    return annotation | ({"comment": comment} if comment else {})


def _why_skipped(label, dialog, label_files):
    if label is not None:
        return f"IEMOCAP has no emotion '{label['majority_label']}'"
    if dialog in label_files:
        return f"EmoEvaluation/{dialog}.txt has no label for it"
    return f"its label file EmoEvaluation/{dialog}.txt is missing"


def _agreement(label):
    emotion = EMOTIONS[label["majority_label"]]
    votes = [
        emotion in one["labels"]
        for one in label["annotations"]
        if one["annotator"].startswith("E")
    ]
    if emotion == "no_agreement" or not votes:
        return None
    return sum(votes) / len(votes)


CORPUS = Corpus(
    name="iemocap",
    title="IEMOCAP",
    notes="""
Layout: Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav, a
turn a file. Session1/dialog/EmoEvaluation/Ses01F_impro01.txt has the labels
and Session1/dialog/transcriptions/Ses01F_impro01.txt the words. The first F
tells who wears the markers, the second who speaks.
A label is the category that most of the evaluators chose; xxx (no_agreement)
stands where none has most votes. What actors say of themselves (C-F1, C-M1) is
kept but, as in the corpus's own averages, not counted for the agreement.
Counts: 10,039 turns in 151 dialogs. Papers that use four classes have 5531
turns, 1085, 1023, 1151, 1031 and 1241 in the sessions: angry 1103, happy 595,
excited 1041, neutral 1708 and sad 1084.
Source: C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N.
Chang, S. Lee and S. S. Narayanan, "IEMOCAP: Interactive emotional dyadic
motion capture database", Language Resources and Evaluation 42(4), 2008.""",
    emotions=EMOTIONS,
    example="Ses01F_impro01_F000.wav",
    origin="sail.usc.edu/iemocap, whose authors license it on request",
    size=10_039,
    language="en",
    reader=_read,
)
