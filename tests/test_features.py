"""Stored features: those of the encoder, whoever extracts and reads them."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch

from speechbrain_ext.audio import AudioError
from speechbrain_ext.dataio import load_waveform
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.features import FeatureStore
from speechbrain_ext.manifest import Utterance
from tests.checkpoints import make_ssl_checkpoint
from tests.corpora.trees import snapshot


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_ssl_checkpoint(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def encoder(checkpoint):
    return load_encoder(checkpoint, local_encoder=True)


@pytest.fixture
def utterances(write_audio):
    return [
        Utterance(str(n), 0.2 + 0.1 * n, "s", "sad", "d", wav=path)
        for n, path in enumerate(
            write_audio(f"{n}.wav", 0.2 + 0.1 * n) for n in range(4)
        )
    ]


def all_layers(encoder, record):
    """[frames, layers, channels] of one utterance alone."""
    with torch.no_grad():
        hidden = encoder(load_waveform(record)[None], all_layers=True)
    return hidden[0].transpose(0, 1)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_all_layers_are_kept(dtype, encoder, utterances, tmp_path):
    store = FeatureStore(tmp_path / "features", encoder, dtype)
    assert store.extract(utterances, progress=False) == 4
    for utterance in utterances:
        record = utterance.to_dict()
        found = store.load(record)
        assert found.dtype == getattr(torch, dtype)
        expected = all_layers(encoder, record)
        assert torch.equal(found, expected.to(found.dtype))
        part = store.load(record, slice(1, 3), 5)
        assert torch.equal(part, found[:5, 1:3])
        # It is a copy: nobody writes into the file.
        part += 1
        assert torch.equal(store.load(record), found)


def test_what_is_there_is_not_touched(encoder, utterances, tmp_path):
    store = FeatureStore(tmp_path / "features", encoder)
    store.extract(utterances[:3], progress=False)
    before = snapshot(store.folder)
    again = FeatureStore(tmp_path / "features", encoder)
    run_opts = {"device": "cpu", "noprogressbar": True}
    again.extract_all({"train": utterances[:3]}, run_opts)
    assert snapshot(store.folder) == before
    again.extract_all(
        {"train": utterances[:2], "test": utterances[2:]}, run_opts
    )
    after = snapshot(store.folder)
    assert len(list(store.folder.rglob("*.npy"))) == 4
    files = [row for row in before if row[0].endswith(".npy")]
    assert len(files) == 3 and set(files) < set(after)


def test_encoders_and_types_do_not_meet(encoder, utterances, tmp_path):
    other = make_ssl_checkpoint(tmp_path / "other", seed=1)
    stores = [
        FeatureStore(tmp_path / "features", encoder, "float16"),
        FeatureStore(tmp_path / "features", encoder, "float32"),
        FeatureStore(tmp_path / "features", load_encoder(other)),
        FeatureStore(
            tmp_path / "features", load_encoder(other, local_encoder=True)
        ),
    ]
    for store in stores:
        assert store.extract(utterances[:1], progress=False) == 1
    assert len({store.folder for store in stores}) == 4


def test_a_copy_of_the_encoder_meets_the_same_store(
    checkpoint, encoder, tmp_path
):
    first = FeatureStore(tmp_path, encoder)
    second = load_encoder(checkpoint, local_encoder=True)
    assert FeatureStore(tmp_path, second).folder == first.folder


def test_half_a_file_is_never_met(encoder, utterances, tmp_path, monkeypatch):
    """Killed while writing: the rest is computed, and nothing is broken."""
    store = FeatureStore(tmp_path / "features", encoder)

    def half(file, feats):
        file.write(b"\x93NUMPY half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", half)
        with pytest.raises(KeyboardInterrupt):
            store.extract(utterances, progress=False)
    assert not list(store.folder.rglob("*.npy"))
    assert store.extract(utterances, progress=False) == 4


def test_several_at_once(checkpoint, utterances, tmp_path):
    """Each may compute what another computes; no file is ever half there."""
    stores = [
        FeatureStore(
            tmp_path / "features", load_encoder(checkpoint, local_encoder=True)
        )
        for _ in range(3)
    ]
    together = Barrier(len(stores))

    def work(store):
        together.wait(timeout=60)
        count = store.extract(utterances, progress=False)
        return count, [store.load(u.to_dict()) for u in utterances]

    with ThreadPoolExecutor(len(stores)) as pool:
        found = list(pool.map(work, stores))
    assert 4 <= sum(count for count, _ in found) <= 12
    for _, feats in found[1:]:
        assert all(map(torch.equal, feats, found[0][1]))
    folder = stores[0].folder
    assert sum(1 for path in folder.rglob("*") if path.is_file()) == 4


def test_a_recording_that_cannot_be_read(encoder, utterances, tmp_path):
    store = FeatureStore(tmp_path / "features", encoder)
    with open(utterances[2].wav, "r+b") as file:
        file.truncate(60)
    with pytest.raises(AudioError, match="2.wav"):
        store.extract(utterances, progress=False)
    assert len(list(store.folder.rglob("*.npy"))) == 2
