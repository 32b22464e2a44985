"""Utterances one after the other, without padding: packed frames.

A batch is a tensor ``[..., frames, channels]`` of all frames of its utterances,
and their ``lengths`` ``[batch]``. Padding, which is not there, cannot be
averaged or trained on by mistake, and takes no time.
"""

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import (
    pack_sequence,
    pad_sequence,
    unpack_sequence,
)


def pack(padded, lengths):
    """``[batch, ..., longest, channels]`` -> ``[..., frames, channels]``."""
    return torch.cat(
        [
            item[..., :length, :]
            for item, length in zip(padded, lengths.tolist())
        ],
        dim=-2,
    )


def split(packed, lengths):
    """The frames of each utterance, ``[..., length, channels]`` each."""
    return packed.split(lengths.tolist(), dim=-2)


def pad(packed, lengths):
    """``[frames, channels]`` -> ``[batch, longest, channels]``, zeros added."""
    return pad_sequence(split(packed, lengths), batch_first=True)


def mean_over_frames(packed, lengths):
    """``[frames, channels]`` -> ``[batch, channels]``."""
    return torch.stack([frames.mean(0) for frames in split(packed, lengths)])


def run_lstm(lstm, packed, lengths):
    """What an ``nn.LSTM`` makes of every utterance, packed again.

    On a CPU packed sequences take four to six times as long as whole batches,
    one direction at a time: what comes after the end of an utterance does not
    change what comes before.
    """
    if packed.device.type != "cpu":
        sequences = pack_sequence(split(packed, lengths), enforce_sorted=False)
        return torch.cat(unpack_sequence(lstm(sequences)[0]))
    ways = ("", "_reverse") if lstm.bidirectional else ("",)
    for layer in range(lstm.num_layers):
        if layer:
            packed = F.dropout(packed, lstm.dropout, lstm.training)
        packed = torch.cat(
            [_one_way(lstm, f"l{layer}{way}", packed, lengths) for way in ways],
            dim=-1,
        )
    return packed


def _one_way(lstm, name, packed, lengths):
    if name.endswith("_reverse"):
        packed = _reverse(packed, lengths)
    weights = [
        getattr(lstm, f"{kind}_{name}")
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    x = pad(packed, lengths)
    zeros = x.new_zeros(1, len(x), lstm.hidden_size)
    # One layer, no dropout, one direction, batch first.
    options = True, 1, 0.0, lstm.training, False, True
    output, *_ = torch.lstm(x, (zeros, zeros), weights, *options)
    output = pack(output, lengths)
    return _reverse(output, lengths) if name.endswith("_reverse") else output


def _reverse(packed, lengths):
    return torch.cat([frames.flip(0) for frames in split(packed, lengths)])
