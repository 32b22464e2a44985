"""Encoder, normalisation and mixture of layers: waveforms -> frames.

What the frame-wise and the utterance-level classifiers begin with. Modules go
by their names: ``encoder``, perhaps ``normalizer`` and ``mixture``; a second
input has the same names after a prefix, such as ``fusion_encoder``.
"""

from speechbrain_ext.encoders.frames import absolute_lengths
from speechbrain_ext.errors import UserError

#: What a row of table 1 of Pepino et al. (2021) takes from an encoder.
LAYERS = {
    "all": slice(None),
    "local": slice(0, 1),
    "contextual": slice(-1, None),
}


def selected_layers(layers):
    """Which hidden states are taken.

    Arguments
    ---------
    layers : str
        ``"all"``, ``"local"`` (the first) or ``"contextual"`` (the last).

    Returns
    -------
    slice
        Of the axis of layers.

    Raises
    ------
    UserError
        When it is none of these.

    Example
    -------
    >>> [0, 1, 2][selected_layers("contextual")]
    [2]
    """
    if layers not in LAYERS:
        raise UserError(
            f"layers: '{layers}' is none; choose {', '.join(LAYERS)}."
        )
    return LAYERS[layers]


def count_layers(encoder, layers):
    """Number of hidden states that are taken of an encoder.

    Arguments
    ---------
    encoder : speechbrain_ext.encoders.base.Encoder
        With ``num_layers``.
    layers : str
        As for ``selected_layers``.

    Returns
    -------
    int

    Example
    -------
    >>> from speechbrain_ext.encoders.logmel import LogMelEncoder
    >>> count_layers(LogMelEncoder(), "all")
    1
    """
    return len(range(encoder.num_layers)[selected_layers(layers)])


def frame_limit(grid, max_length):
    """Number of frames that so many seconds hold, at the most.

    Arguments
    ---------
    grid : FrameGrid
        The frames of the encoder.
    max_length : float
        In seconds.

    Returns
    -------
    int

    Example
    -------
    >>> from speechbrain_ext.encoders.frames import FrameGrid
    >>> frame_limit(FrameGrid([(400, 320, 0)]), 5.0)
    250
    """
    return max(1, round(max_length * 16000 / grid.stride))


def check_strides(modules):
    """See that frames of all inputs of a model come equally often.

    Arguments
    ---------
    modules : dict
        With ``encoder``, perhaps with ``fusion_encoder``.

    Raises
    ------
    UserError
        When they do not, so that frames of different times would be joined.

    Example
    -------
    >>> from speechbrain_ext.encoders import load_encoder
    >>> check_strides({"encoder": load_encoder("spectrogram")})
    """
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
    """Hidden states of every input of a model.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        With ``encoder``, perhaps with ``fusion_encoder``.
    wav : torch.Tensor
        Waveforms ``[batch, samples]``.
    wav_lens : torch.Tensor or None
        Relative lengths ``[batch]``; all full if None.
    layers : str
        Those that are taken, as for ``selected_layers``; of the second input
        all.
    max_length : float, optional
        What lies beyond is cut off (s), after the encoder has seen it.

    Returns
    -------
    dict
        From prefix (``""`` and perhaps ``"fusion_"``) to hidden states
        ``[batch, layers, frames, channels]`` and the number of valid frames
        ``[batch]``.

    Example
    -------
    >>> import torch
    >>> from speechbrain_ext.encoders.logmel import LogMelEncoder
    >>> modules = torch.nn.ModuleDict({"encoder": LogMelEncoder()})
    >>> hidden = hidden_states(modules, torch.randn(2, 16000), torch.tensor([1.0, 0.5]))
    >>> hidden[""][0].shape, hidden[""][1]
    (torch.Size([2, 1, 13, 128]), tensor([13,  7]))
    """
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
    """Normalise and mix hidden states.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        Perhaps with ``normalizer`` and ``mixture``, each after the prefix;
        without a mixture the last layer is taken.
    hidden : torch.Tensor
        ``[batch, layers, frames, channels]``.
    prefix : str
        Which input this is.
    speakers : list of str, optional
        Who speaks ``[batch]``, for speaker normalisation.

    Returns
    -------
    torch.Tensor
        ``[batch, frames, channels]``.

    Example
    -------
    >>> import torch
    >>> mixed_frames({}, torch.randn(2, 5, 7, 8)).shape
    torch.Size([2, 7, 8])
    """
    if prefix + "normalizer" in modules:
        hidden = modules[prefix + "normalizer"](hidden, speakers)
    if prefix + "mixture" in modules:
        return modules[prefix + "mixture"](hidden)
    return hidden[:, -1]


def inputs(modules):
    """Prefixes of a model's inputs: ``""``, and ``"fusion_"`` if it has one.

    Example
    -------
    >>> inputs({"encoder": None, "head": None})
    ['']
    """
    return ["", "fusion_"] if "fusion_encoder" in modules else [""]
