"""Encoder, mixture of layers and head as one frame-wise classifier."""

import torch

from speechbrain_ext.models.frames import hidden_states, mixed_frames


def frame_log_probs(modules, lengths, wav=None, wav_lens=None, hidden=None):
    """Log posteriors of every frame (Wang et al. 2023, figure 3).

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        ``encoder`` and ``head``; with ``mixture`` between them all layers of
        the encoder are used, normalised first if there is a ``normalizer``;
        otherwise the last layer.
    lengths : torch.Tensor
        Number of valid frames ``[batch]``.
    wav : torch.Tensor, optional
        Waveforms ``[batch, samples]``.
    wav_lens : torch.Tensor, optional
        Relative lengths ``[batch]``.
    hidden : torch.Tensor, optional
        What the encoder makes of the waveforms, if that is at hand:
        ``[batch, layers, frames, channels]``.

    Returns
    -------
    torch.Tensor
        ``[batch, frames, classes]``, float32.

    Example
    -------
    >>> from speechbrain_ext.models.frame_heads import LinearHead
    >>> modules = torch.nn.ModuleDict({"head": LinearHead(8, 4)})
    >>> hidden = torch.randn(2, 3, 5, 8)
    >>> frame_log_probs(modules, torch.tensor([5, 2]), hidden=hidden).shape
    torch.Size([2, 5, 4])
    """
    if hidden is None:
        layers = "all" if "mixture" in modules else "contextual"
        hidden, _ = hidden_states(modules, wav, wav_lens, layers)[""]
    frames = mixed_frames(modules, hidden)
    logits = modules["head"](frames, lengths)
    return torch.log_softmax(logits.float(), dim=-1)
