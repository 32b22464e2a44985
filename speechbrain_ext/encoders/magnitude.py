"""Magnitude spectrograms as encoder: the plainest of features.

Pepino et al. 2021 (section 2.2) use them as baseline: a Hann window of 25 ms
and a hop of 10 ms.
"""

import torch
from torch.nn import functional as F

from speechbrain_ext.encoders.base import Encoder, full_precision
from speechbrain_ext.encoders.frames import FrameGrid

WINDOW = 400
HOP = 160


class SpectrogramEncoder(Encoder):
    """Linear magnitudes of 201 frequencies from 0 to 8 kHz, every 10 ms.

    Frame ``t`` sees the 400 samples from ``160 t`` on, so that there are
    ``(samples - 400) // 160 + 1`` frames; what is shorter than 400 samples is
    lengthened with zeros. No logarithm is taken, and there is nothing to
    train.

    Arguments
    ---------
    output_norm : bool
        Whether the output is normalised over each utterance's frames and
        channels.

    Example
    -------
    >>> encoder = SpectrogramEncoder()
    >>> encoder(torch.randn(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 98, 201])
    """

    num_layers = 1

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
            wav = F.pad(wav, (0, max(WINDOW - wav.shape[1], 0)))
            spectrum = torch.stft(
                wav,
                WINDOW,
                HOP,
                window=self.window.to(wav.dtype),
                center=False,
                return_complex=True,
            )
            output = spectrum.abs().transpose(1, 2)
        return output[:, None] if all_layers else output

    def describe(self):
        return {"window": WINDOW, "hop": HOP}
