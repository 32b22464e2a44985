#!/usr/bin/env python3
"""Which layers the trained mixtures of finished runs use (Figure 2).

> python layer_weights.py OUT.png RUN [RUN ...]

Runs with the same encoder, corpus and normalisation become one line: the mean
over seeds (of the mean over folds), the standard deviation as error bars. Layer
0 is the local encoder; OUT.csv has the numbers.
"""

import argparse
import sys
from pathlib import Path, PurePosixPath

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.metrics.predictions import write_predictions
from speechbrain_ext.plots import layer_weights
from speechbrain_ext.training.results import read_results

#: What the runs of one line have in common; the first three make its name.
COMMON = ("encoder_source", "corpus", "normalization", "hparams")


def read_weights(folders):
    """Weights [layers] of runs, means over folds, by name and seed."""
    lines, skipped = {}, []
    for folder in folders:
        run = read_results(folder, *COMMON, "seed", "fold", "layer_weights")
        if run["layer_weights"] is None:
            skipped.append(str(folder))
            continue
        encoder, corpus, normalization, _ = (str(run[key]) for key in COMMON)
        encoder = PurePosixPath(encoder).name
        name = f"{encoder}, {corpus}, {normalization} normalization"
        lines.setdefault(name, []).append((folder, run))
    if not lines:
        raise UserError(
            f"'{skipped[0]}'{' and all other runs' if skipped[1:] else ''}: no "
            "mixture of layers; give runs with 'layers: all'."
        )
    if skipped:
        names = ", ".join(skipped)
        print(f"Skipped, without a mixture of layers: {names}", file=sys.stderr)
    return {name: by_seed(name, runs) for name, runs in lines.items()}


def by_seed(name, runs):
    """Mean weights of each seed, for runs that belong together."""
    first, expected = runs[0]
    seeds = {}
    for folder, run in runs:
        pair = f"'{first}' and '{folder}' are both '{name}'"
        for key in COMMON:
            if run[key] != expected[key]:
                raise UserError(
                    f"{pair}, but their {key} differ ('{expected[key]}' and "
                    f"'{run[key]}'); draw them in two pictures."
                )
        if len(run["layer_weights"]) != len(expected["layer_weights"]):
            raise UserError(f"{pair}, but differ in their number of layers.")
        folds = seeds.setdefault(run["seed"], {})
        if run["fold"] in folds:
            raise UserError(
                f"'{folds[run['fold']][0]}' and '{folder}' are the same seed "
                f"and fold of '{name}'; give one of them."
            )
        folds[run["fold"]] = folder, run["layer_weights"]
    every = set().union(*seeds.values())
    for seed, folds in seeds.items():
        # Averages over different folds would differ by more than the seed.
        for fold in sorted(every.difference(folds), key=str):
            raise UserError(
                f"'{name}': seed {seed} lacks fold {fold}, which other seeds "
                "have; give the same folds of all seeds."
            )
    return {
        seed: np.mean([weights for _, weights in folds.values()], axis=0)
        for seed, folds in sorted(seeds.items())
    }


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the picture (.png, .svg, .pdf)")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--title", help="over the picture")
    options = parser.parse_args(arguments)
    weights = read_weights(options.runs)
    rows = {name: list(seeds.values()) for name, seeds in weights.items()}
    layer_weights(options.out, rows, options.title)
    table = options.out.with_suffix(".csv")
    entries = [
        {"name": name, "seed": seed, "layer": layer, "weight": f"{weight:.6f}"}
        for name, seeds in weights.items()
        for seed, row in seeds.items()
        for layer, weight in enumerate(row)
    ]
    write_predictions(table, entries)
    drawn = sum(map(len, weights.values()))
    print(f"{options.out}, {table}: {len(weights)} lines, {drawn} seeds")


if __name__ == "__main__":
    main(sys.argv[1:])
