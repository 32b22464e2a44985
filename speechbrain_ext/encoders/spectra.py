"""Log-mel spectra as Whisper has them, for waveforms of any length."""

import torch
from torch.nn import functional as F

from speechbrain_ext.encoders.base import Encoder, full_precision
from speechbrain_ext.encoders.grid import FrameGrid

WINDOW = 400
HOP = 160


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


def _stft(wav, window, n_fft, hop):
    """Magnitudes ``[batch, frequencies, frames]``."""
    return torch.stft(
        wav, n_fft, hop, len(window), window, center=False, return_complex=True
    ).abs()
