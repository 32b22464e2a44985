"""What a run of recognition leaves: results.json, predictions, pictures."""

from pathlib import Path

from speechbrain_ext.base.files import read_json, write_json
from speechbrain_ext.metrics.report import FEW, align, interval_text
from speechbrain_ext.plots import (
    confusion_matrices,
    layer_weights,
    write_confusion_csv,
)
from speechbrain_ext.training.run import machine_record


def write_results(run, stats, inputs, record):
    """Write everything that a finished run leaves behind."""
    summary = stats.summarize()
    stats.write_csv(run / "predictions.csv")
    counts = {Path(record["hparams"]).stem: stats.confusion()}
    write_confusion_csv(run / "confusion.csv", counts, stats.classes)
    confusion_matrices(run / "figures" / "confusion.png", counts, stats.classes)
    weights = mixture_weights(inputs)
    if weights is not None:
        layer_weights(run / "figures" / "layer_weights.png", weights)
    results = {
        **record,
        "classes": stats.classes,
        "metrics": {name: summary[name] for name in ("UA", "WA")},
        "test": summary,
        "layer_weights": weights,
        **machine_record(),
    }
    # Last: a run with this file is finished.
    write_json(results, run / "results.json")


def mixture_weights(inputs):
    """Learned weights of the layers of the first input; None without any."""
    mixture = next(iter(inputs.values())).mixture
    weights = [] if mixture is None else mixture.weights()
    return weights if len(weights) > 1 else None


def show(run):
    """The end of a run as text."""
    results = read_json(Path(run) / "results.json")
    test, protocol = results["test"], results["protocol"]
    rows = [
        [name, f"{test[name]:.1f}", interval_text(test[f"{name}_interval"])]
        for name in ("UA", "WA")
    ]
    recalls = [
        [name, "-" if recall is None else f"{recall:.1f}", str(sum(counts))]
        for (name, recall), counts in zip(
            test["recalls"].items(), test["confusion"]
        )
    ]
    shared = protocol["speakers_shared_with_train"]["test"]
    return "\n".join(
        [
            "",
            align(["", "%", "95 % interval"], rows),
            "",
            align(["class", "recall", "utterances"], recalls),
            "",
            f"{test['utterances']} utterances of {test['speakers']} speakers, "
            f"{shared if shared is not None else 'unknown how many'} of them "
            f"in training, too; {_intervals(test)}.",
            *_system(results),
            f"Protocol: {protocol['name']}, fold {protocol['fold']} of "
            f"{protocol['folds']}; seed {results['seed']}",
            f"Run folder: {run}",
            f"Picture:    {Path(run) / 'figures' / 'confusion.png'}",
        ]
    )


def _intervals(test):
    over = test["intervals_over"]
    if test[over] >= FEW:
        return f"intervals over {over}"
    return (
        f"intervals over {over}, {test[over]} of them, which are too few for "
        "the intervals to be trusted"
    )


def _system(results):
    """What was run, as far as it was written down."""
    named = [
        f"{key}: {results[key]}"
        for key in ("encoder_source", "normalization")
        if key in results
    ]
    return [", ".join(named)] if named else []
