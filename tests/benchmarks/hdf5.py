"""``FeatureStore`` against SpeechBrain's ``CachedHDF5DynamicItem``."""

import random
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path

import torch
from speechbrain.integrations.hdf5.cached_item import CachedHDF5DynamicItem

from speechbrain_ext.store import FeatureStore
from tests.benchmarks.timing import clock


def compare_hdf5(source, utterances, folder, repeats):
    """Time writing and reading of the features in a store, in turns.

    Every repeat writes anew, and reads in a random order what it has written.
    Gives seconds by pairs such as ``("files", "read")``.
    """
    records = {u.id: u.to_dict() for u in utterances}
    feats = {id: source.load(record) for id, record in records.items()}
    times = defaultdict(list)
    for repeat in range(repeats):
        order = random.Random(repeat).sample(list(records), len(records))
        ways = [("files", _files), ("hdf5", _hdf5)]
        for name, way in ways[:: -1 if repeat % 2 else 1]:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                write, read = way(source, records, feats, Path(place))
                times[name, "write"].append(clock(partial(write, records)))
                times[name, "read"].append(clock(partial(read, order)))
    return times


def _files(source, records, feats, place):
    store = FeatureStore(place, source.source, source.dtype)

    def write(ids):
        for id in ids:
            store._write(feats[id].numpy(), store.path(records[id]))

    def read(ids):
        for id in ids:
            store.load(records[id])

    return write, read


def _hdf5(source, records, feats, place):
    item = CachedHDF5DynamicItem(
        place, takes=["id"], func=lambda id: feats[id].numpy(), provides=["x"]
    )

    def write(ids):
        for id in ids:
            item(id)
        item.hdf5file.flush()

    def read(ids):
        item.change_file_mode("r")
        for id in ids:
            torch.from_numpy(item(id))
        item.hdf5file.close()

    return write, read
