"""Which part of an utterance a frame stands for, in whole samples.

The number of frames follows from an encoder's convolutions, never from the
duration. A frame takes the label that fills most of its tile, as the
frame-wise ground truth of Wang et al. 2023 (section 5.2) does.
"""

import math

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
        self.convolutions = tuple(
            tuple(int(n) for n in convolution) for convolution in convolutions
        )
        self.stride = math.prod(stride for _, stride, _ in self.convolutions)
        if not -self.stride < first <= 0:
            raise ValueError(f"first: expected (-stride, 0], got {first}")
        self.first = first
        needed = 1
        for kernel, stride, padding in reversed(self.convolutions):
            needed = max(1, (needed - 1) * stride + kernel - 2 * padding)
        # What is shorter is lengthened to this with zeros by the encoders.
        self.min_samples = needed

    def __repr__(self):
        return f"FrameGrid({list(self.convolutions)}, first={self.first})"

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


def absolute_lengths(wav_lens, num_samples):
    """Lengths in samples from SpeechBrain's relative lengths."""
    lengths = torch.round(wav_lens.double() * num_samples).long()
    return lengths.clamp(1, num_samples)


def frame_labels(segments, num_samples, sample_rate, grid):
    """Give every frame the label that fills most of its tile.

    ``segments`` are ``{"emo", "start", "end"}`` each (s), in any order. Times
    are rounded to samples once. What no segment covers is neutral; of labels
    that fill a tile alike, the one that begins earlier in it wins.
    """
    edges = grid.edges(num_samples)
    spans = {"neutral": []}
    for segment in segments:
        start, end = (
            min(max(round(segment[key] * sample_rate), 0), num_samples)
            for key in ("start", "end")
        )
        if segment["emo"] != "neutral" and start < end:
            spans.setdefault(segment["emo"], []).append((start, end))
    covered = _merge(span for group in spans.values() for span in group)
    bounds = [0, *(edge for span in covered for edge in span), num_samples]
    spans["neutral"] = [
        span for span in zip(bounds[::2], bounds[1::2]) if span[0] < span[1]
    ]
    scores = [_score(edges, _merge(group)) for group in spans.values()]
    labels = list(spans)
    return [labels[index] for index in np.argmax(scores, axis=0)]


def _merge(spans):
    """Sorted spans without overlaps."""
    merged = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _score(edges, spans):
    """Rank of a label in every tile: by the samples covered, then by order."""
    left, width = edges[:-1], np.diff(edges).max()
    if not spans:
        return np.full(len(left), -1)
    starts, ends = np.transpose(spans)
    total = np.cumsum(ends - starts)
    # Samples covered before an edge: it grows by one a sample within a span.
    before = np.stack([total - (ends - starts), total], axis=1).ravel()
    before = np.interp(edges, np.ravel(spans), before)
    covered = np.diff(before.astype(np.int64))
    following = np.searchsorted(ends, left, side="right")
    offset = starts[np.minimum(following, len(ends) - 1)] - left
    score = covered * (width + 1) - np.maximum(offset, 0)
    return np.where(covered > 0, score, -1)


def labels_to_segments(labels, num_samples, sample_rate, grid):
    """Give labelled frames their times; the inverse of ``frame_labels``.

    The segments, ``{"start", "end", "emotion"}`` each (s), follow each other
    without a gap, and no two neighbours have the same emotion.
    """
    edges = grid.edges(num_samples)
    frames = len(edges) - 1
    if len(labels) != frames:
        raise ValueError(
            f"{len(labels)} labels for the {frames} frames of {num_samples} "
            "samples"
        )
    changes = [i for i in range(1, frames) if labels[i] != labels[i - 1]]
    bounds = [0, *changes, frames]
    return [
        {
            "start": int(edges[begin]) / sample_rate,
            "end": int(edges[end]) / sample_rate,
            "emotion": labels[begin],
        }
        for begin, end in zip(bounds, bounds[1:])
    ]
