"""A synthetic corpus of emotional speech, spoken by espeak-ng.

The emotions follow rules (``synthetic_rules``): results on it say that the code
works, nothing about people.
"""

import io
import itertools
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.errors import UserError, expected, is_whole
from speechbrain_ext.base.files import atomic_path, read_json, write_json
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


def generate(
    folder, seed=0, speakers=12, sentences=12, repetitions=1, progress=True
):
    """Make the corpus; do nothing where it already is.

    An utterance depends on the seed, its speaker, sentence, emotion and
    repetition, and on nothing else: a larger corpus contains the smaller one.
    Speakers (1 to 12) are women and men by turns; each says ``sentences`` (1 to
    30) in every emotion, ``repetitions`` times.

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
    given = seed, speakers, sentences, repetitions
    arguments = _check_arguments(*given)
    plan = dict(_plan(*given))
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


def _check_arguments(*values):
    bounds = {
        "seed": (0, math.inf),
        "speakers": (1, len(rules.SPEAKERS)),
        "sentences": (1, len(rules.SENTENCES)),
        "repetitions": (1, math.inf),
    }
    for value, (name, (least, most)) in zip(values, bounds.items()):
        if not is_whole(value) or not least <= value <= most:
            until = f"to {most}" if most < math.inf else "or more"
            raise expected(name, f"a whole number, {least} {until}", value)
    return dict(zip(bounds, values))


def _plan(seed, speakers, sentences, repetitions):
    """The ids, and speaker, sentence, emotion and repetition of each."""
    for speaker in range(speakers):
        name = rules.SPEAKERS[speaker][0]
        order = rules.generator(seed, name).permutation(len(rules.SENTENCES))
        for sentence, emotion, repetition in itertools.product(
            order[:sentences].tolist(), rules.EMOTIONS, range(repetitions)
        ):
            id = f"syn_{name}_{emotion}_{sentence + 1:02d}_{repetition}"
            yield id, (speaker, sentence, emotion, repetition)


def _wav(id, speaker):
    return f"wav/{rules.SPEAKERS[speaker][0]}/{id}.wav"


def _utter(espeak, folder, id, seed, speaker, sentence, emotion, repetition):
    """Write one file and return its record."""
    name, gender, voice, _ = rules.SPEAKERS[speaker]
    manner = rules.manner_of(seed, speaker, sentence, emotion, repetition)
    text = rules.SENTENCES[sentence]
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
