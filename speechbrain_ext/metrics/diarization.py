"""One utterance: the four components of EDER, and the emotion transition.

Wang et al., "Speech Emotion Diarization: Which Emotion Appears When?" (2023),
section 3.2, equation 1 and figure 4; section 5.3, table 3.
"""

import csv
import math
from collections import Counter
from dataclasses import asdict, dataclass, field

import numpy as np

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open
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
        When a segment or the duration cannot be.

    Example
    -------
    >>> reference = [{"emo": "sad", "start": 1.0, "end": 3.0}]
    >>> hypothesis = [
    ...     {"start": 0.0, "end": 0.5, "emotion": "sad"},
    ...     {"start": 1.5, "end": 2.5, "emotion": "sad"},
    ...     {"start": 2.0, "end": 3.0, "emotion": "happy"},
    ... ]
    >>> eder(reference, hypothesis, 4.0)
    EderParts(false_alarm=0.5, missed_emotion=0.5, confusion=0.5, overlap=0.5, duration=4.0)
    """
    _check_length(duration)
    reference = check_hypothesis(reference, "the reference")
    hypothesis = check_hypothesis(hypothesis, "the hypothesis")
    times = {part: [] for part in PARTS}
    for start, end, true, said in stretches(duration, reference, hypothesis):
        part = _kind(emotions(true), emotions(said))
        if part is not None:
            times[part].append(end - start)
    return EderParts(
        **{part: math.fsum(times[part]) for part in PARTS},
        duration=float(duration),
    )


def _kind(true, said):
    if true == said:
        return None
    if not true:
        return "false_alarm"
    if said < true:
        return "missed_emotion"
    if said > true:
        return "overlap"
    return "confusion"


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
    return _fuse(kept or every)


def _fuse(names):
    # The empty string before the first one is no name.
    return tuple(
        name for before, name in zip(["", *names], names) if name != before
    )


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


#: Segments of the longest transition that has a row of its own.
LONGEST_ROW = 5


@dataclass(frozen=True)
class Scored:
    """An utterance that ``EderStats`` has seen."""

    id: str
    speaker: str | None
    parts: EderParts
    reference: tuple
    hypothesis: tuple


@dataclass
class EderStats:
    """EDER over a test set.

    Example
    -------
    >>> from speechbrain_ext.metrics.segments import (
    ...     all_neutral,
    ...     whole_utterance,
    ... )
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
            Of the utterance.
        reference : list of dict
            See ``eder``.
        hypothesis : list of dict
            See ``eder``.
        duration : float
            Length of the utterance in seconds.
        speaker : str, optional
            Who speaks.

        Raises
        ------
        UserError
            When the id was scored before, or the segments cannot be.
        """
        if id in self.scored:
            raise UserError(
                f"The utterance '{id}' was scored twice; give each its own id."
            )
        try:
            self.scored[id] = Scored(
                id=id,
                speaker=speaker or None,
                parts=eder(reference, hypothesis, duration),
                reference=transition(reference, duration),
                hypothesis=transition(hypothesis, duration),
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
            ``eder_pooled_interval`` are [low, high], 95 %, from drawing
            speakers with replacement (``interval_over`` says ``speakers``),
            or utterances where not every speaker is known or there is only
            one; they are None where a single utterance leaves nothing to
            draw. ``transitions`` are the rows of table 3, the last one named
            ``total``. And ``utterances``, ``seconds``, ``speakers`` (None
            where unknown).

        Raises
        ------
        UserError
            When nothing was scored.
        """
        if not self.scored:
            raise UserError("No utterance was scored, so there is no EDER.")
        scored = list(self.scored.values())
        seconds = math.fsum(one.parts.duration for one in scored)
        speakers = {one.speaker for one in scored}
        over = "utterances"
        if None not in speakers and len(speakers) > 1:
            over = "speakers"
        interval, pooled_interval = _intervals(scored, over, bootstrap, seed)
        mean = {
            part: _mean(
                getattr(one.parts, part) / one.parts.duration for one in scored
            )
            for part in PARTS
        }
        pooled = {
            f"{part}_pooled": 100
            * math.fsum(getattr(one.parts, part) for one in scored)
            / seconds
            for part in PARTS
        }
        transitions = _transitions(scored)
        return {
            "eder": _mean(one.parts.rate for one in scored),
            "eder_interval": interval,
            "interval_over": over,
            **mean,
            "eder_pooled": 100
            * math.fsum(one.parts.error for one in scored)
            / seconds,
            "eder_pooled_interval": pooled_interval,
            **pooled,
            "transition_accuracy": transitions[-1]["accuracy"],
            "transitions": transitions,
            "utterances": len(scored),
            "seconds": seconds,
            "speakers": None if None in speakers else len(speakers),
        }

    def rows(self):
        """One dict an utterance: EDER in percent, its parts in seconds.

        Returns
        -------
        list of dict
        """
        return [
            {
                "id": one.id,
                "speaker": one.speaker or "",
                "eder": 100 * one.parts.rate,
                **asdict(one.parts),
                "reference": transition_name(one.reference),
                "hypothesis": transition_name(one.hypothesis),
                "transition_correct": int(one.reference == one.hypothesis),
            }
            for one in self.scored.values()
        ]

    def write_csv(self, path):
        """Write the rows as CSV, whole or not at all.

        Arguments
        ---------
        path : str or os.PathLike
            The file to write.

        Raises
        ------
        UserError
            When nothing was scored, or the file cannot be written.
        """
        rows = self.rows()
        if not rows:
            raise UserError(
                f"'{path}': no utterance was scored, so there is none to write."
            )
        with atomic_open(path, newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _mean(fractions):
    fractions = list(fractions)
    return 100 * math.fsum(fractions) / len(fractions)


def _intervals(scored, over, bootstrap, seed):
    """95 % percentile intervals of the mean and of the pooled EDER."""
    clusters = {}
    for one in scored:
        key = one.speaker if over == "speakers" else one.id
        clusters.setdefault(key, []).append(one.parts)
    if len(clusters) < 2 or bootstrap < 1:
        return None, None
    sums = np.array(
        [
            (
                math.fsum(parts.rate for parts in cluster),
                len(cluster),
                math.fsum(parts.error for parts in cluster),
                math.fsum(parts.duration for parts in cluster),
            )
            for cluster in clusters.values()
        ]
    )
    random = np.random.default_rng(seed)
    draws = np.array(
        [
            sums[random.integers(len(sums), size=len(sums))].sum(axis=0)
            for _ in range(bootstrap)
        ]
    )
    mean = np.percentile(100 * draws[:, 0] / draws[:, 1], [2.5, 97.5])
    pooled = np.percentile(100 * draws[:, 2] / draws[:, 3], [2.5, 97.5])
    return mean.tolist(), pooled.tolist()


def _transitions(scored):
    """The rows of table 3: TN, CN and ACC of each transition, and of all."""
    total, correct = Counter(), Counter()
    for one in sorted(scored, key=lambda one: _order(one.reference)):
        name = _row_name(one.reference)
        total[name] += 1
        correct[name] += one.reference == one.hypothesis
    total["total"] = len(scored)
    correct["total"] = correct.total()
    return [
        {
            "transition": name,
            "total": number,
            "correct": correct[name],
            "accuracy": 100 * correct[name] / number,
        }
        for name, number in total.items()
    ]


def _row_name(sequence):
    # Long recordings each have a sequence of their own, which no table holds.
    if len(sequence) > LONGEST_ROW:
        return f"more than {LONGEST_ROW} segments"
    return transition_name(sequence)


def _order(sequence):
    """The paper's order: by emotion, then by where the emotion is."""
    happened = [name for name in sequence if name != NEUTRAL]
    if len(happened) != 1:
        return (1, len(sequence), sequence)
    first = ("happy", "sad", "angry")
    emotion = happened[0]
    rank = first.index(emotion) if emotion in first else len(first)
    return (0, rank, emotion, len(sequence), sequence[0] != NEUTRAL)
