"""Spectra of waveforms of any length: Whisper's, linear ones, mel spectra."""

import torch
import torchaudio
from scipy import signal
from torch.nn import functional as F

from speechbrain_ext.encoders.base import Encoder, full_precision
from speechbrain_ext.encoders.grid import FrameGrid

WINDOW = 400
HOP = 160
BANDS = 80
# Cuts off hum and what offset a microphone has.
HIGH_PASS = signal.butter(5, 30, "highpass", fs=16000, output="sos")


def power_spectrum(wav, window, n_fft, hop, num_frames, end=None):
    """Power spectra of frames centred at the samples 0, hop, 2 hop, ..."""
    half = n_fft // 2
    # Mirroring takes more samples than it makes.
    needed = max((num_frames - 1) * hop + half, half + 1)
    length = needed if end is None else min(needed, end)
    wav = F.pad(wav, (0, max(length - wav.shape[1], 0)))[:, :length]
    wav = F.pad(wav[:, None], (half, needed - length), mode="reflect")[:, 0]
    return _stft(wav, window, n_fft, hop)[:, :, :num_frames].square()


def log_mel(power, filters):
    """Decades of power in mel bands, the 80 dB below the loudest kept."""
    mel = (filters.T @ power).clamp(min=1e-10).log10()
    return torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8.0)


class SpectrogramEncoder(Encoder):
    """Linear magnitudes of 201 frequencies from 0 to 8 kHz, every 10 ms.

    Frame ``t`` sees the 400 samples from ``160 t`` on. There is no logarithm
    and nothing to train.
    """

    def __init__(self, output_norm=False):
        super().__init__(output_norm)
        self.output_size = WINDOW // 2 + 1
        self.grid = FrameGrid([(WINDOW, HOP, 0)])
        window = torch.hann_window(WINDOW)
        self.register_buffer("window", window, persistent=False)
        self.freeze()

    def encode(self, wav, lengths, all_layers):
        with torch.autocast(wav.device.type, enabled=False):
            wav = full_precision(wav)
            window = self.window.to(wav.dtype)
            return _stft(wav, window, WINDOW, HOP).transpose(1, 2)

    def describe(self):
        return {"window": WINDOW, "hop": HOP}


class MelEncoder(Encoder):
    """Mel spectra from 0 to 1, as those that Makiuchi et al. 2021 reconstruct.

    High-pass at 30 Hz without a shift in phase, magnitudes of windows of 25 ms
    in 80 bands from 90 to 7600 Hz, ``20 log10(max(1e-5, x)) - 16`` dB, of which
    the 100 dB from -100 up become 0 to 1. A window is in the middle of a tile:
    those of every 20 ms, or of the frames of an encoder that it is ``like``.
    """

    output_size = BANDS

    def __init__(self, output_norm=False, like=None):
        super().__init__(output_norm)
        self.grid = FrameGrid([(1, 2 * HOP, 0)]) if like is None else like.grid
        filters = torchaudio.functional.melscale_fbanks(
            *(WINDOW // 2 + 1, 90.0, 7600.0, BANDS, self.sample_rate),
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("filters", filters, persistent=False)
        window = torch.hann_window(WINDOW)
        self.register_buffer("window", window, persistent=False)
        self.freeze()

    def encode(self, wav, lengths, all_layers):
        # What is filtered without a shift sees all of an utterance.
        wav = full_precision(wav)
        high = torch.zeros_like(wav)
        for row, one, length in zip(high, wav, lengths.tolist()):
            row[:length] = _high_passed(one[:length])
        grid, frames = self.grid, int(self.grid.num_frames(lengths).max())
        before = (WINDOW - grid.stride) // 2 - grid.first
        after = (frames - 1) * grid.stride + WINDOW - before - wav.shape[1]
        high = F.pad(high, (before, after))
        with torch.autocast(wav.device.type, enabled=False):
            window = self.window.to(wav.dtype)
            spectra = _stft(high, window, WINDOW, grid.stride)
            mel = (self.filters.to(wav.dtype).T @ spectra).transpose(1, 2)
            decibels = 20 * mel.clamp(min=1e-5).log10() - 16
        return ((decibels + 100) / 100).clamp(0, 1)

    def describe(self):
        return self.grid.describe()


def _high_passed(wav):
    filtered = signal.sosfiltfilt(
        HIGH_PASS,
        wav.detach().cpu().double().numpy(),
        # SciPy's own, which short ones do not have.
        padlen=min(18, len(wav) - 1),
    )
    return torch.from_numpy(filtered.copy()).to(wav)


def _stft(wav, window, n_fft, hop):
    """Magnitudes ``[batch, frequencies, frames]``."""
    return torch.stft(
        wav, n_fft, hop, len(window), window, center=False, return_complex=True
    ).abs()
