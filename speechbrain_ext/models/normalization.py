"""Normalisation of features (Pepino et al. 2021, section 2.2)."""

import torch
from torch import nn

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.values import check_value
from speechbrain_ext.models.packing import split

# Channels that never vary must not blow up.
_MIN_STD = 1e-6


class FeatureNormalizer(nn.Module):
    """Zero mean and unit variance for every channel of every layer.

    The global normalisation of Pepino et al. (2021), section 2.2: statistics
    are those of the training data alone. They are buffers, so that they are
    saved with the model and inference needs nothing else.

    Arguments
    ---------
    num_layers : int
        Layers of the encoder.
    channels : int
        Channels of a layer.

    Example
    -------
    >>> normalizer = FeatureNormalizer(1, 2)
    >>> hidden = torch.tensor([[[1.0, 10.0], [3.0, 30.0]]])
    >>> normalizer.update(hidden, torch.tensor([2]))
    >>> normalizer(hidden)
    tensor([[[-1., -1.],
             [ 1.,  1.]]])
    """

    by_speaker = False

    def __init__(self, num_layers, channels):
        super().__init__()
        shape = (num_layers, 1, channels)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(shape, dtype=torch.float64))

    def reset(self):
        """Forget all statistics."""
        for statistic in (self.count, self.mean, self.squares):
            statistic.zero_()

    def update(self, hidden, lengths, speakers=None):
        """Take the packed frames of a batch into the statistics."""
        for frames in split(hidden, lengths):
            frames = frames.double()
            length = frames.shape[1]
            mean = frames.mean(dim=1, keepdim=True)
            squares = (frames - mean).square().sum(dim=1, keepdim=True)
            # Chan et al. (1983): exact however the data is cut into batches.
            total = self.count + length
            shift = mean - self.mean
            self.squares += squares
            self.squares += shift.square() * self.count * length / total
            self.mean += shift * length / total
            self.count.copy_(total)

    def is_fitted(self):
        """Whether there are statistics yet."""
        return bool(self.count > 0)

    def forward(self, hidden, lengths=None, speakers=None):
        """Normalise packed frames ``[layers, frames, channels]``."""
        mean, std = self.statistics(hidden.dtype)
        return (hidden - mean).div_(std)

    def statistics(self, dtype):
        """Mean and standard deviation, each ``[layers, 1, channels]``."""
        std = (self.squares / self.count).sqrt().clamp(min=_MIN_STD)
        return self.mean.to(dtype), std.to(dtype)


class SpeakerNormalizer(nn.Module):
    """Zero mean and unit variance over all that a speaker has said.

    The speaker normalisation of Pepino et al. (2021), section 2.2: statistics
    of a speaker are those of all recordings of that speaker, those of the test
    included, and without any label. They belong to the recordings and not to
    the model: they are no part of checkpoints, and inference takes those of
    the speakers that it is given.

    Arguments
    ---------
    num_layers : int
        Layers of the encoder.
    channels : int
        Channels of a layer.

    Example
    -------
    >>> normalizer = SpeakerNormalizer(1, 1)
    >>> hidden = torch.tensor([[[1.0], [3.0], [10.0], [30.0]]])
    >>> speakers = torch.tensor([2, 2]), ["ann", "bob"]
    >>> normalizer.update(hidden, *speakers)
    >>> normalizer(hidden, *speakers).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    by_speaker = True

    def __init__(self, num_layers, channels):
        super().__init__()
        self.shape = num_layers, channels
        # A checkpoint tells what it was made for, and nothing of speakers:
        # they are in a plain dict.
        self.register_buffer("size", torch.tensor(self.shape))
        self.speakers = {}

    def reset(self):
        """Forget all speakers."""
        self.speakers = {}

    def update(self, hidden, lengths, speakers):
        """Take the packed frames of a batch into the speakers' statistics."""
        for frames, length, speaker in zip(
            split(hidden, lengths), lengths, speakers
        ):
            if speaker not in self.speakers:
                fresh = FeatureNormalizer(*self.shape).to(hidden.device)
                self.speakers[speaker] = fresh
            self.speakers[speaker].update(frames, length[None])

    def is_fitted(self):
        """Whether there are statistics yet."""
        return bool(self.speakers)

    def _apply(self, fn, recurse=True):
        # What is no part of checkpoints moves along to another device.
        for normalizer in self.speakers.values():
            normalizer._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def forward(self, hidden, lengths, speakers):
        """Normalise packed frames ``[layers, frames, channels]``."""
        if unknown := set(speakers).difference(self.speakers):
            raise UserError(
                f"There are no statistics of the speaker '{min(unknown)}'; "
                "speaker normalisation needs their recordings first."
            )
        return torch.cat(
            [
                self.speakers[speaker](frames)
                for frames, speaker in zip(split(hidden, lengths), speakers)
            ],
            dim=1,
        )


NORMALIZERS = {"global": FeatureNormalizer, "speaker": SpeakerNormalizer}


def make_normalizer(kind, num_layers, channels):
    """Normaliser by the name that the paper gives it.

    Arguments
    ---------
    kind : str
        ``"speaker"`` or ``"global"``.
    num_layers : int
        Layers of the encoder.
    channels : int
        Channels of a layer.

    Returns
    -------
    FeatureNormalizer or SpeakerNormalizer

    Raises
    ------
    UserError
        When there is no such kind.

    Example
    -------
    >>> make_normalizer("speaker", 5, 384).by_speaker
    True
    """
    check_value("normalization", kind)
    return NORMALIZERS[kind](num_layers, channels)
