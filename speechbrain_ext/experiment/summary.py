"""The runs of a row, summed up: means, spreads, intervals.

The standard deviation is that of a sample (n - 1 in the denominator).
"""

import statistics
from dataclasses import dataclass, field

from speechbrain_ext.experiment.pooled import pool_predictions
from speechbrain_ext.experiment.published import match
from speechbrain_ext.training.results import read_results


@dataclass(frozen=True)
class Spread:
    """Mean and spread of a metric."""

    mean: float
    sd: float | None
    n: int
    left_out: tuple = ()

    def __str__(self):
        sd = "" if self.sd is None else f" ± {self.sd:.1f}"
        return f"{self.mean:.1f}{sd}"


@dataclass
class Summary:
    """One row, measured."""

    name: str
    runs: int
    planned: int
    spreads: dict = field(default_factory=dict)
    intervals: dict = field(default_factory=dict)
    drawn: tuple | None = None
    shared: tuple = ()
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
    groups = _groups(values, over, planned)
    means = [
        statistics.fmean(values[point] for point in points)
        for points in groups.values()
    ]
    unit = _unit(over)
    return Spread(
        mean=statistics.fmean(means),
        sd=statistics.stdev(means) if len(means) > 1 else None,
        n=len(means),
        left_out=tuple(sorted({point[unit] for point in values} - set(groups))),
    )


def weigh(points, over, planned=None):
    """What every run counts in the mean of ``spread``."""
    groups = _groups(points, over, planned)
    return {
        point: 1 / len(groups) / len(group)
        for group in groups.values()
        for point in group
    }


def _unit(over):
    return 0 if over == "seeds" else 1


def _groups(points, over, planned):
    """Points that the mean is over, by seed or by fold; those that lack a run
    only where all of them do."""
    unit = _unit(over)
    wanted, groups = {}, {}
    for found, some in ((wanted, planned or points), (groups, points)):
        for point in some:
            found.setdefault(point[unit], set()).add(point)
    whole = {
        name: group for name, group in groups.items() if group == wanted[name]
    }
    return whole or groups


def summarize_row(row, over, published=(), draws=1000):
    """Read what the runs of a row have left."""
    done = [run for run in row.runs if run.finished()]
    summary = Summary(
        row.name,
        len(done),
        len(row.runs),
        figures=match(published, row.settings.scalars),
    )
    values, shared = {}, set()
    for run in done:
        results = read_results(run.folder, "metrics")
        for name, value in results["metrics"].items():
            values.setdefault(name, {})[run.seed, run.fold] = value
        speakers = results.get("protocol", {}).get("speakers_shared_with_train")
        shared.add((speakers or {}).get("test"))
        only = results.get("test", {}).get("only_class")
        if only is not None:
            summary.only_class[run.seed, run.fold] = only
    summary.shared = tuple(sorted(shared - {None}))
    planned = [(run.seed, run.fold) for run in row.runs]
    summary.spreads = {
        name: spread(each, over, planned) for name, each in values.items()
    }
    points = {(run.seed, run.fold): run.folder for run in done}
    weights = weigh(points, over, planned)
    predictions = pool_predictions(
        [points[point] for point in weights], list(weights.values())
    )
    if predictions is not None:
        summary.predictions = predictions
        kind, index = predictions.units()
        summary.drawn = kind, int(index.max()) + 1
        # A metric that a run lacks is a mean over other runs.
        summary.intervals = {
            name: predictions.interval(name, draws)
            for name in predictions.names()
            if set(values.get(name, ())) == set(points)
        }
    return summary
