"""EDER and transitions against other implementations, and what must hold."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.identification import IdentificationErrorRate
from speechbrain.utils.EDER import EDER as speechbrain_eder

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.diarization import (
    EderParts,
    eder,
    transition,
    transition_name,
)
from tests.metrics.segments import is_so, says

NAMES = ["neutral", "happy", "sad", "angry"]
PARTS = ("false_alarm", "missed_emotion", "confusion", "overlap")


def parts(reference, hypothesis, duration):
    found = eder(reference, hypothesis, duration)
    return tuple(getattr(found, part) for part in PARTS)


# Times in whole milliseconds: pyannote takes anything below a microsecond
# for nothing.
@st.composite
def tracks(draw):
    """A duration and labels that follow each other without overlap."""
    cuts = draw(st.lists(st.integers(1, 9_999), max_size=8, unique=True))
    cuts = [0, *sorted(cuts), draw(st.integers(10_000, 15_000))]
    names = [draw(st.sampled_from([None, *NAMES])) for _ in cuts[1:]]
    times = [cut / 1000 for cut in cuts]
    segments = [each for each in zip(names, times, times[1:]) if each[0]]
    return times[-1], segments


# Labels that overlap as they like, some past the end (10 s).
spans = st.tuples(
    st.sampled_from(NAMES), st.integers(0, 9_999), st.integers(1, 5_000)
)
piles = st.lists(
    spans.map(lambda x: (x[0], x[1] / 1000, (x[1] + x[2]) / 1000)), max_size=6
)


@settings(deadline=None)
@given(
    frames=st.text("nhsa", min_size=1, max_size=60),
    emotion=st.sampled_from(NAMES),
    window=st.sampled_from([0.02, 0.1, 0.25]),
    share=st.floats(0.01, 1.0),
    bounds=st.tuples(st.floats(0, 0.99), st.floats(0.01, 1)),
)
def test_agrees_with_speechbrain(frames, emotion, window, share, bounds):
    # The frames cover the utterance; the last one may reach past its end.
    duration = window * (len(frames) - 1 + share)
    start = bounds[0] * duration
    end = start + bounds[1] * (duration - start)
    reference = is_so((emotion, start, end))
    times = [window * i for i in range(len(frames) + 1)]
    hypothesis = says(*zip(frames, times, times[1:]))
    theirs = speechbrain_eder(
        [*frames], "x", duration, reference, window, window
    )
    ours = eder(reference, hypothesis, duration).rate
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_where_it_differs_from_speechbrain():
    # It halves the overlap of two windows between them before it scores.
    reference = is_so(("sad", 0.3, 1.0))
    theirs = speechbrain_eder(list("nnssh"), "x", 1.2, reference, 0.3, 0.2)
    halved = says(("n", 0.0, 0.45), ("s", 0.45, 0.85), ("h", 0.85, 1.2))
    assert eder(reference, halved, 1.2).rate == pytest.approx(theirs, abs=1e-9)
    # It counts time without a frame as wrong; here it is neutral.
    reference = is_so(("sad", 0.0, 1.0))
    theirs = speechbrain_eder(["s"], "x", 2.0, reference, 1.0, 1.0)
    assert theirs == pytest.approx(0.5)
    assert eder(reference, says(("sad", 0, 1)), 2.0).rate == 0


def annotation(segments, duration):
    """As pyannote has it, with neutral written out where no emotion is."""
    found = Annotation()
    for name, start, end in segments:
        if name != "neutral":
            found[Segment(start, end), name] = name
    for segment in found.get_timeline().gaps(Segment(0, duration)):
        found[segment, "neutral"] = "neutral"
    return found


def identification_error_rate(reference, hypothesis, duration):
    pair = (annotation(each, duration) for each in (reference, hypothesis))
    whole = Timeline([Segment(0, duration)])
    return IdentificationErrorRate()(*pair, uem=whole)


@settings(deadline=None)
@given(tracks(), tracks(), st.data())
def test_agrees_with_pyannote(case, other, data):
    duration, reference = case
    theirs = identification_error_rate(reference, other[1], duration)
    ours = eder(is_so(*reference), says(*other[1]), duration).rate
    assert ours == pytest.approx(theirs, abs=1e-9)
    # A second emotion beside the right one is one false alarm there and
    # overlap here: the same time.
    hypothesis = [segment for segment in reference if segment[0] != "neutral"]
    for name, start, end in list(hypothesis):
        other = data.draw(st.sampled_from([n for n in NAMES[1:] if n != name]))
        middle = (start + end) / 2
        if end - start > 0.01:
            hypothesis.append((other, start, round(middle, 3)))
    theirs = identification_error_rate(reference, hypothesis, duration)
    found = eder(is_so(*reference), says(*hypothesis), duration)
    assert found.rate == found.overlap / duration
    assert found.rate == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(piles, piles)
def test_components_instant_by_instant(reference, hypothesis):
    """The definitions once more, one millisecond after the other."""
    seconds = dict.fromkeys(PARTS, 0)
    for millisecond in range(10_000):
        now = (millisecond + 0.5) / 1000
        true, said = (
            {n for n, s, e in track if s < now < e and n != "neutral"}
            for track in (reference, hypothesis)
        )
        wrong, lost = bool(said - true), bool(true - said)
        seconds["false_alarm"] += (wrong and not true) / 1000
        seconds["missed_emotion"] += (lost and not wrong) / 1000
        seconds["confusion"] += (wrong and lost) / 1000
        seconds["overlap"] += (wrong and bool(true) and not lost) / 1000
    ours = parts(is_so(*reference), says(*hypothesis), 10.0)
    assert ours == pytest.approx(list(seconds.values()), abs=1e-9)


HAPPY = [("happy", 1, 3)]
SEVERAL = [("happy", 0, 2), ("sad", 3, 5), ("angry", 5, 6)]
AT_ONCE = [("happy", 0, 4), ("sad", 0, 4)]
MIXED = [("sad", 0.5, 1.5), ("happy", 1.25, 2.5), ("angry", 3, 4)]
SOME = [("happy", 0, 3), ("sad", 0, 1), ("angry", 2, 3)]


@pytest.mark.parametrize(
    "reference, hypothesis, duration, expected",
    [
        # Figure 4.
        (HAPPY, [("happy", 1, 3)], 4, (0, 0, 0, 0)),
        (HAPPY, [("happy", 0.25, 3)], 4, (0.75, 0, 0, 0)),
        (HAPPY, [("happy", 1, 2)], 4, (0, 1, 0, 0)),
        (HAPPY, [("happy", 1, 2.5), ("sad", 2.5, 3)], 4, (0, 0, 0.5, 0)),
        (HAPPY, [("happy", 1, 3), ("sad", 1.5, 2)], 4, (0, 0, 0, 0.5)),
        (HAPPY, MIXED, 4, (1.5, 0.5, 0.25, 0.25)),
        # Two emotions where there is none are a false alarm once, and two
        # wrong ones are a confusion once.
        (HAPPY, [("happy", 0, 3), ("sad", 0, 1)], 4, (1, 0, 0, 0)),
        (HAPPY, [("sad", 1, 3), ("angry", 1, 3)], 4, (0, 0, 2, 0)),
        (SEVERAL, [("happy", 0, 3), ("angry", 4, 6)], 8, (1, 1, 1, 0)),
        # Right; one missed; one wrong beside a right one; both missed.
        (AT_ONCE, SOME, 4, (0, 2, 1, 0)),
        # Neutral may be said or left out, and an emotion wins over it.
        ([("neutral", 0, 1), *HAPPY], HAPPY, 4, (0, 0, 0, 0)),
        (HAPPY, [], 4, (0, 2, 0, 0)),
        (HAPPY, [("neutral", 0, 4)], 4, (0, 2, 0, 0)),
        (HAPPY, [("neutral", 0, 4), *HAPPY], 4, (0, 0, 0, 0)),
        # What reaches past the end is cut off, and letters are words.
        (HAPPY, [("happy", 1, 200), ("sad", 300, 400)], 3, (0, 0, 0, 0)),
        (HAPPY, [("h", 1, 3), ("n", 3, 4)], 4, (0, 0, 0, 0)),
    ],
)
def test_by_hand(reference, hypothesis, duration, expected):
    reference, hypothesis = is_so(*reference), says(*hypothesis)
    found = eder(reference, hypothesis, duration)
    assert found == EderParts(*map(pytest.approx, expected), duration)
    assert found.rate == pytest.approx(sum(expected) / duration)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"emotion": ...}, "the hypothesis, segment 1.*'emotion'"),
        ({"start": ...}, "'start' is missing"),
        ({"end": math.nan}, "'end' is nan"),
        ({"start": -1}, "'start' is -1"),
        ({"start": "0"}, "'start' is '0'"),
        ({"start": 2}, "before its start"),
        ({"emotion": "z"}, "'z' is none of the letters"),
        ({"emotion": 3}, "3 is not a word"),
        ({"emotion": "\ud800"}, "is not a word"),
        ({"emotion": " "}, "is not a word"),
    ],
)
def test_bad_segments(change, sentence):
    segment = {"start": 0, "end": 1, "emotion": "n", **change}
    segment = {name: x for name, x in segment.items() if x is not ...}
    with pytest.raises(UserError, match=sentence):
        eder([], [segment], 1.0)


@pytest.mark.parametrize("duration", [0, -1, math.inf, "1", None])
def test_bad_durations(duration):
    with pytest.raises(UserError, match="expected a length in seconds"):
        eder([], [], duration)


@given(piles, piles, st.data())
def test_splitting_changes_nothing(reference, hypothesis, data):
    assert parts(is_so(*reference), says(*reference), 10.0) == (0, 0, 0, 0)
    whole = parts(is_so(*reference), says(*hypothesis), 10.0)
    split = []
    for name, start, end in hypothesis:
        cut = data.draw(st.floats(start, end))
        split += [(name, start, cut), (name, cut, end)]
    split = data.draw(st.permutations(split))
    found = parts(is_so(*reference), says(*split), 10.0)
    assert found == pytest.approx(whole, abs=1e-9)
    assert transition(says(*split), 10.0) == transition(says(*hypothesis), 10.0)


@given(st.text("nhsa", min_size=1, max_size=40), st.floats(0.0, 1.0))
def test_transition_is_what_fusing_frames_gives(frames, tail):
    # Table 3 fuses equal predictions of neighbouring frames. The encoders
    # leave up to 25 ms after the last frame.
    duration = 0.02 * len(frames) + 0.025 * tail
    times = [round(0.02 * i, 2) for i in range(len(frames) + 1)]
    hypothesis = says(*zip(frames, times, times[1:]))
    words = dict(zip("nhsa", NAMES))
    fused = [words[letter] for letter, _ in itertools.groupby(frames)]
    assert transition(hypothesis, duration) == tuple(fused)


@pytest.mark.parametrize(
    "segments, name",
    [
        ([], "null"),
        ([("happy", 0, 4)], "happy"),
        ([("happy", 0, 3)], "happy-null"),
        ([("happy", 1, 4)], "null-happy"),
        ([("happy", 1, 3)], "null-happy-null"),
        ([("happy", 0, 2), ("sad", 2, 4)], "happy-sad"),
        ([("happy", 0, 1), ("happy", 2, 4)], "happy-null-happy"),
        ([("happy", 0, 3), ("sad", 1, 4)], "happy-happy+sad-sad"),
        ([("neutral", 0, 4), ("sad", 2, 4)], "null-sad"),
        # Rounding: to milliseconds, and of floating point numbers.
        ([("happy", 0.001, 3.999)], "happy"),
        ([("happy", 0, 0.1 + 0.2), ("sad", 0.3, 4)], "happy-sad"),
        ([("happy", 0, 2.0005), ("sad", 1.9995, 4)], "happy-sad"),
        # A hole of a frame is none; a frame that says neutral is one.
        ([("happy", 0, 2), ("happy", 2.02, 4)], "happy"),
        ([("happy", 0, 3.98)], "happy"),
        ([("happy", 0, 3.98), ("neutral", 3.98, 4)], "happy-null"),
        ([("happy", 0, 3.9)], "happy-null"),
        ([("happy", 0, 4), ("sad", 4, 9)], "happy"),
    ],
)
def test_transition_names(segments, name):
    assert transition_name(transition(says(*segments), 4.0)) == name
    assert transition_name(transition(is_so(*segments), 4.0)) == name
    assert transition([], 0.01) == ("neutral",)
    assert transition(says(("sad", 0, 1)), 0.001) == ("sad",)
