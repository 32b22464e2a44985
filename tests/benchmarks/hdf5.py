"""``FeatureStore`` against SpeechBrain's ``CachedHDF5DynamicItem``."""

import random
import tempfile
from pathlib import Path

import torch
from speechbrain.integrations.hdf5.cached_item import CachedHDF5DynamicItem

from speechbrain_ext.store import FeatureStore
from tests.benchmarks.timing import clock


def compare_hdf5(source, utterances, folder, repeats):
    """Time writing and reading of the same features, in turns.

    Every repeat writes anew, and reads in a random order what it has written.

    Arguments
    ---------
    source : FeatureStore
        With the features of all utterances.
    utterances : list of Utterance
        What is written and read.
    folder : pathlib.Path
        Where to write for the while.
    repeats : int
        How often.

    Returns
    -------
    dict
        From a pair such as ``("files", "read")`` (or ``"hdf5"``, ``"write"``)
        to list of float (s), one a repeat.
    """
    records = {u.id: u.to_dict() for u in utterances}
    feats = {id: source.load(record) for id, record in records.items()}
    times = {}
    for repeat in range(repeats):
        order = random.Random(repeat).sample(list(records), len(records))
        jobs = {"files": _files, "hdf5": _hdf5}
        for name in list(jobs)[:: -1 if repeat % 2 else 1]:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                write, read = jobs[name](source, records, feats, Path(place))
                for job, ids in (write, records), (read, order):
                    times.setdefault((name, job.__name__), []).append(
                        clock(lambda job=job, ids=ids: job(ids))
                    )
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
