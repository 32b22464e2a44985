"""The runs of a row, summed up: means, spreads (n - 1), intervals."""

import statistics
from collections import namedtuple
from dataclasses import dataclass, field

from speechbrain_ext.experiment.pooled import pool_predictions
from speechbrain_ext.training.results import read_results, reading

# A metric over seeds or folds, without those left out.
Spread = namedtuple("Spread", "mean sd n left_out")


@dataclass
class Summary:
    """One row, measured."""

    name: str
    runs: int
    planned: int
    spreads: dict = field(default_factory=dict)
    intervals: dict = field(default_factory=dict)
    drawn: tuple | None = None
    shared: list = ()
    figures: dict = field(default_factory=dict)
    predictions: object = None
    only_class: dict = field(default_factory=dict)


def default_over(row):
    """What the spread is over where nobody says: ``seeds`` or ``folds``."""
    seeds = {run.seed for run in row.runs}
    folds = {run.fold for run in row.runs}
    return "folds" if len(folds) > 1 and len(seeds) == 1 else "seeds"


def spread(values, over, planned=None):
    """Mean and standard deviation over seeds or over folds."""
    groups, left_out = _groups(values, over, planned)
    means = [statistics.fmean(map(values.get, points)) for points in groups]
    sd = statistics.stdev(means) if len(means) > 1 else None
    return Spread(statistics.fmean(means), sd, len(means), left_out)


def weigh(points, over, planned=None):
    """What every run counts in the mean of ``spread``."""
    groups, _ = _groups(points, over, planned)
    return {p: 1 / len(groups) / len(group) for group in groups for p in group}


def _groups(points, over, planned):
    """Points (seed, fold) of each whole seed or fold; names of the others.

    Where none is whole, all count.
    """
    wanted, groups = {}, {}
    for found, some in ((wanted, planned or points), (groups, points)):
        for point in some:
            found.setdefault(point[over == "folds"], set()).add(point)
    whole = [name for name in groups if groups[name] == wanted[name]] or groups
    left_out = tuple(sorted(set(groups).difference(whole)))
    return [groups[name] for name in whole], left_out


def summarize_row(row, over, figures=(), draws=1000):
    """Read what the runs of a row have left, beside published figures."""
    done = {(run.seed, run.fold): run for run in row.runs if run.finished()}
    summary = Summary(row.name, len(done), len(row.runs), figures=dict(figures))
    values, shared = {}, set()
    for point, run in done.items():
        results = read_results(run.folder, "metrics")
        for name, value in results["metrics"].items():
            values.setdefault(name, {})[point] = value
        with reading(run.folder):
            speakers = results.get("protocol", {}).get(
                "speakers_shared_with_train"
            )
            number = (speakers or {}).get("test")
            only = results.get("test", {}).get("only_class")
            # They are compared, and shown.
            fits = isinstance(number, int | None), isinstance(only, str | None)
            if not all(fits):
                raise ValueError(f"{number!r} speakers, {only!r} alone")
        shared.add(number)
        if only is not None:
            summary.only_class[point] = only
    summary.shared = tuple(sorted(shared - {None}))
    planned = [(run.seed, run.fold) for run in row.runs]
    summary.spreads = {
        name: spread(each, over, planned) for name, each in values.items()
    }
    weights = weigh(done, over, planned)
    folders = [done[point].folder for point in weights]
    predictions = pool_predictions(folders, list(weights.values()))
    if predictions is not None:
        summary.predictions = predictions
        kind, index = predictions.units()
        summary.drawn = kind, int(index.max()) + 1
        # A metric that a run lacks is a mean over other runs.
        summary.intervals = {
            name: predictions.interval(name, draws)
            for name in predictions.names()
            if set(values.get(name, ())) == set(done)
        }
    return summary
