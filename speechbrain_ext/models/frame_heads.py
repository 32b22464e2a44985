"""From an encoder's frames to class scores, frame by frame."""

import torch
from torch import nn

from speechbrain_ext.encoders.base import length_mask


class LinearHead(nn.Module):
    """A single fully connected layer (Wang et al. 2023, section 5.2).

    Arguments
    ---------
    input_size : int
        Channels of a frame.
    num_classes : int
        Number of classes.
    dropout : float
        Probability that a channel of a frame is dropped in training.

    Example
    -------
    >>> head = LinearHead(8, 4)
    >>> head(torch.randn(2, 5, 8), torch.tensor([5, 3])).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, input_size, num_classes, dropout=0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_size, num_classes)

    def forward(self, frames, lengths):
        """Score frames.

        Arguments
        ---------
        frames : torch.Tensor
            ``[batch, frames, channels]``.
        lengths : torch.Tensor
            Number of valid frames ``[batch]``; not needed here.

        Returns
        -------
        torch.Tensor
            Logits ``[batch, frames, classes]``.
        """
        return self.linear(self.dropout(frames))


class ConvLayers(nn.Module):
    """Convolutions over time, each followed by ReLU and dropout.

    Arguments
    ---------
    input_size : int
        Channels of a frame.
    channels : int
        Width of the convolutions.
    kernel_size : int
        Frames that a convolution sees; odd.
    layers : int
        Number of convolutions.
    dropout : float
        Probability that a channel of a frame is dropped in training, before
        the first and after every convolution.

    Example
    -------
    >>> convolutions = ConvLayers(8, 6, kernel_size=5, layers=2)
    >>> convolutions(torch.randn(2, 7, 8), torch.tensor([7, 3])).shape
    torch.Size([2, 7, 6])
    """

    def __init__(self, input_size, channels, kernel_size, layers, dropout=0.0):
        super().__init__()
        sizes = [input_size] + [channels] * layers
        self.layers = nn.ModuleList(
            nn.Conv1d(size, channels, kernel_size, padding=kernel_size // 2)
            for size in sizes[:-1]
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames, lengths):
        """Convolve; what ``frames`` holds beyond the lengths is ignored.

        Arguments
        ---------
        frames : torch.Tensor
            ``[batch, frames, input channels]``.
        lengths : torch.Tensor
            Number of valid frames ``[batch]``.

        Returns
        -------
        torch.Tensor
            ``[batch, frames, channels]``.
        """
        valid = length_mask(lengths, frames.shape[1])[:, None]
        x = self.dropout(frames).transpose(1, 2)
        for layer in self.layers:
            # Beyond its end an utterance alone sees the zero padding of the
            # convolution, so that is what it must see in a batch.
            x = self.dropout(torch.relu(layer(x.masked_fill(~valid, 0.0))))
        return x.transpose(1, 2)


class ConvHead(nn.Module):
    """Convolutions over time and a fully connected layer.

    Arguments
    ---------
    input_size : int
        Channels of a frame.
    num_classes : int
        Number of classes.
    channels : int
        Width of the convolutions.
    kernel_size : int
        Frames that a convolution sees; odd.
    layers : int
        Number of convolutions.
    dropout : float
        Probability that a channel of a frame is dropped in training.

    Example
    -------
    >>> head = ConvHead(8, 4, channels=6, kernel_size=5, layers=2)
    >>> head(torch.randn(2, 7, 8), torch.tensor([7, 3])).shape
    torch.Size([2, 7, 4])
    """

    def __init__(
        self,
        input_size,
        num_classes,
        channels=128,
        kernel_size=5,
        layers=2,
        dropout=0.0,
    ):
        super().__init__()
        self.convolutions = ConvLayers(
            input_size, channels, kernel_size, layers, dropout
        )
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, frames, lengths):
        """As ``LinearHead.forward``."""
        return self.linear(self.convolutions(frames, lengths))


class RecurrentHead(nn.Module):
    """A bidirectional LSTM over all frames of the utterance.

    Arguments
    ---------
    input_size : int
        Channels of a frame.
    num_classes : int
        Number of classes.
    projection : int
        Channels after the first, frame-wise layer.
    hidden : int
        Cells in either direction.
    layers : int
        Number of LSTM layers.
    dropout : float
        Probability that a channel of a frame is dropped in training, before
        the projection, between the layers and before the output.

    Example
    -------
    >>> head = RecurrentHead(8, 4, projection=6, hidden=5)
    >>> head(torch.randn(2, 7, 8), torch.tensor([7, 3])).shape
    torch.Size([2, 7, 4])
    """

    def __init__(
        self,
        input_size,
        num_classes,
        projection=128,
        hidden=128,
        layers=1,
        dropout=0.0,
    ):
        super().__init__()
        self.projection = nn.Linear(input_size, projection)
        self.lstm = nn.LSTM(
            projection,
            hidden,
            num_layers=layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * hidden, num_classes)

    def forward(self, frames, lengths):
        """As ``LinearHead.forward``."""
        x = torch.relu(self.projection(self.dropout(frames)))
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        x, _ = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0],
            batch_first=True,
            total_length=frames.shape[1],
        )
        return self.linear(self.dropout(x))
