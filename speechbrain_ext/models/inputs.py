"""Encoder, normalisation and mixture of layers: waveforms -> frames.

What the frame-wise and the utterance-level classifiers begin with. Modules go
by their names: ``encoder``, perhaps ``normalizer`` and ``mixture``; a second
input has the same names after a prefix, such as ``fusion_encoder``.
"""

import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.grid import absolute_lengths

#: What a row of table 1 of Pepino et al. (2021) takes from an encoder.
LAYERS = {
    "all": slice(None),
    "local": slice(0, 1),
    "contextual": slice(-1, None),
}


def selected_layers(layers):
    """Which hidden states are taken."""
    if layers not in LAYERS:
        raise UserError(
            f"layers: '{layers}' is none; choose {', '.join(LAYERS)}."
        )
    return LAYERS[layers]


def count_layers(encoder, layers):
    """Number of hidden states that are taken of an encoder."""
    return len(range(encoder.num_layers)[selected_layers(layers)])


def frame_limit(grid, max_length):
    """Number of frames that so many seconds hold, at the most."""
    return max(1, round(max_length * 16000 / grid.stride))


def check_strides(modules):
    """See that frames of all inputs of a model come equally often."""
    first, *others = [
        modules[f"{prefix}encoder"].grid.stride for prefix in inputs(modules)
    ]
    for other in others:
        if other != first:
            raise UserError(
                f"fusion_encoder: its frames are {other / 16:g} ms apart, "
                f"those of the encoder {first / 16:g} ms, so that frames of "
                "different times would be joined; choose an encoder_source "
                f"with frames {other / 16:g} ms apart."
            )


def hidden_states(modules, wav, wav_lens, layers="all", max_length=None):
    """Hidden states of every input of a model."""
    found = {}
    for prefix in inputs(modules):
        encoder = modules[prefix + "encoder"]
        taken = selected_layers("all" if prefix else layers)
        if taken == LAYERS["contextual"]:
            hidden = encoder(wav, wav_lens)[:, None]
        else:
            hidden = encoder(wav, wav_lens, all_layers=True)[:, taken]
        if wav_lens is None:
            wav_lens = wav.new_ones(wav.shape[0])
        samples = absolute_lengths(wav_lens.to(wav.device), wav.shape[1])
        # DDP stands around an encoder that is trained.
        grid = getattr(encoder, "module", encoder).grid
        lengths = grid.num_frames(samples)
        if max_length is not None:
            limit = frame_limit(grid, max_length)
            hidden, lengths = hidden[:, :, :limit], lengths.clamp(max=limit)
        found[prefix] = hidden, lengths
    return found


def mixed_frames(modules, hidden, prefix="", speakers=None):
    """Normalise and mix hidden states."""
    if prefix + "normalizer" in modules:
        hidden = modules[prefix + "normalizer"](hidden, speakers)
    if prefix + "mixture" in modules:
        return modules[prefix + "mixture"](hidden)
    return hidden[:, -1]


def inputs(modules):
    """Prefixes of a model's inputs: ``""``, and ``"fusion_"`` if it has one."""
    return ["", "fusion_"] if "fusion_encoder" in modules else [""]


def frame_log_probs(modules, lengths, wav=None, wav_lens=None, hidden=None):
    """Log posteriors of every frame (Wang et al. 2023, figure 3)."""
    if hidden is None:
        layers = "all" if "mixture" in modules else "contextual"
        hidden, _ = hidden_states(modules, wav, wav_lens, layers)[""]
    frames = mixed_frames(modules, hidden)
    logits = modules["head"](frames, lengths)
    return torch.log_softmax(logits.float(), dim=-1)


def utterance_log_probs(
    modules,
    wav=None,
    wav_lens=None,
    hidden=None,
    layers="all",
    max_length=None,
    speakers=None,
):
    """Log posteriors of every utterance."""
    if hidden is None:
        hidden = hidden_states(modules, wav, wav_lens, layers, max_length)
    found = []
    for prefix in inputs(modules):
        states, lengths = hidden[prefix]
        found += mixed_frames(modules, states, prefix, speakers), lengths
    logits = modules["head"](*found)
    return torch.log_softmax(logits.float(), dim=-1)
