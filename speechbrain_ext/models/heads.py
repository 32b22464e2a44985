"""From packed frames to class scores: one a frame, or one an utterance.

A head takes packed frames ``[frames, channels]`` and the utterances'
``lengths`` ``[batch]`` (``speechbrain_ext.models.packing``); it gives logits,
``[frames, classes]`` or ``[batch, classes]``. Sizes no paper names are ours.
"""

import torch
from torch import nn

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.values import check_value
from speechbrain_ext.encoders.base import length_mask
from speechbrain_ext.models import packing


class LinearHead(nn.Module):
    """A fully connected layer for every frame (Wang et al. 2023, section 5.2).

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
    >>> head(torch.randn(8, 8), torch.tensor([5, 3])).shape
    torch.Size([8, 4])
    """

    def __init__(self, input_size, num_classes, dropout=0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_size, num_classes)

    def forward(self, frames, lengths):
        return self.linear(self.dropout(frames))


class ConvLayers(nn.Module):
    """Convolutions over time, each followed by ReLU and dropout."""

    def __init__(self, input_size, channels, kernel_size, layers, dropout=0.0):
        super().__init__()
        sizes = [input_size] + [channels] * layers
        self.layers = nn.ModuleList(
            nn.Conv1d(size, channels, kernel_size, padding=kernel_size // 2)
            for size in sizes[:-1]
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames, lengths):
        x = packing.pad(self.dropout(frames), lengths).transpose(1, 2)
        valid = length_mask(lengths, x.shape[2])[:, None]
        for layer in self.layers:
            # Beyond its end an utterance alone sees the zero padding of the
            # convolution, so that is what it must see in a batch.
            x = self.dropout(torch.relu(layer(x.masked_fill(~valid, 0.0))))
        return packing.pack(x.transpose(1, 2), lengths)


class ConvHead(nn.Module):
    """Convolutions over time and a fully connected layer for every frame.

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
    >>> head(torch.randn(10, 8), torch.tensor([7, 3])).shape
    torch.Size([10, 4])
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
        return self.linear(self.convolutions(frames, lengths))


class RecurrentHead(nn.Module):
    """A bidirectional LSTM over the utterance, a layer for every frame.

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
    >>> head(torch.randn(10, 8), torch.tensor([7, 3])).shape
    torch.Size([10, 4])
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
        x = torch.relu(self.projection(self.dropout(frames)))
        x = packing.run_lstm(self.lstm, x, lengths)
        return self.linear(self.dropout(x))


class DenseHead(nn.Module):
    """Two layers for every frame, the mean over time, and a last layer.

    Pepino et al. (2021), figure 1 a and section 2.3.
    """

    def __init__(self, input_size, num_classes, hidden=128, dropout=0.2):
        super().__init__()
        self.first = dense(input_size, hidden, dropout)
        self.second = dense(hidden, hidden, dropout)
        self.output = nn.Linear(hidden, num_classes)

    def forward(self, frames, lengths):
        x = self.second(self.first(frames))
        return self.output(packing.mean_over_frames(x, lengths))


class LSTMHead(nn.Module):
    """``DenseHead`` with an LSTM in place of the second layer (section 2.3).

    It runs forward alone, as figure 1 does not say otherwise.
    """

    def __init__(self, input_size, num_classes, hidden=128, dropout=0.2):
        super().__init__()
        self.first = dense(input_size, hidden, dropout)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, num_classes)

    def forward(self, frames, lengths):
        x = packing.run_lstm(self.lstm, self.first(frames), lengths)
        return self.output(packing.mean_over_frames(self.dropout(x), lengths))


class FusionHead(nn.Module):
    """``DenseHead`` with a second input, joined after the first layer.

    Pepino et al. (2021), figure 1 b and section 2.3.
    """

    def __init__(
        self, input_size, fusion_size, num_classes, hidden=128, dropout=0.2
    ):
        super().__init__()
        self.first = dense(input_size, hidden, dropout)
        self.fusion = dense(fusion_size, hidden, dropout)
        self.second = dense(2 * hidden, hidden, dropout)
        self.output = nn.Linear(hidden, num_classes)

    def forward(self, frames, lengths, fusion_frames, fusion_lengths):
        # Where the second input has fewer frames, its last one stands for the
        # rest; those of both are equally far apart.
        others = packing.split(fusion_frames, fusion_lengths)
        aligned = [
            other[torch.arange(length).clamp(max=len(other) - 1)]
            for other, length in zip(others, lengths.tolist())
        ]
        parts = self.first(frames), self.fusion(torch.cat(aligned))
        both = torch.cat(parts, dim=1)
        return self.output(packing.mean_over_frames(self.second(both), lengths))


class MeanHead(nn.Module):
    """The mean over time and two feed-forward layers.

    Jafarzadeh et al. (2024), figure 1 and section 3.3. What stands between the
    two layers is not said there: ReLU and dropout are ours.
    """

    def __init__(self, input_size, num_classes, hidden=None, dropout=0.1):
        super().__init__()
        hidden = hidden or input_size
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(input_size, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, frames, lengths):
        return self.layers(packing.mean_over_frames(frames, lengths))


class PooledHead(nn.Module):
    """The mean of each input, dropout, and one fully connected layer on all.

    Sharma (2023), section III.D: of HuBERT alone, or of HuBERT's frames and
    BERT's tokens, side by side.

    Arguments
    ---------
    sizes : list of int
        Channels of each input.
    num_classes : int
        Number of classes.
    dropout : float
        Probability that a channel of a mean is dropped in training.

    Example
    -------
    >>> head = PooledHead([8, 6], 4)
    >>> frames, tokens = torch.randn(9, 8), torch.randn(4, 6)
    >>> head(frames, torch.tensor([5, 4]), tokens, torch.tensor([1, 3])).shape
    torch.Size([2, 4])
    """

    def __init__(self, sizes, num_classes, dropout=0.1):
        super().__init__()
        check_value("dropout", dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sum(sizes), num_classes)

    def forward(self, *inputs):
        pairs = zip(inputs[::2], inputs[1::2])
        means = [packing.mean_over_frames(*pair) for pair in pairs]
        return self.output(self.dropout(torch.cat(means, dim=1)))


class ConvMeanHead(MeanHead):
    """Convolutions over the frames in place of their plain mean.

    What Jafarzadeh et al. (2024), section 5, suggest for later work.
    """

    def __init__(
        self,
        input_size,
        num_classes,
        hidden=None,
        kernel_size=5,
        layers=2,
        dropout=0.1,
    ):
        hidden = hidden or input_size
        super().__init__(hidden, num_classes, hidden, dropout)
        self.convolutions = ConvLayers(
            input_size, hidden, kernel_size, layers, dropout
        )

    def forward(self, frames, lengths):
        return super().forward(self.convolutions(frames, lengths), lengths)


HEADS = {
    "dense": DenseHead,
    "lstm": LSTMHead,
    "fusion": FusionHead,
    "mean": MeanHead,
    "conv": ConvMeanHead,
}


def make_head(kind, **options):
    """Head of utterances by its name.

    Arguments
    ---------
    kind : str
        ``"dense"`` and ``"lstm"`` (Pepino et al. 2021), ``"fusion"`` (the same
        with two inputs), ``"mean"`` and ``"conv"`` (Jafarzadeh et al. 2024).
    **options
        ``input_size`` and ``num_classes``; perhaps ``hidden`` (width of the
        layers) and ``dropout``; ``fusion_size`` (channels of the second input);
        ``kernel_size`` and ``layers`` of the convolutions.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    UserError
        When there is no such head, it takes another number of inputs, or
        ``dropout`` is out of bounds.

    Example
    -------
    >>> head = make_head("lstm", input_size=8, num_classes=4)
    >>> head(torch.randn(8, 8), torch.tensor([5, 3])).shape
    torch.Size([2, 4])
    """
    check_value("head_kind", kind)
    if (kind == "fusion") != ("fusion_size" in options):
        raise UserError(
            f"head_kind: '{kind}' does not fit the inputs of this YAML; fusion "
            "needs two, and no other head takes a second one."
        )
    check_value("dropout", options.get("dropout", 0.0))
    return HEADS[kind](**options)


def dense(input_size, output_size, dropout):
    """A fully connected layer with ReLU and dropout."""
    return nn.Sequential(
        nn.Linear(input_size, output_size), nn.ReLU(), nn.Dropout(dropout)
    )
