"""What is made of recordings, kept in files that runs share.

A file is written whole or not at all, under a name that follows from the
content of the recording and from what was done with it: a corpus may move, any
number of processes may write, and an interrupted run continues. WAV with float
samples, because they are then to the last bit those of which a trained model
is given the recording itself, and because a louder copy is not clipped.
"""

import functools
import os
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE, AudioError, probe
from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.files import DAY, atomic_path, fingerprint, sweep
from speechbrain_ext.base.values import check_value
from speechbrain_ext.conditioning.copies import (
    LONGEST,
    augment,
    draw_augmentation,
)
from speechbrain_ext.data import load_waveform
from speechbrain_ext.listening.recordings import in_processes
from speechbrain_ext.store import read_by

# Bytes of a second.
_SECOND = 4 * SAMPLE_RATE
# Recordings that a process takes at a time.
_SHARE = 16


class AudioFolder:
    """A folder of cleaned recordings and of copies.

    Arguments
    ---------
    folder : str or os.PathLike
        Where the files go; runs share it.
    gigabytes : float
        How large it may become.
    corpora : list of str
        Folders that nothing is written into.
    jobs : int
        How many processes work.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    UserError
        When the folder lies in that of a corpus.
    """

    def __init__(self, folder, gigabytes, corpora=(), jobs=1, progress=True):
        check_value("audio_folder", folder)
        check_value("audio_gigabytes", gigabytes)
        if folder is None:
            what = (
                "the path of a folder, where preprocessing or balancing is on"
            )
            raise expected("audio_folder", what, folder)
        self.folder, self.gigabytes = Path(folder), gigabytes
        self.jobs, self.progress = jobs, progress
        for corpus in map(os.path.realpath, corpora):
            if Path(os.path.realpath(folder)).is_relative_to(corpus):
                raise UserError(
                    f"audio_folder: '{folder}' lies in the corpus '{corpus}', "
                    "which is never written to; choose another folder."
                )

    def check_room(self, seconds, present=0):
        """Raise a ``UserError`` unless so much more audio fits."""
        needed = seconds * _SECOND
        sentence = (
            f"audio_folder: '{self.folder}' holds {present / 1e9:.2g} GB, and "
            f"up to {needed / 1e9:.2g} GB are to be added"
        )
        if present + needed > self.gigabytes * 1e9:
            raise UserError(
                f"{sentence}, more than the {self.gigabytes:g} GB of "
                "audio_gigabytes; raise it, or delete what other runs have "
                "left in the folder."
            )
        folder = self.folder.absolute()
        there = next(x for x in (folder, *folder.parents) if x.exists())
        free = shutil.disk_usage(there).free
        if needed > free:
            raise UserError(
                f"{sentence}, more than the {free / 1e9:.2g} GB that are free "
                "on its disk; free some space, or choose another folder."
            )

    def clean(self, utterances, cleaner):
        """Cleaned utterances, and file and reason of those that are lost."""
        done = [cleaner.describe()] * len(utterances)
        function = functools.partial(_clean, cleaner=cleaner)
        made, skipped = [], []
        paths = self._make(utterances, done, function, "Cleaning")
        for one, path in zip(utterances, paths):
            if isinstance(path, AudioError):
                skipped.append((one.wav, path.reason))
                continue
            seconds = probe(path).duration
            if seconds < cleaner.min_duration:
                reason = f"lasts {seconds:.2f} s without silence, less than "
                reason += f"the min_duration of {cleaner.min_duration:g} s"
                skipped.append((one.wav, reason))
                continue
            made.append(_kept_as(one, path, seconds))
        return made, skipped

    def copy(self, pairs, seed):
        """The copies of pairs of an utterance and a number."""
        drawn = [draw_augmentation(one.id, n, seed) for one, n in pairs]
        library = {"audiomentations": version("audiomentations")}
        done = [{**each, "versions": library} for each in drawn]
        sources = [one for one, _ in pairs]
        how = done, _augment, "Augmenting", LONGEST
        paths = self._make(sources, *how)
        made = []
        for (one, number), path, each in zip(pairs, paths, drawn):
            if isinstance(path, AudioError):
                raise AudioError(path.reason, one.wav)
            copy = _kept_as(one, path, probe(path).duration)
            extra = {**copy.extra, "augmentation": each}
            name = f"{one.id}_copy{number}"
            made.append(replace(copy, id=name, extra=extra))
        return made

    def _make(self, utterances, done, function, title, longest=1.0):
        """Of every utterance the file with what a function makes of it, given
        what is done, up to ``longest`` times as long; or the ``AudioError``
        that it raises."""
        from tqdm import tqdm

        sweep([self.folder, *self.folder.glob("*")], DAY)
        records = [one.to_dict() for one in utterances]
        paths = [self._path(*each) for each in zip(records, done)]
        todo = {
            str(path): (record, each)
            for path, record, each in zip(paths, records, done)
            if not path.is_file()
        }
        if not todo:
            return paths
        seconds = sum(record["duration"] for record, _ in todo.values())
        self.check_room(seconds * longest, _size(self.folder))
        items, failed = list(todo.items()), {}
        batches = [items[n : n + _SHARE] for n in range(0, len(items), _SHARE)]
        work = functools.partial(_work, function=function)
        how = {"total": len(items), "unit": "file"}
        with tqdm(desc=title, disable=not self.progress, **how) as bar:
            for count, problems in in_processes(work, batches, self.jobs):
                failed |= problems
                bar.update(count)
        return [failed.get(str(path), path) for path in paths]

    def _path(self, record, done):
        name = fingerprint(read_by("audio", record), done)
        return self.folder.absolute() / name[:2] / f"{name}.wav"


def _work(batch, function):
    """Write files; how many, and the ``AudioError`` of each that is none."""
    from scipy.io import wavfile

    failed = {}
    for path, (record, done) in batch:
        try:
            wav = function(load_waveform(record), record, done)
        except AudioError as error:
            failed[path] = error
            continue
        if not np.isfinite(wav.numpy()).all():
            failed[path] = AudioError("became values that are not finite")
            continue
        with atomic_path(path) as part:
            # soundfile's floats have the time of day in their header.
            wavfile.write(part, SAMPLE_RATE, wav.numpy())
    return len(batch), failed


def _clean(waveform, record, done, cleaner):
    return cleaner.clean(waveform, record["wav"])


def _augment(waveform, record, done):
    return augment(waveform, done["name"], done["value"], done["seed"])


def _kept_as(utterance, path, seconds):
    """An utterance whose recording is another file now."""
    extra = {"origin": utterance.wav, **utterance.extra}
    how = {"wav": str(path), "duration": seconds, "extra": extra}
    # Its times have changed.
    return replace(utterance, **how, start=None, stop=None, alignment=None)


def _size(folder):
    """Bytes of what a folder holds."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            # Another process may take it away.
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:
                continue
    return total
