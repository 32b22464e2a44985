"""What a corpus is, and what the readers of corpora share."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from speechbrain_ext.audio import AudioError, probe
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.utterance import Utterance

AUDIO_SUFFIXES = (".wav", ".flac")

# SpeechBrain's recipe for emotion diarization writes cut and joined copies
# into these folders of a corpus; an original is to win over such a copy.
DERIVED_FOLDERS = {"processed", "combined"}
# From this many files on there is a progress bar.
MANY_FILES = 2000


@dataclass(frozen=True)
class Corpus:
    """A corpus: what is known of it, and how its folder is read.

    Arguments
    ---------
    name, title : str
        Its key in ``CORPORA``, with which ids and speakers begin; its name in
        sentences.
    source, notes : str
        Publication and licence; layout, counts, and how sure the fields are.
    emotions : dict
        From each of the corpus's own labels to a full English word.
    example : str
        A name of a file.
    language : str, optional
        ISO 639-1 code, unless ``describe`` gives one.
    pattern : str, optional
        What names of recordings match, without suffix, in any case.
    describe : callable, optional
        From such a match and the names of the folders above, nearest first,
        to fields of ``Utterance``, with ``label`` in place of ``emotion``; it
        raises ``AudioError`` with the reason to skip the file.
    read_texts : callable, optional
        From all files and the list of what was skipped to the texts, by the
        name of the recording.
    reader : callable, optional
        In place of these three, where the labels stand elsewhere: from a
        folder to utterances and what was skipped.

    Example
    -------
    >>> from speechbrain_ext.corpora import find_corpus
    >>> find_corpus("savee").emotions["sa"]
    'sad'
    """

    name: str
    title: str
    source: str
    notes: str
    emotions: dict
    example: str
    language: str | None = None
    pattern: str | None = None
    describe: Callable | None = None
    read_texts: Callable | None = None
    reader: Callable | None = None

    def read(self, folder):
        """Utterances and what was skipped, as ``read_corpus``."""
        folder = check_folder(folder, self.title)
        utterances, skipped = (self.reader or self._read_names)(folder)
        skipped = sorted(skipped)
        if not utterances:
            file, reason = skipped[0]
            raise UserError(
                f"None of the {self.title} recordings in '{folder}' is usable "
                f"(the first, '{file}': {reason}); unpack the archive again."
            )
        return sorted(utterances, key=lambda one: one.id), skipped

    def no_recordings(self, folder):
        """The error for a folder with other content."""
        return UserError(
            f"'{folder}' holds no {self.title} recordings (looked for names "
            f"like {self.example} at any depth); give the folder that was "
            "unpacked."
        )

    def foreign(self):
        """Why audio with another kind of name is skipped."""
        return f"not named like a recording of {self.title} ({self.example})"

    def check_codes(self, **codes):
        """Raise ``AudioError`` unless every code is a known one."""
        for what, (code, known) in codes.items():
            if code not in known:
                what = what.replace("_", " ")
                raise AudioError(f"{self.title} has no {what} '{code}'")

    def _read_names(self, folder):
        files, skipped = list_files(folder)
        texts = self.read_texts(files, skipped) if self.read_texts else {}
        described, found = {}, 0
        for path in files:
            if path.suffix.lower() not in AUDIO_SUFFIXES:
                continue
            match = re.fullmatch(self.pattern, path.stem, re.IGNORECASE)
            if not match:
                skipped.append((str(path), self.foreign()))
                continue
            found += 1
            # The folders that lead to the file, nearest first.
            above = path.parent.relative_to(folder.parent).parts[::-1]
            try:
                fields = self.describe(match, above)
                described[path] = self._complete(fields)
            except AudioError as problem:
                skipped.append((str(path), problem.reason))
        if not found:
            raise self.no_recordings(folder)
        named = [(fields["id"], path) for path, fields in described.items()]
        usable, more = probe_all(named, self.title)
        utterances = []
        for path, duration in usable.values():
            fields = {"text": texts.get(path.stem)} | described[path]
            fields |= {"wav": str(path), "duration": duration}
            utterances.append(Utterance(**fields))
        return utterances, skipped + more

    def _complete(self, fields):
        label = fields.pop("label")
        # Some archives spell labels in other cases.
        emotion = self.emotions.get(label, self.emotions.get(label.lower()))
        if emotion is None:
            self.check_codes(emotion=(label, ()))
        return {
            "language": self.language,
            **fields,
            "corpus": self.name,
            "id": f"{self.name}_{fields['id']}",
            "speaker": f"{self.name}_{fields['speaker']}",
            "emotion": emotion,
            "extra": {**fields.get("extra", {}), "original_label": label},
        }


def check_folder(folder, title):
    """The folder as an absolute path."""
    path = Path(os.path.abspath(folder))
    remedy = f"give the folder where {title} was unpacked"
    if not path.exists():
        raise UserError(f"'{path}' does not exist; {remedy}.")
    if not path.is_dir():
        raise UserError(f"'{path}' is a file, not a folder; {remedy}.")
    if not _is_utf8(path):
        raise UserError(f"'{path}': its name is not UTF-8; rename the folder.")
    return path


def list_files(folder):
    """All files below a folder, in the order in which copies are preferred."""
    files, skipped = [], []
    seen = {_identity(folder)}

    def unreadable(error):
        reason = f"is not readable: {error.strerror}"
        skipped.append((str(error.filename), reason))

    walk = os.walk(folder, followlinks=True, onerror=unreadable)
    for root, folders, names in walk:
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
        for path in (Path(root, name) for name in names if not _is_junk(name)):
            if _is_utf8(path):
                files.append(path)
            else:
                skipped.append((str(path), "its name is not UTF-8; rename it"))

    def preference(path):
        parts = path.relative_to(folder).parts
        derived = not DERIVED_FOLDERS.isdisjoint(parts[:-1])
        return derived, len(parts), parts

    return sorted(files, key=preference), skipped


def pairs(text):
    """``"a=angry s=sad"`` as a dict."""
    return dict(pair.split("=") for pair in text.split())


def _identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_utf8(path):
    # What is not stands as halves of surrogate pairs, which no file can hold.
    return not re.search("[\ud800-\udfff]", str(path))


def _is_junk(name):
    return name.startswith(".") or name == "__MACOSX"


def probe_all(named_files, title):
    """Read the headers of audio files and keep one file an id."""
    usable, skipped = {}, []
    few, name = len(named_files) < MANY_FILES, f"Reading {title}"
    for id, path in tqdm(named_files, name, leave=False, disable=few):
        try:
            seconds = probe(path).duration
        except AudioError as problem:
            skipped.append((str(path), problem.reason))
            continue
        first, used = usable.setdefault(id, (path, seconds))
        if seconds != used:
            reason = f"same id ({id}) as '{first}', which is used, but another "
            reason += f"length ({seconds:.3f} s, not {used:.3f} s)"
            skipped.append((str(path), reason))
        elif first is not path:
            skipped.append((str(path), f"same recording as '{first}'"))
    return usable, skipped
