"""Several finished runs as one system: the mean of their posteriors.

Runs of recognition over the same utterances and classes; choose them by their
figures of the validation set.
"""

import argparse
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.options import RESULTS
from speechbrain_ext.base.values import check_value
from speechbrain_ext.metrics.predictions import (
    FILES,
    read_number,
    read_predictions,
)
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.metrics.report import align, figure_cells
from speechbrain_ext.training.results import read_results


def average(runs, split="test"):
    """``RecognitionStats`` of the mean posteriors of runs."""
    classes, first, posteriors = _read(runs[0], split)
    total = np.array(posteriors)
    for run in runs[1:]:
        others, table, posteriors = _read(run, split)
        if (others, table) != (classes, first):
            raise UserError(
                f"'{run}' has other classes or another {split} set than "
                f"'{runs[0]}'; average runs of the same protocol and fold."
            )
        total += posteriors
    stats = RecognitionStats(classes)
    # Written with six digits; nothing is certain.
    log_probs = np.log(np.maximum(total / len(runs), 1e-7))
    for (id, reference, speaker), row in zip(first, log_probs):
        stats.append(id, reference, row, speaker)
    return stats


def _read(run, split):
    """Classes of a run; its utterances' names, and their posteriors."""
    classes = read_results(run, "classes")["classes"]
    check_value("classes", classes, f"'{Path(run) / RESULTS}', classes")
    columns = [f"p_{name}" for name in classes]
    rows = read_predictions(Path(run) / FILES[split], ["reference", *columns])
    rows = sorted(rows.items())
    return (
        classes,
        [(id, row["reference"], row["speaker"]) for id, (_, row) in rows],
        [
            [read_number(row, name, where, most=1) for name in columns]
            for _, (where, row) in rows
        ],
    )


@exits_cleanly
def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ext.recognition.average",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder")
    runs = parser.parse_args(arguments).runs
    summaries = {split: average(runs, split).summarize() for split in FILES}
    rows = [
        [split, name, *figure_cells(summary, name)]
        for split, summary in summaries.items()
        for name in ("UA", "WA")
    ]
    print(align([f"{len(runs)} runs", "", "%", "95 % interval"], rows))


if __name__ == "__main__":
    main()
