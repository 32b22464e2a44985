"""Emotion segments as a timeline: what is felt when, and what the labels mean.

Segments are dicts ``{"start", "end", "emotion"}`` (what a system says) or
``{"start", "end", "emo"}`` (the layout of ZED.json), times in seconds. Time
that no segment covers is neutral.
"""

import reprlib
from collections import Counter

from speechbrain_ext.base.emotions import NEUTRAL, emotion_name
from speechbrain_ext.base.errors import UserError, is_number


def check_hypothesis(segments, where):
    """Segments, which may overlap, with full names, or a clear error."""
    if not isinstance(segments, (list, tuple)):
        raise UserError(f"{where}: it is not a list of segments.")
    return [
        _check_segment(segment, f"{where}, segment {number}")
        for number, segment in enumerate(segments, 1)
    ]


def _check_segment(segment, where):
    if not isinstance(segment, dict):
        raise UserError(
            f"{where}: {reprlib.repr(segment)} is not an object with the "
            "fields 'start', 'end' and 'emotion'."
        )
    label = "emotion" if "emotion" in segment or "emo" not in segment else "emo"
    for name in ("start", "end", label):
        if name not in segment:
            raise UserError(f"{where}: the field '{name}' is missing.")
    for name in ("start", "end"):
        if not is_time(segment[name]):
            raise UserError(
                f"{where}: the field '{name}' is "
                f"{reprlib.repr(segment[name])}, not a time in seconds."
            )
    start, end = float(segment["start"]), float(segment["end"])
    if end < start:
        raise UserError(
            f"{where}: it ends at {end} s, before its start at {start} s."
        )
    emotion = emotion_name(segment[label], where)
    return {"start": start, "end": end, "emotion": emotion}


def is_time(value):
    """Whether a value is a finite number of seconds that is not negative."""
    return is_number(value) and value >= 0


def stretches(duration, *tracks):
    """Cut a timeline wherever a label begins or ends."""
    duration = float(duration)
    events = []
    for track, segments in enumerate(tracks):
        for segment in segments:
            start = min(segment["start"], duration)
            end = min(segment["end"], duration)
            if start < end:
                events.append((start, 1, track, segment["emotion"]))
                events.append((end, -1, track, segment["emotion"]))
    events.sort(key=lambda event: event[0])
    active = [Counter() for _ in tracks]
    begin, before = 0.0, tuple(frozenset() for _ in tracks)
    for position, (time, step, track, emotion) in enumerate(events):
        active[track][emotion] += step
        last = position + 1 == len(events)
        if not last and events[position + 1][0] == time:
            continue
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


def all_neutral(duration):
    """The baseline that never hears an emotion.

    Arguments
    ---------
    duration : float
        Length of the utterance in seconds.

    Returns
    -------
    list of dict

    Example
    -------
    >>> all_neutral(2.0)
    [{'start': 0.0, 'end': 2.0, 'emotion': 'neutral'}]
    """
    return whole_utterance(NEUTRAL, duration)


def whole_utterance(emotion, duration):
    """The baseline that gives an utterance one emotion from end to end.

    Arguments
    ---------
    emotion : str
        What an utterance-level classifier says.
    duration : float
        Length of the utterance in seconds.

    Returns
    -------
    list of dict

    Example
    -------
    >>> whole_utterance("sad", 2.0)
    [{'start': 0.0, 'end': 2.0, 'emotion': 'sad'}]
    """
    return [{"start": 0.0, "end": float(duration), "emotion": emotion}]
