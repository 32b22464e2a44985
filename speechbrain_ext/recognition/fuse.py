"""Several finished runs as one system: their posteriors are fused.

Runs of recognition, of any recipe, over the same utterances and classes. Choose
them, as weights, by the figures of the validation set.
"""

import argparse
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly, expected
from speechbrain_ext.base.files import check_writable, write_csv
from speechbrain_ext.base.options import RESULTS
from speechbrain_ext.base.values import check_value, to_number
from speechbrain_ext.experiment.command import describe
from speechbrain_ext.experiment.pooled import Predictions, compare
from speechbrain_ext.metrics.predictions import (
    FILES,
    figure_of,
    read_number,
    read_predictions,
)
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.metrics.report import align, describe_size, figure_cells
from speechbrain_ext.recognition.rule import (
    FILE,
    MAX_MEMBERS,
    Fusion,
    check_weights,
    stack,
)
from speechbrain_ext.training.results import (
    read_results,
    reading,
    write_outcome,
)

RECIPE = "fusion"
# Steps from 0 to 1 on the grid of weights, by the number of runs.
_STEPS = {2: 20, 3: 10, 4: 10, 5: 10}
# What of a protocol decides who is trained on and who is tested.
_SPLIT = ("name", "corpus", "fold", "folds", "seed", "test")
_REMEDY = "fuse finished runs of the same protocol and fold"


@dataclass
class Table:
    """The posteriors of runs over a split.

    ``rows`` are ``[runs, utterances, classes]``; ``there``, ``[runs,
    utterances]``, says which utterances a run has.
    """

    ids: list
    references: list
    speakers: list
    rows: np.ndarray
    there: np.ndarray

    def stats(self, classes, fusion, where=slice(None)):
        """``RecognitionStats`` of what a fusion makes of them."""
        stats = RecognitionStats(classes)
        utterances = zip(self.ids, self.references, self.speakers)
        fused = np.log(np.maximum(fusion(self.rows, self.there), 1e-7))
        for (id, reference, speaker), row in zip(utterances, fused):
            stats.append(id, reference, row, speaker)
        return stats


def read_runs(runs):
    """The classes of runs, and from a split to its ``Table``."""
    first = None
    for run in runs:
        classes = read_results(run, "classes")["classes"]
        check_value("classes", classes, f"'{Path(run) / RESULTS}', classes")
        first = classes if first is None else first
        if set(classes) != set(first):
            raise UserError(
                f"'{run}' has the classes {', '.join(classes)}, '{runs[0]}' "
                f"has {', '.join(first)}; {_REMEDY}."
            )
    found = {split: _read_split(runs, split, first) for split in FILES}
    # Whoever chooses by one of them would choose by the test set.
    both = {*found["valid"].ids} & {*found["test"].ids}
    if both:
        raise UserError(
            f"'{min(both)}' is in the validation set of one run and in the "
            f"test set of another; {_REMEDY}."
        )
    return first, found


def _read_split(runs, split, classes):
    columns = [f"p_{name}" for name in classes]
    known, tables = {}, []
    for run in runs:
        path, table = Path(run) / FILES[split], {}
        for id, (where, row) in read_predictions(
            path, ["reference", "speaker", *columns]
        ).items():
            truth = row["reference"], row["speaker"]
            if known.setdefault(id, truth) != truth:
                what = f"reference and speaker of '{id}' as in other runs: "
                raise expected(where, f"{what}{known[id]}", truth, _REMEDY)
            if truth[0] not in classes:
                what = f"reference one of {', '.join(classes)}"
                raise expected(where, what, truth[0])
            table[id] = [read_number(row, name, where, 1) for name in columns]
            if sum(table[id]) == 0:
                raise expected(where, "posteriors above 0", table[id])
        tables.append(table)
    if not set.intersection(*map(set, tables)):
        raise UserError(
            f"No utterance of the {split} set is in all of the runs "
            f"{', '.join(map(str, runs))}; {_REMEDY}."
        )
    ids, none = sorted(known), [0.0] * len(classes)
    return Table(
        ids,
        *([known[id][at] for id in ids] for at in (0, 1)),
        np.array([[table.get(id, none) for id in ids] for table in tables]),
        np.array([[id in table for id in ids] for table in tables]),
    )


def choose_weights(table, classes):
    """Weights by UA: the chosen ones, all that were tried, and their UA.

    Of equally good ones those nearest to equal weights are taken.
    """
    count = len(table.rows)
    if count not in _STEPS:
        what = f"at most {max(_STEPS)} runs"
        raise expected("--choose", what, count, "give --weights, or --stack")
    steps = _STEPS[count]
    grid = [
        weights
        for weights in itertools.product(range(steps + 1), repeat=count)
        if sum(weights) == steps
    ]
    tried = np.array(grid) / steps
    truths = [classes.index(name) for name in table.references]
    figures = []
    for weights in tried:
        fusion = Fusion(classes, [], weights)
        said = fusion(table.rows, table.there).argmax(axis=1)
        counts = np.zeros((1, *[len(classes)] * 2))
        np.add.at(counts, (0, truths, said), 1)
        figures.append(float(figure_of("UA", counts)))
    far = np.square(tried - 1 / count).sum(axis=1).round(9)
    # Figures differ by rounding.
    order = np.lexsort((far, -np.round(figures, 9)))
    return tried[order[0]].tolist(), tried, figures


def train_stacking(table, classes):
    """Coefficients and intercepts of a logistic regression, in which all
    classes weigh the same, on the log posteriors of a split."""
    from sklearn.linear_model import LogisticRegression

    usable = table.there.all(axis=0)
    truths = np.array(table.references)[usable]
    for name in classes:
        if name not in truths:
            raise UserError(
                f"--stack: no utterance of the validation set that all runs "
                f"have is '{name}'; give --weights, or --choose."
            )
    model = LogisticRegression(max_iter=10_000, class_weight="balanced")
    model.fit(stack(table.rows[:, usable]), truths)
    order = [model.classes_.tolist().index(name) for name in classes]
    weights, bias = model.coef_, model.intercept_
    if len(classes) == 2:
        # It has one row for the two of them.
        weights, bias = np.concatenate([-weights, weights]), [-bias[0], bias[0]]
        weights, bias = weights / 2, np.array(bias) / 2
    return weights[order].tolist(), np.asarray(bias)[order].tolist()


def against_members(runs, table, classes, stats):
    """The fusion compared with each run, over what the run has, in words."""
    fused = stats.rows
    lines = []
    for run, there, rows in zip(runs, table.there, table.rows):
        ids = [id for id, known in zip(table.ids, there) if known]
        own = [classes[row.argmax()] for row in rows[there]]
        pair = (
            _predictions([fused[id] for id in ids], said)
            for said in (own, [fused[id]["predicted"] for id in ids])
        )
        lines.append(describe((str(run), "fusion"), compare(*pair, "UA")))
    return lines


def _predictions(rows, said):
    return Predictions(
        [row["id"] for row in rows],
        [row["speaker"] for row in rows],
        [row["reference"] for row in rows],
        [{name: 1.0} for name in said],
        [0] * len(rows),
        [1.0],
    )


def protocols_of(runs):
    """The protocol of the runs as one, and in what theirs differ."""
    found = []
    for run in runs:
        results = read_results(run, "protocol", "corpus", "fold", "seed")
        with reading(run):
            shared = results["protocol"]["speakers_shared_with_train"]["test"]
            found.append((results, results["protocol"], shared))
    (first, protocol, _), *_ = found
    differ = [
        key
        for key in _SPLIT
        if any(each.get(key) != protocol.get(key) for _, each, _ in found)
    ]
    shared = [number for *_, number in found]
    shared = None if None in shared else max(shared)
    protocol = {
        **protocol,
        "speakers_shared_with_train": {"test": shared},
        "differs_between_members_in": differ,
    }
    return first, protocol, differ


def write_fusion(folder, runs, fusion, how, tables, stats, tried=None):
    """Write what a run leaves, so that everything that reads one reads it."""
    first, protocol, _ = protocols_of(runs)
    folder = Path(folder)
    valid = stats["valid"]
    record = {
        "recipe": RECIPE,
        "hparams": FILE,
        "classes": fusion.classes,
        "corpus": first["corpus"],
        "fold": first["fold"],
        "seed": first["seed"],
        "protocol": protocol,
        "members": [str(run) for run in runs],
        "weights": fusion.weights,
        "rule": how,
        "fallbacks": {
            split: (~table.there).sum(axis=1).tolist()
            for split, table in tables.items()
        },
    }
    if tried is not None:
        from speechbrain_ext.plots import fusion_weights

        names = [str(run) for run in runs]
        path = folder / "figures" / "weights.png"
        fusion_weights(path, names, *tried, fusion.weights)
        rows = [[*map("{:g}".format, w), f"{ua:.4f}"] for w, ua in zip(*tried)]
        write_csv(folder / "weights.csv", [*names, "valid UA"], rows)
    valid.write_csv(folder / FILES["valid"])
    fusion.write(folder, [os.path.relpath(run, folder) for run in runs])
    figures = valid.metrics(valid.summarize(bootstrap=0))
    write_outcome(folder, stats["test"], figures, record)


@exits_cleanly
def main(arguments=None):
    """The command line."""
    given = _parse(arguments)
    runs = given.runs
    classes, tables = read_runs(runs)
    tried = None
    fusion = Fusion(classes, runs, [1.0] * len(runs))
    how = "weights as given" if given.weights else "equal weights"
    if given.weights:
        fusion.weights = given.weights
    if given.choose:
        how = "weights chosen by the UA of the validation set"
        found = choose_weights(tables["valid"], classes)
        fusion.weights, *tried = found
    if given.stack:
        how = "logistic regression trained on the validation set"
        fusion.stacking = train_stacking(tables["valid"], classes)
    stats = {s: table.stats(classes, fusion) for s, table in tables.items()}
    summaries = {split: each.summarize() for split, each in stats.items()}
    if given.output:
        write_fusion(given.output, runs, fusion, how, tables, stats, tried)
    rows = [
        [split, name, *figure_cells(summary, name)]
        for split, summary in summaries.items()
        for name in ("UA", "WA")
    ]
    print(align([f"{len(runs)} runs", "", "%", "95 % interval"], rows))
    lines = [f"{describe_size(summaries['test'])}."]
    lines += _notes(runs, fusion, how, tables)
    lines += against_members(runs, tables["test"], classes, stats["test"])
    print(*lines, sep="\n")
    if given.output:
        print(f"Fusion: {given.output}")


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ext.recognition.fuse",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folder")
    text = "a weight for each run (default: all the same, which averages them)"
    parser.add_argument(
        "--weights", nargs="+", metavar="W", type=to_number, help=text
    )
    text = "choose the weights by the UA of the validation set"
    parser.add_argument("--choose", action="store_true", help=text)
    text = "train a logistic regression on the validation set"
    parser.add_argument("--stack", action="store_true", help=text)
    text = "write it as a run, which inference and tables of experiments read"
    parser.add_argument("--output", metavar="FOLDER", help=text)
    given = parser.parse_args(arguments)
    _check(given)
    return given


def _check(given):
    places = [os.path.realpath(run) for run in given.runs]
    if not 2 <= len(set(places)) == len(places) <= MAX_MEMBERS:
        what = f"2 to {MAX_MEMBERS} different run folders"
        raise expected("RUN", what, given.runs)
    ways = {
        "--weights": given.weights is not None,
        "--choose": given.choose,
        "--stack": given.stack,
    }
    chosen = [name for name, is_given in ways.items() if is_given]
    if len(chosen) > 1:
        raise UserError(f"{' and '.join(chosen)}: give one of them.")
    if given.weights is not None:
        check_weights(given.weights, len(given.runs), "--weights")
    if given.output is None:
        return
    check_writable("--output", given.output)
    results = Path(given.output) / RESULTS
    if results.exists() and read_results(given.output).get("recipe") != RECIPE:
        raise UserError(
            f"--output: '{given.output}' is another run; choose a new folder."
        )
    if os.path.realpath(given.output) in places:
        raise UserError(
            f"--output: '{given.output}' is one of the runs; choose a new "
            "folder."
        )


def _notes(runs, fusion, how, tables):
    """What a user is to know of how the figures came about."""
    lines = [f"Rule: {how}: {fusion.describe()}."]
    if "validation" in how:
        lines.append(
            "The validation set made the rule: its figures are not those of "
            "unseen data."
        )
    for split, table in tables.items():
        for run, there in zip(runs, table.there):
            if not there.all():
                lines.append(
                    f"{split}: {(~there).sum()} of {len(table.ids)} utterances "
                    f"are not in '{run}'; the other runs stand for it."
                )
    if differ := protocols_of(runs)[2]:
        lines.append(
            f"The protocols of the runs differ in {', '.join(differ)}: a run "
            "may have been trained on what others are tested on."
        )
    return lines


if __name__ == "__main__":
    main()
