"""A small network on the statistics of prosody, for a few voices."""

from torch import nn

from speechbrain_ext.encoders.features.prosody import ProsodyNetwork
from speechbrain_ext.models.packing import pack, pad


class ProsodyHead(nn.Module, ProsodyNetwork):
    """A convolution, a GRU and a linear layer on ``ProsodyStatistics``.

    Arguments
    ---------
    num_classes : int
        Number of classes.
    channels : int
        Channels of the convolution.
    hidden : int
        Units of the GRU in either direction.
    dropout : float
        Between the parts, in training.
    offset : float
        Standard deviation of a random offset that every channel of an
        utterance gets in training, as if another voice had spoken. The
        channels' own spread is about 1.

    Example
    -------
    >>> import torch
    >>> head = ProsodyHead(4)
    >>> head(torch.randn(8, 60), torch.tensor([5, 3])).shape
    torch.Size([8, 4])
    """

    def __init__(
        self, num_classes, channels=64, hidden=64, dropout=0.3, offset=0.25
    ):
        super().__init__()
        self.build(channels, hidden, dropout, offset)
        self.linear = nn.Linear(2 * hidden, num_classes)

    def forward(self, frames, lengths):
        """Packed ``[frames, channels]`` -> logits ``[frames, classes]``."""
        output = self.run(pad(frames, lengths), lengths)
        return self.linear(pack(output, lengths))
