"""Emotion segments as a timeline: what is felt when, and what the labels mean.

Segments are dicts ``{"start", "end", "emotion"}`` (what a system says) or
``{"start", "end", "emo"}`` (the layout of ZED.json), times in seconds. Time
that no segment covers is neutral.
"""

import itertools
import reprlib
from collections import Counter

from speechbrain_ext.base.emotions import NEUTRAL, emotion_name
from speechbrain_ext.base.errors import UserError, expected, is_number


def check_hypothesis(segments, where):
    """Segments, which may overlap, with full names, or a clear error."""
    if not isinstance(segments, (list, tuple)):
        raise UserError(f"{where}: it is not a list of segments.")
    return [
        _check_segment(segment, f"{where}, segment {number}")
        for number, segment in enumerate(segments, 1)
    ]


def _check_segment(segment, where):
    old = isinstance(segment, dict) and "emotion" not in segment
    label = "emo" if old and "emo" in segment else "emotion"
    check_fields(segment, ("start", "end", label), where)
    for name in ("start", "end"):
        value = segment[name]
        if not is_number(value) or value < 0:
            what = f"{reprlib.repr(value)}, not a time in seconds"
            raise UserError(f"{where}: the field '{name}' is {what}.")
    start, end = float(segment["start"]), float(segment["end"])
    if end < start:
        raise UserError(
            f"{where}: it ends at {end} s, before its start at {start} s."
        )
    emotion = emotion_name(segment[label], where)
    return {"start": start, "end": end, "emotion": emotion}


def check_fields(record, names, where):
    """Raise a ``UserError`` unless a record is a dict with these fields."""
    if not isinstance(record, dict):
        what = f"an object with the fields {', '.join(map(repr, names))}"
        raise UserError(f"{where}: {reprlib.repr(record)} is not {what}.")
    for name in names:
        if name not in record:
            raise UserError(f"{where}: the field '{name}' is missing.")


def stretches(duration, *tracks):
    """Cut a timeline wherever a label begins or ends."""
    if not is_number(duration) or duration <= 0:
        raise expected("duration", "a length in seconds", duration)
    events = []
    for track, segments in enumerate(tracks):
        for segment in segments:
            start, end = (min(segment[k], duration) for k in ("start", "end"))
            if start < end:
                label = track, segment["emotion"]
                events += [(start, 1, *label), (end, -1, *label)]
    events.sort(key=lambda event: event[0])
    active = [Counter() for _ in tracks]
    begin, before = 0.0, tuple(frozenset() for _ in tracks)
    for time, together in itertools.groupby(events, lambda event: event[0]):
        for _, step, track, emotion in together:
            active[track][emotion] += step
        # Unary plus drops the labels that have ended.
        now = tuple(frozenset(+counter) for counter in active)
        if now != before:
            if time > begin:
                yield (begin, time, *before)
            begin, before = time, now
    if begin < duration:
        yield (begin, duration, *before)


def emotions(labels):
    """The emotions among labels: neutral beside an emotion has no say."""
    return frozenset(labels) - {NEUTRAL}


def whole_utterance(emotion, duration):
    """The segments of an utterance with one emotion from end to end."""
    return [{"start": 0.0, "end": float(duration), "emotion": emotion}]
