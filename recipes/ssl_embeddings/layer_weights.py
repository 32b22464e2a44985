#!/usr/bin/env python3
"""Which layers the trained mixtures of finished runs use (Figure 2).

> python layer_weights.py OUT.png RUN [RUN ...]

Runs with the same encoder, corpus and normalisation become one line: the mean
over seeds, with the standard deviation as error bars. The weights of the folds
of a seed are averaged first. Layer 0 is the local encoder. OUT.csv beside the
picture has the numbers: name, seed, layer, weight. Runs without a mixture of
layers are skipped.
"""

import argparse
import csv
import sys
from pathlib import Path, PurePosixPath

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import atomic_open, read_json
from speechbrain_ext.plots import layer_weights

#: What the runs of one line have in common; the first three make its name.
COMMON = ("encoder_source", "corpus", "normalization", "hparams")


def read_weights(folders):
    """Layer weights of runs, by name and seed.

    Arguments
    ---------
    folders : list of str or os.PathLike
        Folders of finished runs, in any order.

    Returns
    -------
    dict
        From the name of a line to a dict from seed to weights, numpy.ndarray
        [layers], the mean over the folds of that seed. Names come in the
        order of the folders, seeds ascend.

    Raises
    ------
    UserError
        When no run has layer weights, or the runs of one name do not belong
        together. Runs without a mixture are named on standard error.
    """
    groups, skipped = {}, []
    for folder in folders:
        results = _results(folder)
        if results["layer_weights"] is None:
            skipped.append(str(folder))
        else:
            groups.setdefault(_name(results), []).append((folder, results))
    if not groups:
        raise UserError(
            f"'{skipped[0]}' and all other runs given have no mixture of "
            "layers, thus no weights; give runs of an encoder with several "
            "layers that were trained with 'layers: all'."
            if len(skipped) > 1
            else f"'{skipped[0]}': this run has no mixture of layers, thus no "
            "weights; give runs of an encoder with several layers that were "
            "trained with 'layers: all'."
        )
    if skipped:
        print(
            f"Skipped, without a mixture of layers: {', '.join(skipped)}",
            file=sys.stderr,
        )
    return {name: _by_seed(name, runs) for name, runs in groups.items()}


def write_csv(path, weights):
    """Write what ``read_weights`` returns as a table.

    Arguments
    ---------
    path : str or os.PathLike
        The file to write.
    weights : dict
        From name to a dict from seed to weights [layers].

    Raises
    ------
    UserError
        When the file cannot be written.
    """
    with atomic_open(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "seed", "layer", "weight"])
        for name, seeds in weights.items():
            for seed, row in seeds.items():
                for layer, weight in enumerate(row):
                    writer.writerow([name, seed, layer, f"{weight:.6f}"])


def _results(folder):
    """results.json of a run."""
    path = Path(folder) / "results.json"
    if not path.exists():
        raise UserError(
            f"'{folder}' has no results.json; give folders of finished runs."
        )
    results = read_json(path)
    keys = (*COMMON, "seed", "layer_weights")
    missing = [
        key
        for key in keys
        if not isinstance(results, dict) or key not in results
    ]
    if missing:
        raise UserError(
            f"'{path}' has no '{missing[0]}'; give runs of this recipe."
        )
    return results


def _name(results):
    """Encoder (without its folder), corpus and normalisation."""
    encoder = PurePosixPath(str(results["encoder_source"])).name
    return (
        f"{encoder}, {results['corpus']}, "
        f"{results['normalization']} normalization"
    )


def _by_seed(name, runs):
    """Mean weights of each seed, for runs that belong together."""
    first, expected = runs[0]
    seeds = {}
    for folder, results in runs:
        for key in COMMON:
            if results[key] != expected[key]:
                raise UserError(
                    f"'{first}' and '{folder}' would both be '{name}', but "
                    f"their {key} differ ('{expected[key]}' and "
                    f"'{results[key]}'); draw them in two pictures."
                )
        if len(results["layer_weights"]) != len(expected["layer_weights"]):
            raise UserError(
                f"'{first}' and '{folder}' are both '{name}' and differ in "
                "their number of layers; draw them in two pictures."
            )
        folds = seeds.setdefault(results["seed"], {})
        fold = results.get("fold")
        if fold in folds:
            raise UserError(
                f"'{folds[fold][0]}' and '{folder}' are the same seed and fold "
                f"of '{name}'; give one of them."
            )
        folds[fold] = (folder, results["layer_weights"])
    _check_folds(name, seeds)
    return {
        seed: np.mean([weights for _, weights in seeds[seed].values()], axis=0)
        for seed in sorted(seeds)
    }


def _check_folds(name, seeds):
    """Averages over different folds would differ by more than the seed."""
    every = set().union(*seeds.values())
    for seed, folds in seeds.items():
        lacking = sorted(every.difference(folds), key=str)
        if lacking:
            raise UserError(
                f"'{name}': seed {seed} lacks fold {lacking[0]}, which other "
                "seeds have; give the same folds of all seeds."
            )


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the picture (.png, .svg, .pdf)")
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run folder"
    )
    parser.add_argument("--title", help="over the picture")
    options = parser.parse_args(arguments)
    weights = read_weights(options.runs)
    rows = {name: list(seeds.values()) for name, seeds in weights.items()}
    layer_weights(options.out, rows, options.title)
    table = options.out.with_suffix(".csv")
    write_csv(table, weights)
    drawn = sum(len(seeds) for seeds in weights.values())
    print(f"{options.out}, {table}: {len(weights)} lines, {drawn} seeds")


if __name__ == "__main__":
    main(sys.argv[1:])
