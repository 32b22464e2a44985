"""Classifiers on one vector of each utterance (section III.B, table 6)."""

import time
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from speechbrain.utils.distributed import if_main_process

from speechbrain_ext.base.errors import UserError, did_you_mean, reason
from speechbrain_ext.base.values import CLASSIFIERS
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.store import store_inputs
from speechbrain_ext.training.preparation import prepared_splits
from speechbrain_ext.training.results import write_recognition

# Inner folds of the grid search.
FOLDS = 5
# Below this a posterior is as good as none; its logarithm is to be finite.
_LEAST = 1e-7
# What each value of a grid is tried on: enough of each for any inner split.
_TRIAL = 12


def make_classifier(name, seed, threads=1):
    """The classifier of a name, by its library's defaults."""
    module, _, kind = CLASSIFIERS[name].rpartition(".")
    try:
        classifier = getattr(import_module(module), kind)()
    except ImportError as error:
        raise UserError(
            f"classifier: '{name}' needs the package {module}; run 'pip "
            'install -e ".[boosted]"\'.'
        ) from error
    ours = {"random_state": seed, "n_jobs": threads}
    ours = {k: ours[k] for k in ours if k in classifier.get_params()}
    if name == "logistic":
        # It has this parameter, and warns of whoever gives it.
        ours.pop("n_jobs", None)
    if name == "lightgbm":
        # It tells of every leaf that it cannot split.
        ours["verbosity"] = -1
    return classifier.set_params(**ours)


def check_grid(classifier, grid):
    """Raise a ``UserError`` unless the classifier takes each value of a grid,
    before hours are spent on features."""
    known = sorted(classifier.get_params())
    for key in grid:
        if key not in known:
            raise UserError(
                f"grid: the classifier has no parameter '{key}'"
                f"{did_you_mean(key, known)} It has {', '.join(known)}."
            )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2 * _TRIAL, 4)), np.repeat([0, 1], _TRIAL)
    for key, values in grid.items():
        for value in values:
            try:
                trial = clone(classifier).set_params(**{key: value})
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    trial.fit(x, y)
            except Exception as error:
                # Each library has errors of its own.
                raise UserError(
                    f"grid: {key}: the classifier does not take {value!r} "
                    f"({reason(error)}); leave it out."
                ) from error


def inner_folds(speakers, apart, seed):
    """Folds within the training set, whose speakers are apart if need be."""
    options = {"shuffle": True, "random_state": seed}
    if not apart:
        return StratifiedKFold(FOLDS, **options)
    count = len(set(speakers))
    if count < 2:
        raise UserError(
            "grid: the folds of the search keep speakers apart, and the "
            "training set has one speaker; set grid to null, or give more "
            "corpora."
        )
    return StratifiedGroupKFold(min(FOLDS, count), **options)


def fit(classifier, grid, data, apart, seed, jobs=1):
    """Fit to ``(vectors, labels, speakers)``: the model, and what a grid
    search has found (None without a grid)."""
    x, y, speakers = data
    steps = [("scale", StandardScaler()), ("classifier", classifier)]
    model = Pipeline(steps)
    if not grid:
        return model.fit(x, y), None
    search = GridSearchCV(
        model,
        {f"classifier__{key}": list(values) for key, values in grid.items()},
        scoring="balanced_accuracy",
        cv=inner_folds(speakers, apart, seed),
        n_jobs=jobs,
        error_score="raise",
    )
    try:
        search.fit(x, y, groups=speakers)
    except ValueError as error:
        # Values that do not go together, or with so little data.
        raise UserError(
            f"grid: the search has failed ({reason(error)}); choose other "
            "values, or set grid to null."
        ) from error
    best = {
        key.removeprefix("classifier__"): value
        for key, value in search.best_params_.items()
    }
    found = {"best": best, "inner_UA": 100 * float(search.best_score_)}
    return search.best_estimator_, found


def log_posteriors(model, x, present, count):
    """``[utterances, classes]`` of a model of the classes that are present."""
    found = np.zeros((len(x), count))
    found[:, present] = model.predict_proba(x)
    return np.log(np.maximum(found, _LEAST))


def vectors(stored, utterances):
    """Means over the frames of each utterance, ``[utterances, channels]``."""
    records = (one.to_dict() for one in utterances)
    rows = [
        stored.store.load(record)[-1].double().mean(0) for record in records
    ]
    return torch.stack(rows).numpy()


def run_classifier(hparams, record, run_opts):
    """The whole run of a classifier, whose features are stored."""
    run, grid = Path(hparams["output_folder"]), hparams["grid"]
    name, seed = hparams["classifier"], hparams["seed"]
    if hparams["feature_folder"] is None:
        raise UserError(
            "feature_folder: the features of a classifier are made once and "
            "stored; give a folder in place of null."
        )
    # Those that OMP_NUM_THREADS or the machine gives: a search spreads over
    # them, or else the classifier.
    threads = torch.get_num_threads()
    classifier = make_classifier(name, seed, 1 if grid else threads)
    check_grid(classifier, grid or {})
    splits = prepared_splits(run / "manifests", hparams, run_opts)
    (stored,) = store_inputs(hparams, splits, run_opts).values()
    if not if_main_process():
        return
    x = {split: vectors(stored, part) for split, part in splits.items()}
    train, classes = splits["train"], list(hparams["classes"])
    labels = [classes.index(one.emotion) for one in train]
    # Boosted trees want classes without gaps.
    present, labels = np.unique(labels, return_inverse=True)
    speakers = [one.speaker for one in train]
    apart = not {*speakers} & {one.speaker for one in splits["test"]}
    start = time.time()
    data = x["train"], labels, speakers
    model, found = fit(classifier, grid, data, apart, seed, threads)
    record = {
        **record,
        "classifier": name,
        "grid": found,
        "train_seconds": time.time() - start,
    }
    stats = {
        split: RecognitionStats.of(
            classes,
            part,
            dict(
                zip(
                    [one.id for one in part],
                    log_posteriors(model, x[split], present, len(classes)),
                )
            ),
        )
        for split, part in splits.items()
        if split != "train"
    }
    if found is not None:
        shown = ", ".join(f"{k}={v}" for k, v in found["best"].items())
        print(
            f"Grid search: {shown}; UA {found['inner_UA']:.1f} %, inner folds"
        )
    write_recognition(run, hparams, stats["valid"], stats["test"], record)
