"""Spectrograms of blocks of 1 s, to be looked at as images.

Sharma (2023), section III.C.1. The paper's 257 x 251 values follow from a
window of 16 ms every 4 ms and an FFT of 512 at 16 kHz. Ours: decibels, the 80
below a full-scale tone as 0 to 1; and that no sample is left out.
"""

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from speechbrain_ext.base.values import check_value
from speechbrain_ext.encoders.base import Encoder, full_precision
from speechbrain_ext.encoders.grid import FrameGrid

BLOCK = 16000
N_FFT, WINDOW, HOP = 512, 256, 64
FREQUENCIES, TIMES = N_FFT // 2 + 1, BLOCK // HOP + 1
DECIBELS = 80.0


class SpreadBlocks:
    """At most so many of the blocks of a grid, evenly spread over each
    utterance, so that they are not equally far apart in all."""

    stride = None
    min_samples = 1

    def __init__(self, grid, most):
        self.grid, self.most = grid, most

    def num_frames(self, num_samples):
        """Blocks of so many samples (a number or a tensor), at least 1."""
        found = self.grid.num_frames(num_samples)
        if isinstance(found, torch.Tensor):
            return found.clamp(max=self.most)
        return min(found, self.most)


class BlockEncoder(Encoder):
    """A frame is a block of 1 s: 257 x 251 values from 0 to 1, row by row.

    Each block is as loud as can be. The last one ends with the utterance, even
    where that is less than a shift from the one before; what is shorter than a
    block is lengthened with zeros.

    Arguments
    ---------
    block_shift : float
        From one block to the next (s), 0.01 to 1.
    max_blocks : int, optional
        The most blocks of an utterance; of more, evenly spread ones are taken.

    Raises
    ------
    UserError
        When an option is invalid.

    Example
    -------
    >>> BlockEncoder()(torch.randn(2, 40000)).shape
    torch.Size([2, 3, 64507])
    >>> BlockEncoder(0.01, max_blocks=10)(torch.randn(1, 40000)).shape
    torch.Size([1, 10, 64507])
    """

    output_size = FREQUENCIES * TIMES

    def __init__(self, block_shift=1.0, max_blocks=None):
        super().__init__()
        check_value("block_shift", block_shift)
        check_value("max_blocks", max_blocks)
        self.shift, self.most = (
            round(block_shift * self.sample_rate),
            max_blocks,
        )
        # Rounded up: the last block may be closer to the one before.
        self.every = FrameGrid([(BLOCK - self.shift + 1, self.shift, 0)])
        self.grid = self.every
        if max_blocks is not None:
            self.grid = SpreadBlocks(self.every, max_blocks)
        window = torch.hann_window(WINDOW)
        self.register_buffer("window", window, persistent=False)
        self.freeze()

    def starts(self, length):
        """The first sample of each block of an utterance."""
        count = self.every.num_frames(length)
        starts = np.minimum(
            self.shift * np.arange(count), max(length - BLOCK, 0)
        )
        kept = self.grid.num_frames(length)
        return starts[np.linspace(0, count - 1, kept).round().astype(int)]

    def encode(self, wav, lengths, all_layers):
        with torch.autocast(wav.device.type, enabled=False):
            pairs = zip(full_precision(wav), lengths.tolist())
            rows = [self.look_at(one[:length]) for one, length in pairs]
        return pad_sequence(rows, batch_first=True)

    def look_at(self, wav):
        """Spectrograms ``[blocks, channels]`` of an utterance."""
        starts = torch.as_tensor(self.starts(len(wav)), device=wav.device)
        wav = F.pad(wav, (0, max(BLOCK - len(wav), 0)))
        blocks = wav.unfold(0, BLOCK, 1)[starts]
        tiny = torch.finfo(torch.float32).tiny
        blocks = blocks / blocks.abs().amax(1, keepdim=True).clamp(min=tiny)
        window = self.window.to(wav.dtype)
        spectra = torch.stft(
            blocks, N_FFT, HOP, WINDOW, window, return_complex=True
        ).abs()
        # A full-scale tone has half the window's sum.
        share = 2 * spectra / window.sum()
        decibels = 20 * share.clamp(min=10 ** (-DECIBELS / 20)).log10()
        return (1 + decibels / DECIBELS).clamp(0, 1).flatten(1)

    def describe(self):
        return {
            "block": BLOCK,
            "shift": self.shift,
            "most": self.most,
            "stft": [N_FFT, WINDOW, HOP],
            "decibels": DECIBELS,
        }
