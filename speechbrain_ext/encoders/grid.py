"""Which part of an utterance a frame stands for.

Encoders turn samples into frames by convolutions without regard to seconds,
so the number of frames follows from their kernels, strides and paddings, never
from the duration. This module does that arithmetic in whole samples and uses
it to give frames labels, and labelled frames times.

A frame takes the label that fills most of its tile, as the frame-wise ground
truth of Wang et al. 2023 (section 5.2) does.
"""

import math

import numpy as np
import torch


class FrameGrid:
    """The frames of an encoder, and the tiles of samples that they stand for.

    Tile ``t`` begins at the sample ``first + t * stride`` (the first one at 0)
    and ends where the next one begins; the last one reaches to the end of the
    utterance.

    ``convolutions`` are kernel, stride and padding (on either side) of the
    encoder's convolutions over time, from the samples on. The tile of frame 0
    would begin at the sample ``first`` (from ``1 - stride`` to 0) if the
    utterance went on before its beginning.
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
        else:
            length = max(_positive(num_samples), self.min_samples)
        for kernel, stride, padding in self.convolutions:
            length = (length + 2 * padding - kernel) // stride + 1
        return length

    def edges(self, num_samples):
        """Bounds of the tiles ``[frames + 1]``, from 0 to ``num_samples``."""
        frames = self.num_frames(num_samples)
        edges = self.first + self.stride * np.arange(frames + 1)
        edges[0] = 0
        edges[-1] = num_samples
        return edges


def _positive(num_samples):
    if num_samples < 1:
        raise ValueError(f"num_samples: expected 1 or more, got {num_samples}")
    return int(num_samples)


def absolute_lengths(wav_lens, num_samples):
    """Lengths in samples from SpeechBrain's relative lengths."""
    lengths = torch.round(wav_lens.double() * num_samples).long()
    return lengths.clamp(1, num_samples)


def frame_labels(segments, num_samples, sample_rate, grid):
    """Give every frame the label that fills most of its tile.

    Times are rounded to whole samples once, and everything after that is
    integer arithmetic. What no segment covers is neutral. Of two labels that
    fill a tile alike, the one that begins earlier in the tile wins.

    ``segments`` are ``{"emo", "start", "end"}`` each (s), in any order.
    """
    edges = grid.edges(num_samples)
    stretches = _stretches(segments, num_samples, sample_rate)
    labels = list(stretches)
    scores = [_score(edges, *stretches[label]) for label in labels]
    best = np.argmax(scores, axis=0)
    return [labels[index] for index in best]


def _stretches(segments, num_samples, sample_rate):
    """Label -> starts and ends (samples) of the stretches that it covers."""
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
        (start, end)
        for start, end in zip(bounds[::2], bounds[1::2])
        if start < end
    ]
    return {
        label: np.array(_merge(group), dtype=np.int64).reshape(-1, 2).T
        for label, group in spans.items()
    }


def _merge(spans):
    """Sorted spans without overlaps."""
    merged = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _score(edges, starts, ends):
    """Rank of a label in every tile: by the samples covered, then by order."""
    left, right = edges[:-1], edges[1:]
    if not len(starts):
        return np.full(len(left), -1)
    # Samples covered before an edge: whole stretches and a part of one.
    before = np.concatenate([[0], np.cumsum(ends - starts)])
    index = np.searchsorted(starts, edges, side="right")
    last = np.maximum(index - 1, 0)
    part = np.clip(edges - starts[last], 0, ends[last] - starts[last])
    total = np.where(index > 0, before[last] + part, 0)
    covered = np.diff(total)
    following = np.minimum(
        np.searchsorted(ends, left, side="right"), len(ends) - 1
    )
    offset = np.maximum(starts[following] - left, 0)
    weight = int((right - left).max()) + 1
    return np.where(covered > 0, covered * weight - offset, -1)


def labels_to_segments(labels, num_samples, sample_rate, grid):
    """Give labelled frames their times; the inverse of ``frame_labels``.

    The segments, ``{"start", "end", "emotion"}`` each (s), follow each other
    without a gap, and no two neighbours have the same emotion.
    """
    edges = grid.edges(num_samples)
    if len(labels) != len(edges) - 1:
        raise ValueError(
            f"{len(labels)} labels for the {len(edges) - 1} frames of "
            f"{num_samples} samples"
        )
    changes = [
        index
        for index in range(len(labels))
        if index == 0 or labels[index] != labels[index - 1]
    ]
    bounds = [*changes, len(labels)]
    return [
        {
            "start": int(edges[begin]) / sample_rate,
            "end": int(edges[end]) / sample_rate,
            "emotion": labels[begin],
        }
        for begin, end in zip(bounds, bounds[1:])
    ]
