"""Folders that look like the corpora: their file names, one tiny recording.

The names follow from rules, or from the numbers in ``data/``: a line is the
beginning of a name and the numbers that exist (``1-3,5``).
"""

import itertools
import os
from collections import defaultdict
from pathlib import Path

import numpy
import soundfile

from speechbrain_ext.utterance import load_manifest, save_manifest

DATA = Path(__file__).parent / "data"

JL_EMOTIONS = "angry anxious apologetic assertive concerned encouraging "
JL_EMOTIONS = (JL_EMOTIONS + "excited happy neutral sad").split()
# Turns of IEMOCAP in the four usual classes, as papers report them.
IEMOCAP_COUNTS = dict(ang=1103, hap=595, exc=1041, neu=1708, sad=1084)


def ravdess(channel="01"):
    """Names of RAVDESS: 60 spoken recordings an actor, or 44 sung ones."""
    last = {"01": 8, "02": 6}[channel]
    for actor, emotion, intensity, statement, repetition in itertools.product(
        range(1, 25), range(1, last + 1), (1, 2), (1, 2), (1, 2)
    ):
        # Neutral has one intensity; actor 18 did not sing.
        if (emotion, intensity) == (1, 2) or (channel, actor) == ("02", 18):
            continue
        yield (
            f"Actor_{actor:02d}/03-{channel}-{emotion:02d}-{intensity:02d}-"
            f"{statement:02d}-{repetition:02d}-{actor:02d}.wav"
        )


def esd(speakers=range(1, 21)):
    """Names of ESD, in the release without parts."""
    emotions = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
    for speaker, number in itertools.product(speakers, range(1, 1751)):
        emotion = emotions[(number - 1) // 350]
        yield f"{speaker:04d}/{emotion}/{speaker:04d}_{number:06d}.wav"


def jlcorpus():
    """Names of JL-Corpus."""
    folder = "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)"
    speakers = ("female1", "female2", "male1", "male2")
    for speaker, emotion, number, take in itertools.product(
        speakers, JL_EMOTIONS, range(1, 16), ("a_1", "a_2", "b_1", "b_2")
    ):
        yield f"{folder}/{speaker}_{emotion}_{number}{take}.wav"


def emovdb():
    """Names of the release of EmoV-DB on OpenSLR."""
    for start, number in _numbered("emovdb.txt"):
        yield f"{start}_{number:04d}.wav"


def savee():
    """Names of SAVEE as Kaggle has them."""
    for speaker, emotion in itertools.product(
        ("DC", "JE", "JK", "KL"), ("a", "d", "f", "h", "n", "sa", "su")
    ):
        for number in range(1, 31 if emotion == "n" else 16):
            yield f"{speaker}_{emotion}{number:02d}.wav"


def emodb():
    """Names of EmoDB."""
    for line in (DATA / "emodb.txt").read_text().splitlines():
        start, ends = line.split(" ")
        for end in ends.split(","):
            yield f"wav/{start}{end}.wav"


def aesdd():
    """Names of the download of AESDD: a rule with its exceptions."""
    missing = {"d18 (5)", "f02 (4)", "h11 (3)", "s05 (3)"}
    odd = ("d03", "f10", "f11", "f12", "f13")
    spelled = {f"{one} (1)": f"{one} (01)" for one in odd}
    spelled["s01 (5)"] = "s01 (5)a"
    second = ("a06", "d01", "d03", "d04", "f18", "s01", "s02", "s04")
    for folder in ("anger", "disgust", "fear", "happiness", "sadness"):
        for number, speaker in itertools.product(range(1, 21), range(1, 7)):
            name = f"{folder[0]}{number:02d} ({speaker})"
            if name not in missing:
                yield f"{folder}/{spelled.get(name, name)}.wav"
        takes = [one for one in second if one[0] == folder[0]]
        yield from (f"{folder}/{one} (5)b.wav" for one in takes)


def shemo():
    """Names of the archives of ShEMO."""
    for start, number in _numbered("shemo.txt"):
        yield f"{start}{number:02d}.wav"


def cremad():
    """Names of CREMA-D: a rule with its exceptions."""
    sentences = "DFA IEO IOM ITH ITS IWL IWW MTI TAI TIE TSI WSI".split()
    emotions = "ANG DIS FEA HAP NEU SAD".split()
    missing = ("1002_TIE_NEU", "1008_WSI", "1009_MTI", "1019_ITH")
    missing += ("1076_ITS_NEU",)
    for actor, sentence, emotion in itertools.product(
        range(1001, 1092), sentences, emotions
    ):
        levels = ("XX",)
        if sentence == "IEO" and emotion != "NEU":
            levels = ("LO", "MD", "HI")
        name = f"{actor}_{sentence}_{emotion}"
        if not name.startswith(missing):
            yield from (f"AudioWAV/{name}_{level}.wav" for level in levels)


def tess():
    """Names of TESS in the folders of its archive."""
    folders = "angry disgust Fear happy neutral Pleasant_surprise Sad".split()
    codes = "angry disgust fear happy neutral ps sad".split()
    for actress, (folder, code) in itertools.product(
        ("OAF", "YAF"), zip(folders, codes)
    ):
        for word in (DATA / "tess.txt").read_text().split():
            name = f"{actress}_{word}_{code}.wav"
            name = name.replace("OAF_bite_neutral", "OA_bite_neutral")
            yield f"{actress}_{folder}/{name}"


def iemocap():
    """Names of IEMOCAP's turns in the four usual classes."""
    for start, number in _numbered("iemocap.txt"):
        folder = f"Session{start[4]}/sentences/wav/{start[:-2]}"
        yield f"{folder}/{start}{number:03d}.wav"


def _numbered(name):
    for line in (DATA / name).read_text().splitlines():
        start, ranges = line.split(" ")
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield start, number


def tiny(path, samples=160):
    """Write a recording (10 ms if nothing else is said)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = numpy.random.default_rng(0).uniform(-0.1, 0.1, samples)
    soundfile.write(path, noise, 16000)
    return path


def plant(folder, names):
    """Make a tree of files that are links to one tiny recording."""
    source = tiny(folder.parent / f".{folder.name}.wav")
    paths = [folder / name for name in names]
    for parent in {folder, *(path.parent for path in paths)}:
        parent.mkdir(parents=True, exist_ok=True)
    for path in paths:
        os.link(source, path)
    return folder


def iemocap_line(turn, code, start=0.0, agreed=False):
    """A turn as it stands in EmoEvaluation; two or all annotators agree."""
    words = "Anger", "Happiness", "Excited", "Neutral", "Sadness"
    word = dict(zip(IEMOCAP_COUNTS, words))[code]
    said = [word, f"{word}; Other", "Frustration", "Surprise"]
    said = [word] * 4 if agreed else said
    lines = [
        f"[{start:.4f} - {start + 1:.4f}]\t{turn}\t{code}\t"
        "[2.5000, 3.0000, 2.5000]\n",
        *map("C-{}:\t{};\t()\n".format, ("E1", "E2", "E3", "F1"), said),
        "A-E1:\tval 3; act 3; dom  2;\t()\n\n",
    ]
    return "".join(lines)


def iemocap_codes(names):
    """The class of every turn, in the published counts."""
    codes = [c for c, count in IEMOCAP_COUNTS.items() for _ in range(count)]
    # A step without a common factor spreads the classes over the dialogs.
    return {
        Path(name).stem: codes[index * 1009 % len(codes)]
        for index, name in enumerate(names)
    }


def write_iemocap_labels(folder, codes, agreed="none"):
    """Label and word files for turns; on those of a style all agree."""
    texts = defaultdict(str)
    for index, (turn, code) in enumerate(codes.items()):
        dialog = folder / f"Session{turn[4]}" / "dialog"
        file = f"{turn.rsplit('_', 1)[0]}.txt"
        line = iemocap_line(turn, code, index, agreed in turn)
        texts[dialog / "EmoEvaluation" / file] += line
        line = f"{turn} [{index:08.4f}-{index + 1:08.4f}]: Words of {turn}.\n"
        texts[dialog / "transcriptions" / file] += line
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def snapshot(folder):
    """All that a write into a folder would change."""
    return sorted(
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    )


def check_manifest(utterances, folder):
    """Records come back from a manifest as they were."""
    save_manifest(utterances, folder / "manifest.json")
    assert load_manifest(folder / "manifest.json") == utterances
