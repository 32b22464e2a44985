"""A synthetic corpus of emotional speech, spoken by espeak-ng.

The emotions follow rules (``synthetic_rules``): results on it say that the code
works, nothing about people.

> python -m speechbrain_ext.corpora.synthetic FOLDER --texts goemotions=FOLDER
"""

import argparse
import io
import itertools
import math
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.errors import (
    UserError,
    exits_cleanly,
    expected,
    is_whole,
)
from speechbrain_ext.base.files import (
    atomic_path,
    fingerprint,
    read_json,
    write_json,
)
from speechbrain_ext.corpora import synthetic_rules as rules
from speechbrain_ext.corpora.base import Corpus, list_files, pairs, probe_all
from speechbrain_ext.corpora.espeak import Espeak

INDEX = "synthetic.json"
# Of the index, for the records.
FIELDS = "emotion", "gender", "text", "phones"
# Stands in the folder while the corpus is being made.
UNFINISHED = "synthetic.unfinished"
# All speak at one volume; loudness is a gain on the samples. The headroom, in
# dB, is for the loudest voice at its angriest.
HEADROOM = -6
# Of other texts those of 3 to 15 words that every reader says alike: no
# abbreviations, numbers or placeholders.
_WORD = r"([AI]|[A-Z]?[a-z]+)('[a-z]+)?[,;:]? "
_PLAIN = re.compile(f"({_WORD}){{3,15}}")
_END = re.compile(r"[.?!]*$")


def generate(
    folder,
    seed=0,
    speakers=12,
    sentences=12,
    repetitions=1,
    progress=True,
    texts=None,
):
    """Make the corpus; do nothing where it already is.

    An utterance depends on the seed, its speaker, sentence, emotion and
    repetition, and on nothing else: a larger corpus contains the smaller one.
    Speakers (1 to 12) are women and men by turns; each says ``sentences`` (1 to
    30) in every emotion, ``repetitions`` times.

    ``texts`` are those of a corpus, ``{name: folder}``, in place of neutral
    sentences: plain ones of 3 to 15 words, each in the prosody of its own
    emotion, and each by one speaker alone, so that neither voices nor words of
    a test are known from training.

    The folder may hold nothing, or a corpus that this function made or began.
    It gets ``wav/<speaker>/<id>.wav`` (16 kHz, 16 bits) and, when all are
    there, ``synthetic.json``. Returns the number of utterances.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "synthetic"
    >>> generate(folder, speakers=2, sentences=1, progress=False)
    8
    >>> utterances, skipped = CORPUS.read(folder)
    >>> utterances[0].emotion, utterances[0].text
    ('angry', 'The soup is made of carrots and beans.')
    """
    folder = Path(folder)
    pools = None if texts is None else _read_texts(texts, seed)
    given = seed, speakers, sentences, repetitions
    arguments = _check_arguments(*given, pools)
    plan = dict(_plan(*given, pools))
    if _is_there(folder, arguments, plan):
        return len(plan)
    records = {}
    bar = {"desc": "espeak-ng", "unit": "utterance", "disable": not progress}
    with Espeak() as espeak:
        version = espeak.version()
        _claim(folder)
        for id, keys in tqdm(plan.items(), **bar):
            records[id] = _utter(espeak, folder, id, seed, *keys)
    index = {
        "synthetic": True,
        "note": "Synthetic speech made by espeak-ng: no person said this, and "
        "the emotions follow rules.",
        "made_with": "espeak-ng",
        "espeak_ng_version": version,
        "seed": seed,
        "arguments": arguments,
        "rules": rules.digest(),
        "utterances": records,
    }
    write_json(index, folder / INDEX)
    (folder / UNFINISHED).unlink(missing_ok=True)
    return len(plan)


def _read(folder):
    if not (folder / INDEX).is_file():
        _, others, _ = list_files(folder)
        found = [path.parent for path in others if path.name == INDEX]
        if not found:
            raise UserError(
                f"'{folder}' holds no {INDEX}; give the folder of a synthetic "
                "corpus that has been generated to its end."
            )
        if len(found) > 1:
            raise UserError(
                f"'{folder}' holds {len(found)} synthetic corpora, such as "
                f"'{found[0]}'; give the folder of one of them."
            )
        folder = found[0]
    records = _read_index(folder / INDEX)["utterances"]
    named = [(id, folder / record["wav"]) for id, record in records.items()]
    usable, skipped = probe_all(named, CORPUS.title)
    utterances = []
    for id, (path, seconds) in usable.items():
        record = records[id]
        duration = record["samples"] / SAMPLE_RATE
        if seconds != duration:
            reason = f"{seconds} s long where {INDEX} says {duration} s"
            skipped.append((str(path), reason))
            continue
        fields = {
            "speaker": f"synthetic_{record['speaker']}",
            "original_label": record["emotion"],
            **{name: record[name] for name in FIELDS},
        }
        utterances.append(CORPUS.utterance(id, path, seconds, fields))
    return utterances, skipped


def _read_texts(texts, seed):
    """From an emotion to its texts, in the order in which they are said."""
    from speechbrain_ext.corpora import read_corpus

    if not isinstance(texts, dict) or len(texts) != 1:
        what = "the name and the folder of a corpus, {name: folder}"
        raise expected("texts", what, texts)
    [(name, folder)] = texts.items()
    said = {}
    for one in read_corpus(name, folder)[0]:
        # Some write other apostrophes.
        text = (one.text or "").replace("\u2019", "'").strip()
        words = _END.sub("", text)
        if isinstance(one.emotion, str) and _PLAIN.fullmatch(f"{words} "):
            said.setdefault(text, set()).add(one.emotion)
    pools = {
        emotion: sorted(x for x, names in said.items() if names == {emotion})
        for emotion in rules.EMOTIONS
    }
    fewest = min(pools, key=lambda emotion: len(pools[emotion]))
    if len(pools[fewest]) < len(rules.SPEAKERS):
        raise UserError(
            f"texts: '{folder}' has {len(pools[fewest])} plain texts of 3 to "
            f"15 words that are '{fewest}', fewer than the "
            f"{len(rules.SPEAKERS)} speakers; give a larger corpus of texts."
        )
    return {
        emotion: rules.generator(seed, "texts", emotion).permutation(pool)
        for emotion, pool in pools.items()
    }


def _check_arguments(*values):
    *values, pools = values
    most = len(rules.SENTENCES)
    if pools is not None:
        most = min(map(len, pools.values())) // len(rules.SPEAKERS)
    bounds = {
        "seed": (0, math.inf),
        "speakers": (1, len(rules.SPEAKERS)),
        "sentences": (1, most),
        "repetitions": (1, math.inf),
    }
    for value, (name, (least, most)) in zip(values, bounds.items()):
        if not is_whole(value) or not least <= value <= most:
            until = f"to {most}" if most < math.inf else "or more"
            raise expected(name, f"a whole number, {least} {until}", value)
    known = dict(zip(bounds, values))
    if pools is None:
        return known
    digest = {name: pool.tolist() for name, pool in pools.items()}
    return {**known, "texts": fingerprint(digest)}


def _plan(seed, speakers, sentences, repetitions, pools=None):
    """The ids, and speaker, sentence, emotion, repetition and text of each."""
    for speaker in range(speakers):
        name = rules.SPEAKERS[speaker][0]
        order = rules.generator(seed, name).permutation(len(rules.SENTENCES))
        if pools is not None:
            order = np.arange(sentences)
        for sentence, emotion, repetition in itertools.product(
            order[:sentences].tolist(), rules.EMOTIONS, range(repetitions)
        ):
            id = f"syn_{name}_{emotion}_{sentence + 1:02d}_{repetition}"
            if pools is None:
                text = rules.SENTENCES[sentence]
            else:
                place = sentence * len(rules.SPEAKERS) + speaker
                text = str(pools[emotion][place])
            yield id, (speaker, sentence, emotion, repetition, text)


def _wav(id, speaker):
    return f"wav/{rules.SPEAKERS[speaker][0]}/{id}.wav"


def _utter(espeak, folder, id, seed, speaker, *keys):
    """Write one file and return its record."""
    *said, text = keys
    name, gender, voice, _ = rules.SPEAKERS[speaker]
    manner = rules.manner_of(seed, speaker, *said)
    emotion = said[1]
    options = rules.to_espeak(manner)
    spoken, sample_rate, phones = espeak.say(text, voice, **options)
    samples = _to_file(spoken, sample_rate, manner.loudness + HEADROOM)
    wav = _wav(id, speaker)
    content = io.BytesIO()
    soundfile.write(content, samples, SAMPLE_RATE, "PCM_16", format="WAV")
    with atomic_path(folder / wav) as part:
        part.write_bytes(content.getvalue())
    for phone in phones:
        for edge in ("start", "end"):
            phone[edge] = round(phone[edge] / sample_rate, 5)
    phones[-1]["end"] = len(samples) / SAMPLE_RATE
    return {
        "wav": wav,
        "samples": len(samples),
        "speaker": name,
        "gender": gender,
        "emotion": emotion,
        "text": text,
        "voice": voice,
        "prosody": {key: round(v, 4) for key, v in asdict(manner).items()},
        "phones": phones,
    }


def _to_file(samples, sample_rate, decibels):
    """Samples of espeak-ng -> samples of the file, ``decibels`` louder."""
    # Not by soxr: every machine is to make the very same files.
    import torch
    import torchaudio

    # In double precision the rounding to 16 bits hides the order in which a
    # machine adds up.
    wave = torch.from_numpy(samples * 10 ** (decibels / 20))
    wave = torchaudio.functional.resample(wave, sample_rate, SAMPLE_RATE)
    return wave.round().clamp(-32768, 32767).numpy().astype(np.int16)


def _is_there(folder, arguments, plan):
    """Whether the folder holds this very corpus; refuse any other content."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file; give a folder.")
    if (folder / INDEX).exists():
        index = _read_index(folder / INDEX)
        if index["arguments"] != arguments or index["rules"] != rules.digest():
            raise UserError(
                f"'{folder}' holds a corpus made with other arguments or by "
                "another version; give another folder or delete this one."
            )
        wavs = [_wav(id, speaker) for id, (speaker, *_) in plan.items()]
        return all((folder / wav).exists() for wav in wavs)
    # Files like .DS_Store are nobody's data.
    names = [path.name for path in folder.glob("[!.]*")]
    if names and UNFINISHED not in names:
        raise UserError(
            f"'{folder}' is not empty and holds no synthetic corpus; give an "
            "empty folder or a new one."
        )
    return False


def _claim(folder):
    """Mark the folder as ours, and clear away what a killed run left."""
    unfinished = (folder / UNFINISHED).exists()
    with atomic_path(folder / UNFINISHED) as part:
        part.write_text("The synthetic corpus in this folder is not complete.")
    if unfinished and not (folder / INDEX).exists():
        # Other arguments may have made files that this corpus does not have.
        for path in folder.glob("wav/s*/*syn_*.wav"):
            path.unlink()


def _read_index(path):
    index = read_json(path)
    fields = {"arguments", "rules", "utterances"}
    if not isinstance(index, dict) or not fields <= index.keys():
        raise UserError(
            f"'{path}' is not the index of a synthetic corpus; delete it."
        )
    return index


CORPUS = Corpus(
    name="synthetic",
    title="the synthetic corpus",
    notes="""
A dozen voices say the same neutral sentences in every emotion: the words tell
nothing. Rate, mean pitch, pitch range and loudness follow the rules.
Source: espeak-ng, by the rules of M. Schröder (2001), Murray and Arnott (1993)
and Mozziconacci (1998).""",
    emotions=pairs(" ".join(rules.EMOTIONS)),
    example=INDEX,
    language="en",
    reader=_read,
)


@exits_cleanly
def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ext.corpora.synthetic",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("folder", metavar="FOLDER", help="where it goes")
    for name, default in (("seed", 0), ("speakers", 12), ("sentences", 12)):
        text = f"(default: {default})"
        parser.add_argument(f"--{name}", type=int, default=default, help=text)
    text = "a corpus whose texts are said, each in the manner of its emotion"
    parser.add_argument("--texts", metavar="CORPUS=FOLDER", help=text)
    given = vars(parser.parse_args(arguments))
    if given["texts"] is not None:
        name, equals, folder = given["texts"].partition("=")
        if not equals:
            raise expected("--texts", "CORPUS=FOLDER", given["texts"])
        given["texts"] = {name: folder}
    count = generate(**given)
    print(f"{given['folder']}: {count} utterances")


if __name__ == "__main__":
    main()
