"""Scores of the recipe: EDER, beside baselines that need no model."""

from collections import Counter

from speechbrain_ext.data import count_samples
from speechbrain_ext.metrics import eder


def diarize(posteriors, utterances, classes, grid, postprocessing):
    """Segments by id, from log posteriors ``[frames, classes]`` by id."""
    return {
        utterance.id: postprocessing.diarize(
            posteriors[utterance.id],
            classes,
            count_samples(utterance.to_dict()),
            grid,
        )
        for utterance in utterances
    }


def score_diarization(diarization, utterances):
    """``EderStats`` of segments by id."""
    references = {utterance.id: vars(utterance) for utterance in utterances}
    return eder.score(references, diarization)


def score_baselines(train, test, classes):
    """``EderStats`` of what needs no model: all neutral, and throughout the
    emotion that lasts longest in the training data."""
    seconds = Counter({name: 0.0 for name in classes})
    for utterance in train:
        for segment in utterance.emotion:
            seconds[segment["emo"]] += segment["end"] - segment["start"]
    emotion = seconds.most_common(1)[0][0]
    systems = {"all neutral": "neutral", f"{emotion} throughout": emotion}
    return {
        name: score_diarization(
            {u.id: eder.whole_utterance(label, u.duration) for u in test}, test
        )
        for name, label in systems.items()
    }
