"""EDER with its four components, and the emotion transition.

Wang et al., "Speech Emotion Diarization: Which Emotion Appears When?" (2023),
section 3.2, equation 1 and figure 4; section 5.3, table 3.
"""

import math
from collections import Counter
from dataclasses import asdict, dataclass, field

import numpy as np

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.intervals import (
    describe_test_set,
    find_units,
    interval,
)
from speechbrain_ext.metrics.predictions import write_predictions
from speechbrain_ext.metrics.segments import (
    check_hypothesis,
    emotions,
    is_time,
    stretches,
)

PARTS = ("false_alarm", "missed_emotion", "confusion", "overlap")

# A hole this short (s) between or after labels is no neutral state: encoders
# leave up to 25 ms at the end of a file without a frame.
HOLE = 0.03

# Labels that stand for less than this (s) come from rounding: published
# segments have times in milliseconds.
ROUNDING = 0.002

# Long recordings each have a sequence of their own, which no table holds.
LONGEST_ROW = 5


@dataclass(frozen=True)
class EderParts:
    """The four kinds of error in an utterance, in seconds.

    Arguments
    ---------
    false_alarm : float
        An emotion where there is none.
    missed_emotion : float
        Nothing, or not all, where there is emotion.
    confusion : float
        Another emotion in place of the right one.
    overlap : float
        Other emotions beside the right one.
    duration : float
        Length of the utterance.

    Example
    -------
    >>> EderParts(0.5, 0.0, 0.5, 0.0, duration=4.0).rate
    0.25
    """

    false_alarm: float
    missed_emotion: float
    confusion: float
    overlap: float
    duration: float

    @property
    def error(self):
        """All error time in seconds."""
        return math.fsum(getattr(self, part) for part in PARTS)

    @property
    def rate(self):
        """EDER of the utterance, a fraction between 0 and 1."""
        return self.error / self.duration


def eder(reference, hypothesis, duration):
    """Compare what a system says with what is so (section 3.2).

    Each instant counts once, as the paper's components are durations: it is
    an error wherever the set of emotions of the hypothesis is not that of the
    reference. Neutral is the empty set, said or left uncovered, and an emotion
    wins over a neutral segment at the same time. The paper defines the
    components for references without overlap; where a reference has several
    emotions at once, finding only some of them is missed emotion, and having
    one wrong while another is right is confusion.

    Arguments
    ---------
    reference : list of dict
        ``{"emo", "start", "end"}`` each, times in seconds.
    hypothesis : list of dict
        ``{"start", "end", "emotion"}`` each; they may overlap, and what
        reaches past ``duration`` is cut off.
    duration : float
        Length of the utterance in seconds.

    Returns
    -------
    EderParts

    Raises
    ------
    UserError
        When a segment or the duration is invalid.

    Example
    -------
    >>> reference = [{"emo": "sad", "start": 1.0, "end": 3.0}]
    >>> hypothesis = [{"start": 0.5, "end": 2.5, "emotion": "sad"}]
    >>> eder(reference, hypothesis, 4.0)
    EderParts(false_alarm=0.5, missed_emotion=0.5, confusion=0.0, overlap=0.0, duration=4.0)
    """
    _check_length(duration)
    reference = check_hypothesis(reference, "the reference")
    hypothesis = check_hypothesis(hypothesis, "the hypothesis")
    times = {part: [] for part in PARTS}
    for start, end, true, said in stretches(duration, reference, hypothesis):
        part = _kind(emotions(true), emotions(said))
        if part is not None:
            times[part].append(end - start)
    return EderParts(*map(math.fsum, times.values()), float(duration))


def _kind(true, said):
    if true == said:
        return None
    if not true:
        return "false_alarm"
    if said < true:
        return "missed_emotion"
    return "overlap" if said > true else "confusion"


def _check_length(duration):
    if not is_time(duration) or duration == 0:
        raise UserError(
            f"The duration is {duration!r}, not a length in seconds."
        )


def transition(segments, duration):
    """The sequence of labels once equal neighbours are fused (table 3).

    Every label counts, however short. A hole between labels, or at an end, is
    neutral if it lasts 30 ms or longer; shorter ones come from rounding and
    from frames that do not fill the file.

    Arguments
    ---------
    segments : list of dict
        ``{"start", "end", "emotion"}`` or ``{"emo", "start", "end"}`` each,
        times in seconds.
    duration : float
        Length of the utterance in seconds.

    Returns
    -------
    tuple of str
        Emotions at the same time are joined with ``+``, in alphabetical
        order.

    Example
    -------
    >>> transition([{"emo": "happy", "start": 0.8, "end": 2.0}], 2.0)
    ('neutral', 'happy')
    """
    _check_length(duration)
    segments = check_hypothesis(segments, "the segments")
    every, kept = [], []
    for start, end, labels in stretches(duration, segments):
        name = "+".join(sorted(emotions(labels))) or NEUTRAL
        every.append(name)
        if end - start >= (ROUNDING if labels else HOLE):
            kept.append(name)
    names = kept or every
    return tuple(b for a, b in zip([None, *names], names) if a != b)


def transition_name(sequence):
    """The name of a sequence as in table 3, where neutral is ``null``.

    Arguments
    ---------
    sequence : tuple of str
        From ``transition``.

    Returns
    -------
    str

    Example
    -------
    >>> transition_name(("neutral", "happy", "neutral"))
    'null-happy-null'
    """
    return "-".join("null" if name == NEUTRAL else name for name in sequence)


@dataclass(frozen=True)
class Scored:
    """An utterance that ``EderStats`` has seen."""

    id: str
    speaker: str
    parts: EderParts
    reference: tuple
    hypothesis: tuple


@dataclass
class EderStats:
    """EDER over a test set.

    Example
    -------
    >>> from speechbrain_ext.metrics.eder import all_neutral, whole_utterance
    >>> stats = EderStats()
    >>> happy = [{"emo": "happy", "start": 0.0, "end": 1.0}]
    >>> stats.append("a", happy, whole_utterance("happy", 2.0), 2.0)
    >>> stats.append("b", happy, all_neutral(4.0), 4.0)
    >>> summary = stats.summarize()
    >>> summary["eder"], round(summary["eder_pooled"], 2)
    (37.5, 33.33)
    >>> [row["eder"] for row in stats.rows()]
    [50.0, 25.0]
    """

    scored: dict = field(default_factory=dict)

    def append(self, id, reference, hypothesis, duration, speaker=None):
        """Score one utterance.

        Arguments
        ---------
        id : str
            Of the utterance; each may be scored once.
        reference, hypothesis, duration
            As of ``eder``.
        speaker : str, optional
            Who speaks.
        """
        if id in self.scored:
            raise UserError(
                f"The utterance '{id}' was scored twice; give each its own id."
            )
        try:
            self.scored[id] = Scored(
                id,
                speaker or "",
                eder(reference, hypothesis, duration),
                transition(reference, duration),
                transition(hypothesis, duration),
            )
        except UserError as error:
            raise UserError(f"Utterance '{id}': {error}") from None

    def summarize(self, bootstrap=1000, seed=0):
        """Averages, intervals and transitions.

        Arguments
        ---------
        bootstrap : int
            How often to draw the test set anew; 0 for no intervals.
        seed : int
            Of the draws; the same seed gives the same intervals.

        Returns
        -------
        dict
            What JSON can hold. In percent: ``eder`` with its parts
            ``false_alarm``, ``missed_emotion``, ``confusion``, ``overlap``
            (means over utterances, as the paper has them); ``eder_pooled``
            and ``false_alarm_pooled`` ... (total error time over total
            duration); ``transition_accuracy``. ``eder_interval`` and
            ``eder_pooled_interval`` are [low, high], 95 %, over
            ``intervals_over`` (``speakers``, or ``utterances`` where not every
            speaker is known or there is only one), or None where there is
            nothing to draw. ``transitions`` are the rows of table 3, the last
            one named ``total``. ``only_class`` is what every utterance is
            taken for from end to end although the references differ, or None.
            And ``utterances``, ``seconds``, ``speakers`` (None where unknown).
        """
        if not self.scored:
            raise UserError("No utterance was scored, so there is no EDER.")
        scored = list(self.scored.values())
        names = list(self.scored), [one.speaker for one in scored]
        durations = np.array([one.parts.duration for one in scored])
        parts = np.array(
            [[getattr(one.parts, part) for part in PARTS] for one in scored]
        )
        index = find_units(*names)[1]
        summary = {}
        # Rates over utterances, and seconds of error over seconds.
        for name, times, wholes in (
            ("", parts / durations[:, None], np.ones(len(scored))),
            ("_pooled", parts, durations),
        ):
            sums = np.zeros((max(index) + 1, len(PARTS) + 1))
            np.add.at(sums, index, np.column_stack([times, wholes]))
            summary[f"eder{name}"] = float(_rate(sums.sum(axis=0)))
            summary[f"eder{name}_interval"] = interval(
                sums, _rate, bootstrap, seed
            )
            shares = 100 * times.sum(axis=0) / wholes.sum()
            summary |= {f"{p}{name}": s for p, s in zip(PARTS, shares.tolist())}
        transitions = _transitions(scored)
        return {
            **summary,
            "transition_accuracy": transitions[-1]["accuracy"],
            "transitions": transitions,
            "only_class": _only_class(scored),
            "seconds": float(durations.sum()),
            **describe_test_set(*names),
        }

    def metrics(self, summary):
        """The main figure of a summary."""
        return {"EDER": summary["eder"]}

    def rows(self):
        """One dict an utterance: EDER in percent, its parts in seconds."""
        return [
            {
                "id": one.id,
                "speaker": one.speaker,
                "eder": 100 * one.parts.rate,
                **asdict(one.parts),
                "reference": transition_name(one.reference),
                "hypothesis": transition_name(one.hypothesis),
                "transition_correct": int(one.reference == one.hypothesis),
            }
            for one in self.scored.values()
        ]

    def write_csv(self, path):
        """Write the rows as CSV, whole or not at all."""
        write_predictions(path, self.rows())


def _rate(sums):
    return 100 * sums[..., :-1].sum(axis=-1) / sums[..., -1]


def _only_class(scored):
    said = {one.hypothesis for one in scored}
    first = scored[0].hypothesis
    same = len(said) == len(first) == 1
    return first[0] if same and said != {o.reference for o in scored} else None


def _transitions(scored):
    """The rows of table 3: TN, CN and ACC of each transition, and of all."""
    total, correct = Counter(), Counter()
    for one in sorted(scored, key=lambda one: _order(one.reference)):
        name = transition_name(one.reference)
        if len(one.reference) > LONGEST_ROW:
            name = f"more than {LONGEST_ROW} segments"
        for row in (name, "total"):
            total[row] += 1
            correct[row] += one.reference == one.hypothesis
    # It came with the first row, and stands last.
    total["total"] = total.pop("total")
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
    first = ("happy", "sad", "angry")
    emotion = happened[0]
    rank = first.index(emotion) if emotion in first else len(first)
    return (0, rank, emotion, len(sequence), sequence[0] != NEUTRAL)
