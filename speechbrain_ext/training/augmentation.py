"""Noise, reverberation and dropped parts of training waveforms.

Jafarzadeh et al. name noise, SpecAugment and room impulse responses as later
work. All of it is SpeechBrain's (``speechbrain.augment``); here its parts are
put together so that a batch keeps its recordings and their lengths, that the
padding stays silent, and that what happens to a batch follows from the state
of the random numbers alone. SpeechBrain itself goes through the noises in an
order that has a seed of its own, on from batch to batch, which a run that is
taken up again could not.
"""

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from speechbrain.augment.augmenter import Augmenter
from speechbrain.augment.time_domain import (
    AddNoise,
    AddReverb,
    DropChunk,
    DropFreq,
    Resample,
)
from speechbrain.dataio.dataloader import make_dataloader
from speechbrain.dataio.legacy import ExtendedCSVDataset
from torch.nn import functional as F
from torch.utils.data import RandomSampler
from tqdm import tqdm

from speechbrain_ext.audio import SAMPLE_RATE, probe
from speechbrain_ext.base.errors import UserError, is_number
from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.encoders.base import length_mask
from speechbrain_ext.encoders.grid import absolute_lengths

# SpeechBrain's names of formats, which here only say that it is audio.
SUFFIXES = (".flac", ".ogg", ".wav")
# In SpecAugment's paper (Park et al. 2019) two stretches of time are masked;
# these are from 20 ms to 100 ms long.
CHUNKS = {
    "drop_length_low": 320,
    "drop_length_high": 1600,
    "drop_count_low": 1,
    "drop_count_high": 4,
}


# What a YAML may say; the folder for lists is the recipe's own affair.
OPTIONS = ("noise_folder", "rir_folder", "spec_augment", "snr", "probability")


def check_augmentation(options):
    """See that a YAML's options are those of ``make_augmenter``."""
    known = ", ".join(OPTIONS)
    if not isinstance(options, dict):
        raise UserError(
            f"augmentation: expected a mapping of {known}, such as "
            f"{{noise_folder: white}}, got '{options}'."
        )
    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise UserError(
            f"augmentation: expected options among {known}, got '{unknown[0]}'."
        )


def make_augmenter(
    noise_folder=None,
    rir_folder=None,
    spec_augment=False,
    snr=(0, 15),
    probability=1.0,
    cache_folder=None,
):
    """What changes the waveforms of training, from the options of a YAML.

    A batch is reverberated by one impulse response, gets a noise for every
    recording, and loses frequency bands (the same ones in the whole batch)
    and stretches of time, in this order and as far as asked for. Recordings
    of noise are read whole: cut what is longer than a minute beforehand.

    ``"white"`` is white noise (a folder of that name is ``./white``); folders
    are searched at whatever depth. ``snr`` is the range of the ratio of speech
    to noise (dB), ``probability`` that of a batch being changed at all.
    ``cache_folder`` gets the lists of recordings (``noise.csv``,
    ``rirs.csv``). Gives None if everything is off.
    """
    _check(noise_folder, rir_folder, spec_augment, snr, probability)
    parts = []
    if rir_folder is not None:
        rate, longest = _list_recordings("rir_folder", rir_folder, cache_folder)
        parts.append(
            _Reverb(
                str(Path(cache_folder) / _LISTS["rir_folder"]),
                tail=math.ceil(longest * SAMPLE_RATE),
                reverb_sample_rate=rate,
                clean_sample_rate=SAMPLE_RATE,
            )
        )
    if noise_folder is not None:
        options = {"snr_low": snr[0], "snr_high": snr[1]}
        if noise_folder != "white":
            rate, _ = _list_recordings(
                "noise_folder", noise_folder, cache_folder
            )
            options["csv_file"] = str(
                Path(cache_folder) / _LISTS["noise_folder"]
            )
            options["noise_sample_rate"] = rate
            options["clean_sample_rate"] = SAMPLE_RATE
        parts.append(_Noise(**options))
    if spec_augment:
        parts += [DropFreq(), DropChunk(**CHUNKS)]
    if not parts or probability == 0:
        return None
    return Augmentation(parts, probability)


class Augmentation(Augmenter):
    """SpeechBrain's augmenter, one part after the other on a whole batch."""

    def __init__(self, parts, probability):
        super().__init__(
            augmentations=parts,
            min_augmentations=len(parts),
            max_augmentations=len(parts),
            augment_prob=probability,
        )

    @torch.no_grad()
    def forward(self, x, lengths):
        """Change a batch."""
        samples = absolute_lengths(lengths, x.shape[1])
        valid = length_mask(samples, x.shape[1])
        changed, _ = super().forward(x.masked_fill(~valid, 0.0), lengths)
        return changed.masked_fill(~valid, 0.0), lengths


class _Noise(AddNoise):
    """Noises in an order that torch draws anew for every batch."""

    def __init__(self, **options):
        super().__init__(noise_funct=self._white, pad_noise=True, **options)
        self.noises = _dataset(self.csv_file) if self.csv_file else None
        if self.noise_sample_rate != self.clean_sample_rate:
            self.resampler = Resample(
                self.noise_sample_rate, self.clean_sample_rate
            )

    def forward(self, waveforms, lengths):
        samples = absolute_lengths(lengths, waveforms.shape[1])
        self.valid = length_mask(samples, waveforms.shape[1])
        if self.noises is not None:
            self.data_loader = _draw(self.noises, len(waveforms))
            self.noise_data = iter(self.data_loader)
        return super().forward(waveforms, lengths)

    def _white(self, waveforms):
        # Noise in the padding would count as noise in the recording.
        return torch.randn_like(waveforms) * self.valid


class _Reverb(AddReverb):
    """An impulse response that torch draws anew for every batch."""

    def __init__(self, csv_file, tail, **options):
        super().__init__(csv_file, **options)
        self.tail = tail
        self.responses = _dataset(csv_file)

    def forward(self, waveforms):
        self.data_loader = _draw(self.responses, 1)
        self.rir_data = iter(self.data_loader)
        padded = F.pad(waveforms, (0, self.tail))
        return super().forward(padded)[:, : waveforms.shape[1]]


def _dataset(csv_file):
    return ExtendedCSVDataset(csv_file, output_keys=["wav"])


def _draw(dataset, batch_size):
    return make_dataloader(
        dataset, batch_size=batch_size, sampler=RandomSampler(dataset)
    )


_LISTS = {"noise_folder": "noise.csv", "rir_folder": "rirs.csv"}


def _list_recordings(option, folder, cache_folder):
    """Write SpeechBrain's list of a folder; sample rate, longest in s."""
    if cache_folder is None:
        raise UserError(
            f"cache_folder: the recordings of {option} are listed in a file; "
            "give the folder for it, such as the run's output folder."
        )
    folder = Path(folder).expanduser().absolute()
    paths = _find(option, folder)
    rates, rows = {}, []
    for path in tqdm(paths, f"Reading headers, {option}", leave=False):
        info = probe(path)
        if info.channels != 1:
            raise UserError(
                f"{option}: expected recordings of one channel, got '{path}' "
                f"of {info.channels} channels."
            )
        rates.setdefault(info.sample_rate, path)
        name, kind = path.relative_to(folder), path.suffix[1:].lower()
        rows.append([name, info.frames / info.sample_rate, path, kind, ""])
    if len(rates) > 1:
        (one, first), (other, second) = list(rates.items())[:2]
        raise UserError(
            f"{option}: '{first}' has {one} Hz but '{second}' has {other} Hz; "
            "convert all recordings of the folder to one sample rate."
        )
    with atomic_open(Path(cache_folder) / _LISTS[option], newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "duration", "wav", "wav_format", "wav_opts"])
        writer.writerows(rows)
    return next(iter(rates)), max(row[1] for row in rows)


def _find(option, folder):
    if not folder.is_dir():
        raise UserError(
            f"{option}: the folder '{folder}' does not exist; check the path, "
            "or give null for none."
        )
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise UserError(
            f"{option}: the folder '{folder}' holds no audio "
            f"({', '.join(SUFFIXES)}); check the path, or give null for none."
        )
    for path in paths:
        if "$" in str(path):
            raise UserError(
                f"{option}: '{path}' has a dollar sign in its path, which "
                "SpeechBrain takes for a variable; rename it."
            )
    return paths


def _check(noise_folder, rir_folder, spec_augment, snr, probability):
    folders = {"noise_folder": noise_folder, "rir_folder": rir_folder}
    for option, folder in folders.items():
        if not isinstance(folder, (str, os.PathLike, type(None))):
            raise UserError(
                f"{option}: expected the path of a folder, or null for none, "
                f"got {folder}."
            )
    if not isinstance(spec_augment, bool):
        raise UserError(
            f"spec_augment: expected True or False, got {spec_augment}."
        )
    is_range = (
        isinstance(snr, Sequence)
        and len(snr) == 2
        and all(map(is_number, snr))
        and snr[0] <= snr[1]
    )
    if not is_range:
        raise UserError(
            "snr: expected the least and the greatest ratio of speech to noise "
            f"in dB, such as [0, 15], got {snr}."
        )
    if not is_number(probability) or not 0 <= probability <= 1:
        raise UserError(
            f"probability: expected a number from 0 to 1, got {probability}."
        )
