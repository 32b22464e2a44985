"""References and hypotheses in files, whoever wrote them.

RTTM has one line a segment: ``SPEAKER id 1 onset duration <NA> <NA> emotion
<NA> <NA>`` (NIST, Rich Transcription evaluation plan RT-09, appendix A), with
the emotion where speaker diarization has the speaker. Field 3 is the channel:
where a file has several, each is a recording of its own.
"""

import re
from decimal import Decimal
from pathlib import Path, PurePosixPath

from speechbrain_ext.base.emotions import emotion_name
from speechbrain_ext.base.errors import (
    UserError,
    expected,
    is_number,
    is_whole,
)
from speechbrain_ext.base.files import atomic_open, read_json, read_text
from speechbrain_ext.base.values import to_number
from speechbrain_ext.metrics.segments import check_fields, check_hypothesis
from speechbrain_ext.utterance import check_duration, check_segments

AUDIO_SUFFIXES = (
    ".wav .flac .mp3 .ogg .opus .m4a .aac .wma .aif .aiff .sph .mp4 .webm"
).split()


def read_reference(path):
    """The true emotions of utterances, from JSON.

    ``{id: {"duration", "emotion": [{"emo", "start", "end"}], "speaker"}}``,
    times in seconds: the layout of ZED.json, and of our manifests, where an
    ``emotion`` that is one word holds from end to end. An unknown ``speaker``
    is None.
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


def read_hypothesis(path, ids=()):
    """What a system says, ``{id: [{"start", "end", "emotion"}]}``.

    From ``.rttm``; or from ``.json`` in the layout of ZED.json, or of
    SpeechBrain's ``Speech_Emotion_Diarization``, ``{id or audio file:
    [{"start", "end", "emotion": "h"}]}``. A name that is among ``ids``, those
    of the reference, stays as it is; any other that looks like an audio file
    gives way to its stem. Of several channels in an RTTM each is an utterance,
    ``file:channel``.
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
        id = name if name in ids else _id(name)
        if id in names:
            raise UserError(
                f"'{path}': '{names[id]}' and '{name}' both mean the "
                f"utterance '{id}'; keep one of them."
            )
        names[id] = name
    return {id: named[name] for id, name in names.items()}


def _id(name):
    name, channel = re.fullmatch(r"(.*?)(:[^:./\\]+)?", name, re.S).groups("")
    # Whoever wrote the file may have worked on Windows.
    file = PurePosixPath(name.replace("\\", "/"))
    if len(file.parts) > 1 or file.suffix.lower() in AUDIO_SUFFIXES:
        name = file.stem
    return name + channel


def _objects(path, what):
    data = read_json(path)
    if not isinstance(data, dict) or not data:
        raise UserError(
            f"'{path}' is not a {what}: expected an object like ZED.json's."
        )
    return data


def read_rttm(path):
    """Segments by the name of a file, or ``file:channel`` if it has several.

    Empty lines, comments and SPKR-INFO are passed over.
    """
    found = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        fields = line.split()
        if fields and not fields[0].startswith((";;", "SPKR-INFO")):
            segment = _parse(fields, f"'{path}', line {number}")
            channels = found.setdefault(fields[1], {})
            channels.setdefault(fields[2], []).append(segment)
    return {
        f"{name}:{channel}" if len(channels) > 1 else name: segments
        for name, channels in found.items()
        for channel, segments in channels.items()
    }


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
    value = to_number(text)
    if is_number(value) and value >= 0:
        return Decimal(repr(value))
    wrong = "negative" if is_number(value) else "not a number of seconds"
    raise UserError(f"{field} is '{text}', {wrong}; correct the line.")


def write_rttm(path, diarizations):
    """Write what ``read_rttm`` gives, whole or not at all."""
    text = format_rttm(path, diarizations)
    with atomic_open(path) as file:
        file.write(text)


def format_rttm(path, diarizations):
    """What ``write_rttm`` writes; ``path`` is what an error names.

    Times are rounded to microseconds; segments that touch still touch when
    read again.
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
    return "".join(lines)
