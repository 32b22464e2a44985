"""The table at the end of an experiment: what was measured and published.

As Markdown and LaTeX for the eye, and as CSV with every number unrounded in a
cell of its own.
"""

import csv
from pathlib import Path

from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.metrics.intervals import describe_units
from speechbrain_ext.metrics.report import interval_text

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
}


def write_table(root, summaries, over):
    """Write ``table.md``, ``table.csv`` and ``table.tex``."""
    cells, text = _cells(summaries), notes(summaries, over)
    markdown = "\n\n".join([to_markdown(cells), text]) + "\n"
    latex = to_latex(cells, text)
    root = Path(root)
    for name, content in (("table.md", markdown), ("table.tex", latex)):
        with atomic_open(root / name) as file:
            file.write(content)
    with atomic_open(root / "table.csv", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_numbers(summaries))
    return markdown


def to_markdown(cells):
    """A table as Markdown."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in cells]
    widths = [max(3, *map(len, column)) for column in zip(*cells)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(row, widths))
        + " |"
        for row in cells
    )


def to_latex(cells, text=""):
    """A table as LaTeX, for any document class."""
    lines = [
        " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row)
        + r" \\"
        for row in cells
    ]
    return "\n".join(
        [
            *(f"% {line}" for line in text.splitlines()),
            r"\begin{tabular}{" + "l" * len(cells[0]) + "}",
            r"\hline",
            lines[0],
            r"\hline",
            *lines[1:],
            r"\hline",
            r"\end{tabular}",
            "",
        ]
    )


def notes(summaries, over):
    """What the figures of the table are, in words."""
    sizes = sorted({s.n for row in summaries for s in row.spreads.values()})
    lines = []
    if sizes:
        number = "-".join(
            str(size) for size in dict.fromkeys((sizes[0], sizes[-1]))
        )
        other = "folds" if over == "seeds" else "seeds"
        lines.append(
            f"Figures in percent: mean ± standard deviation over {over} "
            f"(n = {number}; where there are several {other}, of the means "
            f"over {other})."
        )
    drawn = sorted({row.drawn for row in summaries if row.drawn})
    for kind, number in drawn:
        lines.append(
            "Intervals: 95 %, of the same mean, bootstrap "
            f"{describe_units(kind, number)}."
        )
    for row in summaries:
        left_out = {x for s in row.spreads.values() for x in s.left_out}
        if left_out:
            lines.append(
                f"{row.name}: without {over} "
                f"{', '.join(map(str, sorted(left_out)))}, which lack runs."
            )
        lines += [
            f"{row.name}: seed {seed}, fold {fold} gives '{name}' to every "
            "utterance."
            for (seed, fold), name in row.only_class.items()
        ]
    return "\n".join(lines)


def _metric_names(summaries):
    return list(
        dict.fromkeys(name for row in summaries for name in row.spreads)
    )


def _cells(summaries):
    """The table as text; columns that no row fills are left out."""
    lines = []
    for row in summaries:
        line = {"row": row.name}
        for name in _metric_names(summaries):
            line[name] = _text(row.spreads.get(name))
            line[f"{name}, 95 %"] = interval_text(row.intervals.get(name), "")
            line[f"{name}, paper"] = _text(row.figures.get(name))
        of = "" if row.runs == row.planned else f" of {row.planned}"
        line["runs"] = f"{row.runs}{of}"
        ends = dict.fromkeys((*row.shared[:1], *row.shared[-1:]))
        line["shared speakers"] = "-".join(map(str, ends))
        lines.append(line)
    header = [name for name in lines[0] if any(line[name] for line in lines)]
    return [header, *([line[name] for name in header] for line in lines)]


def _text(value):
    return "" if value is None else str(value)


def _numbers(summaries):
    """The table with each number in a cell of its own, unrounded."""
    names = _metric_names(summaries)
    parts = ("", " sd", " n", " low", " high", " paper", " paper sd")
    header = ["row"]
    for name in names:
        header += [f"{name}{part}" for part in (*parts, " paper source")]
    header += ["runs", "planned", "drawn", "drawn n", "shared speakers"]
    lines = [header]
    for row in summaries:
        line = [row.name]
        for name in names:
            found, figure = row.spreads.get(name), row.figures.get(name)
            line += [found.mean, found.sd, found.n] if found else [""] * 3
            line += row.intervals.get(name) or ["", ""]
            line += (
                [figure.value, figure.sd, figure.source()]
                if figure
                else [""] * 3
            )
        line += [row.runs, row.planned, *(row.drawn or ("", ""))]
        line.append(max(row.shared, default=""))
        lines.append(line)
    return lines
