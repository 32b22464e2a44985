#!/usr/bin/env python3
"""One corpus of those that runs know, by the part that it is in (table 9).

> python benchmark.py RUN [RUN ...] [--corpus ravdess] [--train]

The paper tests its model on RAVDESS, which is in its training data. Of finished
runs this tells the figures of one corpus: of the recordings that were tested
on, of those that chose the checkpoint, and with --train, by the model, of those
that were trained on and of all, as in the paper. Give a run of the protocol
sharma, and one of sharma_cross whose fold leaves the corpus out of training, to
see the two side by side. Writes benchmark_CORPUS.json into each run folder. In
the paper, RAVDESS: WA 78.45, UA 79.31.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import write_json
from speechbrain_ext.metrics.predictions import (
    FILES,
    read_number,
    read_predictions,
)
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.metrics.report import align, figure_cells
from speechbrain_ext.training.results import read_results
from speechbrain_ext.utterance import load_manifest

# No share is so small that it has no logarithm.
_LEAST = float(np.finfo(np.float32).tiny)


def read_part(run, name, corpus):
    """Recordings of a corpus in a part of a run, copies left out."""
    every = load_manifest(Path(run) / "manifests" / f"{name}.json")
    return [
        one
        for one in every
        if one.corpus == corpus and "augmentation" not in one.extra
    ]


def predicted(run, name, utterances, classes):
    """Log posteriors that a run has written of recordings, by id."""
    columns = [f"p_{each}" for each in classes]
    rows = read_predictions(Path(run) / FILES[name], columns)
    found = {}
    for one in utterances:
        if one.id not in rows:
            raise UserError(
                f"'{Path(run) / FILES[name]}' has no '{one.id}'; delete the "
                "run's results.json and start the run again."
            )
        where, row = rows[one.id]
        shares = [read_number(row, x, where, 1) for x in columns]
        found[one.id] = [math.log(max(share, _LEAST)) for share in shares]
    return found


def judged(run, utterances, device=None):
    """Log posteriors that the model of a run gives of recordings, by id."""
    from tqdm import tqdm

    from speechbrain_ext.inference import EmotionRecognizer

    run_opts = {"device": device} if device else None
    model = EmotionRecognizer.from_hparams(run, run_opts=run_opts)
    # The model cleans recordings itself.
    files = [one.extra.get("origin", one.wav) for one in utterances]
    texts = [one.text for one in utterances] if model.reads_text else None
    found = model.iterate_files(files, texts=texts) if files else ()
    bar = tqdm(found, Path(run).name, len(files), unit="file")
    return {
        one.id: shares[0].clamp(min=_LEAST).log().numpy()
        for one, (shares, *_) in zip(utterances, bar)
    }


def measure(run, corpus, train=False, device=None):
    """The figures of a corpus in a run, by part."""
    classes = read_results(run, "classes")["classes"]
    names = (*FILES, "train") if train else tuple(FILES)
    parts = {name: read_part(run, name, corpus) for name in names}
    if not any(parts.values()):
        raise UserError(
            f"--corpus: '{run}' has no recording of '{corpus}' to tell of; "
            "give the name of one of its corpora, or --train."
        )
    figures, outputs = {}, {}
    for name, part in parts.items():
        if name == "train":
            outputs |= judged(run, part, device)
        else:
            outputs |= predicted(run, name, part, classes)
    if train:
        parts["all"] = [one for part in parts.values() for one in part]
    for name, part in parts.items():
        if part:
            stats = RecognitionStats.of(classes, part, outputs)
            figures[name] = stats.summarize()
    return figures


@exits_cleanly
def main(arguments=None):
    """Print a table of the runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+")
    add("--corpus", default="ravdess")
    add("--train", action="store_true", help="of what was trained on, too")
    add("--device", help="where the model runs, such as cuda")
    options = parser.parse_args(arguments)
    how = options.corpus, options.train, options.device
    header = ["run", "part", "n", "WA", "95 %", "UA", "95 %"]
    rows = []
    for run in options.runs:
        figures = measure(run, *how)
        write_json(figures, Path(run) / f"benchmark_{options.corpus}.json")
        for name, found in figures.items():
            cells = [figure_cells(found, x) for x in ("WA", "UA")]
            count = str(found["utterances"])
            rows.append([str(run), name, count, *cells[0], *cells[1]])
    print(align(header, rows))


if __name__ == "__main__":
    main(sys.argv[1:])
