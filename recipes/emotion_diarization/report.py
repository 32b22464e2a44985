"""EDER of a run and of baselines; what it leaves beside its results.json."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.data import count_samples, load_waveform
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.metrics.eder import score
from speechbrain_ext.metrics.hypotheses import write_rttm
from speechbrain_ext.metrics.report import (
    describe_only_class,
    format_table,
    format_transitions,
)
from speechbrain_ext.metrics.segments import whole_utterance
from speechbrain_ext.plots import timeline
from speechbrain_ext.training.results import (
    read_results,
    reading,
    write_results,
)


def diarize(posteriors, utterances, classes, grid, postprocessing):
    """Segments by id, from log posteriors ``[frames, classes]`` by id."""
    sizes = {u.id: count_samples(u.to_dict()) for u in utterances}
    return {
        id: postprocessing.diarize(posteriors[id], classes, size, grid)
        for id, size in sizes.items()
    }


def score_diarization(diarization, utterances):
    """``EderStats`` of segments by id."""
    return score({u.id: vars(u) for u in utterances}, diarization)


def score_baselines(train, test, classes):
    """All neutral, and throughout what lasts longest in the training data."""
    seconds = Counter({name: 0.0 for name in classes})
    for utterance in train:
        for segment in utterance.emotion:
            seconds[segment["emo"]] += segment["end"] - segment["start"]
    emotion = seconds.most_common(1)[0][0]
    systems = {"all neutral": "neutral", f"{emotion} throughout": emotion}
    return {
        name: score_diarization(
            {u.id: whole_utterance(label, u.duration) for u in test}, test
        )
        for name, label in systems.items()
    }


def report(run, hparams, data, posteriors, postprocessing, valid, record):
    """Write everything that a finished run leaves behind.

    ``posteriors`` are those of the test set, ``valid`` is the EDER of valid.
    """
    test, classes = data["test"], hparams["classes"]
    model = classes, hparams["inputs"]["speech"].grid
    found = diarize(posteriors, test, *model, postprocessing)
    stats = score_diarization(found, test)
    systems = {}
    if postprocessing != PostProcessing():
        plain = diarize(posteriors, test, *model, PostProcessing())
        systems["without post-processing"] = score_diarization(plain, test)
    systems |= score_baselines(data["train"], test, classes)
    write_rttm(run / "predictions.rttm", found)
    _draw_example(run, stats.rows.values(), test, posteriors, found, *model)
    record = {
        **record,
        "postprocessing": asdict(postprocessing),
        "systems": {name: each.summarize() for name, each in systems.items()},
    }
    write_results(run, hparams, stats, {"EDER": valid}, record)


def _draw_example(run, rows, test, posteriors, found, classes, grid):
    """Timeline of the test utterance with the most typical error."""
    middle = np.median([row["eder"] for row in rows])
    by_id = {utterance.id: utterance for utterance in test}

    def rank(row):
        # A neutral part and an event say more than an event alone.
        emotion = by_id[row["id"]].emotion
        lasts = sum(segment["end"] - segment["start"] for segment in emotion)
        whole = lasts >= by_id[row["id"]].duration
        return whole, abs(row["eder"] - middle), row["id"]

    utterance = by_id[min(rows, key=rank)["id"]]
    waveform = load_waveform(utterance.to_dict())
    timeline(
        run / "figures" / "timeline.png",
        waveform.numpy(),
        SAMPLE_RATE,
        found[utterance.id],
        utterance.duration,
        reference=utterance.emotion,
        posteriors=np.exp(posteriors[utterance.id]),
        frame_edges=grid.edges(len(waveform)) / SAMPLE_RATE,
        labels=classes,
        title=utterance.id,
    )


def show(run):
    """The end of a run as text."""
    results = read_results(run, "test", "postprocessing", "tuning")
    with reading(run):
        return _show(run, results)


def _show(run, results):
    options = {k: v for k, v in results["postprocessing"].items() if v}
    chosen = " (chosen on validation)" if results["tuning"] else ""
    test = results["test"]
    return "\n".join(
        [
            "",
            f"Post-processing: {options or 'none'}{chosen}",
            "",
            format_table({"this model": test, **results["systems"]}),
            *describe_only_class(test),
            "",
            format_transitions(test),
            "",
            f"Run folder: {run}",
            f"Picture:    {Path(run) / 'figures' / 'timeline.png'}",
        ]
    )
