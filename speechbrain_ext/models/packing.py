"""Utterances one after the other, without padding: packed frames.

A batch is a tensor ``[..., frames, channels]`` of all frames of its utterances,
and their ``lengths`` ``[batch]``. Padding, which is not there, cannot be
averaged or trained on by mistake, and takes no time.
"""

import torch
from torch.nn.utils.rnn import pad_sequence


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


def frame_by_frame(module, packed, lengths):
    """What a recurrent layer makes of every utterance, packed again."""
    sequences = torch.nn.utils.rnn.pack_sequence(
        split(packed, lengths), enforce_sorted=False
    )
    output, _ = module(sequences)
    return torch.cat(torch.nn.utils.rnn.unpack_sequence(output))
