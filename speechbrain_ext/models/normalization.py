"""Normalisation of features (Pepino et al. 2021, section 2.2), and the mean
over a speaker in place of it (Makiuchi et al. 2021, section 3.1.2)."""

import hashlib

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


class BySpeaker(nn.Module):
    """What knows something of each speaker.

    That belongs to the recordings and not to the model: it is no part of
    checkpoints, and inference finds it out of the speakers that it is given.
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

    def is_fitted(self):
        """Whether any speaker is known yet."""
        return bool(self.speakers)

    def forward(self, hidden, lengths, speakers):
        """What packed frames ``[layers, frames, channels]`` become."""
        if unknown := set(speakers).difference(self.speakers):
            raise UserError(
                f"There are no statistics of the speaker '{min(unknown)}'; "
                "speaker normalisation needs their recordings first."
            )
        each = zip(split(hidden, lengths), speakers)
        return torch.cat([self.of_speaker(*one) for one in each], dim=1)


class SpeakerNormalizer(BySpeaker):
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

    def update(self, hidden, lengths, speakers):
        """Take the packed frames of a batch into the speakers' statistics."""
        for frames, length, speaker in zip(
            split(hidden, lengths), lengths, speakers
        ):
            if speaker not in self.speakers:
                fresh = FeatureNormalizer(*self.shape).to(hidden.device)
                self.speakers[speaker] = fresh
            self.speakers[speaker].update(frames, length[None])

    def _apply(self, fn, recurse=True):
        # What is no part of checkpoints moves along to another device.
        for normalizer in self.speakers.values():
            normalizer._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def of_speaker(self, frames, speaker):
        """Normalise frames of a speaker."""
        return self.speakers[speaker](frames)


class SpeakerMean(BySpeaker):
    """The mean of a speaker's vectors, in place of that of each utterance.

    Section 3.1.2 of Makiuchi et al. (2021): the mean over 100 utterances of the
    speaker, drawn at random, those of the test included, and without any label.
    As in the paper it is not normalised again. The draw follows from the seed
    and the vectors themselves, in whatever order and batches they come.

    Arguments
    ---------
    num_layers : int
        Layers of the encoder.
    channels : int
        Channels of a layer.
    utterances : int
        How many are drawn; all, if there are fewer.
    seed : int
        Of the draw.

    Example
    -------
    >>> mean = SpeakerMean(1, 2)
    >>> hidden = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> mean.update(hidden, torch.tensor([1, 1]), ["ann", "ann"])
    >>> mean(hidden, torch.tensor([1, 1]), ["ann", "ann"])
    tensor([[[0.5000, 0.5000],
             [0.5000, 0.5000]]])
    """

    def __init__(self, num_layers, channels, utterances=100, seed=0):
        super().__init__(num_layers, channels)
        check_value("speaker_utterances", utterances)
        self.utterances, self.seed = utterances, seed

    def update(self, hidden, lengths, speakers):
        """Let the utterances of a batch take part in the draw."""
        for frames, speaker in zip(split(hidden, lengths), speakers):
            drawn = self.speakers.setdefault(speaker, {})
            frames = frames.float().cpu()
            # The lowest of numbers that nobody chose are a random draw, and
            # who takes part twice has one number.
            data = str(self.seed).encode() + frames.numpy().tobytes()
            drawn[hashlib.sha256(data).digest()] = frames
            if len(drawn) > self.utterances:
                del drawn[max(drawn)]

    def of_speaker(self, frames, speaker):
        """The mean of a speaker, for each of the frames."""
        drawn = self.speakers[speaker]
        each = [drawn[key].mean(1, keepdim=True) for key in sorted(drawn)]
        return torch.stack(each).mean(0).to(frames).expand_as(frames)


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


def make_speaker_mean(speaker_from, channels, utterances=100, seed=0):
    """What stands for a speaker (Makiuchi et al. 2021, section 3.1.2).

    Arguments
    ---------
    speaker_from : str
        ``"speaker"``: the mean over utterances of the speaker;
        ``"utterance"``: each utterance alone.
    channels : int
        Channels of the speaker encoder.
    utterances, seed : int
        As for ``SpeakerMean``.

    Returns
    -------
    SpeakerMean or None

    Raises
    ------
    UserError
        When there is no such ``speaker_from``.

    Example
    -------
    >>> make_speaker_mean("speaker", 256).utterances
    100
    >>> make_speaker_mean("utterance", 256)
    """
    check_value("speaker_from", speaker_from)
    if speaker_from == "utterance":
        return None
    return SpeakerMean(1, channels, utterances, seed)
