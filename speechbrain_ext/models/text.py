"""Heads on the tokens of a text, alone or with frames of speech."""

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_ext.base.values import check_value
from speechbrain_ext.encoders.base import length_mask
from speechbrain_ext.models import packing
from speechbrain_ext.models.heads import dense

# Channels and kernels of the convolutions (figure 1).
CONVOLUTIONS = ((256, 1), (256, 1), (128, 8), (64, 4))
# Fewer tokens leave nothing after the convolutions.
MIN_TOKENS = 3


class TextHead(nn.Module):
    """Convolutions over tokens, their mean, and a fully connected layer.

    Makiuchi et al. (2021), section 3.2 and figure 1. A text has the result
    that it has alone, whatever is in its batch.

    Arguments
    ---------
    input_size : int
        Channels of a token.
    num_classes : int
        Number of classes.
    sigmoid : bool
        Whether the logits go through a sigmoid before the softmax. The paper
        says nothing of it, its released code has it; posteriors of four
        classes then lie between 0.109 and 0.475.
    min_tokens : int
        Shorter texts are filled up with zeros, which count in the mean. The
        paper fills up all texts to the longest of the data; by default only
        those are that the convolutions leave nothing of.

    Example
    -------
    >>> head = TextHead(8, 4)
    >>> head(torch.randn(8, 8), torch.tensor([7, 1])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, input_size, num_classes, sigmoid=False, min_tokens=MIN_TOKENS
    ):
        super().__init__()
        check_value("sigmoid", sigmoid)
        check_value("min_tokens", min_tokens)
        self.sigmoid, self.min_tokens = sigmoid, min_tokens
        sizes = [input_size] + [channels for channels, _ in CONVOLUTIONS]
        self.layers = nn.ModuleList(
            nn.Conv1d(size, channels, kernel, padding=1)
            for size, (channels, kernel) in zip(sizes, CONVOLUTIONS)
        )
        self.output = nn.Linear(sizes[-1], num_classes)

    def forward(self, tokens, lengths):
        x, counts = tokens, lengths.clamp(min=self.min_tokens)
        for layer in self.layers:
            kernel = layer.kernel_size[0]
            counts = counts + 3 - kernel
            weight = layer.weight.transpose(1, 2).flatten(1)
            windows = _windows(x, lengths, counts, kernel)
            x = torch.relu(F.linear(windows, weight, layer.bias))
            lengths = counts
        logits = self.output(packing.mean_over_frames(x, counts))
        return torch.sigmoid(logits) if self.sigmoid else logits


def _windows(packed, lengths, counts, kernel):
    """What each place of a convolution sees of its own text, which has a zero
    before it and zeros after it: ``[windows, kernel * channels]``.

    ``counts`` are the windows of each text. On a CPU this takes a little more
    than half of the time of a convolution over padded texts.
    """
    text = torch.arange(len(counts), device=counts.device)
    text = text.repeat_interleave(counts)
    place = torch.arange(len(text), device=counts.device)
    place = place - (counts.cumsum(0) - counts)[text] - 1
    place = place[:, None] + torch.arange(kernel, device=counts.device)
    inside = (place >= 0) & (place < lengths[text][:, None])
    place = place + (lengths.cumsum(0) - lengths)[text][:, None]
    # The last row is the zeros.
    place = place.where(inside, len(packed))
    return F.embedding(place, F.pad(packed, (0, 0, 0, 1))).flatten(1)


class JointHead(nn.Module):
    """Frames of speech and tokens of its text, trained together.

    What Makiuchi et al. (2021), section 8, name as the next step; all of it is
    ours. The means of both are weighed against each other, channel by channel,
    by a gate that sees both.

    Arguments
    ---------
    speech_size, text_size : int
        Channels of a frame and of a token.
    num_classes : int
        Number of classes.
    joint_kind : str
        ``"gated"`` as above; with ``"attention"`` every token first attends
        to all frames of its utterance.
    hidden : int
        Width of the layers.
    dropout : float
        Probability that a channel is dropped in training.

    Example
    -------
    >>> head = JointHead(8, 6, 4, "attention", hidden=16)
    >>> frames, tokens = torch.randn(9, 8), torch.randn(4, 6)
    >>> head(frames, torch.tensor([5, 4]), tokens, torch.tensor([1, 3])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        speech_size,
        text_size,
        num_classes,
        joint_kind="gated",
        hidden=128,
        dropout=0.2,
    ):
        super().__init__()
        check_value("joint_kind", joint_kind)
        check_value("dropout", dropout)
        self.speech = dense(speech_size, hidden, dropout)
        self.text = dense(text_size, hidden, dropout)
        self.attention = None
        if joint_kind == "attention":
            self.attention = nn.MultiheadAttention(
                hidden, 1, dropout, batch_first=True
            )
        self.gate = nn.Linear(2 * hidden, hidden)
        self.output = nn.Linear(hidden, num_classes)

    def forward(self, frames, frame_lengths, tokens, token_lengths):
        frames, tokens = self.speech(frames), self.text(tokens)
        if self.attention is not None:
            padded = packing.pad(frames, frame_lengths)
            heard, _ = self.attention(
                packing.pad(tokens, token_lengths),
                padded,
                padded,
                key_padding_mask=~length_mask(frame_lengths, padded.shape[1]),
                need_weights=False,
            )
            tokens = tokens + packing.pack(heard, token_lengths)
        speech = packing.mean_over_frames(frames, frame_lengths)
        text = packing.mean_over_frames(tokens, token_lengths)
        gate = torch.sigmoid(self.gate(torch.cat([speech, text], dim=1)))
        return self.output(gate * speech + (1 - gate) * text)
