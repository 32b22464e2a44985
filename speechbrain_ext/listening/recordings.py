"""What decoding tells of recordings, kept for other folds, seeds and recipes.

What a cache, a JSON file, says of a recording holds as long as that keeps its
id, name, size and time of modification, wherever the corpus lies.
"""

import functools
import math
import os
import time
import warnings
from dataclasses import replace

from tqdm import tqdm

from speechbrain_ext import vad
from speechbrain_ext.audio import (
    MAX_LEVEL,
    SILENCE,
    AudioError,
    read_audio,
    to_samples,
)
from speechbrain_ext.base.errors import expected, is_number, is_whole
from speechbrain_ext.base.files import (
    DAY,
    fingerprint,
    read_json,
    sweep,
    write_json,
)

# A recording of which less of the energy is kept is not used: the detector
# misses much shouted speech, and a breath must not carry the label of a shout.
KEPT_ENERGY = 0.5
# Recordings that are decoded together, and the audio that they may hold (s).
_BATCH = 64
_BATCH_SECONDS = 1200
# Between two copies of the cache (s): a run that is killed loses no more.
_SAVE_EVERY = 60


def listen(utterances, max_silence=None, cache=None, jobs=1, progress=True):
    """Recordings that can be decoded, and file and reason of the others.

    With ``max_silence`` (s) those with speech: the samples to keep as
    ``speech`` and their ``level`` (dB) are added to ``extra``. Texts without
    audio are as they are.
    """
    keys = [_key(utterance, max_silence) for utterance in utterances]

    def find(todo):
        listen_to = functools.partial(_listen_to, max_silence=max_silence)
        return in_processes(listen_to, list(_batches(todo)), jobs)

    def fits(found, utterance):
        # A text without audio is not listened to.
        return not utterance.wav or _fits(found, utterance, max_silence)

    what = "Reading recordings" if max_silence is None else "Voice activity"
    known = recall(utterances, keys, fits, find, cache, progress and what)
    usable, skipped = [], []
    for utterance, key in zip(utterances, keys):
        found = known[key] if utterance.wav else {}
        if "reason" in found:
            skipped.append((utterance.wav, found["reason"]))
        else:
            extra = {**utterance.extra, **found}
            usable.append(replace(utterance, extra=extra))
    return usable, skipped


def recall(utterances, keys, fits, find, cache, title):
    """What is found of recordings, by their keys: what a cache holds of them,
    if it ``fits``, and what ``find`` makes of the others, from key to
    utterance, in batches. Without a title no progress is shown."""
    known = _read(cache)
    todo = {
        key: one
        for key, one in zip(keys, utterances)
        if not fits(known.get(key), one)
    }
    saved = time.monotonic()
    hidden = not (title and todo)
    with tqdm(desc=title, total=len(todo), unit="file", disable=hidden) as bar:
        for found in find(todo):
            known |= found
            bar.update(len(found))
            if time.monotonic() - saved > _SAVE_EVERY:
                _write(known, cache)
                saved = time.monotonic()
    if todo:
        _write(known, cache)
    return known


def in_processes(function, batches, jobs):
    """What a function makes of every batch, as soon as it is there."""
    if jobs == 1:
        yield from map(function, batches)
    elif batches:
        from joblib import Parallel, delayed

        with warnings.catch_warnings():
            # One that imports what its last work did without is replaced.
            warnings.filterwarnings("ignore", "A worker stopped while")
            yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(
                delayed(function)(batch) for batch in batches
            )


def _batches(todo):
    """Recordings of similar length together, for they are padded."""
    batch = []
    for key, one in sorted(todo.items(), key=lambda item: item[1].duration):
        full = one.duration * (len(batch) + 1) > _BATCH_SECONDS
        if batch and (full or len(batch) == _BATCH):
            yield batch
            batch = []
        batch.append((key, one.wav, one.start, one.stop))
    if batch:
        yield batch


def _listen_to(batch, max_silence):
    found, waveforms = {}, {}
    for key, wav, start, stop in batch:
        first = to_samples(start or 0)
        last = None if stop is None else to_samples(stop)
        try:
            waveform = read_audio(wav, first, last)
            if waveform.abs().max() < SILENCE:
                raise AudioError("has no sound", wav)
            waveforms[key], found[key] = (first, waveform), {}
        except AudioError as error:
            found[key] = {"reason": error.reason}
    if max_silence is None or not waveforms:
        return found
    import torch

    threads = torch.get_num_threads()
    # The detector's steps are too small to share.
    torch.set_num_threads(1)
    try:
        regions = vad.speech_regions([one for _, one in waveforms.values()])
    finally:
        torch.set_num_threads(threads)
    silence = to_samples(max_silence)
    for (key, (first, waveform)), spoken in zip(waveforms.items(), regions):
        kept = vad.keep_speech(spoken, len(waveform), silence)
        found[key] = _speech(waveform, kept, first)
    return found


def _speech(waveform, kept, first):
    """The record of what is kept of a waveform, or why it is not used."""
    if not kept:
        return {"reason": "has no speech"}
    share = vad.energy_share(waveform, kept)
    if share < KEPT_ENERGY:
        # Rounded down: just under the bound must not read as the bound.
        percent = math.floor(100 * share) or "less than 1"
        return {"reason": f"keeps {percent} % of its energy as speech"}
    return {
        "speech": [[first + a, first + b] for a, b in kept],
        "level": vad.level_db(waveform, kept),
    }


def _key(utterance, max_silence):
    bounds = None if max_silence is None else [max_silence, KEPT_ENERGY]
    return fingerprint(
        identity(utterance),
        # What the reader refuses.
        [utterance.start, utterance.stop, bounds, MAX_LEVEL, SILENCE],
    )


def identity(utterance):
    """What a recording is known by, wherever the corpus lies."""
    try:
        status = os.stat(utterance.wav)
        state = [status.st_size, status.st_mtime_ns]
    except (OSError, TypeError):
        # There may be no audio.
        state = None
    return [utterance.id, os.path.basename(utterance.wav or ""), state]


def _read(cache):
    if cache is None or not os.path.exists(cache):
        return {}
    known = read_json(cache)
    if not isinstance(known, dict):
        remedy = "delete it, and it is made anew"
        raise expected(f"'{cache}'", "what recordings hold", known, remedy)
    return known


def _fits(found, utterance, max_silence):
    """Whether a cache says of a recording what it can say."""
    if not isinstance(found, dict):
        return False
    if "reason" in found:
        return found.keys() == {"reason"} and isinstance(found["reason"], str)
    if max_silence is None:
        return not found
    if found.keys() != {"speech", "level"} or not is_number(found["level"]):
        return False
    # Headers may round.
    last = to_samples((utterance.start or 0) + utterance.duration + 1)
    spoken = found["speech"]
    return (
        isinstance(spoken, list)
        and len(spoken) > 0
        and all(isinstance(one, list) and len(one) == 2 for one in spoken)
        and all(is_whole(x) for one in spoken for x in one)
        and all(0 <= start < stop <= last for start, stop in spoken)
    )


def _write(known, cache):
    # Another run may have written meanwhile.
    if cache is not None:
        sweep([os.path.dirname(os.path.abspath(cache))], DAY)
        write_json({**_read(cache), **known}, cache)
