"""What the readers of corpora share: finding, probing and sorting recordings.

A corpus whose labels stand in the names of its files needs ``read_by_name``
and a function that takes a name apart; the others use the pieces.
"""

import os
import re
from pathlib import Path

from tqdm import tqdm

from speechbrain_ext.audio import Unusable, audio_seconds
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.utterance import Utterance

AUDIO_SUFFIXES = (".wav", ".flac")

# SpeechBrain's recipe for emotion diarization writes cut and joined copies
# into these folders of a corpus; an original is to win over such a copy.
DERIVED_FOLDERS = {"processed", "combined"}

# From this many files on, a user waits long enough to want a progress bar.
MANY_FILES = 2000


def read_by_name(
    folder, corpus, title, pattern, example, describe, read_texts=None
):
    """Read a corpus whose labels stand in the names of its files."""
    folder = check_folder(folder, title)
    files, skipped = list_files(folder)
    texts = read_texts(files, skipped) if read_texts else {}
    described = {}
    found = 0
    for path in files:
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        match = re.fullmatch(pattern, path.stem, re.IGNORECASE)
        if not match:
            skipped.append((str(path), foreign(title, example)))
            continue
        found += 1
        try:
            fields = describe(match, folders_of(path, folder))
        except Unusable as problem:
            skipped.append((str(path), str(problem)))
            continue
        if path.stem in texts:
            fields["text"] = texts[path.stem]
        described[path] = fields
    if not found:
        raise UserError(
            f"'{folder}' holds no {title} recordings (looked for names like "
            f"{example} at any depth); give the folder that was unpacked."
        )
    usable, more = probe_all(
        ((fields["id"], path) for path, fields in described.items()),
        len(described),
        title,
    )
    utterances = [
        Utterance(
            wav=str(path), duration=seconds, corpus=corpus, **described[path]
        )
        for path, seconds in usable.values()
    ]
    return finish(utterances, skipped + more, folder, title)


def foreign(title, example):
    """Why audio with another kind of name is skipped."""
    return f"not named like a recording of {title} ({example})"


def check_folder(folder, title):
    """The folder as an absolute path; a ``UserError`` if it is none."""
    path = Path(os.path.abspath(folder))
    if not path.exists():
        raise UserError(
            f"'{path}' does not exist; give the folder where {title} was "
            "unpacked."
        )
    if not path.is_dir():
        raise UserError(
            f"'{path}' is a file, not a folder; give the folder where {title} "
            "was unpacked."
        )
    return path


def list_files(folder):
    """All files below a folder, in the order in which copies are preferred."""
    files, skipped = [], []
    seen = {_identity(folder)}

    def unreadable(error):
        skipped.append(
            (str(error.filename), f"cannot be read: {error.strerror}")
        )

    for root, folders, names in os.walk(
        folder, followlinks=True, onerror=unreadable
    ):
        inside = []
        for name in sorted(folders):
            if _is_junk(name):
                continue
            try:
                identity = _identity(os.path.join(root, name))
            except OSError as error:
                unreadable(error)
                continue
            if identity not in seen:
                seen.add(identity)
                inside.append(name)
        folders[:] = inside
        root = Path(root)
        files += [root / name for name in names if not _is_junk(name)]

    def preference(path):
        parts = path.relative_to(folder).parts
        derived = not DERIVED_FOLDERS.isdisjoint(parts[:-1])
        return derived, len(parts), parts

    return sorted(files, key=preference), skipped


def _identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_junk(name):
    return name.startswith(".") or name == "__MACOSX"


def folders_of(path, folder):
    """Names of the folders that lead to a file, nearest first."""
    inner = path.parent.relative_to(folder).parts
    return [*reversed(inner), folder.name]


def probe_all(named_files, total, title):
    """Read the headers of audio files and keep one file an id."""
    usable, skipped = {}, []
    for id, path in tqdm(
        named_files,
        desc=f"Reading {title}",
        total=total,
        leave=False,
        disable=total < MANY_FILES,
    ):
        try:
            seconds = audio_seconds(path)
        except Unusable as problem:
            skipped.append((str(path), str(problem)))
            continue
        if id not in usable:
            usable[id] = path, seconds
            continue
        first, first_seconds = usable[id]
        if seconds == first_seconds:
            reason = f"same recording as '{first}'"
        else:
            reason = (
                f"same id ({id}) as '{first}', which is used, but another "
                f"length ({seconds:.3f} s, not {first_seconds:.3f} s)"
            )
        skipped.append((str(path), reason))
    return usable, skipped


def finish(utterances, skipped, folder, title):
    """Sort what a reader has found; a ``UserError`` if nothing can be used."""
    skipped = sorted(skipped)
    if not utterances:
        file, reason = skipped[0]
        raise UserError(
            f"None of the {title} recordings in '{folder}' can be used (the "
            f"first is '{file}': {reason}); unpack the archive again."
        )
    return sorted(utterances, key=lambda one: one.id), skipped
