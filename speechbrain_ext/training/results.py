"""What a finished run leaves: results.json, predictions, pictures.

``results.json`` has one schema for all recipes, ``KEYS``, and what a recipe
adds: ``encoder_source``, ``tuning`` and so on.
"""

import contextlib
from pathlib import Path

from speechbrain_ext.base.errors import UserError, expected, is_number
from speechbrain_ext.base.files import read_json, write_json
from speechbrain_ext.base.options import RESULTS
from speechbrain_ext.metrics.predictions import FILES
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.metrics.report import (
    align,
    describe_only_class,
    describe_size,
    figure_cells,
)

KEYS = (
    "recipe hparams classes corpus fold seed protocol metrics valid test "
    "intervals_over versions"
).split()
_AGAIN = "give other runs, or delete the file and start the run again"


def write_recognition(run, hparams, valid, test, record):
    """Write what a finished run of recognition leaves, and show it.

    ``valid`` and ``test`` are ``RecognitionStats``; the rest is as for
    ``write_results``.
    """
    # What choices between systems are made by.
    valid.write_csv(run / FILES["valid"])
    figures = valid.metrics(valid.summarize(bootstrap=0))
    record = {
        **record,
        "encoder_source": str(hparams["encoder_source"]),
        # By the inputs that take the statistics of speakers of the test.
        "unlabelled_test_data_used": [
            name for name, one in hparams["inputs"].items() if one.by_speaker
        ],
    }
    write_results(run, hparams, test, figures, record)
    print(show(run))


def write_results(run, hparams, stats, valid, record):
    """Write what a finished run leaves behind.

    ``stats`` are of the test set, ``valid`` the figures of the validation set;
    ``record`` has ``recipe``, the YAML as ``hparams``, and what recipes add.
    """
    from speechbrain_ext import plots

    # Of the layers of the first input.
    mixture = next(iter(hparams["inputs"].values())).mixture
    weights = [] if mixture is None else mixture.weights()
    weights = weights if len(weights) > 1 else None
    if weights:
        plots.layer_weights(run / "figures" / "layer_weights.png", weights)
    protocol = read_json(run / "manifests" / "protocol.json")
    results = {
        **record,
        "hparams": Path(record["hparams"]).name,
        "classes": list(hparams["classes"]),
        "corpus": _corpus(hparams),
        "fold": hparams.get("fold", protocol.get("fold")),
        "seed": hparams["seed"],
        "protocol": protocol,
        "layer_weights": weights,
    }
    write_outcome(run, stats, valid, results)


def write_outcome(run, stats, valid, record):
    """Write the predictions, pictures and figures of the test set, and
    results.json of these and the ``record``."""
    from speechbrain_ext import plots
    from speechbrain_ext.training.run import machine_record

    test, figures = stats.summarize(), run / "figures"
    stats.write_csv(run / FILES["test"])
    if isinstance(stats, RecognitionStats):
        counts = {Path(record["hparams"]).stem: test["confusion"]}
        plots.write_confusion_csv(run / "confusion.csv", counts, stats.classes)
        plots.confusion_matrices(
            figures / "confusion.png", counts, stats.classes
        )
    results = {
        **record,
        "metrics": stats.metrics(test),
        "valid": valid,
        "test": test,
        "intervals_over": test["intervals_over"],
        **machine_record(),
    }
    # Last: a run with this file is finished.
    write_json(results, run / RESULTS)


def _corpus(hparams):
    if "corpus" in hparams:
        return hparams["corpus"]
    corpora = hparams.get("preparation", {}).get("corpora") or {}
    return "+".join(name for name, folder in corpora.items() if folder)


def read_results(run, *needed):
    """results.json of a finished run, which has to have what is ``needed``.

    Those that earlier versions wrote are brought into the present schema as
    far as what they hold allows.
    """
    path = Path(run) / RESULTS
    if not path.exists():
        raise UserError(
            f"'{run}' has no {RESULTS}; give folders of finished runs."
        )
    results = read_json(path)
    for key in needed:
        if not isinstance(results, dict) or key not in results:
            raise UserError(f"'{path}' has no '{key}'; {_AGAIN}.")
    if "metrics" in needed:
        metrics = results["metrics"]
        if not isinstance(metrics, dict) or not metrics:
            raise UserError(f"'{path}': no figures under 'metrics'; {_AGAIN}.")
        for name, value in metrics.items():
            if not is_number(value):
                raise expected(f"'{path}', {name}", "a number", value, _AGAIN)
    with reading(run):
        return _upgrade(results)


@contextlib.contextmanager
def reading(run):
    """Tell in a sentence that results.json of a run holds something else."""
    try:
        yield
    except (
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        what = f"{type(error).__name__}: {error}"
        raise UserError(
            f"'{Path(run) / RESULTS}' is not what a run writes ({what}); "
            f"{_AGAIN}."
        ) from error


def _upgrade(results):
    """Diarization had all its systems under ``test``."""
    systems = results.get("test")
    if isinstance(systems, dict) and "this model" in systems:
        for summary in systems.values():
            summary["intervals_over"] = summary.pop("interval_over")
        results["test"] = systems.pop("this model")
        results["systems"] = systems
        results["intervals_over"] = results["test"]["intervals_over"]
        results["valid"] = {"EDER": results.pop("valid_eder")}
    return results


def show(run):
    """The end of a run of recognition as text."""
    results = read_results(run, "metrics", "test", "protocol", "seed")
    with reading(run):
        return _show(run, results)


def _show(run, results):
    test, protocol = results["test"], results["protocol"]
    rows = [[name, *figure_cells(test, name)] for name in results["metrics"]]
    pairs = zip(test["recalls"].items(), test["confusion"])
    recalls = [
        [name, "-" if recall is None else f"{recall:.1f}", str(sum(counts))]
        for (name, recall), counts in pairs
    ]
    shared = protocol["speakers_shared_with_train"]["test"]
    shared = "unknown how many" if shared is None else shared
    named = ("encoder_source", "normalization", "classifier")
    named = [f"{key}: {results[key]}" for key in named if key in results]
    return "\n".join(
        [
            "",
            align(["", "%", "95 % interval"], rows),
            "",
            align(["class", "recall", "utterances"], recalls),
            "",
            describe_size(test, f", {shared} of them in training, too") + ".",
            *describe_only_class(test),
            *([", ".join(named)] if named else []),
            *_unlabelled(results.get("unlabelled_test_data_used")),
            f"Protocol: {protocol['name']}, fold {protocol['fold']} of "
            f"{protocol['folds']}; seed {results['seed']}",
            f"Run folder: {run}",
            f"Picture:    {Path(run) / 'figures' / 'confusion.png'}",
        ]
    )


def _unlabelled(names):
    """What of the test the inputs have seen, where it is any."""
    if not names:
        return []
    whose = ", ".join(map(str, names))
    return [f"By speaker, from test recordings without labels, too: {whose}"]
