"""Manifests to batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.data import (
    BucketBatches,
    FrameDataset,
    UtteranceDataset,
    count_samples,
    load_waveform,
    make_batches,
    make_loader,
)
from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.utterance import Utterance


def dataset(durations, wavs=None):
    """Utterances of these durations; all the same file if none are given."""
    wavs = wavs or ["x.wav"] * len(durations)
    pairs = enumerate(zip(durations, wavs))
    grid = FrameGrid([(400, 320, 0)])
    return FrameDataset(
        [Utterance(str(i), d, "s", "sad", "d", wav=w) for i, (d, w) in pairs],
        grid,
        ["neutral", "sad"],
    )


@given(
    st.lists(st.floats(0.1, 40), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=50)
def test_batches_keep_to_the_limit(durations, world_size, epoch):
    data = dataset(durations)
    shares = [
        BucketBatches(data, 30, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for share in shares:
        share.set_epoch(epoch)
    assert len({len(share) for share in shares}) == 1
    seen = [i for share in shares for batch in share for i in batch]
    assert set(seen) == set(range(len(durations)))
    for share in shares:
        for batch in share:
            longest = max(durations[i] for i in batch)
            assert len(batch) == 1 or longest * len(batch) <= 30


def test_an_epoch_is_the_same_however_it_is_reached():
    data = dataset(np.linspace(1, 9, 40))
    direct, through = (BucketBatches(data, 20, seed=3) for _ in range(2))
    direct.set_epoch(4)
    for epoch in (1, 2, 3, 4):
        through.set_epoch(epoch)
        list(through)
    assert list(direct) == list(through)
    through.set_epoch(5)
    assert list(direct) != list(through)


def test_a_fresh_plan_every_epoch():
    data = dataset([1.0])

    def plan(epoch):
        return [Utterance(f"e{epoch}", 1.0, "s", "sad", "d", wav="x.wav")]

    batches = BucketBatches(data, 20, plan=plan)
    assert data.data_ids == ["e1"]
    batches.set_epoch(2)
    assert data.data_ids == ["e2"]


def test_the_number_of_readers_does_not_matter(write_audio):
    seconds = [0.3 + 0.1 * i for i in range(6)]
    wavs = [write_audio(f"{i}.wav", seconds=s) for i, s in enumerate(seconds)]
    batches = BucketBatches(dataset(seconds, wavs), 2, seed=1)
    found, expected = (
        [
            (each.id, each.sig.data.tolist(), each.labels.lengths.tolist())
            for each in make_loader(batches, workers)
        ]
        for workers in (2, 0)
    )
    assert found == expected and len(found) > 1
    for batch in make_loader(batches):
        # Waveforms are padded, labels of frames are not.
        assert batch.sig.lengths.max() == 1
        assert len(batch.labels.data) == batch.labels.lengths.sum()


def test_lengths_agree_with_the_audio(write_audio):
    path = write_audio(seconds=1.37, rate=44100)
    for record in (
        {"wav": path},
        {"wav": path, "start": 0.2},
        {"wav": path, "start": 0.2, "stop": 0.9},
        {"pieces": [{"wav": path, "start": 0.1, "stop": 0.4, "gain": 1.0}]},
    ):
        assert load_waveform(record).shape[0] == count_samples(record)


def test_utterances_with_one_label_each(write_audio):
    data = [
        Utterance(name, 0.5, speaker, name, "demo", wav=write_audio(seconds=s))
        for name, speaker, s in (("sad", "ann", 0.5), ("neutral", "bob", 0.5))
    ]
    found = UtteranceDataset(data, ["angry", "neutral", "sad"])
    (batch,) = make_loader(BucketBatches(found, batch_size=2, shuffle=False))
    assert batch.id == ["sad", "neutral"] and batch.spk_id == ["ann", "bob"]
    assert batch.labels.data.tolist() == [2, 1]
    assert batch.sig.data.shape == (2, 8000)
    assert batch.sig.lengths.tolist() == [1, 1]


@given(*(st.integers(*span) for span in [(1, 70), (1, 40), (1, 4), (1, 6)]))
@settings(deadline=None, max_examples=60)
def test_batches_of_a_number(count, size, world_size, epoch):
    """Together the processes see all, each as often as the others."""
    data = dataset([1.0] * count)

    def deal(rank=0, world_size=1):
        how = {"rank": rank, "world_size": world_size, "seed": count}
        batches = BucketBatches(data, batch_size=size, **how)
        batches.set_epoch(epoch)
        return list(batches)

    whole = deal()
    assert sorted(i for batch in whole for i in batch) == list(range(count))
    assert all(len(batch) == size for batch in whole[:-1])
    shares = [deal(rank, world_size) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    dealt = [b for turn in zip(*shares, strict=True) for b in turn]
    assert dealt[: len(whole)] == whole
    assert len(dealt) - len(whole) < world_size
    assert all(batch in whole for batch in dealt)


def test_the_order_follows_from_seed_and_epoch():
    data = dataset([1.0] * 50)

    def order(seed, epoch, **options):
        batches = BucketBatches(data, batch_size=8, seed=seed, **options)
        batches.set_epoch(epoch)
        return list(batches)

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4) and order(1, 3) != order(2, 3)
    assert order(1, 3, shuffle=False) == order(2, 4, shuffle=False)
    assert order(1, 3, shuffle=False)[0] == list(range(8))
    # Types that SpeechBrain's datasets and checkpoints take.
    assert type(order(1, 3)[0][0]) is int


@pytest.mark.parametrize("limits", [{}, {"max_seconds": 9, "batch_size": 2}])
def test_one_limit_is_needed(limits):
    with pytest.raises(ValueError, match="max_seconds or batch_size"):
        BucketBatches(dataset([1.0]), **limits)


def test_batches_of_all_splits(monkeypatch):
    splits = {n: dataset([1.0] * 11) for n in ("train", "valid", "test")}
    alone = make_batches(splits, 1, batch_size=4)
    assert sorted(i for b in alone["train"] for i in b) == list(range(11))
    for name in ("valid", "test"):
        assert [i for b in alone[name] for i in b] == list(range(11))
    shares = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        share = make_batches(splits, 1, batch_size=4)
        shares.append(share["train"])
        # Every process scores all of the others.
        assert list(share["valid"]) == list(alone["valid"])
        assert list(share["test"]) == list(alone["test"])
    assert [list(share) for share in shares] == [
        [list(alone["train"])[0], list(alone["train"])[2]],
        [list(alone["train"])[1], list(alone["train"])[0]],
    ]
