"""Datasets -> batches that follow from seed and epoch, and their loaders."""

import logging
import os

import numpy as np
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.dataio.sampler import DynamicBatchSampler
from torch.utils.data import Sampler

from speechbrain_ext.protocols import stable_rng

# DynamicBatchSampler reports its buckets anew for every plan.
logging.getLogger("speechbrain.dataio.sampler").setLevel(logging.WARNING)


class BucketBatches(Sampler):
    """Batches of utterances, limited in seconds of audio or in number.

    Those limited in seconds hold utterances of similar length, those limited
    in number any. Batches follow from seed and epoch alone. In a distributed run every
    process gets its share, all of the same number; a few batches are dealt
    twice if need be.

    Arguments
    ---------
    dataset : SpeechDataset
        Where the utterances are.
    max_seconds : float, optional
        Longest utterance of a batch times their number, at the most. An
        utterance that is longer by itself makes a batch of its own.
    batch_size : int, optional
        In its place: how many utterances make a batch.
    num_buckets : int
        Number of classes of length (``DynamicBatchSampler``).
    seed : int
        For the order of utterances and batches.
    shuffle : bool
        Whether utterances and batches are shuffled anew every epoch; if not,
        batches go from the longest down, so that memory runs out at once.
    plan : callable, optional
        Epoch -> list of Utterance; what the dataset holds in that epoch.
    rank : int
        Which process this is.
    world_size : int
        How many processes share the batches.

    Example
    -------
    >>> from speechbrain_ext.dataio import FrameDataset
    >>> from speechbrain_ext.encoders.frames import FrameGrid
    >>> from speechbrain_ext.manifest import Utterance
    >>> data = [Utterance(str(i), 1.0 + i, "s", "sad", "demo", wav="x") for i in range(4)]
    >>> dataset = FrameDataset(data, FrameGrid([(400, 320, 0)]), ["neutral", "sad"])
    >>> sorted(index for batch in BucketBatches(dataset, 6.0) for index in batch)
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        dataset,
        max_seconds=None,
        batch_size=None,
        num_buckets=10,
        seed=0,
        shuffle=True,
        plan=None,
        rank=0,
        world_size=1,
    ):
        if (max_seconds is None) == (batch_size is None):
            raise ValueError("give max_seconds or batch_size, one of the two")
        self.dataset = dataset
        self.max_seconds = max_seconds
        self.batch_size = batch_size
        self.num_buckets = num_buckets
        self.seed = seed
        self.shuffle = shuffle
        self.plan = plan
        self.rank = rank
        self.world_size = world_size
        self.epoch = None
        self.set_epoch(1)

    def set_epoch(self, epoch):
        """Make the batches of an epoch.

        Arguments
        ---------
        epoch : int
            Counted from 1.
        """
        if epoch == self.epoch:
            return
        if self.plan is not None:
            self.dataset.replace(self.plan(epoch))
        self.epoch = epoch
        batches = (
            self._by_length() if self.batch_size is None else self._equal()
        )
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
            order = stable_rng("batches", self.seed, self.epoch).permutation(
                order
            )
        return [
            order[start : start + self.batch_size].tolist()
            for start in range(0, len(order), self.batch_size)
        ]

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


def make_batches(datasets, seed, plan=None, **limits):
    """Batches of all splits.

    In a distributed run the processes share the training set, and every one of
    them has all of the other sets, so that all know the same scores.

    Arguments
    ---------
    datasets : dict
        From ``"train"``, ``"valid"``, ``"test"`` to ``SpeechDataset``.
    seed : int
        For the order of training.
    plan : callable, optional
        Epoch -> list of Utterance of the training set.
    **limits
        ``max_seconds`` and ``num_buckets``, or ``batch_size``, of
        ``BucketBatches``.

    Returns
    -------
    dict
        From the same names to ``BucketBatches``.

    Example
    -------
    >>> from speechbrain_ext.dataio import UtteranceDataset
    >>> from speechbrain_ext.manifest import Utterance
    >>> data = [Utterance(str(i), 1.0, "s", "sad", "demo", wav="x") for i in range(5)]
    >>> batches = make_batches({"train": UtteranceDataset(data, ["sad"])}, 1, batch_size=2)
    >>> len(batches["train"])
    3
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
    """Data loader whose position a checkpoint can hold.

    Arguments
    ---------
    batches : BucketBatches
        Which utterances of its dataset make a batch.
    num_workers : int
        Number of processes that read.

    Returns
    -------
    SaveableDataLoader
    """
    return SaveableDataLoader(
        batches.dataset,
        batch_sampler=batches,
        collate_fn=PaddedBatch,
        num_workers=num_workers,
        # Its own, so that making an iterator draws no random number from the
        # stream that dropout uses: a run that is taken up again in the middle
        # of an epoch makes one iterator more.
        generator=torch.Generator(),
    )
