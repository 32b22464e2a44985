"""Means, spreads and what the table holds."""

import csv
import re
import statistics

import pytest

from speechbrain_ext.base.files import write_json
from speechbrain_ext.experiment.plan import combine
from speechbrain_ext.experiment.published import Figure, match
from speechbrain_ext.experiment.table import (
    default_over,
    notes,
    spread,
    summarize_row,
    to_latex,
    weigh,
    write_table,
)
from tests.experiment.test_plan import plan
from tests.experiment.test_pooled import write

# Figures by (seed, fold).
VALUES = {(1, 1): 50.0, (1, 2): 60.0, (2, 1): 54.0, (2, 2): 70.0}


def row_of(recipe, tmp_path, values, planned=None):
    """A row whose runs have the figures; None for no results."""
    seeds, folds = map(sorted, map(set, zip(*(planned or values))))
    rows = combine([("a & b_c", {})], [])
    (row,) = plan(recipe, tmp_path / "runs", rows, seeds=seeds, folds=folds)
    for run in row.runs:
        if (run.seed, run.fold) not in values:
            continue
        write_json(run.record, run.folder / "options.json")
        result = {
            "metrics": {"UA": values[run.seed, run.fold], "F1": 10.0},
            "protocol": {"speakers_shared_with_train": {"test": run.fold}},
            "test": {"only_class": "sad" if run.fold == 2 else None},
        }
        write_json(result, run.folder / "results.json")
        said = enumerate(["sad"] * 3 + ["happy"] * 3)
        rows = [(f"{run.fold}{n}", f"s{n % 3}", "sad", x) for n, x in said]
        write(run.folder, rows)
    return row


@pytest.mark.parametrize(
    ("over", "means"), [("seeds", [55.0, 62.0]), ("folds", [52.0, 65.0])]
)
def test_spread_over_seeds_and_over_folds(over, means):
    found = spread(VALUES, over)
    assert (found.mean, found.n) == (58.5, 2)
    assert found.sd == pytest.approx(statistics.stdev(means))
    assert spread({(1, None): 50.0}, over).sd is None


def test_a_seed_that_lacks_a_fold_is_left_out():
    values = {k: v for k, v in VALUES.items() if k != (2, 2)}
    found = spread(values, "seeds", VALUES)
    assert (found.mean, found.n, found.left_out) == (55.0, 1, (2,))
    # But not where that leaves nothing.
    assert spread({(1, 1): 50.0, (2, 2): 70.0}, "seeds", VALUES).mean == 60.0


@pytest.mark.parametrize("over", ["seeds", "folds"])
@pytest.mark.parametrize("missing", [(), ((2, 2),), ((1, 1), (2, 2))])
def test_weights_give_the_mean(over, missing):
    values = {k: v for k, v in VALUES.items() if k not in missing}
    weights = weigh(values, over, VALUES)
    assert sum(weights.values()) == pytest.approx(1)
    mean = sum(weight * values[point] for point, weight in weights.items())
    assert mean == pytest.approx(spread(values, over, VALUES).mean)


@pytest.mark.parametrize(
    "seeds, folds, over",
    [([1, 2], [1, 2], "seeds"), ([3], [1, 2], "folds"), ([1, 2], [1], "seeds")],
)
def test_the_default_of_the_spread(recipe, tmp_path, seeds, folds, over):
    (row,) = plan(recipe, tmp_path, seeds=seeds, folds=folds)
    assert default_over(row) == over


def test_the_table(recipe, tmp_path):
    row = row_of(recipe, tmp_path, VALUES)
    figures = [Figure(1, "theirs", "UA", 57.0, {"quality": 0.5}, 0.4)]
    figures = match(figures, row.settings.scalars)
    summary = summarize_row(row, "seeds", figures)
    text = write_table(tmp_path, [summary], "seeds")
    assert text == (tmp_path / "table.md").read_text()
    header, _, line = (re.split(r" *\| *", x) for x in text.splitlines()[:3])
    # Half of the utterances of each speaker are wrong: no spread at all.
    assert dict(zip(header[1:-1], line[1:])) == {
        "row": "a & b_c",
        "UA": "58.5 ± 4.9",
        "UA, 95 %": "[50.0, 50.0]",
        "UA, paper": "57.0 ± 0.4 (Table 1, theirs)",
        "F1": "10.0 ± 0.0",
        "runs": "4",
        "shared speakers": "1-2",
    }
    assert "over seeds (n = 2; where there are several folds" in text
    assert "over 3 test speakers, too few" in text
    assert "seed 2, fold 2 gives 'sad' to every utterance" in text

    with open(tmp_path / "table.csv", newline="") as file:
        (numbers,) = csv.DictReader(file)
    assert float(numbers["UA sd"]) == pytest.approx(statistics.stdev([55, 62]))
    assert numbers["UA paper source"] == "Table 1, theirs"
    assert (numbers["runs"], numbers["planned"]) == ("4", "4")

    latex = (tmp_path / "table.tex").read_text()
    assert r"a \& b\_c & 58.5 $\pm$ 4.9 & [50.0, 50.0]" in latex
    assert r"UA, 95 \%" in latex
    rows = [line for line in latex.splitlines() if not line.startswith("%")]
    assert "".join(rows).count("&") == 2 * 6 + 1


def test_missing_runs(recipe, tmp_path):
    """A seed that is left out of the mean is left out of all else."""
    values = {k: v for k, v in VALUES.items() if k != (2, 2)}
    row = row_of(recipe, tmp_path, values, planned=VALUES)
    for run in row.runs:
        path = run.folder / "predictions.csv"
        if run.seed == 2 and path.exists():
            path.write_text(path.read_text().replace(",happy", ",sad"))
    summary = summarize_row(row, "seeds")
    assert summary.intervals["UA"] == [50, 50]
    # Over folds, the first has two seeds, of which one has all right.
    assert summarize_row(row, "folds").intervals["UA"] == [75, 75]
    assert (summary.runs, summary.planned) == (3, 4)
    lacking = "a & b_c: without seeds 2, which lack runs."
    assert lacking in notes([summary], "seeds")
    for run in row.runs:
        (run.folder / "results.json").unlink(missing_ok=True)
    text = write_table(tmp_path, [summarize_row(row, "seeds")], "seeds")
    assert "0 of 4" in text


def test_latex_survives_every_character():
    escaped = r"\textbackslash{}\{\}\$\&\#\_\%\textasciitilde{}"
    escaped += r"\textasciicircum{}$<$$>$ \\"
    assert escaped in to_latex([["a"], [r"\{}$&#_%~^<>"]])
