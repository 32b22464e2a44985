"""What a frozen encoder makes of utterances, computed once and kept.

An utterance is a file of its own, written whole or not at all, under a name
that follows from the encoder and from what it reads: any number of processes
may read and write, an interrupted extraction continues, a corpus may move, and
a changed encoder, recording or text never meets an old file.
"""

import copy
import functools
import hashlib
import os
import random
import reprlib
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.distributed import infer_device, run_on_main
from tqdm import tqdm

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import DAY, atomic_path, fingerprint, sweep
from speechbrain_ext.base.values import check_value
from speechbrain_ext.data import LIVE, load_waveform
from speechbrain_ext.encoders.base import ConvolvedFeatures
from speechbrain_ext.models.inputs import LAYERS, Input

# Utterances that a process takes at a time.
_SHARE = 16
# Utterances that are encoded together, by an encoder that can.
_BATCH = 32


class FeatureStore:
    """Files with the hidden states that an input takes of utterances.

    Arguments
    ---------
    folder : str or os.PathLike
        Where the files go; runs with the same data can share it.
    source : speechbrain_ext.models.inputs.Input
        Its encoder is frozen; its ``layers`` are stored.
    dtype : str
        ``"float16"`` or ``"float32"``, as stored and read.

    Raises
    ------
    UserError
        When the encoder is trained, or there is no such ``dtype``.

    Example
    -------
    >>> from speechbrain.dataio import audio_io
    >>> from speechbrain_ext.encoders.features.spectra import SpectrogramEncoder
    >>> from speechbrain_ext.models.inputs import Input
    >>> from speechbrain_ext.utterance import Utterance
    >>> folder = getfixture("tmp_path")
    >>> path = str(folder / "a.wav")
    >>> audio_io.save(path, torch.rand(1, 16000), 16000)
    >>> store = FeatureStore(folder / "features", Input(SpectrogramEncoder()))
    >>> data = [Utterance("a", 1.0, "s", "sad", "demo", wav=path)]
    >>> store.extract(data, progress=False)
    1
    >>> store.extract(data, progress=False)
    0
    >>> store.load(data[0].to_dict()).shape
    torch.Size([1, 98, 201])
    """

    def __init__(self, folder, source, dtype="float16"):
        check_value("feature_dtype", dtype)
        if not source.encoder.frozen:
            raise UserError(
                "feature_folder: the features of an encoder that is trained "
                "cannot be stored; freeze it, or set feature_folder to null."
            )
        self.source = source
        self.encoder = source.encoder
        self.dtype = dtype
        self.folder = Path(folder) / f"{self.encoder.fingerprint()}-{dtype}"
        self.taken = source.layers

    def path(self, record, layers=None):
        """File of a record's features."""
        layers = layers or self.taken
        read = [read_by(what, record) for what in self.encoder.reads]
        name = fingerprint(read, [layers.start, layers.stop])
        return self.folder / name[:2] / f"{name}.npy"

    def _find(self, record):
        """The file with a record's layers, and where they are in it."""
        alone, among = self.path(record), self.path(record, LAYERS["all"])
        if not alone.exists() and among.exists():
            return among, self.taken
        return alone, slice(None)

    def has(self, record):
        """Whether the features of a record are stored."""
        return self._find(record)[0].exists()

    def extract(self, utterances, device="cpu", progress=True):
        """Compute and store what is not there yet.

        Every process has an order of its own and looks again before each
        utterance, so that several that begin together share the work. What is
        stored does not depend on the order. An encoder that says that it is
        ``parallel`` runs on all cores.

        Arguments
        ---------
        utterances : list of Utterance
            Any number of them.
        device : str or torch.device
            Where the encoder runs.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        int
            How many this call computed.

        Raises
        ------
        UserError
            When a recording cannot be read, the disk is full, or values do
            not fit into float16.
        """
        sweep([self.folder, *self.folder.glob("*")], DAY)
        records = (utterance.to_dict() for utterance in utterances)
        todo = [record for record in records if not self.has(record)]
        if not todo:
            return 0
        random.Random(os.getpid()).shuffle(todo)
        self.encoder.to(device).eval()
        if self.encoder.parallel and len(todo) > _SHARE:
            from joblib import Parallel, delayed

            cores = Parallel(-1, return_as="generator", batch_size=_SHARE)
            done = cores(delayed(self._extract)(each, "cpu") for each in todo)
        elif hasattr(self.encoder, "encode_batch"):
            done = self._extract_batches(todo, device)
        else:
            done = (self._extract(each, device) for each in todo)
        options = {"unit": "utt", "disable": not progress}
        return sum(tqdm(done, "Features", len(todo), **options))

    @torch.no_grad()
    def _extract_batches(self, todo, device):
        """What ``_extract`` gives of each, in batches of similar length."""
        (what,) = self.encoder.reads
        todo.sort(key=lambda record: len(record.get(what) or ""))
        batches = [todo[n : n + _BATCH] for n in range(0, len(todo), _BATCH)]
        random.Random(os.getpid()).shuffle(batches)
        for batch in batches:
            new = {self.path(x): x for x in batch if not self.has(x)}.values()
            given = [_given(what, record, device) for record in new]
            states = self.encoder.encode_batch(given) if given else []
            for record, hidden in zip(new, states):
                self._keep(hidden, record)
            yield from [1] * len(new) + [0] * (len(batch) - len(new))

    @torch.no_grad()
    def _extract(self, record, device):
        """1 if the features had to be computed, 0 otherwise."""
        if self.has(record):
            return 0
        given = [_given(what, record, device) for what in self.encoder.reads]
        self._keep(self.encoder.encode_alone(*given), record)
        return 1

    def _keep(self, hidden, record):
        hidden = hidden[self.taken]
        check_finite(hidden, name_of(record))
        self._write(hidden.cpu().numpy(), self.path(record))

    def _write(self, feats, path):
        highest = np.abs(feats).max()
        if highest > np.finfo(self.dtype).max:
            raise UserError(
                f"feature_dtype: a value of {highest:.3g} does not fit into "
                "float16; choose float32."
            )
        with atomic_path(path) as part, open(part, "wb") as file:
            np.save(file, feats.astype(self.dtype))

    def load(self, record, part=None):
        """Features of a record [layers, frames, channels], of the store's
        dtype; frames up to the ``max_length`` of the input, or the ``part``, a
        slice, which is a function of their number."""
        path, taken = self._find(record)
        try:
            # A pipe would never end.
            if not path.is_file():
                raise ValueError("it is no file")
            # Without a pickle, and of no size that only a header names.
            every = np.load(path, mmap_mode="r", allow_pickle=False)
            layers = len(range(self.encoder.num_layers)[self.taken])
            shape = every[taken].shape
            if (every.dtype, every.ndim, shape[0], shape[-1]) != (
                *(self.dtype, 3, layers, self.encoder.output_size),
            ):
                raise ValueError(f"{every.dtype} of shape {every.shape}")
            frames = slice(self.source.limit)
            if part is not None:
                frames = part(len(range(every.shape[1])[frames]))
            feats = torch.from_numpy(every[taken, frames].copy())
            if not _is_finite(feats):
                raise ValueError("values that are no numbers")
        except (
            EOFError,
            IndexError,
            OSError,
            OverflowError,
            TypeError,
            ValueError,
        ) as error:
            raise UserError(
                f"'{path}' holds no features ({error}); delete it, and start "
                "the run again: it computes them anew."
            ) from None
        return feats


class StoredInput:
    """The stored features of an input, normalised once and kept in memory."""

    def __init__(self, store, memory):
        self.store = store
        self.memory = memory
        self.normalizer = None
        # From these the encoder goes on.
        self.convolved = isinstance(store.encoder, ConvolvedFeatures)

    def normalize(self):
        """Give normalised features from now on."""
        # On the CPU, where worker processes of a data loader can use it.
        self.normalizer = copy.deepcopy(self.store.source.normalizer)
        if self.normalizer is not None:
            self.normalizer.cpu()
        self.memory.clear()

    def load(self, record, key, part=None):
        """As ``FeatureStore.load``, normalised if ``normalize`` was called.

        ``key`` is what ``key`` gives of the record.
        """
        if key in self.memory.kept:
            feats = self.memory.kept[key]
            return feats if part is None else feats[:, part(feats.shape[1])]
        whole = part is None or not self.memory.is_full
        feats = self.store.load(record, None if whole else part)
        if self.normalizer is not None:
            length = torch.tensor([feats.shape[1]])
            feats = self.normalizer(
                feats.float(), length, [record["speaker"]]
            ).to(feats)
        if whole:
            self.memory.keep(key, feats)
            return feats if part is None else feats[:, part(feats.shape[1])]
        return feats

    def key(self, record):
        """What tells features in memory apart; it takes a look at the file."""
        return str(self.store.path(record))


class FeatureMemory:
    """Features in memory, up to a bound; what is beyond is read from files."""

    def __init__(self, gigabytes):
        check_value("feature_memory", gigabytes)
        self.bound = gigabytes * 1e9
        self.clear()

    def clear(self):
        """Forget all features."""
        self.kept = {}
        self.size = 0
        self.is_full = False

    def keep(self, key, feats):
        """Keep the features if there is room."""
        size = feats.numel() * feats.element_size()
        self.is_full = self.size + size > self.bound
        if not self.is_full:
            self.kept[key] = feats
            self.size += size


def _is_finite(hidden):
    # A sum takes a tenth of the time, and may overflow.
    total = hidden.sum(dtype=torch.float32)
    return bool(torch.isfinite(total) or torch.isfinite(hidden).all())


def check_finite(hidden, name):
    """Raise a ``UserError`` unless all that an encoder gives are numbers."""
    if not _is_finite(hidden):
        raise UserError(
            f"'{name}': the encoder gives values that are no numbers; check "
            "that recording, or choose another encoder."
        )


def store_inputs(hparams, splits, run_opts):
    """The inputs of a recipe as stored features, computed where need be.

    Arguments
    ---------
    hparams : dict
        ``inputs``, ``feature_dtype`` and ``feature_memory``; and either
        ``feature_folder``, for what frozen encoders give (those that are
        trained are run each time), or ``cnn_folder``, for what the frozen
        convolutions of trained ones give. ``None``: nothing is stored.
    splits : dict
        From the name of a split to its utterances.
    run_opts : dict
        SpeechBrain's: ``device`` and ``noprogressbar`` count.

    Returns
    -------
    dict
        From the name of an input to ``StoredInput``; empty if nothing is
        stored.
    """
    convolved = "cnn_folder" in hparams
    folder = hparams["cnn_folder" if convolved else "feature_folder"]
    if folder is None:
        for name, source in hparams["inputs"].items():
            if not set(source.encoder.reads) <= LIVE.keys():
                raise UserError(
                    f"feature_folder: the input '{name}' is made once and "
                    "stored; give a folder in place of null."
                )
        return {}
    memory = FeatureMemory(hparams["feature_memory"])
    utterances = [u for split in splits.values() for u in split]
    device = run_opts.get("device") or infer_device()
    progress = not run_opts.get("noprogressbar")
    stored = {}
    for name, source in hparams["inputs"].items():
        if convolved:
            source = Input(ConvolvedFeatures(source.encoder))
        elif not source.encoder.frozen:
            # It runs in training.
            continue
        store = FeatureStore(folder, source, hparams["feature_dtype"])
        # In one process of a run.
        run_on_main(store.extract, [utterances, device, progress])
        stored[name] = StoredInput(store, memory)
    return stored


def name_of(record):
    """What an error names of a record."""
    pieces = record.get("pieces") or [{}]
    text = reprlib.repr(record.get("text"))
    return record.get("wav") or pieces[0].get("wav") or text


def _given(what, record, device):
    """The part of a record that an encoder reads, as it takes it."""
    if what != "audio":
        return record.get(what)
    return load_waveform(record).to(device)


def read_by(what, record):
    """The part of a record that an encoder reads, for the name of a file."""
    if what != "audio":
        return record.get(what)
    described = []
    for piece in record.get("pieces", [record]):
        path = os.path.abspath(piece["wav"])
        status = os.stat(path)
        content = _digest(path, status.st_size, status.st_mtime_ns)
        keys = ("start", "stop", "gain", "crossfade")
        described.append([content, [piece.get(key) for key in keys]])
    return described


@functools.cache
def _digest(path, size, changed):
    """Digest of a file, wherever it lies."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]
