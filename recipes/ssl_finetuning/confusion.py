#!/usr/bin/env python3
"""Confusion matrices of models side by side (Tables 2 to 6).

> python confusion.py OUT "wav2vec 2.0=RUN,RUN" HuBERT=RUN,RUN

The runs of a model, its folds and seeds, are added up. Writes OUT.png and
OUT.csv: percent of the utterances of each reference class.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import read_json
from speechbrain_ext.plots import confusion_matrices, write_confusion_csv

COLUMNS = ("id", "reference", "predicted")


def count_model(folders):
    """Confusion matrix of a model over its runs.

    Arguments
    ---------
    folders : list of str or os.PathLike
        Folders of finished runs: folds, seeds, or both.

    Returns
    -------
    classes : list of str
        In the order of the runs' own.
    counts : numpy.ndarray
        [classes, classes], reference by prediction.

    Raises
    ------
    UserError
        When a run is not finished, runs differ in their classes, a seed has
        predicted an utterance twice, or a file is not what it should be.
    """
    classes, counts, seen = None, None, {}
    for folder in folders:
        found, seed = _results(folder)
        if classes is None:
            classes, counts = found, np.zeros((len(found),) * 2, dtype=int)
        elif found != classes:
            raise UserError(_differ(folders[0], classes, folder, found))
        path = Path(folder) / "predictions.csv"
        for line, row in _rows(path):
            where = f"'{path}', line {line}"
            key = seed, row["id"]
            if key in seen:
                raise UserError(
                    f"{where}: '{row['id']}' has been predicted already by "
                    f"seed {seed} ({seen[key]}); give each fold of a seed once."
                )
            seen[key] = where
            counts[_place(row, classes, where)] += 1
    if not seen:
        raise UserError(
            f"'{path}' has no predictions; give runs with a test set."
        )
    return classes, counts


def _results(folder):
    """Classes and seed of a run."""
    path = Path(folder) / "results.json"
    if not path.exists():
        raise UserError(
            f"'{folder}' has no results.json; give folders of finished runs."
        )
    results = read_json(path)
    for key in ("classes", "seed"):
        if not isinstance(results, dict) or key not in results:
            raise UserError(
                f"'{path}' has no '{key}'; give runs that recognise one "
                "emotion an utterance."
            )
    return results["classes"], results["seed"]


def _rows(path):
    """Number and fields of each line of predictions."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            lacking = set(COLUMNS).difference(reader.fieldnames or ())
            if lacking:
                raise UserError(
                    f"'{path}' has no column '{min(lacking)}'; its columns "
                    f"must include {', '.join(COLUMNS)}."
                )
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise UserError(
            f"'{path}' does not exist; give folders of finished runs."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"'{path}' cannot be read as CSV ({error}); run the test again."
        ) from None
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(
                f"'{path}', line {line}: the line has not as many fields as "
                "there are columns; run the test again."
            )
    return rows


def _place(row, classes, where):
    """Row and column of the matrix in which an utterance counts."""
    for key in ("reference", "predicted"):
        if row[key] not in classes:
            raise UserError(
                f"{where}: {key} is '{row[key]}', which is none of the "
                f"classes in results.json ({', '.join(classes)}); run the "
                "test again."
            )
    return classes.index(row["reference"]), classes.index(row["predicted"])


def _differ(first, classes, second, others):
    return (
        f"'{first}' and '{second}' have different classes "
        f"({', '.join(classes)}; {', '.join(others)}); put runs of the same "
        "protocol side by side."
    )


def _parse(models):
    """From name to run folders, from words like NAME=RUN,RUN."""
    parsed = {}
    for word in models:
        name, _, folders = word.partition("=")
        folders = [folder for folder in folders.split(",") if folder]
        if not name or not folders or name in parsed:
            raise UserError(
                f"'{word}': give each model once, as NAME=RUN or "
                "NAME=RUN,RUN with run folders."
            )
        parsed[name] = folders
    return parsed


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="the two files without their suffixes")
    parser.add_argument(
        "models", nargs="+", metavar="NAME=RUN,RUN", help="runs of a model"
    )
    parser.add_argument("--title", help="over the picture")
    options = parser.parse_args(arguments)
    models = _parse(options.models)
    first, classes, matrices = None, None, {}
    for name, folders in models.items():
        found, matrices[name] = count_model(folders)
        if classes is None:
            first, classes = folders[0], found
        elif found != classes:
            raise UserError(_differ(first, classes, folders[0], found))
    confusion_matrices(f"{options.out}.png", matrices, classes, options.title)
    write_confusion_csv(f"{options.out}.csv", matrices, classes)
    counts = ", ".join(f"{k} {int(v.sum())}" for k, v in matrices.items())
    print(f"{options.out}.png, {options.out}.csv: {counts} utterances")


if __name__ == "__main__":
    main(sys.argv[1:])
