"""The table at the end of an experiment: what was measured and published."""

from pathlib import Path

from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.experiment.published import with_sd
from speechbrain_ext.metrics.intervals import describe_units
from speechbrain_ext.metrics.predictions import write_predictions
from speechbrain_ext.metrics.report import interval_text

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
