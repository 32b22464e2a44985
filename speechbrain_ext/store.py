"""What a frozen encoder makes of utterances, computed once and kept.

SpeechBrain's ``CachedHDF5DynamicItem`` has one file that a single process may
write, that a killed process can leave damaged, and that knows nothing of the
encoder it was made with. Here an utterance is a file of its own, written whole
or not at all, under a name that follows from the encoder and the audio: any
number of processes may read and write, an interrupted extraction continues,
and a changed encoder or recording never meets an old file.
"""

import os
import random
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.distributed import infer_device, run_on_main
from tqdm import tqdm

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_path, fingerprint
from speechbrain_ext.data import load_waveform

_AUDIO_KEYS = ("wav", "start", "stop", "pieces")


class FeatureStore:
    """Files with all hidden states of utterances.

    Arguments
    ---------
    folder : str or os.PathLike
        Where the files go; runs with the same data can share it.
    encoder : speechbrain_ext.encoders.base.Encoder
        A frozen encoder.
    dtype : str
        ``"float16"`` or ``"float32"``, as stored and read.

    Example
    -------
    >>> from speechbrain.dataio import audio_io
    >>> from speechbrain_ext.encoders.prosody import ProsodyEncoder
    >>> from speechbrain_ext.utterance import Utterance
    >>> folder = getfixture("tmp_path")
    >>> path = str(folder / "a.wav")
    >>> audio_io.save(path, torch.rand(1, 16000), 16000)
    >>> encoder = ProsodyEncoder()
    >>> encoder.freeze()
    >>> store = FeatureStore(folder / "features", encoder)
    >>> data = [Utterance("a", 1.0, "s", "sad", "demo", wav=path)]
    >>> store.extract(data, progress=False)
    1
    >>> store.extract(data, progress=False)
    0
    >>> store.load(data[0].to_dict()).shape[:2]
    torch.Size([13, 1])
    """

    def __init__(self, folder, encoder, dtype="float16"):
        if dtype not in ("float16", "float32"):
            raise UserError(
                f"feature_dtype: '{dtype}' is none; choose float16 or float32."
            )
        if not encoder.frozen:
            raise UserError(
                "feature_folder: the features of an encoder that is trained "
                "cannot be stored; freeze it, or set feature_folder to null."
            )
        self.encoder = encoder
        self.dtype = dtype
        self.folder = Path(folder) / f"{encoder.fingerprint()}-{dtype}"

    def path(self, record):
        """File of a record's features.

        Arguments
        ---------
        record : dict
            As ``load_waveform`` takes it.

        Returns
        -------
        pathlib.Path
        """
        audio = {key: record[key] for key in _AUDIO_KEYS if key in record}
        pieces = record.get("pieces", [record])
        states = [os.stat(wav) for wav in sorted({p["wav"] for p in pieces})]
        name = fingerprint(audio, [[s.st_size, s.st_mtime_ns] for s in states])
        return self.folder / name[:2] / f"{name}.npy"

    def extract(self, utterances, device="cpu", progress=True):
        """Compute and store what is not there yet.

        Every process has an order of its own and looks again before each
        utterance, so that several that begin together share the work. What is
        stored does not depend on the order.

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
        records = [utterance.to_dict() for utterance in utterances]
        todo = [
            (record, path)
            for record, path in ((r, self.path(r)) for r in records)
            if not path.exists()
        ]
        if not todo:
            return 0
        random.Random(os.getpid()).shuffle(todo)
        encoder = self.encoder.to(device).eval()
        count = 0
        bar = tqdm(todo, desc="Features", unit="utt", disable=not progress)
        with torch.no_grad():
            for record, path in bar:
                if path.exists():
                    continue
                wav = load_waveform(record)[None].to(device)
                feats = encoder(wav, all_layers=True)[0].transpose(0, 1)
                self._write(feats.cpu().numpy(), path)
                count += 1
        return count

    def _write(self, feats, path):
        limit = np.finfo(self.dtype).max
        if np.abs(feats).max() > limit:
            raise UserError(
                f"feature_dtype: a value of {np.abs(feats).max():.3g} does not "
                "fit into float16; choose float32."
            )
        with atomic_path(path) as part, open(part, "wb") as file:
            np.save(file, feats.astype(self.dtype))

    def load(self, record, layers=slice(None), limit=None):
        """Features of a record.

        Arguments
        ---------
        record : dict
            As ``load_waveform`` takes it.
        layers : slice
            Those to read.
        limit : int, optional
            Frames to read at the most.

        Returns
        -------
        torch.Tensor
            [frames, layers, channels], of the store's dtype.
        """
        feats = np.load(self.path(record), mmap_mode="r")[:limit, layers]
        return torch.from_numpy(feats.copy())

    def extract_all(self, splits, run_opts):
        """Compute and store what is not there yet, in one process of a run.

        Arguments
        ---------
        splits : dict
            From the name of a split to its utterances.
        run_opts : dict
            SpeechBrain's: ``device`` and ``noprogressbar`` count.
        """
        utterances = [u for split in splits.values() for u in split]
        device = run_opts.get("device") or infer_device()
        progress = not run_opts.get("noprogressbar")
        run_on_main(self.extract, [utterances, device, progress])
