#!/usr/bin/env python3
"""Confusion matrices of models side by side (Tables 2 to 6).

> python confusion.py OUT "wav2vec 2.0=RUN,RUN" HuBERT=RUN,RUN

The runs of a model, its folds and seeds, are added up. Writes OUT.png and
OUT.csv: percent of the utterances of each reference class.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly, expected
from speechbrain_ext.metrics.predictions import FILES, read_predictions
from speechbrain_ext.plots import confusion_matrices, write_confusion_csv
from speechbrain_ext.training.results import read_results


def count_model(folders, classes, counts):
    """Add up the predictions of a model's runs into ``counts``."""
    seen = {}
    for folder in folders:
        seed = read_results(folder, "seed")["seed"]
        columns = ["reference", "predicted"]
        rows = read_predictions(Path(folder) / FILES["test"], columns)
        for id, (where, row) in rows.items():
            if (seed, id) in seen:
                raise UserError(
                    f"{where}: '{id}' has been predicted already by seed "
                    f"{seed} ({seen[seed, id]}); give each fold of a seed once."
                )
            seen[seed, id] = where
            for name in columns:
                if row[name] not in classes:
                    what = f"a class of results.json ({', '.join(classes)})"
                    remedy = "start the run again"
                    raise expected(f"{where}, {name}", what, row[name], remedy)
            counts[tuple(classes.index(row[name]) for name in columns)] += 1


def parse(models):
    """From name to run folders, from words like NAME=RUN,RUN."""
    parsed = {}
    for word in models:
        name, _, folders = word.partition("=")
        folders = [folder for folder in folders.split(",") if folder]
        if not name or not folders or name in parsed:
            raise UserError(f"'{word}': give each model once, as NAME=RUN,RUN.")
        parsed[name] = folders
    return parsed


def common_classes(folders):
    """The classes that all runs have, in their own order."""
    found = [read_results(run, "classes")["classes"] for run in folders]
    for folder, classes in zip(folders, found):
        if classes != found[0]:
            raise UserError(
                f"'{folders[0]}' and '{folder}' have different classes "
                f"({', '.join(found[0])}; {', '.join(classes)}); put runs of "
                "the same protocol side by side."
            )
    return found[0]


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="the two files without their suffixes")
    parser.add_argument("models", nargs="+", metavar="NAME=RUN,RUN")
    parser.add_argument("--title", help="over the picture")
    options = parser.parse_args(arguments)
    models = parse(options.models)
    classes = common_classes(sum(models.values(), []))
    matrices = {name: np.zeros((len(classes),) * 2, int) for name in models}
    for name, folders in models.items():
        count_model(folders, classes, matrices[name])
    confusion_matrices(f"{options.out}.png", matrices, classes, options.title)
    write_confusion_csv(f"{options.out}.csv", matrices, classes)
    counts = ", ".join(f"{k} {int(v.sum())}" for k, v in matrices.items())
    print(f"{options.out}.png, {options.out}.csv: {counts} utterances")


if __name__ == "__main__":
    main(sys.argv[1:])
