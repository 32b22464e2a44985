"""Stored features: those of the encoder, whoever extracts and reads them."""

import dataclasses
import multiprocessing
import shutil
import time
import types

import numpy as np
import pytest
import torch

from speechbrain_ext.audio import AudioError
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.data import load_waveform
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.models.normalization import make_normalizer
from speechbrain_ext.store import (
    FeatureMemory,
    FeatureStore,
    StoredInput,
    store_inputs,
)
from speechbrain_ext.utterance import Utterance
from tests.checkpoints import make_ssl_checkpoint
from tests.corpora.trees import snapshot


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_ssl_checkpoint(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def encoder(checkpoint):
    return load_encoder(checkpoint, local_encoder=True)


def make_utterances(write_audio, count, shortest, step):
    made = []
    for number in range(count):
        seconds = shortest + step * number
        path = write_audio(f"{number}.wav", seconds)
        made.append(Utterance(str(number), seconds, "s", "sad", "d", wav=path))
    return made


@pytest.fixture
def utterances(write_audio):
    return make_utterances(write_audio, 4, 0.2, 0.1)


@pytest.fixture
def make(tmp_path, encoder):
    """A store of all layers of an encoder, or of some."""

    def make(dtype="float16", encoder=encoder, folder="features", **options):
        source = Input(encoder, mixture=LayerMixture(4), **options)
        return FeatureStore(tmp_path / folder, source, dtype)

    return make


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_all_layers_are_kept(dtype, make, encoder, utterances):
    store = make(dtype)
    # What is there twice is computed once.
    assert store.extract(2 * utterances, progress=False) == 4
    for utterance in utterances:
        record = utterance.to_dict()
        found = store.load(record)
        assert found.dtype == getattr(torch, dtype)
        expected = encoder(load_waveform(record)[None], all_layers=True)[0]
        assert torch.equal(found, expected.to(found.dtype))
        short = make(dtype, max_length=0.1).load(record)
        assert torch.equal(short, found[:, :5])
        # It is a copy: nobody writes into the file.
        short += 1
        assert torch.equal(store.load(record), found)


@pytest.mark.parametrize("layers, taken", [("local", 0), ("contextual", 3)])
def test_the_layers_that_are_asked_for(layers, taken, make, utterances):
    """They lie alone, or among all of them."""
    alone = make(folder="alone", layers=layers)
    among = make(folder="among", layers=layers)
    every = make(folder="among")
    assert alone.extract(utterances, progress=False) == 4
    assert every.extract(utterances, progress=False) == 4
    assert among.extract(utterances, progress=False) == 0
    small, large = (
        sum(file.stat().st_size for file in store.folder.rglob("*.npy"))
        for store in (alone, every)
    )
    assert small < large / 3
    for utterance in utterances:
        record = utterance.to_dict()
        found = alone.load(record)
        assert torch.equal(found, every.load(record)[[taken]])
        assert torch.equal(among.load(record), found)


def test_what_is_there_is_not_touched(make, utterances):
    store = make()
    store.extract(utterances[:3], progress=False)
    before = snapshot(store.folder)
    again = {
        "inputs": {"speech": store.source},
        "feature_folder": store.folder.parent,
        "feature_dtype": "float16",
        "feature_memory": 1,
    }
    run_opts = {"device": "cpu", "noprogressbar": True}
    store_inputs(again, {"train": utterances[:3]}, run_opts)
    assert snapshot(store.folder) == before
    splits = {"train": utterances[:2], "test": utterances[2:]}
    assert list(store_inputs(again, splits, run_opts)) == ["speech"]
    assert len(list(store.folder.rglob("*.npy"))) == 4
    files = [row for row in before if row[0].endswith(".npy")]
    assert len(files) == 3 and set(files) < set(snapshot(store.folder))
    assert store_inputs({**again, "feature_folder": None}, {}, run_opts) == {}


def test_encoders_and_types_do_not_meet(make, checkpoint, utterances, tmp_path):
    other = make_ssl_checkpoint(tmp_path / "other", seed=1)
    stores = [
        make("float16"),
        make("float32"),
        make(encoder=load_encoder(other)),
        make(encoder=load_encoder(other, local_encoder=True)),
    ]
    for store in stores:
        assert store.extract(utterances[:1], progress=False) == 1
    assert len({store.folder for store in stores}) == 4
    # A copy of the encoder meets the same store.
    copy = load_encoder(checkpoint, local_encoder=True)
    assert make(encoder=copy).folder == stores[0].folder


def test_nothing_old_is_met_and_a_corpus_may_move(make, write_audio, tmp_path):
    store, path = make(), write_audio(seconds=0.2)
    record = {"wav": path}
    before = store.path(record)
    assert store.path({**record, "start": 0.1}) != before
    assert store.path({"pieces": [{**record, "gain": 2.0}]}) != before
    moved = shutil.copyfile(path, tmp_path / "another_name.wav")
    assert store.path({"wav": str(moved)}) == before
    write_audio(seconds=0.3)
    assert store.path(record) != before, "the recording changed"


def test_the_key_is_what_the_encoder_reads(make, encoder):
    """Text alone here: neither the audio, nor who speaks."""
    encoder.reads = ("text",)
    store = make(encoder=encoder)
    record = {"wav": "/no/such.wav", "text": "one", "speaker": "ann"}
    assert store.path(record) == store.path({"text": "one"})
    assert store.path(record) != store.path({**record, "text": "two"})


def test_what_cannot_be_stored(make, checkpoint, tmp_path, monkeypatch):
    wav = torch.zeros(400)
    with pytest.raises(UserError, match="trained"):
        make(encoder=load_encoder(checkpoint, freeze=False))
    with pytest.raises(UserError, match="float16, float32, got 'int8'"):
        make("int8")
    with pytest.raises(UserError, match="does not fit into float16"):
        make()._write(np.full((2, 1, 3), 1e6), tmp_path / "x.npy")
    recording = types.SimpleNamespace(to_dict=lambda: {"wav": "a.wav"})
    store, nan = make(), torch.full((1, 4, 2, 32), torch.nan)
    store.has = lambda record: False
    store.encoder.forward = lambda wav, all_layers: nan
    with monkeypatch.context() as patch:
        patch.setattr("speechbrain_ext.store.load_waveform", lambda _: wav)
        with pytest.raises(UserError, match="'a.wav': the encoder gives"):
            store.extract([recording], progress=False)
    with pytest.raises(UserError, match="feature_memory: expected a number"):
        FeatureMemory(-1)


@pytest.mark.parametrize("gigabytes", [0, 2e-5, 1])
def test_memory_changes_nothing(gigabytes, make, utterances):
    """What does not fit is read each time, normalised alike."""
    store = make("float32")
    normalizer = make_normalizer("speaker", 4, store.encoder.output_size)
    store.source.normalizer = normalizer
    store.extract(utterances, progress=False)
    features = StoredInput(store, FeatureMemory(gigabytes))
    records = [utterance.to_dict() for utterance in utterances]
    for record in records:
        raw = features.load(record, features.key(record))
        assert torch.equal(raw, store.load(record))
        normalizer.update(raw, torch.tensor([raw.shape[1]]), ["s"])
    features.normalize()
    for _ in range(2):
        for record in records:
            raw = store.load(record)
            found = features.load(record, features.key(record))
            length = torch.tensor([raw.shape[1]])
            assert torch.equal(found, normalizer(raw, length, ["s"]))
    kept = sum(x.numel() * 4 for x in features.memory.kept.values())
    assert kept == features.memory.size <= gigabytes * 1e9
    assert (len(features.memory.kept) == 4) == (gigabytes == 1)


def test_an_encoder_on_all_cores(make, utterances):
    encoder = load_encoder("egemaps")
    many = [
        dataclasses.replace(u, id=f"{u.id}{n}", start=0.001 * n)
        for u in utterances
        for n in range(6)
    ]
    store = make("float32", encoder=encoder)
    assert store.extract(many, progress=False) == 24
    encoder.parallel = False
    alone = make("float32", encoder=encoder, folder="alone")
    assert alone.extract(many, progress=False) == 24
    for utterance in many:
        record = utterance.to_dict()
        assert torch.equal(store.load(record), alone.load(record))


def test_half_a_file_is_never_met(make, utterances, monkeypatch):
    """Killed while writing: the rest is computed, and nothing is broken."""
    store = make()

    def half(file, feats):
        file.write(b"\x93NUMPY half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", half)
        with pytest.raises(KeyboardInterrupt):
            store.extract(utterances, progress=False)
    assert not list(store.folder.rglob("*.npy"))
    assert store.extract(utterances, progress=False) == 4


class SlowEncoder(Encoder):
    """Long enough over an utterance for others to come in between."""

    output_size = 3

    def __init__(self):
        super().__init__()
        self.freeze()

    def fingerprint(self):
        return "slow"

    def forward(self, wav, all_layers):
        time.sleep(0.1)
        return torch.full((1, 1, 2, 3), float(wav.shape[1]))


def slow_store(folder):
    parts = {"encoder": SlowEncoder(), "layers": slice(None), "limit": None}
    return FeatureStore(folder, types.SimpleNamespace(**parts), "float32")


def extract_with_others(folder, utterances, together, counts):
    store = slow_store(folder)
    together.wait(timeout=60)
    counts.put(store.extract(utterances, progress=False))


def test_several_processes_share_the_work(write_audio, tmp_path):
    utterances = make_utterances(write_audio, 12, 0.1, 0.01)
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
    store = slow_store(tmp_path / "features")
    for utterance in utterances:
        feats = store.load(utterance.to_dict())
        samples = float(round(16000 * utterance.duration))
        assert torch.equal(feats, torch.full((1, 2, 3), samples))
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert len(files) == 12


def test_a_recording_that_cannot_be_read(make, utterances):
    store = make()
    with open(utterances[2].wav, "r+b") as file:
        file.truncate(60)
    with pytest.raises(AudioError, match="2.wav"):
        store.extract(utterances, progress=False)
    store.extract(utterances[:2] + utterances[3:], progress=False)
    assert len(list(store.folder.rglob("*.npy"))) == 3
