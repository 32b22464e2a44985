"""Stored features: those of the encoder, whoever extracts and reads them."""

import multiprocessing
import time

import numpy as np
import pytest
import torch

from speechbrain_ext.audio import AudioError
from speechbrain_ext.data import load_waveform
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.store import FeatureStore
from speechbrain_ext.utterance import Utterance
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


class SlowEncoder:
    """Long enough over an utterance for others to come in between."""

    frozen = True

    def fingerprint(self):
        return "slow"

    def to(self, device):
        return self

    def eval(self):
        return self

    def __call__(self, wav, all_layers):
        time.sleep(0.1)
        return torch.full((1, 1, 2, 3), float(wav.shape[1]))


def extract_with_others(folder, utterances, together, counts):
    store = FeatureStore(folder, SlowEncoder(), "float32")
    together.wait(timeout=60)
    counts.put(store.extract(utterances, progress=False))


def test_several_processes_share_the_work(write_audio, tmp_path):
    utterances = []
    for number in range(12):
        seconds = 0.1 + 0.01 * number
        path = write_audio(f"{number}.wav", seconds)
        utterances.append(
            Utterance(str(number), seconds, "s", "sad", "d", wav=path)
        )
    # Importing torch anew in each would take longer than the work.
    fork = multiprocessing.get_context("fork")
    together, counts = fork.Barrier(3), fork.SimpleQueue()
    options = tmp_path / "features", utterances, together, counts
    workers = [
        fork.Process(target=extract_with_others, args=options) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    found = [counts.get() for _ in workers]
    # Two may be at the same utterance, but nobody does all of it.
    assert 12 <= sum(found) <= 24 and max(found) < 12
    store = FeatureStore(tmp_path / "features", SlowEncoder(), "float32")
    for utterance in utterances:
        feats = store.load(utterance.to_dict())
        assert torch.equal(
            feats,
            torch.full((2, 1, 3), float(round(16000 * utterance.duration))),
        )
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert len(files) == 12


def test_an_utterance_that_is_there_twice_is_computed_once(
    encoder, utterances, tmp_path
):
    store = FeatureStore(tmp_path / "features", encoder)
    assert store.extract(2 * utterances, progress=False) == 4


def test_a_recording_that_cannot_be_read(encoder, utterances, tmp_path):
    store = FeatureStore(tmp_path / "features", encoder)
    with open(utterances[2].wav, "r+b") as file:
        file.truncate(60)
    with pytest.raises(AudioError, match="2.wav"):
        store.extract(utterances, progress=False)
    whole = utterances[:2] + utterances[3:]
    store.extract(whole, progress=False)
    assert len(list(store.folder.rglob("*.npy"))) == 3
