"""Which phone is spoken when: the ``alignment`` of recordings.

A TextGrid or a CTM beside the audio, of the same stem, is read; pocketsphinx
aligns the text of other recordings, which is English. What no phone covers is
silence.
"""

import functools
import importlib.util
import itertools
import os
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

from speechbrain_ext.audio import SAMPLE_RATE, AudioError
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import fingerprint, read_text
from speechbrain_ext.data import load_waveform
from speechbrain_ext.encoders.phones import UNKNOWN, phone_name
from speechbrain_ext.listening.recordings import identity, in_processes, recall
from speechbrain_ext.utterance import is_alignment

# Pocketsphinx's frames a second, and its beams: narrow, its own, and wide.
_RATE = 100
_BEAMS = (
    {"beam": 1e-30, "pbeam": 1e-30, "wbeam": 1e-20},
    {},
    {"beam": 1e-200, "pbeam": 1e-200, "wbeam": 1e-150},
)
_SHARE = 16
# A special token, a word, and anything else that may be spoken.
_SPOKEN = re.compile(r"(\[[^\[\]\s]+\])|([a-z]+(?:'[a-z]+)*)|[^\W_]+", re.I)
# How long a word that is in no dictionary may last: a phone for each letter.
_LETTERS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        "AE B K D EH F G HH IH JH K L M N AA P K R S T AH V W K Y Z".split(),
    )
)
_DIGITS = "zero one two three four five six seven eight nine".split()
# Numbers and texts that stand alone, the words between them are for people.
_TEXTGRID = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(-?\d[\d.eE+-]*)(?!\S)')


def align(utterances, aligner=None, cache=None, jobs=1, progress=True):
    """Recordings with their ``alignment``, and file and reason of the others.

    ``aligner`` is ``"pocketsphinx"``, or ``None`` where all have files; a
    ``cache`` keeps what it found, as that of ``listen`` does.
    """
    check_alignable(utterances, aligner)
    files = {one.id: _file_beside(one.wav) for one in utterances}
    todo = [one for one in utterances if files[one.id] is None]
    known = {}
    if aligner is not None:
        how = aligner, _BEAMS
        keys = [fingerprint(identity(x), _given(x), how) for x in todo]

        def find(todo):
            items = list(todo.items())
            starts = range(0, len(items), _SHARE)
            batches = [items[n : n + _SHARE] for n in starts]
            return in_processes(_align_batch, batches, jobs)

        title = progress and "Aligning phones"
        found = recall(todo, keys, _fits, find, cache, title)
        known = {one.id: found[key] for one, key in zip(todo, keys)}
    usable, skipped = [], []
    for one in utterances:
        if files[one.id] is not None:
            found = _read_beside(files[one.id], one)
        else:
            missing = {"reason": "has no TextGrid or CTM beside it"}
            found = known.get(one.id, missing)
        if "reason" in found:
            skipped.append((one.wav, found["reason"]))
        else:
            usable.append(replace(one, alignment=found["alignment"]))
    return usable, skipped


def check_alignable(utterances, aligner):
    """Raise a ``UserError`` where recordings have no files beside them, and
    the aligner is not there or does not know their language."""
    todo = [one for one in utterances if _file_beside(one.wav) is None]
    if aligner is None and len(todo) == len(utterances) > 0:
        raise UserError(
            "preparation.phones: an input reads phones, but none of the "
            f"{len(todo)} recordings has a TextGrid or CTM beside it; choose "
            "pocketsphinx, or put such files there."
        )
    if aligner is None or not todo:
        return
    if importlib.util.find_spec("pocketsphinx") is None:
        raise UserError(
            "preparation.phones: pocketsphinx is not installed; run 'pip "
            "install pocketsphinx'."
        )
    for one in todo:
        if (one.language or "en") != "en":
            raise UserError(
                "preparation.phones: pocketsphinx aligns English alone, and "
                f"'{one.wav}' is in '{one.language}'; put a TextGrid or CTM "
                "beside each recording, and choose null."
            )


def _given(utterance):
    return [utterance.start, utterance.stop, utterance.text]


def _fits(found, utterance):
    """Whether a cache says of a recording what it can say."""
    if not isinstance(found, dict) or len(found) != 1:
        return False
    if "reason" in found:
        return isinstance(found["reason"], str)
    return is_alignment(found.get("alignment"), utterance.duration)


# Files beside the audio


def _file_beside(wav):
    paths = (Path(wav).with_suffix(x) for x in (".TextGrid", ".ctm"))
    return next((path for path in paths if os.path.isfile(path)), None)


def _read_beside(path, utterance):
    """The alignment in a file, or why it is of no use."""
    read = read_textgrid if path.suffix == ".TextGrid" else read_ctm
    try:
        spans = read(path)
        shift = utterance.start or 0.0
        alignment = [
            {"phone": name, "start": a - shift, "end": b - shift}
            for name, a, b in spans
            if phone_name(name) is not None
        ]
        if not is_alignment(alignment, utterance.duration):
            what = f"are not stretches of its {utterance.duration:.2f} s"
            raise ValueError(f"its times {what}")
    except (UserError, ValueError) as error:
        reason = str(error).rstrip(".")
        return {"reason": f"does not fit '{path.name}': {reason}"}
    return {"alignment": alignment}


def read_textgrid(path):
    """Phone, start and end (s) of the tier ``phones`` of a TextGrid, in either
    of Praat's text formats."""
    with open(path, "rb") as file:
        wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    text = read_text(path, "utf-16" if wide else "utf-8-sig")
    found = [
        float(number) if number else word.replace('""', '"')
        for word, number in _TEXTGRID.findall(text)
    ]
    # The names of the format and of its class, its bounds, number of tiers.
    if found[:2] != ["ooTextFile", "TextGrid"]:
        raise ValueError("it is no TextGrid in one of Praat's text formats")
    found = found[5:]
    while found:
        kind, name, _, _, count, *found = found
        size = 3 if kind == "IntervalTier" else 2
        # Neither text nor infinite, and no promise that is not kept.
        if count not in range(len(found) // size + 1):
            raise ValueError(f"it lacks intervals of the tier '{name}'")
        part, found = found[: size * int(count)], found[size * int(count) :]
        if kind == "IntervalTier" and str(name).lower() == "phones":
            spans = zip(part[2::3], part[::3], part[1::3])
            return [(str(name), float(a), float(b)) for name, a, b in spans]
    raise ValueError("it has no tier of intervals named phones")


def read_ctm(path):
    """Phone, start and end (s) of a CTM: file, channel, start, duration, phone
    in every line."""
    spans = []
    for line in read_text(path).splitlines():
        if line.strip() and not line.startswith(";;"):
            _, _, start, duration, name, *_ = line.split()
            start = float(start)
            # Sums of decimals are none.
            spans.append((name, start, round(start + float(duration), 6)))
    return spans


# Pocketsphinx


def _align_batch(batch):
    found = {}
    for key, one in batch:
        try:
            found[key] = {"alignment": _align(one)}
        except AudioError as error:
            found[key] = {"reason": error.reason}
        except ValueError as error:
            found[key] = {"reason": str(error)}
    return found


def _align(utterance):
    """Phones of a recording; a ``ValueError`` says why there are none."""
    wav = load_waveform(utterance.to_dict())
    samples = (wav * 32767).round().clamp(-32768, 32767).short()
    # The last frame may reach beyond the end.
    end = len(wav) / SAMPLE_RATE
    for beams in range(len(_BEAMS)):
        decoder = _decoder(beams)
        words = _words(utterance.text, decoder)
        found = _align_words(decoder, words, samples.numpy().tobytes())
        if found is not None:
            break
    else:
        raise ValueError("cannot be aligned with its text")
    found = [
        [(name, a / _RATE, min(b / _RATE, end)) for name, a, b in word]
        for word in found
    ]
    return [
        {"phone": name, "start": start, "end": end}
        for word in _fill(words, found, end)
        for name, start, end in word
        if start < end
    ]


def _fill(words, found, end):
    """Give special tokens the gap between the words around them.

    To the models of noises that pocketsphinx has, silence is likelier.
    """
    found, filled, start = list(found), [], 0.0
    for is_token, run in itertools.groupby(words, lambda word: bool(word[0])):
        names = [token for token, _ in run]
        if not is_token:
            filled += found[: len(names)]
            del found[: len(names)]
            start = filled[-1][-1][2]
            continue
        stop = found[0][0][1] if found else end
        step = (stop - start) / len(names)
        for number, name in enumerate(names):
            a = start + number * step
            filled.append([(name, round(a, 3), round(a + step, 3))])
    return filled


@functools.cache
def _decoder(beams):
    """A decoder, made once in a process."""
    import pocketsphinx

    # The second search of a path would leave out words.
    fixed = {"lm": None, "bestpath": False, "loglevel": "FATAL"}
    return pocketsphinx.Decoder(**fixed, **_BEAMS[beams])


def _words(text, decoder):
    """What is said: a special token, or None, and a word as the decoder knows
    it, which is ``#...`` where no dictionary has it."""
    text = unicodedata.normalize("NFKD", (text or "").replace("’", "'"))
    text = "".join(x for x in text if not unicodedata.combining(x))
    words, known = [], False
    for match in _SPOKEN.finditer(text):
        word, token = match[0].lower(), match[1]
        if not token and not decoder.lookup_word(word):
            known |= word.isdecimal()
            word = f"#{word}"
            if not decoder.lookup_word(word):
                decoder.add_word(word, _guess(word[1:], decoder))
        else:
            known = True
        words.append((token and token.upper(), word))
    if not words:
        raise ValueError("has no text to align")
    if not known:
        raise ValueError("has no English word in its text")
    return words


def _guess(word, decoder):
    """Phones about as long as a word that is in no dictionary."""
    return " ".join(
        decoder.lookup_word(_DIGITS[int(x)])
        if x.isdecimal()
        else _LETTERS.get(x, "AH")
        for x in word
    )


def _align_words(decoder, words, audio):
    """Name, first frame and frame after the last of every phone of every word
    that is no special token; None if the search does not come to the end."""
    left, found = [word for token, word in words if not token], []
    if not left:
        return found
    try:
        decoder.set_align_text(" ".join(left))
        _decode(decoder, audio)
        if decoder.hyp() is None:
            return None
        decoder.set_alignment()
        _decode(decoder, audio)
        # Its parts are freed with it: it must live as long as they.
        alignment = decoder.get_alignment()
    except RuntimeError:
        # It may be in the middle of an utterance for good.
        _decoder.cache_clear()
        return None
    for entry in alignment or ():
        if entry.name in ("<s>", "<sil>", "</s>", "[NOISE]", "[SPEECH]"):
            continue
        # The second pronunciation of a word is WORD(2).
        if not left or re.sub(r"\(\d+\)$", "", entry.name) != left.pop(0):
            return None
        named = ((UNKNOWN, entry),)
        if not entry.name.startswith("#"):
            named = [(phone.name, phone) for phone in entry]
        found.append([(n, x.start, x.start + x.duration) for n, x in named])
    return None if left else found


def _decode(decoder, audio):
    decoder.start_utt()
    decoder.process_raw(audio, full_utt=True)
    decoder.end_utt()
