"""References and hypotheses in files, whoever wrote them.

RTTM has one line a segment: ``SPEAKER id 1 onset duration <NA> <NA> emotion
<NA> <NA>`` (NIST, Rich Transcription evaluation plan RT-09, appendix A), with
the emotion where speaker diarization has the speaker.
"""

import math
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePosixPath

from speechbrain_ext.base.emotions import emotion_name
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open, read_json
from speechbrain_ext.metrics.segments import check_hypothesis
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

    Raises
    ------
    UserError
        When the file or a record in it is invalid; names id and field.

    Example
    -------
    >>> path = getfixture("tmp_path") / "ZED.json"
    >>> _ = path.write_text('{"x": {"duration": 2.5, "emotion": "sad"}}')
    >>> read_reference(path)["x"]["emotion"]
    [{'emo': 'sad', 'start': 0.0, 'end': 2.5}]
    """
    references = {}
    for id, record in _objects(path, "reference").items():
        where = f"'{path}', utterance '{id}'"
        if not isinstance(record, dict):
            raise UserError(f"{where}: the record is not an object.")
        for name in ("duration", "emotion"):
            if name not in record:
                raise UserError(f"{where}: the field '{name}' is missing.")
        duration, emotion = record["duration"], record["emotion"]
        check_duration(duration, where)
        if isinstance(emotion, str):
            emotion = [{"emo": emotion, "start": 0.0, "end": duration}]
        check_segments(emotion, duration, where)
        speaker = record.get("speaker")
        if isinstance(speaker, bool) or not isinstance(
            speaker, str | int | None
        ):
            raise UserError(
                f"{where}: the field 'speaker' is {speaker!r}, not a name."
            )
        references[id] = {
            "emotion": [
                {
                    "emo": emotion_name(segment["emo"], where),
                    "start": float(segment["start"]),
                    "end": float(segment["end"]),
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

    Raises
    ------
    UserError
        When the file or a segment is invalid, or two names mean the same id.

    Example
    -------
    >>> path = getfixture("tmp_path") / "out.json"
    >>> _ = path.write_text('''{"/data/x_1.wav": [
    ...     {"start": 0.0, "end": 1.5, "emotion": "h"}]}''')
    >>> read_hypothesis(path)
    {'x_1': [{'start': 0.0, 'end': 1.5, 'emotion': 'happy'}]}
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".rttm":
        named = read_rttm(path)
    elif suffix == ".json":
        named = {
            name: _hypothesis(value, f"'{path}', utterance '{name}'")
            for name, value in _objects(path, "hypothesis").items()
        }
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


def _hypothesis(value, where):
    if isinstance(value, dict):
        if "emotion" not in value:
            raise UserError(f"{where}: the field 'emotion' is missing.")
        value = value["emotion"]
    return check_hypothesis(value, where)


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
            f"'{path}' is not a {what}: expected an object of ids, in the "
            "layout of ZED.json."
        )
    return data


def read_rttm(path):
    """Read the segments of an RTTM file.

    Arguments
    ---------
    path : str or os.PathLike
        Lines of 9 or 10 fields (the tenth, the lookahead time, is optional).
        Empty lines, comments (``;;``) and SPKR-INFO lines are passed over.

    Returns
    -------
    dict
        ``{id: [{"start", "end", "emotion"}]}``, in the order of the file,
        times in seconds.

    Raises
    ------
    UserError
        When the file or a line is invalid; names line and field.

    Example
    -------
    >>> path = getfixture("tmp_path") / "bad.rttm"
    >>> _ = path.write_text("SPEAKER a 1 0.5 1.5 <NA> <NA> sad <NA> <NA>")
    >>> read_rttm(path)
    {'a': [{'start': 0.5, 'end': 2.0, 'emotion': 'sad'}]}
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"'{path}' does not exist; check the path.") from None
    except OSError as error:
        raise UserError(f"Cannot read '{path}': {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(
            f"'{path}' is invalid: expected RTTM, got what is not UTF-8 text."
        ) from None
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        values = line.split()
        if values and not values[0].startswith((";;", "SPKR-INFO")):
            id, segment = _parse(values, f"'{path}', line {number}")
            found.setdefault(id, []).append(segment)
    return found


def _parse(values, where):
    if values[0] != "SPEAKER":
        raise UserError(
            f"{where}: field 1 (the type) is '{values[0]}', expected SPEAKER; "
            "remove the line."
        )
    if len(values) not in (9, 10):
        raise UserError(
            f"{where}: it has {len(values)} fields, expected 10 (SPEAKER id 1 "
            "onset duration <NA> <NA> emotion <NA> <NA>)."
        )
    onset = _seconds(values[3], f"{where}: field 4 (the onset)")
    duration = _seconds(values[4], f"{where}: field 5 (the duration)")
    segment = {
        "start": float(onset),
        # Added as decimals, so that the end of a segment is the very number
        # that the next line has as its onset.
        "end": float(onset + duration),
        "emotion": emotion_name(values[7], where),
    }
    return values[1], segment


def _seconds(text, field):
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not math.isfinite(float(value)):
        wrong = "not a number of seconds"
    elif value < 0:
        wrong = "which is negative"
    else:
        return value
    raise UserError(f"{field} is '{text}', {wrong}; correct the line.")


def write_rttm(path, diarizations):
    """Write segments as RTTM, whole or not at all.

    Arguments
    ---------
    path : str or os.PathLike
        The file to write.
    diarizations : dict
        ``{id: [{"start", "end", "emotion"}]}``, times in seconds; they are
        written to the microsecond, so that segments that touch still touch
        when they are read again.

    Raises
    ------
    UserError
        When RTTM has no place for it: an id or emotion with a space, or an
        utterance without a segment.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.rttm"
    >>> write_rttm(path, {"a": [{"start": 0, "end": 1.5, "emotion": "sad"}]})
    >>> print(path.read_text(), end="")
    SPEAKER a 1 0.000000 1.500000 <NA> <NA> sad <NA> <NA>
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
            start, end = (
                round(segment[name] * 1_000_000) for name in ("start", "end")
            )
            lines.append(
                f"SPEAKER {id} 1 {start / 1e6:.6f} {(end - start) / 1e6:.6f} "
                f"<NA> <NA> {segment['emotion']} <NA> <NA>\n"
            )
    with atomic_open(path) as file:
        file.writelines(lines)
