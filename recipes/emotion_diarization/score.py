"""Scores of the recipe: EDER, beside baselines that need no model."""

from collections import Counter

from speechbrain_ext.data import count_samples
from speechbrain_ext.metrics.diarization import EderStats
from speechbrain_ext.metrics.segments import all_neutral, whole_utterance


def diarize(posteriors, utterances, classes, grid, postprocessing):
    """Segments of every utterance.

    Arguments
    ---------
    posteriors : dict
        From id to log posteriors ``[frames, classes]``.
    utterances : list of Utterance
        The reference.
    classes : list of str
        Name of every class.
    grid : FrameGrid
        The frames of the encoder.
    postprocessing : PostProcessing
        How to decode.

    Returns
    -------
    dict
        From id to segments.
    """
    return {
        utterance.id: postprocessing.diarize(
            posteriors[utterance.id],
            classes,
            count_samples(utterance.to_dict()),
            grid,
        )
        for utterance in utterances
    }


def score(diarizations, utterances):
    """EDER of a diarization.

    Arguments
    ---------
    diarizations : dict
        From id to segments.
    utterances : list of Utterance
        The reference.

    Returns
    -------
    EderStats
    """
    stats = EderStats()
    for utterance in utterances:
        stats.append(
            utterance.id,
            utterance.emotion,
            diarizations[utterance.id],
            utterance.duration,
            utterance.speaker,
        )
    return stats


def baselines(train, test, classes):
    """What needs no model: all neutral, and one emotion all through.

    Arguments
    ---------
    train : list of Utterance
        Where the most frequent emotion (by time) is looked up.
    test : list of Utterance
        The reference.
    classes : list of str
        Name of every class; ties go to the first.

    Returns
    -------
    dict
        From name to ``EderStats``.
    """
    seconds = Counter({name: 0.0 for name in classes})
    for utterance in train:
        for segment in utterance.emotion:
            seconds[segment["emo"]] += segment["end"] - segment["start"]
    emotion = seconds.most_common(1)[0][0]
    neutral = {u.id: all_neutral(u.duration) for u in test}
    whole = {u.id: whole_utterance(emotion, u.duration) for u in test}
    return {
        "all neutral": score(neutral, test),
        f"{emotion} throughout": score(whole, test),
    }
