#!/usr/bin/env python3
"""One corpus of those that runs know, by the part that it is in (table 9).

> python benchmark.py RUN [RUN ...] [--corpus ravdess]

The paper tests its model on RAVDESS, which is in its training data. This does
the same with finished runs of hubert.yaml and hubert_bert.yaml: it classifies
all recordings of the corpus that are in the run, and tells those that were
trained on from those that were not. Give a run of the protocol sharma, and one
of sharma_cross whose fold leaves the corpus out of training, to see the two
side by side. Writes benchmark_CORPUS.json into each run's folder. In the paper,
RAVDESS: WA 78.45, UA 79.31.
"""

import argparse
import sys
from pathlib import Path

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import write_json
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.metrics.report import align, figure_cells
from speechbrain_ext.utterance import load_manifest

PARTS = ("train", "valid", "test")


def read_parts(run, corpus):
    """Recordings of a corpus in a run, copies left out, by part."""
    parts = {}
    for name in PARTS:
        every = load_manifest(Path(run) / "manifests" / f"{name}.json")
        parts[name] = [
            one
            for one in every
            if one.corpus == corpus and "augmentation" not in one.extra
        ]
    if not any(parts.values()):
        raise UserError(
            f"--corpus: '{run}' has no recording of '{corpus}'; give the name "
            "of one of its corpora."
        )
    return parts


def classify(run, parts, device=None):
    """``RecognitionStats`` of each part, and of all."""
    import torch
    from tqdm import tqdm

    from speechbrain_ext.inference import EmotionRecognizer

    run_opts = {"device": device} if device else None
    model = EmotionRecognizer.from_hparams(run, run_opts=run_opts)
    found = {name: RecognitionStats(model.classes) for name in ("all", *parts)}
    every = [(name, one) for name, part in parts.items() for one in part]
    # The model cleans recordings itself.
    files = [one.extra.get("origin", one.wav) for _, one in every]
    texts = [one.text for _, one in every] if model.reads_text else None
    judged = model.iterate_files(files, texts=texts)
    bar = tqdm(judged, Path(run).name, len(every), unit="file")
    for (name, one), (shares, *_) in zip(every, bar):
        # No share is so small that it is no number.
        row = shares[0].clamp(min=torch.finfo(torch.float32).tiny).log()
        given = one.id, one.emotion, row.numpy(), one.speaker
        for stats in (found["all"], found[name]):
            stats.append(*given)
    return {name: stats for name, stats in found.items() if stats.rows}


@exits_cleanly
def main(arguments=None):
    """Print a table of the runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", metavar="RUN", nargs="+")
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--device")
    options = parser.parse_args(arguments)
    known = {run: read_parts(run, options.corpus) for run in options.runs}
    header = ["run", "part", "n", "WA", "95 %", "UA", "95 %"]
    rows = []
    for run, parts in known.items():
        figures = {}
        for name, stats in classify(run, parts, options.device).items():
            figures[name] = stats.summarize()
            cells = [figure_cells(figures[name], x) for x in ("WA", "UA")]
            count = str(len(stats.rows))
            rows.append([str(run), name, count, *cells[0], *cells[1]])
        write_json(figures, Path(run) / f"benchmark_{options.corpus}.json")
    print(align(header, rows))


if __name__ == "__main__":
    main(sys.argv[1:])
