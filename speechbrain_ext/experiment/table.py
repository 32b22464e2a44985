"""The table at the end of an experiment: what was measured and published.

The runs of a row are summed up as means, spreads (n - 1) and intervals.
"""

import statistics
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path

from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.experiment.pooled import pool_predictions
from speechbrain_ext.experiment.published import with_sd
from speechbrain_ext.metrics.intervals import describe_units
from speechbrain_ext.metrics.predictions import write_predictions
from speechbrain_ext.metrics.report import interval_text
from speechbrain_ext.training.results import read_results, reading

_LATEX = str.maketrans(
    {sign: rf"\{sign}" for sign in "&%$#_{}"}
    | {sign: f"${sign}$" for sign in "<>"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
    }
)
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


def write_table(root, summaries, over):
    """Write ``table.md``, ``table.csv`` and ``table.tex``."""
    metrics = list(dict.fromkeys(x for row in summaries for x in row.spreads))
    cells, text = _cells(summaries, metrics), notes(summaries, over)
    markdown = "\n\n".join([to_markdown(cells), text]) + "\n"
    latex = to_latex(cells, text)
    root = Path(root)
    for name, content in (("table.md", markdown), ("table.tex", latex)):
        with atomic_open(root / name) as file:
            file.write(content)
    write_predictions(root / "table.csv", _numbers(summaries, metrics))
    return markdown


def to_markdown(cells):
    """A table as Markdown."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in cells]
    widths = [max(3, *map(len, column)) for column in zip(*cells)]
    cells.insert(1, ["-" * width for width in widths])
    lines = [" | ".join(map(str.ljust, row, widths)) for row in cells]
    return "\n".join(f"| {line} |" for line in lines)


def to_latex(cells, text=""):
    """A table as LaTeX, for any document class."""
    lines = [" & ".join(c.translate(_LATEX) for c in row) for row in cells]
    head, *body = [rf"{line} \\" for line in lines]
    begin = rf"\begin{{tabular}}{{{'l' * len(cells[0])}}}"
    notes = [f"% {line}" for line in text.splitlines()]
    rows = [begin, r"\hline", head, r"\hline", *body, r"\hline"]
    return "\n".join([*notes, *rows, r"\end{tabular}", ""])


def notes(summaries, over):
    """What the figures of the table are, in words."""
    sizes = sorted({s.n for row in summaries for s in row.spreads.values()})
    lines = []
    if sizes:
        other = "folds" if over == "seeds" else "seeds"
        lines.append(
            f"Figures in percent: mean ± standard deviation over {over} "
            f"(n = {_range(sizes)}; where there are several {other}, of the "
            f"means over {other})."
        )
    lines += [
        f"Intervals: 95 %, of the same mean, bootstrap {describe_units(*each)}."
        for each in sorted({row.drawn for row in summaries if row.drawn})
    ]
    for row in summaries:
        left_out = {x for s in row.spreads.values() for x in s.left_out}
        if left_out:
            names = ", ".join(map(str, sorted(left_out)))
            lines.append(
                f"{row.name}: without {over} {names}, which lack runs."
            )
        lines += [
            f"{row.name}: seed {seed}, fold {fold} gives '{name}' to every "
            "utterance."
            for (seed, fold), name in row.only_class.items()
        ]
    return "\n".join(lines)


def _range(numbers):
    """The least and the greatest of sorted numbers."""
    return "-".join(map(str, dict.fromkeys([*numbers[:1], *numbers[-1:]])))


def _cells(summaries, metrics):
    """The table as text; columns that no row fills are left out."""
    lines = []
    for row in summaries:
        line = {"row": row.name}
        for name in metrics:
            found = row.spreads.get(name)
            line[name] = with_sd(found.mean, found.sd) if found else ""
            line[f"{name}, 95 %"] = interval_text(row.intervals.get(name), "")
            line[f"{name}, paper"] = str(row.figures.get(name, ""))
        of = "" if row.runs == row.planned else f" of {row.planned}"
        line["runs"] = f"{row.runs}{of}"
        line["shared speakers"] = _range(row.shared)
        lines.append(line)
    header = [name for name in lines[0] if any(line[name] for line in lines)]
    return [header, *([line[name] for name in header] for line in lines)]


def _numbers(summaries, metrics):
    """The table with each number in a cell of its own, unrounded."""
    lines = []
    for row in summaries:
        line = {"row": row.name}
        for name in metrics:
            found, paper = row.spreads.get(name), row.figures.get(name)
            low, high = row.intervals.get(name) or (None, None)
            numbers = list(found[:3]) if found else [None] * 3
            numbers += [low, high]
            numbers += [paper.value, paper.sd] if paper else [None] * 2
            parts = ("", " sd", " n", " low", " high", " paper", " paper sd")
            line |= {name + part: x for part, x in zip(parts, numbers)}
            line[f"{name} paper source"] = paper and paper.source()
        line |= {"runs": row.runs, "planned": row.planned}
        line["drawn"], line["drawn n"] = row.drawn or (None, None)
        line["shared speakers"] = max(row.shared, default=None)
        lines.append(line)
    return lines
