"""Manifests -> datasets, batches that follow from seed and epoch, loaders."""

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import DynamicBatchSampler
from speechbrain.utils.data_pipeline import provides, takes
from speechbrain.utils.data_utils import batch_pad_right
from torch.utils.data import Sampler

from speechbrain_ext.audio import (
    SAMPLE_RATE,
    num_samples,
    probe,
    read_audio,
    to_samples,
)
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.encoders.grid import frame_labels
from speechbrain_ext.simulation import compose


def load_waveform(record):
    """Audio of a manifest's record: a file, a part of one, or pieces joined."""
    if "pieces" in record:
        return compose(record["pieces"])
    return read_audio(record["wav"], *_bounds(record))


def count_samples(record):
    """Number of samples that ``load_waveform`` gives, without reading them."""
    if "pieces" in record:
        return sum(
            to_samples(piece["stop"])
            - to_samples(piece["start"])
            - to_samples(piece.get("crossfade", 0.0))
            for piece in record["pieces"]
        )
    start, stop = _bounds(record)
    return (num_samples(probe(record["wav"])) if stop is None else stop) - start


def _bounds(record):
    stop = record.get("stop")
    stop = None if stop is None else to_samples(stop)
    return to_samples(record.get("start") or 0), stop


def segments_of(record):
    """Segments of a record, whether it has one emotion or several."""
    emotion = record["emotion"]
    if not isinstance(emotion, str):
        return emotion
    return [{"emo": emotion, "start": 0.0, "end": record["duration"]}]


# What encoders that run in training read, and the item with it.
LIVE = {"audio": "sig", "text": "text"}


class SpeechDataset(DynamicItemDataset):
    """Utterances, as waveforms or as stored features, with their labels.

    Its items have ``id``, ``spk_id``, ``labels`` (what ``label`` makes of a
    record), the ``stored`` features of each input by its name [layers, frames,
    channels] (of frames the ``part``, a function from epoch, id and their
    number to a slice), and what other encoders read: ``live``, by default the
    ``sig`` [samples] where nothing is stored.
    """

    def __init__(self, utterances, label, stored=None, part=None, live=None):
        self.epoch = 1
        self.known_labels = {}
        self.known_keys = {}

        @takes("id", "record")
        @provides("labels")
        def labels(id, record):
            # Fewer utterances are labelled anew than are seen.
            if id not in self.known_labels:
                self.known_labels[id] = label(record)
            return self.known_labels[id]

        def reader(name, source):
            @takes("id", "record")
            @provides(name)
            def load(id, record):
                if (name, id) not in self.known_keys:
                    self.known_keys[name, id] = source.key(record)
                key, chosen = self.known_keys[name, id], None
                if part is not None and source.store.source.has_frames:
                    chosen = functools.partial(part, self.epoch, id)
                return source.load(record, key, chosen)

            return load

        ways = {"audio": load_waveform, "text": lambda record: record["text"]}
        items = [reader(*each) for each in (stored or {}).items()]
        if live is None:
            live = () if stored else ("audio",)
        items += [provides(LIVE[x])(takes("record")(ways[x])) for x in live]
        keys = ["id", "spk_id", "labels", *(stored or ()), *map(LIVE.get, live)]
        super().__init__(_items(utterances), [labels, *items], keys)

    def replace(self, utterances):
        """Put other utterances in, for a fresh plan every epoch."""
        self.data = _items(utterances)
        self.data_ids = list(self.data)
        self.known_labels.clear()
        self.known_keys.clear()


class FrameDataset(SpeechDataset):
    """Utterances with a label, an index of ``classes``, for every frame of an
    encoder with this ``FrameGrid``.

    Example
    -------
    >>> from speechbrain.dataio import audio_io
    >>> from speechbrain_ext.encoders.grid import FrameGrid
    >>> from speechbrain_ext.utterance import Utterance
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> audio_io.save(path, torch.zeros(1, 16000), 16000)
    >>> data = [Utterance("a", 1.0, "s", "sad", "demo", wav=path)]
    >>> grid = FrameGrid([(400, 320, 0)])
    >>> item = FrameDataset(data, grid, ["neutral", "sad"])[0]
    >>> item["sig"].shape, item["labels"].shape
    (torch.Size([16000]), torch.Size([49]))
    """

    def __init__(self, utterances, grid, classes, stored=None):
        index = {name: number for number, name in enumerate(classes)}

        def label(record):
            named = frame_labels(
                segments_of(record), count_samples(record), SAMPLE_RATE, grid
            )
            return torch.tensor([index[name] for name in named])

        super().__init__(utterances, label, stored)


class UtteranceDataset(SpeechDataset):
    """Utterances with one label each, ``labels`` [1]: an index of ``classes``.

    Example
    -------
    >>> from speechbrain_ext.utterance import Utterance
    >>> data = [Utterance("a", 1.0, "s", "sad", "demo", wav="a.wav")]
    >>> UtteranceDataset(data, ["neutral", "sad"]).data["a"]["spk_id"]
    's'
    """

    def __init__(self, utterances, classes, stored=None, part=None, live=None):
        index = {name: number for number, name in enumerate(classes)}

        def label(record):
            return torch.tensor([index[record["emotion"]]])

        super().__init__(utterances, label, stored, part, live)


class RandomCrop:
    """A stretch of ``frames`` of every utterance, drawn by seed, epoch and id
    (the ``part`` of a dataset); what is shorter is taken whole."""

    def __init__(self, frames, seed):
        self.frames, self.seed = frames, seed

    def __call__(self, epoch, id, count):
        most = max(count - self.frames, 0)
        rng = stable_rng("crop", self.seed, epoch, id)
        start = int(rng.integers(most + 1))
        return slice(start, start + self.frames)


def _items(utterances):
    return {
        utterance.id: {
            "record": utterance.to_dict(),
            "duration": utterance.duration,
            "spk_id": utterance.speaker,
        }
        for utterance in utterances
    }


def join(values):
    """Tensors of several utterances as one, with lengths.

    Waveforms are padded, and their lengths are relative; frames (labels, or
    stored features [layers, frames, channels], which become float32) are
    packed, and their lengths are counted.
    """
    first = values[0]
    if first.dim() == 1:
        if first.is_floating_point():
            return batch_pad_right(values)
        return torch.cat(values), torch.tensor(list(map(len, values)))
    lengths = [value.shape[1] for value in values]
    packed = torch.empty(len(first), sum(lengths), first.shape[2])
    for place, value in zip(packed.split(lengths, dim=1), values):
        # Joins and converts in one pass.
        place.copy_(value)
    return packed, torch.tensor(lengths)


# DynamicBatchSampler reports its buckets anew for every plan.
logging.getLogger("speechbrain.dataio.sampler").setLevel(logging.WARNING)


@dataclass(eq=False)
class BucketBatches(Sampler):
    """Batches of utterances, limited in seconds of audio or in number.

    ``max_seconds`` (the longest utterance times their number) makes batches of
    similar length, ``batch_size`` of any. Batches follow from seed and epoch
    alone; without ``shuffle`` they go from the longest down, so that memory
    runs out at once. ``plan`` (epoch -> utterances) fills the dataset anew for
    every epoch. In a distributed run every process gets its share, all of the
    same number; a few batches are dealt twice if need be.
    """

    dataset: SpeechDataset
    max_seconds: float | None = None
    batch_size: int | None = None
    num_buckets: int = 10
    seed: int = 0
    shuffle: bool = True
    plan: Callable | None = None
    rank: int = 0
    world_size: int = 1

    def __post_init__(self):
        if (self.max_seconds is None) == (self.batch_size is None):
            raise ValueError("give max_seconds or batch_size, one of the two")
        self.epoch = None
        self.set_epoch(1)

    def set_epoch(self, epoch):
        """Make the batches of an epoch, counted from 1."""
        if epoch == self.epoch:
            return
        if self.plan is not None:
            self.dataset.replace(self.plan(epoch))
        self.epoch = self.dataset.epoch = epoch
        batches = self._equal() if self.batch_size else self._by_length()
        surplus = -len(batches) % self.world_size
        batches = batches + (batches * self.world_size)[:surplus]
        self.batches = batches[self.rank :: self.world_size]

    def _by_length(self):
        return DynamicBatchSampler(
            self.dataset,
            max_batch_length=self.max_seconds,
            num_buckets=self.num_buckets,
            shuffle=self.shuffle,
            batch_ordering="random" if self.shuffle else "descending",
            seed=self.seed,
            epoch=self.epoch,
        )._batches

    def _equal(self):
        order = np.arange(len(self.dataset))
        if self.shuffle:
            rng = stable_rng("batches", self.seed, self.epoch)
            order = rng.permutation(order)
        starts = range(0, len(order), self.batch_size)
        return [order[n : n + self.batch_size].tolist() for n in starts]

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


def make_batches(datasets, seed, plan=None, **limits):
    """``BucketBatches`` of all splits, from name to ``SpeechDataset``.

    In a distributed run the processes share the training set, and every one of
    them has all of the other sets, so that all know the same scores. ``seed``
    is for the order of training, ``plan`` for its utterances; ``limits`` are
    ``max_seconds`` and ``num_buckets``, or ``batch_size``.
    """
    share = {
        "rank": int(os.environ.get("RANK", "0")),
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
    }
    return {
        name: BucketBatches(dataset, seed=seed, plan=plan, **share, **limits)
        if name == "train"
        else BucketBatches(dataset, seed=seed, shuffle=False, **limits)
        for name, dataset in datasets.items()
    }


def make_loader(batches, num_workers=0):
    """Data loader of ``BucketBatches``; a checkpoint can hold its position."""
    return SaveableDataLoader(
        batches.dataset,
        batch_sampler=batches,
        collate_fn=functools.partial(PaddedBatch, padding_func=join),
        num_workers=num_workers,
        # Its own, so that making an iterator draws no random number from the
        # stream that dropout uses: a run that is taken up again in the middle
        # of an epoch makes one iterator more.
        generator=torch.Generator(),
    )
