"""Which part of an utterance a frame stands for, in whole samples.

A frame takes the label that fills most of its tile, as the frame-wise ground
truth of Wang et al. 2023 (section 5.2) does.
"""

import math
from itertools import pairwise

import numpy as np
import torch


class FrameGrid:
    """The frames of an encoder, and the tiles of samples that they stand for.

    Tile ``t`` begins at the sample ``first + t * stride`` (the first one at 0)
    and ends where the next one begins; the last one reaches to the end of the
    utterance. ``convolutions`` are kernel, stride and padding (on either side)
    over time, from the samples on; ``first`` is from ``1 - stride`` to 0.
    """

    def __init__(self, convolutions, first=0):
        self.convolutions = list(convolutions)
        self.stride = math.prod(stride for _, stride, _ in self.convolutions)
        if not -self.stride < first <= 0:
            raise ValueError(f"first: expected (-stride, 0], got {first}")
        self.first = first
        # What is shorter is lengthened to this with zeros by the encoders.
        self.min_samples = 1
        for kernel, stride, padding in reversed(self.convolutions):
            needed = (self.min_samples - 1) * stride + kernel - 2 * padding
            self.min_samples = max(1, needed)

    def describe(self):
        """What tells it from other grids, for JSON."""
        return {"convolutions": self.convolutions, "first": self.first}

    def num_frames(self, num_samples):
        """Frames of so many samples (a number or a tensor), at least 1."""
        if isinstance(num_samples, torch.Tensor):
            length = num_samples.clamp(min=self.min_samples)
        elif num_samples < 1:
            raise ValueError(f"samples: expected 1 or more, got {num_samples}")
        else:
            length = max(int(num_samples), self.min_samples)
        for kernel, stride, padding in self.convolutions:
            length = (length + 2 * padding - kernel) // stride + 1
        return length

    def edges(self, num_samples):
        """Bounds of the tiles ``[frames + 1]``, from 0 to ``num_samples``."""
        frames = self.num_frames(num_samples)
        edges = self.first + self.stride * np.arange(frames + 1)
        edges[[0, -1]] = 0, num_samples
        return edges


class OneFrame:
    """The grid of an encoder that makes one vector of a whole utterance."""

    stride = None
    min_samples = 1

    def num_frames(self, num_samples):
        """1, or as many of them as there are utterances."""
        if isinstance(num_samples, torch.Tensor):
            return torch.ones_like(num_samples)
        return 1


def absolute_lengths(wav_lens, num_samples):
    """Lengths in samples from SpeechBrain's relative lengths."""
    lengths = torch.round(wav_lens.double() * num_samples).long()
    return lengths.clamp(1, num_samples)


def frame_labels(segments, num_samples, sample_rate, grid, elsewhere="neutral"):
    """Give every frame the label that fills most of its tile.

    ``segments`` are ``{"emo", "start", "end"}`` each (s), in any order. Times
    are rounded to samples once. What no segment covers has the label
    ``elsewhere``; of labels that fill a tile alike, the one that begins earlier
    in it wins.
    """
    edges = grid.edges(num_samples)
    times = [[segment["start"], segment["end"]] for segment in segments]
    spans = np.rint(np.reshape(times, (-1, 2)) * sample_rate)
    starts, ends = spans.clip(0, num_samples).astype(int).T
    ends = np.maximum(starts, ends)
    cuts = np.unique([*edges, *starts, *ends])
    names = list(dict.fromkeys([elsewhere, *(x["emo"] for x in segments)]))
    rows = [names.index(segment["emo"]) for segment in segments]
    # Segments of a label that begin, less those that end, at a cut.
    opened = np.zeros((len(names), len(cuts)), int)
    np.add.at(opened, (rows, np.searchsorted(cuts, starts)), 1)
    np.subtract.at(opened, (rows, np.searchsorted(cuts, ends)), 1)
    filled = opened.cumsum(axis=1)[:, :-1] > 0
    filled[0] = ~filled[1:].any(axis=0)
    tiles = np.searchsorted(cuts, edges[:-1])
    covered = np.add.reduceat(filled * np.diff(cuts), tiles, axis=1)
    begins = np.where(filled, cuts[:-1], num_samples)
    begins = np.minimum.reduceat(begins, tiles, axis=1) - edges[:-1]
    ranks = covered * (num_samples + 1) - begins
    return [names[index] for index in ranks.argmax(axis=0)]


def labels_to_segments(labels, num_samples, sample_rate, grid):
    """Give labelled frames their times; the inverse of ``frame_labels``.

    The segments, ``{"start", "end", "emotion"}`` each (s), follow each other
    without a gap, and no two neighbours have the same emotion.
    """
    edges = grid.edges(num_samples)
    frames = len(edges) - 1
    if len(labels) != frames:
        raise ValueError(f"got {len(labels)} labels for the {frames} frames")
    changes = [i for i in range(1, frames) if labels[i] != labels[i - 1]]
    return [
        {
            "start": int(edges[begin]) / sample_rate,
            "end": int(edges[end]) / sample_rate,
            "emotion": labels[begin],
        }
        for begin, end in pairwise([0, *changes, frames])
    ]
