"""What a run leaves: results.json, predictions, figures, and the table."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from score import baselines, diarize, score

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.files import read_json, write_json
from speechbrain_ext.data import load_waveform
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.metrics.report import format_table, format_transitions
from speechbrain_ext.metrics.hypotheses import write_rttm
from speechbrain_ext.plots import layer_weights, timeline
from speechbrain_ext.training.results import mixture_weights
from speechbrain_ext.training.run import machine_record


def write_results(run, train, test, posteriors, model, record):
    """Write everything that a finished run leaves behind.

    Arguments
    ---------
    run : pathlib.Path
        The run folder.
    train : list of Utterance
        For the baselines.
    test : list of Utterance
        The reference.
    posteriors : dict
        From id to log posteriors of the test set.
    model : dict
        ``classes``, ``grid``, ``postprocessing`` and ``inputs``.
    record : dict
        What else goes into results.json.
    """
    classes, grid = model["classes"], model["grid"]
    found = diarize(posteriors, test, classes, grid, model["postprocessing"])
    stats = score(found, test)
    systems = {"this model": stats}
    if model["postprocessing"] != PostProcessing():
        plain = diarize(posteriors, test, classes, grid, PostProcessing())
        systems["without post-processing"] = score(plain, test)
    systems |= baselines(train, test, classes)
    write_rttm(run / "predictions.rttm", found)
    stats.write_csv(run / "predictions.csv")
    _draw_example(run, test, posteriors, found, classes, grid)
    weights = mixture_weights(model["inputs"])
    if weights is not None:
        layer_weights(run / "figures" / "layer_weights.png", weights)
    results = {
        **record,
        "postprocessing": asdict(model["postprocessing"]),
        "metrics": {"EDER": stats.summarize(bootstrap=0)["eder"]},
        "test": {name: each.summarize() for name, each in systems.items()},
        "layer_weights": weights,
        **machine_record(),
    }
    # Last: a run with this file is finished.
    write_json(results, run / "results.json")


def _draw_example(run, test, posteriors, found, classes, grid):
    """Timeline of the test utterance with the most typical error."""
    rows = score(found, test).rows()
    middle = np.median([row["eder"] for row in rows])
    # A neutral part and an event say more than an event alone.
    rows.sort(key=lambda row: (abs(row["eder"] - middle), row["id"]))
    by_id = {utterance.id: utterance for utterance in test}
    mixed = [
        row
        for row in rows
        if sum(s["end"] - s["start"] for s in by_id[row["id"]].emotion)
        < by_id[row["id"]].duration
    ]
    utterance = by_id[(mixed or rows)[0]["id"]]
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
    """The end of a run as text.

    Arguments
    ---------
    run : pathlib.Path
        The folder of a finished run.

    Returns
    -------
    str
    """
    results = read_json(Path(run) / "results.json")
    test = results["test"]
    options = {k: v for k, v in results["postprocessing"].items() if v}
    chosen = " (chosen on validation)" if results["tuning"] else ""
    lines = [
        "",
        f"Post-processing: {options or 'none'}{chosen}",
        "",
        format_table(test),
        "",
        format_transitions(test["this model"]),
        "",
        f"Run folder: {run}",
        f"Picture:    {Path(run) / 'figures' / 'timeline.png'}",
    ]
    return "\n".join(lines)
