r"""Stored features against an encoder that runs in every epoch.

> python -m tests.benchmarks.bench_features --data_folder=RAVDESS \
>     --encoder_source=openai/whisper-tiny.en

from the root of the repository. Trains the Dense model of
recipes/ssl_embeddings (hparams/ravdess.yaml) on ``--utterances`` of RAVDESS,
and a fourth as many for the test. Prints, timed in turns, an epoch from
features in float16, in float32 and with the encoder running; what extracting
them once costs and what they take on disk; and what float16 changes in the
features and, after ``--epochs`` more, in the posteriors. ``--hdf5`` (needs
h5py) compares with SpeechBrain's ``CachedHDF5DynamicItem``. What was written a
moment ago is read from memory, as in a run that has that much to spare.
"""

import importlib.util
import runpy
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.data import make_loader
from speechbrain_ext.protocols import partition
from speechbrain_ext.training.brain import keep_memory
from tests.benchmarks.timing import (
    clock,
    footer,
    interleave,
    parse,
    ratio,
    show,
)

RECIPE = Path(__file__).parents[2] / "recipes" / "ssl_embeddings"
STORED = ("float16", "float32")
# Below, float16 has an absolute precision and no relative one.
SMALLEST = torch.finfo(torch.float16).smallest_normal


def load_data(options):
    """Utterances of the splits, spread evenly over the corpus."""
    utterances, _ = read_corpus("ravdess", options.data_folder)
    split = partition("pepino_ravdess", utterances, 1)
    few = max(1, options.utterances // 4)
    numbers = {"train": options.utterances, "valid": 1, "test": few}
    data = {}
    for name, number in numbers.items():
        items = getattr(split, name)
        step = max(1, len(items) / number)
        chosen = range(min(number, len(items)))
        data[name] = [items[int(i * step)] for i in chosen]
    return data


class Model:
    """The recipe's Brain on one source of features, ready to train."""

    def __init__(self, options, data, folder, dtype=None):
        recipe = runpy.run_path(str(RECIPE / "train.py"))
        overrides = {
            "data_folder": options.data_folder,
            "output_folder": str(folder / "run"),
            "encoder_source": options.encoder_source,
            "feature_folder": dtype and str(folder),
            "feature_dtype": dtype or "float32",
        }
        yaml = (RECIPE / "hparams" / "ravdess.yaml").read_text("utf-8")
        hparams = load_hyperpyyaml(yaml, overrides)
        run_opts = {"device": "cpu", "noprogressbar": True}
        self.brain = recipe["EmbeddingBrain"](
            hparams["modules"], hparams["opt_class"], hparams, run_opts
        )
        keep_memory()

        def prepare():
            batches, stored = recipe["dataio_prep"](hparams, data, run_opts)
            self.brain.batches, self.brain.stored = batches, stored

        self.extraction = clock(prepare)
        self.brain.on_fit_start()
        if dtype:
            self.store = self.brain.stored["speech"].store

    def train_epoch(self):
        """One epoch, without validation."""
        batches = self.brain.batches["train"]
        batches.set_epoch(batches.epoch + 1)
        self.brain.modules.train()
        for batch in make_loader(batches):
            self.brain.fit_batch(batch)

    def posteriors(self):
        """Of the test utterances [utterances, classes]."""
        found = self.brain.outputs_of("test")
        return np.exp([found[id] for id in sorted(found)])


def compare_precision(half, full, data):
    """What float16 changes: rows of a table."""
    absolute, relative, normalised, squares = 0.0, 0.0, 0.0, []
    normalise = full.brain.modules["speech"].normalizer
    for utterance in data["train"] + data["test"]:
        record = utterance.to_dict()
        x, y = (model.store.load(record).float() for model in (half, full))
        change = (x - y).abs()
        absolute = max(absolute, change.max().item())
        counts = y.abs() >= SMALLEST
        relative = max(relative, (change / y.abs())[counts].max().item())
        who = torch.tensor([x.shape[1]]), [utterance.speaker]
        change = (normalise(x, *who) - normalise(y, *who)).abs()
        normalised = max(normalised, change.max().item())
        squares.append(change.square().mean().item())
    for name in ("speech", "head"):
        state = full.brain.modules[name].state_dict()
        half.brain.modules[name].load_state_dict(state)
    p, q = half.posteriors(), full.posteriors()
    changed = int((p.argmax(1) != q.argmax(1)).sum())
    return [
        ["in", "difference"],
        ["features, absolute", f"{absolute:.2g}"],
        [f"features of at least {SMALLEST:.1g}, relative", f"{relative:.2g}"],
        ["normalised features, absolute", f"{normalised:.2g}"],
        ["the same, root mean square", f"{np.mean(squares) ** 0.5:.2g}"],
        ["posteriors, absolute", f"{np.abs(p - q).max():.2g}"],
        ["posteriors, relative", f"{(np.abs(p - q) / q).max():.2g}"],
        ["utterances whose class changes", f"{changed} of {len(p)}"],
    ]


def epoch_table(models, times, hours):
    """Cells: epochs, extraction and size of every source of features."""
    header = ["features", "epoch (s)", "times faster", "extraction (s)", "MB/h"]
    cells = [header]
    slowest = times["encoder runs"]
    for name in STORED:
        files = models[name].store.folder.rglob("*.npy")
        size = sum(path.stat().st_size for path in files) / 1e6
        cells.append(
            [
                name,
                f"{median(times[name]):.2f}",
                f"{ratio(slowest, times[name]):.1f}",
                f"{models[name].extraction:.1f}",
                f"{size / hours:.1f}",
            ]
        )
    return [*cells, ["encoder runs", f"{median(slowest):.2f}", "1", "-", "-"]]


def hdf5_table(store, utterances, folder, repeats):
    """Cells: milliseconds an utterance, for files and for HDF5."""
    from tests.benchmarks.hdf5 import compare_hdf5

    times = compare_hdf5(store, utterances, folder, repeats)
    cells = [["ms an utterance", "files", "HDF5"]]
    for job in ("write", "read"):
        found = [median(times[name, job]) for name in ("files", "hdf5")]
        row = [f"{1e3 * seconds / len(utterances):.2f}" for seconds in found]
        cells.append([job, *row])
    return cells


@exits_cleanly
def main(arguments=None):
    """Print the tables."""
    options = parse(
        __doc__,
        arguments,
        "data_folder",
        "encoder_source",
        utterances=240,
        repeats=5,
        epochs=10,
        hdf5=False,
    )
    if options.hdf5 and importlib.util.find_spec("h5py") is None:
        raise UserError("--hdf5 needs h5py; install it with pip install h5py.")
    data = load_data(options)
    train = data["train"]
    seconds = sum(u.duration for part in data.values() for u in part)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        models = {name: Model(options, data, folder, name) for name in STORED}
        models["encoder runs"] = Model(options, data, folder)
        times = interleave(
            {name: model.train_epoch for name, model in models.items()},
            options.repeats,
        )
        show(
            epoch_table(models, times, seconds / 3600),
            f"An epoch of {len(train)} utterances; extraction of "
            f"{sum(map(len, data.values()))} ({seconds:.0f} s of audio):",
        )
        half, full = (models[name] for name in STORED)
        for _ in range(options.epochs):
            full.train_epoch()
        show(
            compare_precision(half, full, data),
            "Largest difference that float16 makes:",
        )
        if options.hdf5:
            show(
                hdf5_table(half.store, train, folder, options.repeats),
                f"The float16 features of {len(train)} utterances:",
            )
    footer(options.repeats)


if __name__ == "__main__":
    main()
