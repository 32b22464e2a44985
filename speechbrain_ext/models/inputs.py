"""An input of a model by its name: encoder, normalisation, mixture of layers.

A model has one input or several (``speech``, ``egemaps``, ...); each gives
packed frames (``speechbrain_ext.models.packing``), which a head takes.
"""

import torch
from torch import nn

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.values import check_value
from speechbrain_ext.encoders.grid import absolute_lengths
from speechbrain_ext.models.packing import pack, pad

# What a row of table 1 of Pepino et al. (2021) takes from an encoder.
LAYERS = {
    "all": slice(None),
    "local": slice(0, 1),
    "contextual": slice(-1, None),
}


class Input(nn.Module):
    """Encoder, normalisation and mixture of layers: recordings -> frames.

    Arguments
    ---------
    encoder : speechbrain_ext.encoders.Encoder
        Waveforms to hidden states.
    normalizer : FeatureNormalizer or SpeakerNormalizer, optional
        Normalises every layer.
    mixture : LayerMixture, optional
        Mixes the layers; without it the last one is taken.
    layers : str
        Which hidden states are taken: ``"all"``, ``"local"`` (the first one) or
        ``"contextual"`` (the last one).
    max_length : float, optional
        Frames beyond are cut off (s).

    Raises
    ------
    UserError
        When there are no such ``layers``, or ``max_length`` is not positive.

    Example
    -------
    >>> import torch
    >>> from speechbrain_ext.encoders.features.spectra import SpectrogramEncoder
    >>> frames, lengths = Input(SpectrogramEncoder())(torch.randn(2, 16000))
    >>> frames.shape, lengths
    (torch.Size([196, 201]), tensor([98, 98]))
    """

    def __init__(
        self,
        encoder,
        normalizer=None,
        mixture=None,
        layers="all",
        max_length=None,
    ):
        super().__init__()
        self.encoder = encoder
        self.grid = encoder.grid
        self.normalizer = normalizer
        self.mixture = mixture
        if normalizer is None and mixture is None and layers == "all":
            # Nothing sees the others.
            layers = "contextual"
        self.layers = _taken(layers)
        self.limit = None
        self.max_length = max_length
        if max_length is not None:
            check_value("max_length", max_length)
            self._check_frames()
            self.limit = max(1, round(max_length * 16000 / self.grid.stride))

    @property
    def has_frames(self):
        """Whether the encoder makes frames that follow the time."""
        return self.grid is not None and self.grid.stride is not None

    def _check_frames(self):
        if not self.has_frames:
            kind = type(self.encoder).__name__
            what = f"null for {kind}, which makes no frames"
            raise expected("max_length", what, self.max_length)

    @property
    def by_speaker(self):
        """Whether features are normalised by speaker."""
        return self.normalizer is not None and self.normalizer.by_speaker

    def hidden(self, wav, wav_lens=None):
        """Hidden states of waveforms ``[batch, samples]``, whose lengths are
        relative: packed ``[layers, frames, channels]``, and the number of
        frames of each utterance ``[batch]``."""
        if wav_lens is None:
            wav_lens = wav.new_ones(len(wav))
        samples = absolute_lengths(wav_lens.to(wav.device), wav.shape[1])
        lengths = self.grid.num_frames(samples)
        return self._hidden(self.encoder, (wav, wav_lens), lengths)

    def hidden_of_texts(self, texts):
        """What ``hidden`` gives, of an encoder that reads texts."""
        states = self.encoder.encode_batch(texts)
        lengths = [state.shape[1] for state in states]
        packed = torch.cat(states, dim=1)[self.layers]
        return packed, torch.tensor(lengths, device=packed.device)

    def _hidden(self, encode, given, lengths):
        every = self.layers != LAYERS["contextual"]
        hidden = encode(*given, all_layers=every)
        hidden = hidden[:, self.layers] if every else hidden[:, None]
        if self.limit is not None:
            lengths = lengths.clamp(max=self.limit)
        return pack(hidden, lengths), lengths

    def frames(self, hidden, lengths, speakers=None):
        """Normalise and mix packed hidden states: ``[frames, channels]``."""
        if self.normalizer is not None:
            hidden = self.normalizer(hidden, lengths, speakers)
        return self._mix(hidden)

    def forward(
        self,
        wav=None,
        wav_lens=None,
        speakers=None,
        normalised=None,
        convolved=None,
        texts=None,
    ):
        """Packed frames ``[frames, channels]``, and their lengths ``[batch]``.

        They are those of waveforms and ``speakers`` (names, for normalisation
        by speaker), or of ``texts``. In place of waveforms come packed states
        and their lengths: ``normalised``, or ``convolved``, which
        ``ConvolvedFeatures`` gives.
        """
        if normalised is not None:
            hidden, lengths = normalised
            return self._mix(hidden), lengths
        if convolved is not None:
            features, lengths = convolved
            given = pad(features[0], lengths), lengths
            hidden, lengths = self._hidden(self.encoder.resume, given, lengths)
        elif texts is not None:
            hidden, lengths = self.hidden_of_texts(texts)
        else:
            hidden, lengths = self.hidden(wav, wav_lens)
        return self.frames(hidden, lengths, speakers), lengths

    def _mix(self, hidden):
        return hidden[-1] if self.mixture is None else self.mixture(hidden)


def count_layers(encoder, layers):
    """Number of hidden states that are taken of an encoder."""
    return len(range(encoder.num_layers)[_taken(layers)])


def _taken(layers):
    check_value("layers", layers)
    return LAYERS[layers]


def check_strides(inputs):
    """See that the frames of all inputs come equally often."""
    framed = {name: one for name, one in inputs.items() if one.has_frames}
    if not framed:
        return
    (first, one), *others = framed.items()
    for name, other in others:
        if other.grid.stride != one.grid.stride:
            raise UserError(
                f"inputs: the frames of '{name}' are "
                f"{other.grid.stride / 16:g} ms apart, those of '{first}' "
                f"{one.grid.stride / 16:g} ms, so that frames of different "
                "times would be joined; choose an encoder_source with frames "
                f"{other.grid.stride / 16:g} ms apart."
            )
