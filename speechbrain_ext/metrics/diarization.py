"""EDER with its four components, (FA + ME + CF + OL) / duration; transitions.

Wang et al., "Speech Emotion Diarization: Which Emotion Appears When?" (2023),
section 3.2, equation 1 and figure 4; section 5.3, table 3.
"""

import itertools
from collections import Counter
from dataclasses import asdict, dataclass, field

import numpy as np

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.intervals import describe_test_set
from speechbrain_ext.metrics.predictions import measure, write_predictions
from speechbrain_ext.metrics.segments import (
    check_hypothesis,
    emotions,
    stretches,
)

PARTS = ("false_alarm", "missed_emotion", "confusion", "overlap")
# A shorter hole (s) between or after labels is no neutral state: encoders
# leave up to 25 ms at the end of a file without a frame.
HOLE = 0.03
ROUNDING = 0.002  # Shorter labels (s) come from rounding to milliseconds.
# Long recordings each have a sequence of their own, which no table holds.
LONGEST_ROW = 5


@dataclass(frozen=True)
class EderParts:
    """The four kinds of error in an utterance of ``duration``, in seconds."""

    false_alarm: float
    missed_emotion: float
    confusion: float
    overlap: float
    duration: float

    @property
    def rate(self):
        """EDER of the utterance, a fraction between 0 and 1."""
        return sum(getattr(self, part) for part in PARTS) / self.duration


def eder(reference, hypothesis, duration):
    """``EderParts`` of what a system says against what is so (section 3.2).

    Each instant counts once: it is an error wherever the set of emotions of
    the hypothesis is not that of the reference. Neutral is the empty set, said
    or left uncovered, and an emotion wins over a neutral segment at the same
    time. Where a reference has several emotions at once, which the paper has
    not, finding only some of them is missed emotion, and having one wrong
    while another is right is confusion.

    Segments are ``{"start", "end", "emotion"}``, or ``"emo"`` in place of
    ``"emotion"``; they may overlap, and what reaches past ``duration`` (s) is
    cut off.

    Example
    -------
    >>> reference = [{"emo": "sad", "start": 1.0, "end": 3.0}]
    >>> hypothesis = [{"start": 0.5, "end": 2.5, "emotion": "sad"}]
    >>> found = eder(reference, hypothesis, 4.0)
    >>> found.false_alarm, found.missed_emotion, found.rate
    (0.5, 0.5, 0.25)
    """
    reference = check_hypothesis(reference, "the reference")
    hypothesis = check_hypothesis(hypothesis, "the hypothesis")
    times = dict.fromkeys([*PARTS, None], 0.0)
    for start, end, true, said in stretches(duration, reference, hypothesis):
        times[_kind(emotions(true), emotions(said))] += end - start
    return EderParts(*(times[part] for part in PARTS), float(duration))


def _kind(true, said):
    if true == said:
        return None
    if not true:
        return "false_alarm"
    if said < true:
        return "missed_emotion"
    return "overlap" if said > true else "confusion"


def transition(segments, duration):
    """The sequence of labels once equal neighbours are fused (table 3).

    Every label counts, however short. A hole between labels, or at an end, is
    neutral if it lasts 30 ms or longer. Emotions at the same time are joined
    with ``+``. Segments and duration are as ``eder`` takes them.

    Example
    -------
    >>> transition([{"emo": "happy", "start": 0.8, "end": 2.0}], 2.0)
    ('neutral', 'happy')
    """
    segments = check_hypothesis(segments, "the segments")
    every, kept = [], []
    for start, end, labels in stretches(duration, segments):
        name = "+".join(sorted(emotions(labels))) or NEUTRAL
        every.append(name)
        if end - start >= (ROUNDING if labels else HOLE):
            kept.append(name)
    return tuple(name for name, _ in itertools.groupby(kept or every))


def transition_name(sequence):
    """The name of a sequence as in table 3, where neutral is ``null``."""
    return "-".join("null" if name == NEUTRAL else name for name in sequence)


@dataclass
class EderStats:
    """EDER over a test set."""

    rows: dict = field(default_factory=dict)
    sequences: list = field(default_factory=list)

    def append(self, id, reference, hypothesis, duration, speaker=None):
        """Score one utterance, as ``eder`` does; each id once."""
        if id in self.rows:
            raise UserError(f"The utterance '{id}' was scored twice.")
        try:
            parts = eder(reference, hypothesis, duration)
        except UserError as error:
            raise UserError(f"Utterance '{id}': {error}") from None
        true, said = (transition(x, duration) for x in (reference, hypothesis))
        self.sequences.append((true, said))
        # EDER in percent, its parts in seconds.
        self.rows[id] = {
            "id": id,
            "speaker": speaker or "",
            "eder": 100 * parts.rate,
            **asdict(parts),
            "reference": transition_name(true),
            "hypothesis": transition_name(said),
            "transition_correct": int(true == said),
        }

    def summarize(self, bootstrap=1000, seed=0):
        """Averages, intervals and transitions, as JSON holds them.

        In percent: means over utterances, as the paper has them, ``_pooled``
        (total error time over total duration), and 95 % intervals of
        ``bootstrap`` draws. ``transitions`` are the rows of table 3;
        ``only_class`` is what every utterance is taken for from end to end
        although the references differ, or None.
        """
        if not self.rows:
            raise UserError("No utterance was scored, so there is no EDER.")
        rows = self.rows.values()
        speakers = [row["speaker"] for row in rows]
        index, sizes = describe_test_set(list(self.rows), speakers)
        parts = np.array([[row[part] for part in PARTS] for row in rows])
        durations = np.array([row["duration"] for row in rows])
        summary = {}
        # Rates over utterances, and seconds of error over seconds.
        for name, times, wholes in (
            ("", parts / durations[:, None], np.ones(len(rows))),
            ("_pooled", parts, durations),
        ):
            sums = np.zeros((max(index) + 1, 1, 2))
            cells = np.column_stack([100 * times.sum(axis=1), wholes])
            np.add.at(sums, (index, 0), cells)
            summary |= measure(f"eder{name}", "EDER", sums, bootstrap, seed)
            shares = 100 * times.sum(axis=0) / wholes.sum()
            summary |= {f"{p}{name}": s for p, s in zip(PARTS, shares.tolist())}
        transitions = _transitions(self.sequences)
        return {
            **summary,
            "transition_accuracy": transitions[-1]["accuracy"],
            "transitions": transitions,
            "only_class": _only_class(*zip(*self.sequences)),
            "seconds": float(durations.sum()),
            **sizes,
        }

    def metrics(self, summary):
        """The main figure of a summary."""
        return {"EDER": summary["eder"]}

    def write_csv(self, path):
        """Write a row for each utterance."""
        write_predictions(path, self.rows.values())


def _only_class(true, said):
    same = len(set(said)) == len(said[0]) == 1
    return said[0][0] if same and set(said) != set(true) else None


def _transitions(sequences):
    """The rows of table 3: TN, CN and ACC of each transition, and of all."""
    total, correct = Counter(), Counter()
    for true, said in sorted(sequences, key=lambda pair: _order(pair[0])):
        name = transition_name(true)
        if len(true) > LONGEST_ROW:
            name = f"more than {LONGEST_ROW} segments"
        total[name] += 1
        correct[name] += true == said
    total["total"], correct["total"] = total.total(), correct.total()
    return [
        {
            "transition": name,
            "total": number,
            "correct": correct[name],
            "accuracy": 100 * correct[name] / number,
        }
        for name, number in total.items()
    ]


def _order(sequence):
    """The paper's order: by emotion, then by where the emotion is."""
    happened = [name for name in sequence if name != NEUTRAL]
    if len(happened) != 1:
        return (1, len(sequence), sequence)
    (emotion,), first = happened, ("happy", "sad", "angry")
    rank = first.index(emotion) if emotion in first else len(first)
    return (0, rank, emotion, len(sequence), sequence[0] != NEUTRAL)
