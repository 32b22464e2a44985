"""References and hypotheses in files, whoever wrote them.

RTTM has one line a segment: ``SPEAKER id 1 onset duration <NA> <NA> emotion
<NA> <NA>`` (NIST, Rich Transcription evaluation plan RT-09, appendix A), with
the emotion where speaker diarization has the speaker.
"""

import math
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePosixPath

from speechbrain_ext.base.emotions import emotion_name
from speechbrain_ext.base.errors import UserError, expected, is_whole
from speechbrain_ext.base.files import atomic_open, read_json
from speechbrain_ext.metrics.segments import check_fields, check_hypothesis
from speechbrain_ext.utterance import check_duration, check_segments

AUDIO_SUFFIXES = (
    ".wav .flac .mp3 .ogg .opus .m4a .aac .wma .aif .aiff .sph .mp4 .webm"
).split()


def read_reference(path):
    """Read the true emotions of utterances.

    Arguments
    ---------
    path : str or os.PathLike
        JSON in the layout of ZED.json, ``{id: {"duration", "emotion":
        [{"emo", "start", "end"}]}}``, or one of our manifests (where an
        ``emotion`` that is one word holds from end to end). ``speaker`` is
        optional.

    Returns
    -------
    dict
        ``{id: {"emotion": [{"emo", "start", "end"}], "duration": float,
        "speaker": str or None}}``, times in seconds.
    """
    references = {}
    for id, record in _objects(path, "reference").items():
        where = f"'{path}', utterance '{id}'"
        check_fields(record, ("duration", "emotion"), where)
        duration, emotion = record["duration"], record["emotion"]
        check_duration(duration, where)
        if isinstance(emotion, str):
            emotion = [{"emo": emotion, "start": 0.0, "end": duration}]
        check_segments(emotion, duration, where)
        speaker = record.get("speaker")
        if not isinstance(speaker, str | None) and not is_whole(speaker):
            raise expected(f"{where}, speaker", "a name", speaker)
        references[id] = {
            "emotion": [
                {
                    "emo": emotion_name(segment["emo"], where),
                    **{name: float(segment[name]) for name in ("start", "end")},
                }
                for segment in emotion
            ],
            "duration": float(duration),
            "speaker": None if speaker in (None, "") else str(speaker),
        }
    return references


def read_hypothesis(path, ids=None):
    """Read what a system says, in any of three layouts.

    Arguments
    ---------
    path : str or os.PathLike
        ``.rttm``; or ``.json`` in the layout of SpeechBrain's
        ``Speech_Emotion_Diarization``, ``{id or audio file: [{"start", "end",
        "emotion": "h"}]}``; or ``.json`` in the layout of ZED.json.
    ids : collection of str, optional
        The ids of the reference. A name that is among them stays as it is;
        any other that looks like an audio file gives way to its stem.

    Returns
    -------
    dict
        ``{id: [{"start", "end", "emotion"}]}``, times in seconds, emotions as
        full words.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".rttm":
        named = read_rttm(path)
    elif suffix == ".json":
        named = {}
        for name, value in _objects(path, "hypothesis").items():
            where = f"'{path}', utterance '{name}'"
            if isinstance(value, dict):
                check_fields(value, ["emotion"], where)
                value = value["emotion"]
            named[name] = check_hypothesis(value, where)
    else:
        raise UserError(
            f"'{path}' is neither '.rttm' nor '.json'; give a hypothesis in "
            "one of these formats."
        )
    names = {}
    for name in named:
        id = name if ids is not None and name in ids else _id(name)
        if id in names:
            raise UserError(
                f"'{path}': '{names[id]}' and '{name}' both mean the "
                f"utterance '{id}'; keep one of them."
            )
        names[id] = name
    return {id: named[name] for id, name in names.items()}


def _id(name):
    # Whoever wrote the file may have worked on Windows.
    file = PurePosixPath(name.replace("\\", "/"))
    if len(file.parts) > 1 or file.suffix.lower() in AUDIO_SUFFIXES:
        return file.stem
    return name


def _objects(path, what):
    data = read_json(path)
    if not isinstance(data, dict) or not data:
        raise UserError(
            f"'{path}' is not a {what}: expected an object like ZED.json's."
        )
    return data


def read_rttm(path):
    """Segments by id; empty lines, comments and SPKR-INFO are passed over."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"'{path}' does not exist; check the path.") from None
    except OSError as error:
        raise UserError(f"Cannot read '{path}': {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"'{path}' is invalid: it is not UTF-8 text.") from None
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if fields and not fields[0].startswith((";;", "SPKR-INFO")):
            segment = _parse(fields, f"'{path}', line {number}")
            found.setdefault(fields[1], []).append(segment)
    return found


def _parse(values, where):
    if values[0] != "SPEAKER":
        raise UserError(
            f"{where}: field 1 (the type) is '{values[0]}', expected SPEAKER; "
            "remove the line."
        )
    # The tenth, the lookahead time, is optional.
    if len(values) not in (9, 10):
        raise UserError(
            f"{where}: it has {len(values)} fields, expected 10 (SPEAKER id 1 "
            "onset duration <NA> <NA> emotion <NA> <NA>)."
        )
    onset = _seconds(values[3], f"{where}: field 4 (the onset)")
    duration = _seconds(values[4], f"{where}: field 5 (the duration)")
    # Added as decimals, so that the end of a segment is the very number that
    # the next line has as its onset.
    start, end = float(onset), float(onset + duration)
    emotion = emotion_name(values[7], where)
    return {"start": start, "end": end, "emotion": emotion}


def _seconds(text, field):
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if value.is_finite() and value >= 0 and math.isfinite(value):
        return value
    wrong = "negative" if value.is_signed() else "not a number of seconds"
    raise UserError(f"{field} is '{text}', {wrong}; correct the line.")


def write_rttm(path, diarizations):
    """Write segments as RTTM, whole or not at all.

    ``diarizations`` are ``{id: [{"start", "end", "emotion"}]}``. Times are
    rounded to microseconds; segments that touch still touch when read again.
    """
    lines = []
    for id, segments in diarizations.items():
        if not segments:
            raise UserError(
                f"'{path}': RTTM has no place for the utterance '{id}', which "
                "has no segment; give it a neutral segment."
            )
        for segment in check_hypothesis(segments, f"utterance '{id}'"):
            for name in (id, segment["emotion"]):
                if name.split() != [name]:
                    raise UserError(
                        f"'{path}': RTTM has no place for the name '{name}', "
                        "as fields end at spaces; rename it or write JSON."
                    )
            start, end = (round(segment[k] * 1e6) for k in ("start", "end"))
            lines.append(
                f"SPEAKER {id} 1 {start / 1e6:.6f} {(end - start) / 1e6:.6f} "
                f"<NA> <NA> {segment['emotion']} <NA> <NA>\n"
            )
    with atomic_open(path) as file:
        file.writelines(lines)
