"""Diarizations as RTTM, the text format of speaker diarization.

One line a segment: ``SPEAKER id 1 onset duration <NA> <NA> emotion <NA> <NA>``
(NIST, Rich Transcription evaluation plan RT-09, appendix A), with the emotion
where speaker diarization has the speaker. Tools that read RTTM read it too.
"""

import math
from decimal import Decimal, InvalidOperation
from pathlib import Path

from speechbrain_ext.base.emotions import emotion_name
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.metrics.segments import check_hypothesis


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
        When the file cannot be read or a line cannot be; the sentence names
        line and field.

    Example
    -------
    >>> path = getfixture("tmp_path") / "bad.rttm"
    >>> _ = path.write_text("SPEAKER a 1 0.5 -1 <NA> <NA> sad <NA> <NA>")
    >>> read_rttm(path)
    Traceback (most recent call last):
        ...
    speechbrain_ext.base.errors.UserError: '...bad.rttm', line 1: field 5 (the duration) is '-1', which is negative; correct the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"'{path}' does not exist; check the path.") from None
    except OSError as error:
        raise UserError(f"Cannot read '{path}': {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(
            f"'{path}' is not UTF-8 text, so it cannot be RTTM; check the path."
        ) from None
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        values = line.split()
        if not values or values[0].startswith(";;"):
            continue
        if values[0] == "SPKR-INFO":
            continue
        id, segment = _parse(values, f"'{path}', line {number}")
        found.setdefault(id, []).append(segment)
    return found


def _parse(values, where):
    if values[0] != "SPEAKER":
        raise UserError(
            f"{where}: field 1 (the type) is '{values[0]}', but a diarization "
            "has SPEAKER lines; remove the line."
        )
    if len(values) not in (9, 10):
        raise UserError(
            f"{where}: it has {len(values)} fields, but a SPEAKER line has 10 "
            "(SPEAKER id 1 onset duration <NA> <NA> emotion <NA> <NA>)."
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
        raise UserError(
            f"{field} is '{text}', not a number of seconds; correct the line."
        )
    if value < 0:
        raise UserError(
            f"{field} is '{text}', which is negative; correct the line."
        )
    return value


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
        When RTTM cannot hold it: an id or emotion with a space, or an
        utterance without a segment.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.rttm"
    >>> write_rttm(path, {"a": [{"start": 0, "end": 1.5, "emotion": "sad"}]})
    >>> print(path.read_text(), end="")
    SPEAKER a 1 0.000000 1.500000 <NA> <NA> sad <NA> <NA>
    >>> read_rttm(path)
    {'a': [{'start': 0.0, 'end': 1.5, 'emotion': 'sad'}]}
    """
    lines = []
    for id, segments in diarizations.items():
        segments = check_hypothesis(segments, f"utterance '{id}'")
        if not segments:
            raise UserError(
                f"'{path}': RTTM cannot hold the utterance '{id}', which has "
                "no segment; give it a neutral segment."
            )
        for segment in segments:
            for name in (id, segment["emotion"]):
                if len(name.split()) != 1 or name.split()[0] != name:
                    raise UserError(
                        f"'{path}': RTTM cannot hold the name '{name}', "
                        "because fields end at spaces; rename it or write "
                        "JSON."
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
