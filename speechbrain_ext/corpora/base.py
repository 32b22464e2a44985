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
    notes : str
        Layout, counts, how sure the fields are, publication and licence.
    emotions : dict
        From each of the corpus's own labels to a full English word.
    example : str
        A name of a file.
    origin : str, optional
        Where it is to be had, and its licence.
    size : int, optional
        How many recordings it has at least, if it is complete.
    language : str, optional
        ISO 639-1 code, unless ``describe`` gives one.
    pattern, describe : str and callable, optional
        What names of recordings match, without suffix, in any case; from such
        a match and the names of the folders above, nearest first, to fields of
        ``Utterance`` and of its ``extra``, with ``label`` in place of
        ``emotion``. It raises ``AudioError`` to skip the file.
    read_texts : callable, optional
        From the files that are no audio and the list of what was skipped to
        the texts, by the name of the recording.
    read_speakers : callable, optional
        From the same to more fields, by the speaker.
    reader : callable, optional
        In place of these four, where the labels stand elsewhere: from a
        folder to utterances and what was skipped.

    Example
    -------
    >>> from speechbrain_ext.corpora import find_corpus
    >>> find_corpus("savee").emotions["sa"]
    'sad'
    """

    name: str
    title: str
    notes: str
    emotions: dict
    example: str
    origin: str = ""
    size: int = 0
    language: str | None = None
    pattern: str | None = None
    describe: Callable | None = None
    read_texts: Callable | None = None
    read_speakers: Callable | None = None
    reader: Callable | None = None

    def read(self, folder):
        """Utterances and what was skipped, as ``read_corpus``."""
        folder = Path(os.path.abspath(folder))
        if not folder.is_dir() or not _is_utf8(folder):
            what = "does not exist"
            if folder.exists():
                what = "is a file, not a folder"
            if not _is_utf8(folder):
                what = "has a name that is not UTF-8"
            origin = f" ({self.origin})" if self.origin else ""
            raise UserError(
                f"'{folder}' {what}; give the folder where {self.title} was "
                f"unpacked{origin}."
            )
        utterances, skipped = (self.reader or self._read_names)(folder)
        skipped = sorted(skipped)
        if not utterances:
            file, reason = skipped[0]
            raise UserError(
                f"None of the {self.title} recordings in '{folder}' is usable "
                f"(the first, '{file}': {reason}); unpack the archive again."
            )
        return sorted(utterances, key=lambda one: one.id), skipped

    def incomplete(self, found, folder):
        """What to say of a folder with so many recordings; None if it is
        complete."""
        if found >= self.size:
            return None
        origin = f" ({self.origin})" if self.origin else ""
        return (
            f"'{folder}' holds {found} of the {self.size} recordings of "
            f"{self.title}, and the others are not used; unpack them, too"
            f"{origin}."
        )

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
        audio, others, skipped = list_files(folder)
        matches = {
            path: re.fullmatch(self.pattern, path.stem, re.IGNORECASE)
            for path in audio
        }
        if not any(matches.values()):
            raise self.no_recordings(folder)
        texts = self.read_texts(others, skipped) if self.read_texts else {}
        speakers = {}
        if self.read_speakers:
            speakers = self.read_speakers(others, skipped)
        named, described = [], {}
        for path, match in matches.items():
            # The folders that lead to the file, nearest first.
            above = path.parent.relative_to(folder.parent).parts[::-1]
            try:
                if not match:
                    raise AudioError(self.foreign())
                fields = self.describe(match, above)
                fields = speakers.get(fields["speaker"], {}) | fields
                fields = self._complete(fields)
                named.append((fields.pop("id"), path))
                described[path] = {"text": texts.get(path.stem)} | fields
            except AudioError as problem:
                skipped.append((str(path), problem.reason))
        usable, more = probe_all(named, self.title)
        utterances = [
            self.utterance(id, path, seconds, described[path])
            for id, (path, seconds) in usable.items()
        ]
        return utterances, skipped + more

    def _complete(self, fields):
        label = fields.pop("label")
        # Some archives spell labels in other cases.
        emotion = self.emotions.get(label, self.emotions.get(label.lower()))
        if emotion is None:
            self.check_codes(emotion=(label, ()))
        names = {x: f"{self.name}_{fields[x]}" for x in ("id", "speaker")}
        return fields | names | {"emotion": emotion, "original_label": label}

    def utterance(self, id, wav, seconds, fields):
        """The record of a recording."""
        record = {"wav": str(wav), "duration": seconds, "corpus": self.name}
        record |= {"language": self.language, **fields}
        return Utterance.from_dict(id, record)


def list_files(folder):
    """Audio, other files, and folders that are not readable; of copies the
    preferred one comes first."""
    files, skipped = [], []
    seen = {os.path.realpath(folder)}

    def unreadable(error):
        reason = f"is not readable: {error.strerror}"
        skipped.append((str(error.filename), reason))

    walk = os.walk(folder, followlinks=True, onerror=unreadable)
    for root, folders, names in walk:
        found = sorted(name for name in folders if not _is_junk(name))
        folders.clear()
        for name in found:
            place = os.path.realpath(os.path.join(root, name))
            if place not in seen:
                seen.add(place)
                folders.append(name)
        for path in (Path(root, name) for name in names if not _is_junk(name)):
            if _is_utf8(path):
                files.append(path)
            else:
                skipped.append((str(path), "its name is not UTF-8; rename it"))

    def preference(path):
        parts = path.relative_to(folder).parts
        derived = not DERIVED_FOLDERS.isdisjoint(parts[:-1])
        return derived, len(parts), parts

    audio, others = [], []
    for path in sorted(files, key=preference):
        is_audio = path.suffix.lower() in AUDIO_SUFFIXES
        (audio if is_audio else others).append(path)
    return audio, others, skipped


def _is_utf8(path):
    # What is not stands as halves of surrogate pairs, which no file can hold.
    return not re.search("[\ud800-\udfff]", str(path))


def _is_junk(name):
    return name.startswith(".") or name == "__MACOSX"


def pairs(text):
    """``{"a": "angry", "sad": "sad"}`` from ``"a=angry sad"``."""
    halves = (pair.split("=") for pair in text.split())
    return {half[0]: half[-1] for half in halves}


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
