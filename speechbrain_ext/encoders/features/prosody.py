"""How something is said: pitch, liveliness and loudness over time.

These hardly depend on the words and little on the voice, so that a small
network can learn from a few voices what holds for others.
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchaudio.functional import melscale_fbanks

from speechbrain_ext.encoders.base import (
    Encoder,
    full_precision,
    length_mask,
    masked_moments,
)
from speechbrain_ext.encoders.features.spectra import log_mel, power_spectrum
from speechbrain_ext.encoders.grid import FrameGrid

SAMPLE_RATE = Encoder.sample_rate
HOP, WINDOW, N_FFT, N_MELS = 320, 800, 1024, 64
# Frames (of 20 ms) over which statistics are taken: a word, a phrase, a clause.
SPANS = (13, 37, 75)
# Lags in samples: pitch from 67 Hz to 533 Hz.
SHORTEST, LONGEST = 30, 240
# Octaves are counted from this pitch (Hz), for small numbers are exact.
MIDDLE = 180.0
# Bins of the spectrum up to 3 kHz for pitch, and up to 1 kHz for loudness.
PITCH_BINS, ENERGY_BINS = 192, 64
# The spectrum is compressed by a root, as in Tolonen and Karjalainen ("A
# computationally efficient multipitch analysis model", 2000), or a strong
# formant would be taken for the pitch.
ROOT = 0.35
# How sharply the best lag is chosen. A maximum would jump between lags for
# the least rounding error.
SHARPNESS = 40.0
# What an octave more must bring, or half the pitch would do as well.
OCTAVE_COST = 0.02
# Energy that is nothing.
FLOOR = 1e-10
PER_SPAN = 10
CHANNELS = 2 * PER_SPAN * len(SPANS)
# Frames of 20 ms that make one of the output, 80 ms: emotions last longer.
GROUP = 4


class ProsodyStatistics(Encoder):
    """Local statistics of pitch, spectrum and loudness; nothing is trained.

    What is measured in steps of 20 ms is averaged to frames of 80 ms:
    ``ceil(samples / 1280)``. ``output_norm`` is that of ``load_encoder``.

    Example
    -------
    >>> encoder = ProsodyStatistics()
    >>> encoder(torch.randn(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 13, 60])
    """

    output_size = CHANNELS

    def __init__(self, output_norm=False):
        super().__init__(output_norm)
        filters = melscale_fbanks(
            N_FFT // 2 + 1, 40.0, 7600.0, N_MELS, SAMPLE_RATE
        )
        lags = torch.arange(SHORTEST, LONGEST + 1, dtype=torch.float64)
        octaves = torch.log2(SAMPLE_RATE / lags / MIDDLE).float()
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("octaves", octaves[:, None], persistent=False)
        window = torch.hann_window(WINDOW)
        self.register_buffer("window", window, persistent=False)
        # A group begins half a hop before the centre of its first frame.
        self.grid = FrameGrid([(1, HOP, 0), (1, GROUP, 0)], first=-HOP // 2)
        self.freeze()

    def encode(self, wav, lengths, all_layers):
        frames = (lengths + HOP - 1) // HOP
        return _group(self.measure(wav, frames), frames).transpose(1, 2)

    def measure(self, wav, frames):
        """``[batch, channels, frames of 20 ms]``, zero beyond ``frames``."""
        with torch.autocast(wav.device.type, enabled=False):
            count = (wav.shape[1] + HOP - 1) // HOP
            valid = length_mask(frames, count)[:, None]
            power = power_spectrum(
                full_precision(wav), self.window, N_FFT, HOP, count
            )
            # A frame beyond the end still sees the end.
            power = power.masked_fill(~valid, 0.0)
            x = self._statistics(power, valid)
            mean, _ = masked_moments(x, valid, (2,))
            x = torch.cat([x, 2.0 * (x - mean)], dim=1)
            return x.masked_fill(~valid, 0.0)

    def describe(self):
        return {
            "hop": HOP,
            "window": WINDOW,
            "n_fft": N_FFT,
            "filters": self.filters.double().sum(0).tolist(),
            "spans": SPANS,
            "lags": [SHORTEST, LONGEST],
            "bins": [PITCH_BINS, ENERGY_BINS],
            "pitch": [ROOT, SHARPNESS, OCTAVE_COST, FLOOR],
            "group": GROUP,
        }

    def _statistics(self, power, valid):
        """``[batch, PER_SPAN * spans, frames]``."""
        octaves, periodicity = self._pitch(power)
        energy = _sum(power[:, :ENERGY_BINS]).clamp(min=FLOOR).log10()
        energy = energy - _maximum(energy, valid)
        voiced = (
            torch.sigmoid(20 * (periodicity - _maximum(periodicity, valid) / 2))
            * torch.sigmoid(4 * (energy + 3))
            + 1e-4
        ) * valid
        octaves = octaves - _sum(octaves * voiced, 2) / _sum(voiced, 2)
        both_voiced = voiced.clone()
        both_voiced[:, :, 1:] *= voiced[:, :, :-1]
        both_voiced = both_voiced + 1e-4 * valid
        # A jump of more than this is a mistake in the octave.
        glide = _change(octaves).clamp(max=0.3)
        mel = log_mel(power, self.filters)
        low, high = (
            part.mean(1, keepdim=True) for part in (mel[:, :20], mel[:, 30:])
        )
        every = valid.to(mel.dtype)
        channels = []
        for span in SPANS:

            def mean(x, weight=every):
                return _local_mean(x, weight, span)

            def spread(x, average, weight=every):
                square = mean(x.square(), weight)
                return (square - average.square()).clamp(min=1e-3).sqrt()

            pitch, level = mean(octaves, voiced), mean(energy)
            # Factors and offsets bring all to about zero mean and spread one.
            channels += [
                4 * pitch,
                (spread(octaves, pitch, voiced) + 0.02).log() + 2,
                (mean(glide, both_voiced) + 0.02).log() + 3,
                4 * mean(_change(mel).mean(1, keepdim=True)) - 3,
                4 * mean(_change(energy)) - 1.2,
                8 * mean(_change(periodicity)) - 0.5,
                level + 1,
                spread(energy, level) - 1,
                2 * mean(voiced) - 1,
                mean(low - high) - 1,
            ]
        return torch.cat(channels, dim=1)

    def _pitch(self, power):
        """Octaves over ``MIDDLE``, and periodicity: ``[batch, 1, frames]``."""
        spectrum = (power[:, :PITCH_BINS] + FLOOR) ** ROOT
        spectrum = F.pad(spectrum, (0, 0, 0, power.shape[1] - PITCH_BINS))
        correlation = torch.fft.irfft(spectrum, N_FFT, dim=1)
        lags = correlation[:, SHORTEST : LONGEST + 1] / correlation[:, :1]
        score = lags + OCTAVE_COST * self.octaves
        weight = torch.softmax(SHARPNESS * score, dim=1)
        return _sum(weight * self.octaves), _sum(weight * lags)


def _sum(x, dim=1):
    return x.sum(dim, keepdim=True)


def _maximum(x, valid):
    return x.masked_fill(~valid, -torch.inf).amax(2, keepdim=True)


def _change(x):
    """Absolute difference from the frame before; none for the first."""
    return F.pad(x.diff().abs(), (1, 0))


def _local_mean(x, weight, span):
    """Weighted mean over ``span`` frames, fewer at the ends."""
    total = partial(F.avg_pool1d, kernel_size=span, stride=1, padding=span // 2)
    # Beyond the end weights are zero, and so is everything that counts.
    return total(x * weight) / total(weight).clamp(min=1e-9)


def _group(x, frames):
    """Means of groups of frames, the last one's of those that are there."""
    valid = length_mask(frames, x.shape[2])[:, None].to(x.dtype)
    # What is left over makes a group, too; frames of padding are zero.
    total, share = (
        F.avg_pool1d(F.pad(each, (0, -each.shape[2] % GROUP)), GROUP)
        for each in (x, valid)
    )
    return total / share.clamp(min=1 / GROUP)


class ProsodyNetwork:
    """A convolution and a GRU, which are trained, as parts of a module."""

    def build(self, channels, hidden, dropout, offset):
        self.offset = offset
        self.convolution = nn.Conv1d(CHANNELS, channels, 5, padding=2)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(
            channels, hidden, batch_first=True, bidirectional=True
        )
        self.output_layer_norm = nn.LayerNorm(2 * hidden)

    def run(self, x, lengths):
        """Padded ``[batch, frames, channels]`` -> the same."""
        valid = length_mask(lengths, x.shape[1])[:, :, None]
        if self.training and self.offset:
            x = x + self.offset * torch.randn_like(x[:, :1])
        # The convolution sees zeros beyond the end, as if alone.
        x = self.convolution(x.masked_fill(~valid, 0.0).transpose(1, 2))
        packed = pack_padded_sequence(
            self.dropout(F.gelu(self.norm(x.transpose(1, 2)))),
            lengths.cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        output, _ = pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=valid.shape[1]
        )
        return self.dropout(self.output_layer_norm(output))


class ProsodyEncoder(Encoder, ProsodyNetwork):
    """Statistics, convolution and GRU in one: what older run folders name."""

    def __init__(
        self,
        channels=64,
        hidden=64,
        dropout=0.3,
        offset=0.25,
        output_norm=False,
    ):
        super().__init__(output_norm)
        self.prosody = ProsodyStatistics()
        self.grid = self.prosody.grid
        self.output_size = 2 * hidden
        self.build(channels, hidden, dropout, offset)

    def encode(self, wav, lengths, all_layers):
        # Not its forward, which lets no gradient through.
        x = self.prosody.encode(wav, lengths, False)
        return self.run(x, self.grid.num_frames(lengths))

    def describe(self):
        return self.prosody.describe()
