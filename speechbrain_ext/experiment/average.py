"""Several finished runs as one system: the mean of their posteriors.

``python -m speechbrain_ext.metrics.average RUN RUN...`` for runs of any
recipe of recognition, over the same utterances and the same classes. Which
runs go together is to be chosen by the figures of the validation set.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import read_json
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.metrics.report import align, interval_text

FILES = {"valid": "predictions_valid.csv", "test": "predictions.csv"}


def average(runs, split="test"):
    """Mean posteriors of runs."""
    tables = [_read(Path(run), FILES[split]) for run in runs]
    classes, first = tables[0]
    for run, (others, table) in zip(runs, tables):
        same = others == classes and table.index.equals(first.index)
        if not same or not table.reference.equals(first.reference):
            raise UserError(
                f"'{run}' has other classes or another {split} set than "
                f"'{runs[0]}'; average runs of the same protocol and fold."
            )
    names = [f"p_{name}" for name in classes]
    mean = np.mean([table[names] for _, table in tables], axis=0)
    stats = RecognitionStats(classes)
    for (id, row), posteriors in zip(first.iterrows(), mean):
        # Written with six digits; nothing is certain.
        log_probs = np.log(np.maximum(posteriors, 1e-7))
        stats.append(id, row.reference, log_probs, row.speaker)
    return stats


def _read(run, file):
    if not (run / "results.json").exists():
        raise UserError(
            f"'{run}' is no finished run: it has no results.json; let the "
            "recipe finish."
        )
    if not (run / file).exists():
        raise UserError(
            f"'{run / file}' does not exist; delete "
            f"'{run / 'results.json'}' and start the run again, which writes "
            "both."
        )
    table = pd.read_csv(
        run / file,
        index_col="id",
        dtype={"id": str, "speaker": str},
        keep_default_na=False,
    )
    return read_json(run / "results.json")["classes"], table.sort_index()


@exits_cleanly
def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ext.metrics.average",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder")
    runs = parser.parse_args(arguments).runs
    summaries = {split: average(runs, split).summarize() for split in FILES}
    rows = [
        [
            split,
            name,
            f"{summary[name]:.1f}",
            interval_text(summary[f"{name}_interval"]),
        ]
        for split, summary in summaries.items()
        for name in ("UA", "WA")
    ]
    print(align([f"{len(runs)} runs", "", "%", "95 % interval"], rows))


if __name__ == "__main__":
    main()
