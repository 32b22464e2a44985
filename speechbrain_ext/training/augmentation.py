"""Noise, reverberation and dropped parts of training waveforms.

SpeechBrain's parts (``speechbrain.augment``), so put together that the padding
stays silent and that a batch follows from the state of the random numbers:
SpeechBrain goes through noises in an order that a run taken up again loses.
"""

import math
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
from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.files import write_csv
from speechbrain_ext.base.values import check_value
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


_LISTS = {"noise_folder": "noise.csv", "rir_folder": "rirs.csv"}


def make_augmenter(
    noise_folder=None,
    rir_folder=None,
    spec_augment=False,
    snr=(0, 15),
    probability=1.0,
    cache_folder=None,
):
    """What changes the waveforms of training; None if everything is off.

    A batch is reverberated by one impulse response, gets a noise for every
    recording (``"white"`` or of a folder, whole: cut what is longer than a
    minute), and loses frequency bands and stretches of time. ``cache_folder``
    gets the lists of recordings.
    """
    check_value("augmentation.noise_folder", noise_folder)
    check_value("augmentation.rir_folder", rir_folder)
    check_value("augmentation.spec_augment", spec_augment)
    check_value("augmentation.snr", snr)
    check_value("augmentation.probability", probability)
    parts = []
    if rir_folder is not None:
        listed = _recordings("rir_folder", rir_folder, cache_folder)
        parts.append(_Reverb(*listed))
    if noise_folder is not None:
        options = {"snr_low": snr[0], "snr_high": snr[1]}
        if noise_folder != "white":
            listed = _recordings("noise_folder", noise_folder, cache_folder)
            options["csv_file"], options["noise_sample_rate"], _ = listed
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
        super().__init__(
            noise_funct=self._white,
            pad_noise=True,
            clean_sample_rate=SAMPLE_RATE,
            **options,
        )
        self.noises = None
        if self.csv_file:
            self.noises = ExtendedCSVDataset(self.csv_file, output_keys=["wav"])
        if self.noise_sample_rate != SAMPLE_RATE:
            self.resampler = Resample(self.noise_sample_rate, SAMPLE_RATE)

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

    def __init__(self, csv_file, rate, longest):
        rates = {"reverb_sample_rate": rate, "clean_sample_rate": SAMPLE_RATE}
        super().__init__(csv_file, **rates)
        self.tail = math.ceil(longest * SAMPLE_RATE)
        self.responses = ExtendedCSVDataset(csv_file, output_keys=["wav"])

    def forward(self, waveforms):
        self.data_loader = _draw(self.responses, 1)
        self.rir_data = iter(self.data_loader)
        padded = F.pad(waveforms, (0, self.tail))
        return super().forward(padded)[:, : waveforms.shape[1]]


def _draw(dataset, size):
    sampler = RandomSampler(dataset)
    return make_dataloader(dataset, batch_size=size, sampler=sampler)


def _recordings(option, folder, cache_folder):
    """SpeechBrain's list of a folder; their sample rate, the longest in s."""
    if cache_folder is None:
        what = f"a folder for the list of {option}, such as output_folder"
        raise expected("cache_folder", what, None)
    folder = Path(folder).expanduser().absolute()
    found = sorted(folder.rglob("[!.]*"))
    paths = [path for path in found if path.suffix.lower() in SUFFIXES]
    if not paths:
        kinds = f"holds no audio ({', '.join(SUFFIXES)})"
        reason = kinds if folder.is_dir() else "does not exist"
        raise UserError(
            f"{option}: the folder '{folder}' {reason}; check the path, or "
            "give null for none."
        )
    rates, rows = {}, []
    for path in tqdm(paths, f"Reading headers, {option}", leave=False):
        if "$" in str(path):
            what = "a path without $, which SpeechBrain takes for a variable"
            raise expected(option, what, str(path), "rename it")
        info = probe(path)
        if info.channels != 1:
            where = f"{option}, '{path}'"
            raise expected(where, "one channel", info.channels, "mix it down")
        rates.setdefault(info.sample_rate, path)
        name, kind = path.relative_to(folder), path.suffix[1:].lower()
        rows.append([name, info.frames / info.sample_rate, path, kind, ""])
    if len(rates) > 1:
        (one, first), (other, second) = list(rates.items())[:2]
        raise UserError(
            f"{option}: '{first}' has {one} Hz but '{second}' has {other} Hz; "
            "convert all recordings of the folder to one sample rate."
        )
    listed = Path(cache_folder) / _LISTS[option]
    header = ["ID", "duration", "wav", "wav_format", "wav_opts"]
    write_csv(listed, header, rows)
    return str(listed), *rates, max(row[1] for row in rows)
