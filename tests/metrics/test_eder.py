"""EDER and transitions against other implementations, and what must hold."""

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
from speechbrain_ext.metrics.eder import main
from speechbrain_ext.metrics.segments import all_neutral, whole_utterance

NAMES = ["neutral", "happy", "sad", "angry"]
PARTS = ("false_alarm", "missed_emotion", "confusion", "overlap")


def says(*segments):
    return [{"start": s, "end": e, "emotion": n} for n, s, e in segments]


def is_so(*segments):
    return [{"emo": n, "start": s, "end": e} for n, s, e in segments]


def parts(reference, hypothesis, duration):
    found = eder(reference, hypothesis, duration)
    return tuple(getattr(found, part) for part in PARTS)


# Times in whole milliseconds: pyannote takes anything below a microsecond
# for nothing.
@st.composite
def tracks(draw, covering=False, names=tuple(NAMES)):
    """A duration and labels that follow each other without overlap."""
    cuts = draw(st.lists(st.integers(1, 9_999), max_size=8, unique=True))
    cuts = [0, *sorted(cuts), draw(st.integers(10_000, 15_000))]
    segments = []
    for start, end in zip(cuts, cuts[1:]):
        name = draw(st.sampled_from([*names] if covering else [None, *names]))
        if name is not None:
            segments.append((name, start / 1000, end / 1000))
    return cuts[-1] / 1000, segments


@st.composite
def piles(draw):
    """Labels that overlap as they like, some past the end (10 s)."""
    segments = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, 9_999))
        end = start + draw(st.integers(1, 5_000))
        name = draw(st.sampled_from(NAMES))
        segments.append((name, start / 1000, end / 1000))
    return segments


# ---------------------------------------------------------------------------
# Other implementations


@settings(deadline=None)
@given(
    frames=st.lists(st.sampled_from("nhsa"), min_size=1, max_size=60),
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
    hypothesis = says(
        *(
            (name, window * i, window * i + window)
            for i, name in enumerate(frames)
        )
    )
    theirs = speechbrain_eder(frames, "x", duration, reference, window, window)
    ours = eder(reference, hypothesis, duration).rate
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_agrees_with_speechbrain_when_windows_overlap():
    # SpeechBrain halves the overlap of two windows between them before it
    # scores; given its boundaries, the result is the same.
    reference = is_so(("sad", 0.3, 1.0))
    theirs = speechbrain_eder(list("nnssh"), "x", 1.2, reference, 0.3, 0.2)
    halved = says(("n", 0.0, 0.45), ("s", 0.45, 0.85), ("h", 0.85, 1.2))
    assert eder(reference, halved, 1.2).rate == pytest.approx(theirs, abs=1e-9)


def test_differs_from_speechbrain_where_nothing_is_said():
    # SpeechBrain counts time without a frame as wrong; here it is neutral.
    reference = is_so(("sad", 0.0, 1.0))
    theirs = speechbrain_eder(["s"], "x", 2.0, reference, 1.0, 1.0)
    assert theirs == pytest.approx(0.5)
    assert eder(reference, says(("sad", 0, 1)), 2.0).rate == 0


def annotation(segments, duration):
    """As pyannote has it, with neutral written out where no emotion is."""
    found = Annotation()
    track = 0
    covered = Timeline()
    for name, start, end in segments:
        if name != "neutral":
            covered.add(Segment(start, min(end, duration)))
    for name in NAMES[1:]:
        # Overlapping segments of one emotion are that emotion once.
        own = Timeline(
            Segment(s, min(e, duration)) for n, s, e in segments if n == name
        )
        for segment in own.support():
            found[segment, track] = name
            track += 1
    for segment in covered.support().gaps(Segment(0, duration)):
        found[segment, track] = "neutral"
        track += 1
    return found


def identification_errors(reference, hypothesis, duration):
    """Error time (s) of pyannote's identification error rate, and its rate."""
    metric = IdentificationErrorRate()
    detail = metric(
        annotation(reference, duration),
        annotation(hypothesis, duration),
        uem=Timeline([Segment(0, duration)]),
        detailed=True,
    )
    names = ("confusion", "missed detection", "false alarm")
    time = sum(detail[name] for name in names)
    return time, detail["identification error rate"]


@settings(deadline=None)
@given(tracks(), st.data())
def test_agrees_with_pyannote_on_any_number_of_emotions(case, data):
    duration, reference = case
    _, hypothesis = data.draw(tracks())
    _, theirs = identification_errors(reference, hypothesis, duration)
    ours = eder(is_so(*reference), says(*hypothesis), duration).rate
    assert ours == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None)
@given(tracks(), st.data())
def test_agrees_with_pyannote_with_one_emotion_too_many(case, data):
    # A second emotion beside the right one is one false alarm there and
    # overlap here: the same time.
    duration, reference = case
    hypothesis = [segment for segment in reference if segment[0] != "neutral"]
    for name, start, end in list(hypothesis):
        other = data.draw(st.sampled_from([n for n in NAMES[1:] if n != name]))
        middle = (start + end) / 2
        if end - start > 0.01:
            hypothesis.append((other, start, round(middle, 3)))
    _, theirs = identification_errors(reference, hypothesis, duration)
    found = eder(is_so(*reference), says(*hypothesis), duration)
    assert found.rate == pytest.approx(theirs, abs=1e-9)
    assert found.overlap == found.error


@settings(deadline=None)
@given(piles(), piles())
def test_is_below_pyannote_where_emotions_pile_up(reference, hypothesis):
    # The paper's components are durations, so each instant is an error once;
    # pyannote counts every label that is wrong at that instant.
    theirs, _ = identification_errors(reference, hypothesis, 10.0)
    ours = eder(is_so(*reference), says(*hypothesis), 10.0).error
    assert ours <= theirs + 1e-9
    # Three emotions leave room for three wrong labels at once.
    assert theirs <= 3 * ours + 1e-9


def test_differs_from_pyannote_by_the_labels_wrong_at_once():
    reference = [("sad", 0.0, 10.0)]
    hypothesis = [("happy", 0.0, 10.0), ("angry", 0.0, 10.0)]
    theirs, _ = identification_errors(reference, hypothesis, 10.0)
    found = eder(is_so(*reference), says(*hypothesis), 10.0)
    assert theirs == pytest.approx(20.0)
    assert found.confusion == found.error == pytest.approx(10.0)


def by_millisecond(reference, hypothesis, duration):
    """The definitions once more, one millisecond after the other."""
    counts = dict.fromkeys(PARTS, 0)
    for millisecond in range(round(duration * 1000)):
        now = (millisecond + 0.5) / 1000
        true, said = (
            {n for n, s, e in track if s < now < e and n != "neutral"}
            for track in (reference, hypothesis)
        )
        wrong, lost = said - true, true - said
        if wrong and not true:
            counts["false_alarm"] += 1
        elif wrong and lost:
            counts["confusion"] += 1
        elif lost:
            counts["missed_emotion"] += 1
        elif wrong:
            counts["overlap"] += 1
    return [count / 1000 for count in counts.values()]


@settings(deadline=None, max_examples=25)
@given(piles(), piles())
def test_components_instant_by_instant(reference, hypothesis):
    ours = parts(is_so(*reference), says(*hypothesis), 10.0)
    theirs = by_millisecond(reference, hypothesis, 10.0)
    assert ours == pytest.approx(theirs, abs=1e-9)


# ---------------------------------------------------------------------------
# Figure 4, by hand


@pytest.mark.parametrize(
    "hypothesis, expected",
    [
        (says(("happy", 1, 3)), (0, 0, 0, 0)),
        (says(("happy", 0.25, 3)), (0.75, 0, 0, 0)),
        (says(("happy", 1, 2)), (0, 1, 0, 0)),
        (says(("happy", 1, 2.5), ("sad", 2.5, 3)), (0, 0, 0.5, 0)),
        (says(("happy", 1, 3), ("sad", 1.5, 2)), (0, 0, 0, 0.5)),
        (
            says(("sad", 0.5, 1.5), ("happy", 1.25, 2.5), ("angry", 3, 4)),
            (1.5, 0.5, 0.25, 0.25),
        ),
        # Two emotions where there is none are a false alarm once, and two
        # wrong ones are a confusion once.
        (says(("happy", 0, 3), ("sad", 0, 1)), (1, 0, 0, 0)),
        (says(("sad", 1, 3), ("angry", 1, 3)), (0, 0, 2, 0)),
    ],
)
def test_figure_4(hypothesis, expected):
    reference = is_so(("happy", 1, 3))
    assert parts(reference, hypothesis, 4.0) == pytest.approx(expected)
    rate = eder(reference, hypothesis, 4.0).rate
    assert rate == pytest.approx(sum(expected) / 4)


def test_several_emotions_in_the_reference():
    reference = is_so(("happy", 0, 2), ("sad", 3, 5), ("angry", 5, 6))
    hypothesis = says(("happy", 0, 3), ("angry", 4, 6))
    assert parts(reference, hypothesis, 8.0) == (1, 1, 1, 0)


def test_emotions_at_once_in_the_reference():
    reference = is_so(("happy", 0, 4), ("sad", 0, 4))
    hypothesis = says(("happy", 0, 3), ("sad", 0, 1), ("angry", 2, 3))
    # Right; one missed; one wrong beside a right one; both missed.
    assert parts(reference, hypothesis, 4.0) == (0, 2, 1, 0)


def test_neutral_may_be_said_or_left_out():
    reference = is_so(("neutral", 0, 1), ("sad", 1, 2), ("neutral", 2, 4))
    assert parts(reference, says(("sad", 1, 2)), 4.0) == (0, 0, 0, 0)
    assert parts(reference, [], 4.0) == parts(reference, all_neutral(4.0), 4.0)


def test_an_emotion_wins_over_neutral():
    reference = is_so(("sad", 1, 2))
    hypothesis = says(("neutral", 0, 4), ("sad", 1, 2))
    assert eder(reference, hypothesis, 4.0).rate == 0


def test_what_reaches_past_the_end_is_cut_off():
    hypothesis = says(("sad", 1, 200), ("happy", 300, 400))
    assert parts(is_so(("sad", 1, 2)), hypothesis, 2.0) == (0, 0, 0, 0)


def test_letters_are_words():
    found = eder(is_so(("sad", 1, 2)), says(("s", 1, 2), ("n", 2, 3)), 3.0)
    assert found == EderParts(0, 0, 0, 0, duration=3.0)


@pytest.mark.parametrize("emotion, rate", [("neutral", 0.5), ("sad", 0.5)])
def test_baselines(emotion, rate):
    reference = is_so(("sad", 0, 2))
    hypothesis = whole_utterance(emotion, 4.0)
    assert eder(reference, hypothesis, 4.0).rate == rate


@pytest.mark.parametrize(
    "segment, sentence",
    [
        ({"start": 0, "end": 1}, "the hypothesis, segment 1.*'emotion'"),
        ({"end": 1, "emotion": "n"}, "'start' is missing"),
        ({"start": 0, "end": math.nan, "emotion": "n"}, "'end' is nan"),
        ({"start": -1, "end": 1, "emotion": "n"}, "'start' is -1"),
        ({"start": 2, "end": 1, "emotion": "n"}, "before its start"),
        ({"start": 0, "end": 1, "emotion": "z"}, "'z' is none of the letters"),
        ({"start": 0, "end": 1, "emotion": 3}, "3 is not a word"),
        ("sad", "is not an object"),
    ],
)
def test_bad_segments(segment, sentence):
    with pytest.raises(UserError, match=sentence):
        eder([], [segment], 1.0)


@pytest.mark.parametrize("duration", [0, -1, math.inf, "1", None])
def test_bad_durations(duration):
    with pytest.raises(UserError, match="not a length in seconds"):
        eder([], [], duration)


# ---------------------------------------------------------------------------
# What must hold


@given(piles())
def test_perfect_is_zero(reference):
    assert parts(is_so(*reference), says(*reference), 10.0) == (0, 0, 0, 0)
    same = transition(is_so(*reference), 10.0)
    assert same == transition(says(*reference), 10.0)


@given(piles(), piles())
def test_is_bounded(reference, hypothesis):
    rate = eder(is_so(*reference), says(*hypothesis), 10.0).rate
    assert 0 <= rate <= 1 + 1e-12


@given(tracks(), st.data())
def test_exchange_without_overlap(case, data):
    duration, one = case
    _, other = data.draw(tracks())
    there = eder(is_so(*one), says(*other), duration)
    back = eder(is_so(*other), says(*one), duration)
    assert there.false_alarm == pytest.approx(back.missed_emotion, abs=1e-9)
    assert there.missed_emotion == pytest.approx(back.false_alarm, abs=1e-9)
    assert there.confusion == pytest.approx(back.confusion, abs=1e-9)
    assert there.overlap == back.overlap == 0


@given(piles(), piles())
def test_exchange_with_overlap(one, other):
    # What is too much one way is too little the other way.
    there = eder(is_so(*one), says(*other), 10.0)
    back = eder(is_so(*other), says(*one), 10.0)
    excess = there.false_alarm + there.overlap
    assert excess == pytest.approx(back.missed_emotion, abs=1e-9)
    assert there.rate == pytest.approx(back.rate, abs=1e-9)


@given(piles(), piles(), st.data())
def test_splitting_a_segment_changes_nothing(reference, hypothesis, data):
    whole = parts(is_so(*reference), says(*hypothesis), 10.0)
    split = []
    for name, start, end in hypothesis:
        cut = data.draw(st.floats(start, end))
        split += [(name, start, cut), (name, cut, end)]
    split = data.draw(st.permutations(split))
    found = parts(is_so(*reference), says(*split), 10.0)
    assert found == pytest.approx(whole, abs=1e-9)
    assert transition(says(*split), 10.0) == transition(says(*hypothesis), 10.0)


# ---------------------------------------------------------------------------
# Transitions


@given(
    st.lists(st.sampled_from("nhsa"), min_size=1, max_size=40),
    st.floats(0.0, 1.0),
)
def test_transition_is_what_fusing_frames_gives(frames, tail):
    # Table 3 fuses equal predictions of neighbouring frames. The encoders
    # leave up to 25 ms after the last frame.
    duration = 0.02 * len(frames) + 0.025 * tail
    hypothesis = says(
        *(
            (name, round(0.02 * i, 2), round(0.02 * i + 0.02, 2))
            for i, name in enumerate(frames)
        )
    )
    words = dict(zip("nhsa", NAMES))
    fused = []
    for letter in frames:
        if not fused or fused[-1] != words[letter]:
            fused.append(words[letter])
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


def test_transition_of_next_to_nothing():
    assert transition([], 0.01) == ("neutral",)
    assert transition(says(("sad", 0, 1)), 0.001) == ("sad",)


# ---------------------------------------------------------------------------
# Files that nobody would write on purpose, through the command


DEEP = "[" * 500 + "]" * 500


@pytest.mark.parametrize(
    "which, text, sentence",
    [
        ("hypothesis", '{"x": [], "x": [{}]}', "the key 'x' is there twice"),
        ("reference", '{"x": {}, "x": {}}', "the key 'x' is there twice"),
        ("hypothesis", '{"x": [SEGMENT]}', "the field 'end' is 1000"),
        (
            "reference",
            '{"x": {"duration": BIG, "emotion": []}}',
            "the field 'duration' is 1000",
        ),
        (
            "reference",
            '{"x": {"duration": 1, "emotion": [{"emo": "sad", "start": 0, '
            '"end": BIG}]}}',
            "segment 1 runs from 0 to 1000",
        ),
        (
            "hypothesis",
            '{"x": [{"start": 0, "end": 1, "emotion": "\\ud800"}]}',
            "half of a character",
        ),
        ("hypothesis", '{"\\udfff": []}', "half of a character"),
        ("hypothesis", "[" * 100_000, "nested too deeply"),
        ("hypothesis", f'{{"x": [{DEEP}]}}', "is not an object"),
        (
            "hypothesis",
            f'{{"x": [{{"start": {DEEP}, "end": 1, "emotion": "n"}}]}}',
            "not a time in seconds",
        ),
        (
            "reference",
            f'{{"x": {{"duration": {DEEP}, "emotion": []}}}}',
            "not a length in seconds",
        ),
    ],
)
def test_impossible_files(which, text, sentence, tmp_path, capsys):
    big = "1" + "0" * 400
    segment = '{"start": 0, "end": BIG, "emotion": "sad"}'
    texts = {
        "reference": '{"x": {"duration": 1, "emotion": "sad"}}',
        "hypothesis": '{"x": []}',
        which: text.replace("SEGMENT", segment).replace("BIG", big),
    }
    arguments = []
    for name, content in texts.items():
        path = tmp_path / f"{name}.json"
        path.write_text(content)
        arguments += [f"--{name}", str(path)]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    assert end.value.code == 2 and captured.out == ""
    assert captured.err.startswith("error: ") and sentence in captured.err
    assert captured.err.count("\n") == 1 and len(captured.err) < 500
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("label", ["\ud800", "sad\udc00", "", " ", None])
def test_labels_that_cannot_be_written(label):
    segment = {"start": 0, "end": 1, "emotion": label}
    with pytest.raises(UserError, match="is not a word"):
        eder(is_so(("sad", 0.0, 1.0)), [segment], 1.0)
