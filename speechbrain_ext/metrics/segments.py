"""Emotion segments as a timeline: what is felt when, and what the labels mean.

Segments are dicts ``{"start", "end", "emotion"}`` (what a system says) or
``{"start", "end", "emo"}`` (the layout of ZED.json), times in seconds. Time
that no segment covers is neutral.
"""

import reprlib
from collections import Counter

from speechbrain_ext.checks import is_number
from speechbrain_ext.errors import UserError

NEUTRAL = "neutral"

# The labels that SpeechBrain's ``Speech_Emotion_Diarization`` gives.
LETTERS = {"n": NEUTRAL, "h": "happy", "s": "sad", "a": "angry"}


def emotion_name(label, where="a segment"):
    """The full English word for a label.

    Arguments
    ---------
    label : str
        A word in any case, or one of the letters n, h, s, a.
    where : str
        What to name in the sentence of an error.

    Returns
    -------
    str
        In lower case.

    Raises
    ------
    UserError
        When the label is no string, is empty, or is another letter.

    Example
    -------
    >>> emotion_name("h"), emotion_name("Fearful")
    ('happy', 'fearful')
    >>> emotion_name("x", "'a.json', utterance '1', segment 2")
    Traceback (most recent call last):
        ...
    speechbrain_ext.errors.UserError: 'a.json', utterance '1', segment 2: the emotion 'x' is none of the letters n (neutral), h (happy), s (sad), a (angry); write the full word.
    """
    name = label.strip().lower() if isinstance(label, str) else ""
    # Half of a surrogate pair cannot be written.
    if not name or any("\ud800" <= char <= "\udfff" for char in name):
        raise UserError(
            f"{where}: the emotion {reprlib.repr(label)} is not a word."
        )
    if len(name) == 1 and name not in LETTERS:
        letters = ", ".join(f"{key} ({word})" for key, word in LETTERS.items())
        raise UserError(
            f"{where}: the emotion {label!r} is none of the letters "
            f"{letters}; write the full word."
        )
    return LETTERS.get(name, name)


def check_segment(segment, where):
    """One segment with its emotion's full name, or a clear error.

    Arguments
    ---------
    segment : dict
        ``{"start", "end", "emotion"}`` or ``{"start", "end", "emo"}``.
    where : str
        What to name in the sentence of an error.

    Returns
    -------
    dict
        ``{"start": float, "end": float, "emotion": str}``.

    Raises
    ------
    UserError
        When a field is missing or cannot be; the sentence names the field.

    Example
    -------
    >>> check_segment({"start": 0, "end": 1.5, "emo": "sad"}, "segment 1")
    {'start': 0.0, 'end': 1.5, 'emotion': 'sad'}
    >>> check_segment({"start": 2, "end": 1.5, "emo": "sad"}, "segment 1")
    Traceback (most recent call last):
        ...
    speechbrain_ext.errors.UserError: segment 1: it ends at 1.5 s, before its start at 2.0 s.
    """
    if not isinstance(segment, dict):
        raise UserError(
            f"{where}: {reprlib.repr(segment)} is not an object with the "
            "fields 'start', 'end' and 'emotion'."
        )
    times = {}
    for name in ("start", "end"):
        if name not in segment:
            raise UserError(f"{where}: the field '{name}' is missing.")
        value = segment[name]
        if not is_time(value):
            raise UserError(
                f"{where}: the field '{name}' is {reprlib.repr(value)}, not a "
                "time in seconds."
            )
        times[name] = float(value)
    if times["end"] < times["start"]:
        raise UserError(
            f"{where}: it ends at {times['end']} s, before its start at "
            f"{times['start']} s."
        )
    for name in ("emotion", "emo"):
        if name in segment:
            return {**times, "emotion": emotion_name(segment[name], where)}
    raise UserError(f"{where}: the field 'emotion' is missing.")


def check_hypothesis(segments, where):
    """Every segment through ``check_segment``; they may overlap.

    Example
    -------
    >>> check_hypothesis([{"start": 0, "end": 1, "emotion": "n"}], "here")
    [{'start': 0.0, 'end': 1.0, 'emotion': 'neutral'}]
    >>> check_hypothesis({"start": 0}, "here")
    Traceback (most recent call last):
        ...
    speechbrain_ext.errors.UserError: here: it is not a list of segments.
    """
    if not isinstance(segments, (list, tuple)):
        raise UserError(f"{where}: it is not a list of segments.")
    return [
        check_segment(segment, f"{where}, segment {number}")
        for number, segment in enumerate(segments, 1)
    ]


def is_time(value):
    """Whether a value is a finite number of seconds that is not negative.

    Example
    -------
    >>> [is_time(value) for value in (0, 1.5, -1, float("nan"), "1", True)]
    [True, True, False, False, False, False]
    """
    return is_number(value) and value >= 0


def stretches(duration, *tracks):
    """Cut a timeline wherever a label begins or ends.

    Arguments
    ---------
    duration : float
        Length of the timeline in seconds; what reaches past it is cut off.
    *tracks : list of dict
        Segments, as ``check_hypothesis`` returns them.

    Yields
    ------
    start : float
    end : float
        The stretches follow each other without a gap from 0 to ``duration``.
    *labels : frozenset of str
        For each track the labels that hold, as they stand in its segments;
        empty where no segment covers the stretch.

    Example
    -------
    >>> a = [{"start": 1.0, "end": 3.0, "emotion": "sad"}]
    >>> b = [{"start": 2.0, "end": 9.0, "emotion": "happy"}]
    >>> for start, end, one, two in stretches(4.0, a, b):
    ...     print(start, end, sorted(one), sorted(two))
    0.0 1.0 [] []
    1.0 2.0 ['sad'] []
    2.0 3.0 ['sad'] ['happy']
    3.0 4.0 [] ['happy']
    """
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
    """The emotions among labels: neutral beside an emotion has no say.

    Example
    -------
    >>> sorted(emotions({"neutral", "sad"})), sorted(emotions({"neutral"}))
    (['sad'], [])
    """
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
