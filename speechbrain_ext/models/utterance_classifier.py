"""Encoder, mixture of layers and head as one classifier of utterances."""

import torch

from speechbrain_ext.models.frames import hidden_states, inputs, mixed_frames


def utterance_log_probs(
    modules,
    wav=None,
    wav_lens=None,
    hidden=None,
    layers="all",
    max_length=None,
    speakers=None,
):
    """Log posteriors of every utterance.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        ``encoder`` and ``head``; perhaps ``normalizer`` and ``mixture``;
        perhaps ``fusion_encoder`` and ``fusion_normalizer`` for a head with
        two inputs.
    wav : torch.Tensor, optional
        Waveforms ``[batch, samples]``.
    wav_lens : torch.Tensor, optional
        Relative lengths ``[batch]``.
    hidden : dict, optional
        What ``hidden_states`` makes of the waveforms, if that is at hand.
    layers : str
        Hidden states that are taken: ``"all"``, ``"local"`` or
        ``"contextual"``.
    max_length : float, optional
        What lies beyond is cut off (s), after the encoder has seen it.
    speakers : list of str, optional
        Who speaks ``[batch]``, for speaker normalisation.

    Returns
    -------
    torch.Tensor
        ``[batch, classes]``, float32.

    Example
    -------
    >>> from speechbrain_ext.models.utterance_heads import DenseHead
    >>> modules = torch.nn.ModuleDict({"head": DenseHead(8, 4)})
    >>> hidden = {"": (torch.randn(2, 1, 5, 8), torch.tensor([5, 2]))}
    >>> utterance_log_probs(modules, hidden=hidden).shape
    torch.Size([2, 4])
    """
    if hidden is None:
        hidden = hidden_states(modules, wav, wav_lens, layers, max_length)
    found = []
    for prefix in inputs(modules):
        states, lengths = hidden[prefix]
        found += mixed_frames(modules, states, prefix, speakers), lengths
    logits = modules["head"](*found)
    return torch.log_softmax(logits.float(), dim=-1)
