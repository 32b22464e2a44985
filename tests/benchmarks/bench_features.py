r"""Stored features against an encoder that runs in every epoch.

> python -m tests.benchmarks.bench_features --data_folder=RAVDESS \
>     --encoder_source=openai/whisper-tiny.en

from the root of the repository. Trains the Dense model of
recipes/ssl_embeddings (hparams/ravdess.yaml) on ``--utterances`` of RAVDESS,
and a fourth as many for the test. Prints, timed in turns, an epoch from
features in float16, in float32 and with the encoder running; what extracting
them once costs and what they take on disk; and what float16 changes in the
posteriors after ``--epochs`` more. ``--hdf5`` (needs
h5py) compares with SpeechBrain's ``CachedHDF5DynamicItem``. What was written a
moment ago is read from memory, as in a run that has that much to spare.
"""

import importlib.util
import random
import runpy
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.data import make_loader
from speechbrain_ext.protocols import partition
from speechbrain_ext.store import FeatureStore
from speechbrain_ext.training.brain import keep_memory
from tests.benchmarks.timing import (
    clock,
    footer,
    interleave,
    parse,
    ratio,
    show,
    used,
)

OPTIONS = {"utterances": 240, "repeats": 5, "epochs": 10, "hdf5": False}
RECIPE = Path(__file__).parents[2] / "recipes" / "ssl_embeddings"
STORED = ("float16", "float32")


def load_data(options):
    """Utterances of the splits, spread evenly over the corpus."""
    utterances, _ = read_corpus("ravdess", options.data_folder)
    split = partition("pepino_ravdess", utterances, 1)
    many = options.utterances

    def spread(items, number):
        step = max(1, len(items) / number)
        return [items[int(i * step)] for i in range(min(number, len(items)))]

    return {
        "train": spread(split.train, many),
        "valid": spread(split.valid, 1),
        "test": spread(split.test, max(1, many // 4)),
    }


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
        self.extraction = clock(partial(self.brain.set_data, data))
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


def compare_precision(half, full):
    """What float16 changes: rows of a table."""
    for name in ("speech", "head"):
        state = full.brain.modules[name].state_dict()
        half.brain.modules[name].load_state_dict(state)
    p, q = half.posteriors(), full.posteriors()
    changed = int((p.argmax(1) != q.argmax(1)).sum())
    return [
        ["in", "difference"],
        ["posteriors, absolute", f"{np.abs(p - q).max():.2g}"],
        ["posteriors, relative", f"{(np.abs(p - q) / q).max():.2g}"],
        ["utterances whose class changes", f"{changed} of {len(p)}"],
    ]


def epoch_table(models, times, hours):
    """Cells: epochs, extraction and size of every source of features."""
    header = ["features", "epoch (s)", "times faster", "extraction (s)", "MB/h"]
    cells = [header]
    for name, model in models.items():
        faster = f"{ratio(times['encoder runs'], times[name]):.1f}"
        cells.append([name, f"{median(times[name]):.2f}", faster, "-", "-"])
        if name in STORED:
            files = model.store.folder.rglob("*.npy")
            size = sum(path.stat().st_size for path in files) / 1e6
            cells[-1][3:] = f"{model.extraction:.1f}", f"{size / hours:.1f}"
    return cells


def hdf5_table(store, utterances, folder, repeats):
    """Cells: milliseconds to write and to read an utterance, in turns.

    Every repeat writes anew, and reads in a random order what it has written.
    """
    records = {u.id: u.to_dict() for u in utterances}
    feats = {id: store.load(record) for id, record in records.items()}
    times = defaultdict(list)
    for repeat in range(repeats):
        order = random.Random(repeat).sample(list(records), len(records))
        ways = [("files", write_files), ("HDF5", write_hdf5)]
        for name, way in ways[:: -1 if repeat % 2 else 1]:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                begin = used()
                read = way(store, records, feats, Path(place))
                times["write", name].append(used() - begin)
                times["read", name].append(clock(partial(read, order)))
    cells = [["ms an utterance", "files", "HDF5"]]
    for job in ("write", "read"):
        found = [median(times[job, name]) for name in cells[0][1:]]
        row = [f"{1e3 * seconds / len(records):.2f}" for seconds in found]
        cells.append([job, *row])
    return cells


def write_files(source, records, feats, place):
    """Write with ``FeatureStore``; gives what reads."""
    store = FeatureStore(place, source.source, source.dtype)
    for id, record in records.items():
        store._write(feats[id].numpy(), store.path(record))
    return lambda ids: [store.load(records[id]) for id in ids]


def write_hdf5(source, records, feats, place):
    """Write with SpeechBrain's ``CachedHDF5DynamicItem``."""
    from speechbrain.integrations.hdf5.cached_item import CachedHDF5DynamicItem

    item = CachedHDF5DynamicItem(
        place, takes=["id"], func=lambda id: feats[id].numpy(), provides=["x"]
    )
    for id in records:
        item(id)
    item.hdf5file.flush()

    def read(ids):
        item.change_file_mode("r")
        for id in ids:
            torch.from_numpy(item(id))
        item.hdf5file.close()

    return read


@exits_cleanly
def main(arguments=None):
    """Print the tables."""
    options = parse(
        __doc__, arguments, "data_folder", "encoder_source", **OPTIONS
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
        epochs = {name: model.train_epoch for name, model in models.items()}
        times = interleave(epochs, options.repeats)
        show(
            epoch_table(models, times, seconds / 3600),
            f"An epoch of {len(train)} utterances; extraction of "
            f"{sum(map(len, data.values()))} ({seconds:.0f} s of audio):",
        )
        half, full = (models[name] for name in STORED)
        for _ in range(options.epochs):
            full.train_epoch()
        cells = compare_precision(half, full)
        show(cells, "Largest difference that float16 makes:")
        if options.hdf5:
            cells = hdf5_table(half.store, train, folder, options.repeats)
            show(cells, f"The float16 features of {len(train)} utterances:")
    footer(options.repeats)


if __name__ == "__main__":
    main()
