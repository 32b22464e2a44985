"""The record of an utterance, and manifests: JSON objects ``{id: record}``.

SpeechBrain's ``DynamicItemDataset.from_json`` reads them. Segments have the
layout of ZED.json, for simulated data, ZED and a user's own data alike.
"""

import reprlib
from dataclasses import dataclass, field, fields

from speechbrain_ext.base.errors import UserError, expected, is_number
from speechbrain_ext.base.files import read_json, write_json
from speechbrain_ext.base.values import (
    FILE,
    SECONDS,
    TIME,
    Kind,
    number,
    optional,
)

# Fields that are no fields of a record.
_APART = {"id", "extra"}
_TIME = number(0, unit="of seconds")
_NAME = Kind("a name", lambda value: isinstance(value, str))
# What the fields of pieces, and those of a manifest's records, take.
_PIECE = {"wav": FILE, "start": _TIME, "stop": SECONDS, "gain": number(0)}
_FIELDS = {
    "speaker": _NAME,
    "corpus": _NAME,
    "wav": optional(FILE),
    "pieces": Kind(
        f"null, or a list of objects with {', '.join(_PIECE)}",
        lambda value: (
            value is None
            or isinstance(value, list)
            and all(map(_is_piece, value))
        ),
    ),
    **dict.fromkeys(("gender", "language", "session", "text"), optional(_NAME)),
    "start": optional(_TIME),
    "stop": optional(SECONDS),
}


def _is_piece(value):
    return (
        isinstance(value, dict)
        and all(name in value for name in _PIECE)
        and all(kind.takes(value[name]) for name, kind in _PIECE.items())
        and value["start"] < value["stop"]
        and _TIME.takes(value.get("crossfade", 0))
    )


def is_alignment(value, duration):
    """Whether a value is a list of phones within an utterance (s)."""

    def is_phone(one):
        if not isinstance(one, dict) or one.keys() != {"phone", "start", "end"}:
            return False
        name, start, end = (one[key] for key in ("phone", "start", "end"))
        return (
            isinstance(name, str)
            and _TIME.takes(start)
            and is_number(end)
            # Headers may round.
            and start < end <= duration + 0.01
        )

    return isinstance(value, list) and all(map(is_phone, value))


@dataclass(frozen=True)
class Utterance:
    """One utterance of a corpus, or one made by joining several.

    Arguments
    ---------
    id : str
        Unique within a manifest.
    duration : float
        Length in seconds.
    speaker : str
        Unique over corpora (``"ravdess_01"``), or ``""`` where unknown.
    emotion : str or list of dict
        A full English word (``"angry"``), or the segments of an utterance
        with several: ``[{"emo": "angry", "start": 0.5, "end": 2.0}]``, times
        in seconds; what no segment covers is neutral.
    corpus : str
        Name of the corpus module.
    wav : str, optional
        The audio file; a simulated utterance has ``pieces`` instead, and one
        of a corpus of texts has neither and lasts 0 s.
    pieces : list of dict, optional
        ``{"wav", "start", "stop", "gain"}`` each, times in seconds.
    gender, language, session, text : str, optional
        ``"female"`` or ``"male"``; ISO 639-1 code; where a corpus has them;
        what is said.
    start, stop : float, optional
        The part of the file (s), if it is not the whole.
    alignment : list of dict, optional
        ``{"phone", "start", "end"}`` each, times in seconds from the start of
        the utterance; what no phone covers is silence.
    extra : dict
        Whatever else the corpus says (annotators' labels, intensity, ...).
    """

    id: str
    duration: float
    speaker: str
    emotion: str | list
    corpus: str
    wav: str | None = None
    pieces: list | None = None
    gender: str | None = None
    language: str | None = None
    session: str | None = None
    text: str | None = None
    start: float | None = None
    stop: float | None = None
    alignment: list | None = None
    extra: dict = field(default_factory=dict)

    def to_dict(self):
        """The record as it stands in a manifest: no id, nothing unknown."""
        known = {k: v for k, v in vars(self).items() if k not in _APART}
        known = {k: v for k, v in known.items() if v is not None}
        return {**known, **self.extra}

    @classmethod
    def from_dict(cls, id, record):
        """The utterance behind a manifest's record."""
        known = {one.name for one in fields(cls)} - _APART
        given = {k: v for k, v in record.items() if k in known}
        extra = {k: v for k, v in record.items() if k not in known}
        return cls(id=id, **given, extra=extra)


def save_manifest(utterances, path):
    """Write a manifest, whole or not at all; ids must differ."""
    records = {}
    for utterance in utterances:
        if utterance.id in records:
            first = records[utterance.id].get("wav")
            raise UserError(
                f"Two utterances have the id '{utterance.id}' ('{first}' and "
                f"'{utterance.wav}'); remove one of the two files."
            )
        records[utterance.id] = utterance.to_dict()
    write_json(records, path)


def load_manifest(path):
    """Utterances of a manifest; an error names the id and the bad field."""
    records = read_json(path)
    if not isinstance(records, dict):
        raise UserError(f"'{path}' is no manifest: it holds no object of ids.")
    utterances = []
    for id, record in records.items():
        where = f"'{path}', utterance '{id}'"
        if not isinstance(record, dict):
            raise UserError(f"{where}: the record is not an object.")
        for name in ("duration", "speaker", "emotion", "corpus"):
            if name not in record:
                raise UserError(f"{where}: the field '{name}' is missing.")
        if has_audio(record):
            check_duration(record["duration"], where)
        elif record["duration"] != 0 or not record.get("text"):
            raise UserError(
                f"{where}: it has neither 'wav' nor 'pieces', nor is it a "
                "'text' with the duration 0."
            )
        for name, kind in _FIELDS.items():
            if not kind.takes(record.get(name)):
                raise expected(f"{where}, {name}", kind.what, record.get(name))
        start, stop = (record.get(name) for name in ("start", "stop"))
        if stop is not None and stop <= (start or 0):
            what = f"seconds after the start at {start or 0} s"
            raise expected(f"{where}, stop", what, stop)
        alignment = record.get("alignment")
        if not is_alignment(alignment or [], record["duration"]):
            what = "phones, each a stretch of the utterance"
            raise expected(f"{where}, alignment", what, alignment)
        if not isinstance(record["emotion"], str):
            check_segments(record["emotion"], record["duration"], where)
        utterances.append(Utterance.from_dict(id, record))
    return utterances


def has_audio(record):
    """Whether a record is of speech, and not of a text alone."""
    return record.get("wav") is not None or record.get("pieces") is not None


def check_duration(duration, where):
    """Raise a ``UserError`` unless ``duration`` is a length in seconds."""
    if not TIME.takes(duration):
        shown = reprlib.repr(duration)
        raise UserError(
            f"{where}: the field 'duration' is {shown}, not a length in "
            "seconds."
        )


def check_segments(segments, duration, where):
    """Raise a ``UserError`` unless the segments lie within the utterance."""
    if not isinstance(segments, list):
        raise UserError(
            f"{where}: the field 'emotion' is not a list of segments."
        )
    for at, segment in enumerate(segments, 1):
        one = f"{where}: segment {at}"
        for name in ("emo", "start", "end"):
            if not isinstance(segment, dict) or name not in segment:
                raise UserError(f"{one} lacks the field '{name}'.")
        word, *span = (segment[name] for name in ("emo", "start", "end"))
        if not isinstance(word, str) or not word:
            shown = reprlib.repr(word)
            raise UserError(f"{one} has the emotion {shown}, not a word.")
        # Published files round to milliseconds: ZED's ends may pass the
        # duration by a hair.
        if not (
            all(is_number(time, (int, float)) for time in span)
            and 0 <= span[0] < span[1] <= duration + 0.01
        ):
            start, end = map(reprlib.repr, span)
            raise UserError(
                f"{one} runs from {start} to {end} s, which is not a stretch "
                f"of an utterance of {duration} s."
            )
