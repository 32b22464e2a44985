"""wav2vec 2.0, HuBERT and WavLM, such that padding never changes a result.

The models are those of transformers; their own attention masks are used. Three
things in them still see the padding, and are dealt with here: the
normalisation of the waveform, the group normalisation over time in the first
convolution of the base models, and the batch normalisation before the
positional convolution of some HuBERT models.
"""

from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel

from speechbrain_ext.encoders.base import (
    Encoder,
    full_precision,
    length_mask,
    masked_moments,
)
from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.encoders.loading import (
    config_dict,
    load_config,
    load_feature_extractor,
    load_weights,
)


class SSLEncoder(Encoder):
    """A pretrained wav2vec 2.0, HuBERT or WavLM model.

    Hidden state 0 is what the first transformer layer gets: the output of the
    convolutional network, projected, with the positional convolution added. Or
    it is the projected output alone (``local_encoder``), as in Pepino et al.
    2021, section 2.3.
    The last hidden state is the model's output, after the final layer
    normalisation where the architecture has one (the large models).

    Arguments
    ---------
    source : str or os.PathLike
        Folder of a checkpoint, or its name on the Hugging Face Hub.
    save_path : str or os.PathLike, optional
        Where downloads are kept; transformers' own cache if absent.
    freeze : bool
        Whether nothing of the encoder is trained.
    freeze_feature_extractor : bool
        Whether the convolutional network is not trained.
    output_norm : bool
        Whether the output is normalised over each utterance's frames and
        channels.
    local_encoder : bool
        Whether hidden state 0 is the projected output of the convolutional
        network, without the positional convolution and what follows it.

    Example
    -------
    >>> from tests.checkpoints import make_ssl_checkpoint
    >>> folder = make_ssl_checkpoint(getfixture("tmp_path"), kind="wavlm")
    >>> encoder = SSLEncoder(folder)
    >>> encoder(torch.randn(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 49, 32])
    """

    def __init__(
        self,
        source,
        save_path=None,
        freeze=True,
        freeze_feature_extractor=True,
        output_norm=False,
        local_encoder=False,
    ):
        super().__init__(output_norm)
        self.local_encoder = local_encoder
        config = load_config(source, save_path)
        # Random masks and dropped layers belong to pretraining; a dropped
        # layer's weights get no gradient, which breaks DDP, and so does
        # computing parts of the graph twice.
        config.apply_spec_augment = False
        config.layerdrop = 0.0
        config.gradient_checkpointing = False
        # An adapter would halve the frames; it is not part of the encoder.
        config.add_adapter = False
        extractor = load_feature_extractor(source, save_path)
        self.do_normalize = bool(extractor.do_normalize)
        self.model = load_weights(AutoModel, source, config, save_path)
        # What it does for checkpointing fails on waveforms with gradients.
        self.model.feature_extractor._requires_grad = False
        convolutions = [
            (kernel, stride, 0)
            for kernel, stride in zip(config.conv_kernel, config.conv_stride)
        ]
        self.grid = FrameGrid(convolutions)
        self.output_size = config.hidden_size
        self.num_layers = config.num_hidden_layers + 1
        # Each norm that looks across frames, with the frames that it sees.
        self._masked_norms = []
        if config.feat_extract_norm == "group":
            layer = self.model.feature_extractor.conv_layers[0]
            layer.layer_norm = MaskedGroupNorm.like(layer.layer_norm)
            self._masked_norms.append(
                (layer.layer_norm, FrameGrid(convolutions[:1]))
            )
        positions = self.model.encoder.pos_conv_embed
        if getattr(positions, "batch_norm", None) is not None:
            positions.batch_norm = MaskedBatchNorm.like(positions.batch_norm)
            self._masked_norms.append((positions.batch_norm, self.grid))
        if hasattr(self.model, "masked_spec_embed"):
            self.model.masked_spec_embed.requires_grad = False
        if freeze:
            self.freeze()
        elif freeze_feature_extractor:
            self.model.feature_extractor.requires_grad_(False)
        self.train()

    def encode(self, wav, lengths, all_layers):
        if self.do_normalize:
            wav = _normalise(wav, lengths)
        needed = self.grid.min_samples
        if wav.shape[1] < needed:
            wav = F.pad(wav, (0, needed - wav.shape[1]))
        lengths = lengths.clamp(min=needed)
        # Without padding there is nothing to mask, and attention is faster.
        padded = bool((lengths < wav.shape[1]).any())
        mask = length_mask(lengths, wav.shape[1]).long() if padded else None
        with (
            self._masks_for(lengths if padded else None),
            self._projected() as projected,
        ):
            output = self.model(
                wav.to(self.model.dtype),
                attention_mask=mask,
                output_hidden_states=all_layers,
            )
        if not all_layers:
            return output.last_hidden_state
        # transformers' last hidden state of the large models lacks the final
        # layer normalisation.
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        if self.local_encoder:
            states[0] = projected[0]
        return torch.stack(states, dim=1)

    @property
    def layers(self):
        """Transformer layers, from the bottom upwards."""
        return self.model.encoder.layers

    @property
    def final_norm(self):
        """Normalisation after the last layer; None where there is none.

        In the base models it is that before the first layer.
        """
        stable = self.model.config.do_stable_layer_norm
        return self.model.encoder.layer_norm if stable else None

    def describe(self):
        return {
            "config": config_dict(self.model.config),
            "do_normalize": self.do_normalize,
            "local_encoder": self.local_encoder,
        }

    @contextmanager
    def _projected(self):
        """Collect what the feature projection makes of the next input."""
        collected = []

        def collect(module, args, output):
            # The projections of some kinds return their input beside it.
            x = output[0] if isinstance(output, tuple) else output
            # The encoder writes zeros into the frames of padding.
            collected.append(x.clone())

        hook = self.model.feature_projection.register_forward_hook(collect)
        try:
            yield collected
        finally:
            hook.remove()

    @contextmanager
    def _masks_for(self, lengths):
        """Tell the norms which frames are valid; no lengths: all are."""
        if lengths is not None:
            for norm, grid in self._masked_norms:
                norm.frames = grid.num_frames(lengths)
        try:
            yield
        finally:
            for norm, _ in self._masked_norms:
                norm.frames = None


class MaskedGroupNorm(nn.GroupNorm):
    """Normalisation of each channel over the valid frames of each utterance."""

    frames = None

    @classmethod
    def like(cls, norm):
        """The same normalisation, sharing the parameters of ``norm``."""
        if norm.num_groups != norm.num_channels:
            raise ValueError("the groups are not single channels")
        new = cls(norm.num_groups, norm.num_channels, norm.eps)
        new.weight, new.bias = norm.weight, norm.bias
        return new

    def forward(self, x):
        """Normalise ``[batch, channels, frames]``."""
        if self.frames is None:
            return super().forward(x)
        # In float32 as the plain one is under autocast.
        x = full_precision(x)
        valid = length_mask(self.frames, x.shape[-1])[:, None]
        mean, variance = masked_moments(x, valid, (-1,))
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return x * self.weight[:, None] + self.bias[:, None]


class MaskedBatchNorm(nn.BatchNorm1d):
    """Normalisation by the stored statistics, with zeros for the padding."""

    frames = None

    @classmethod
    def like(cls, norm):
        """The same normalisation, sharing all that ``norm`` holds."""
        new = cls(norm.num_features, norm.eps)
        new.weight, new.bias = norm.weight, norm.bias
        new.running_mean, new.running_var = norm.running_mean, norm.running_var
        new.num_batches_tracked = norm.num_batches_tracked
        return new.eval()

    def train(self, mode=True):
        """Stay in evaluation."""
        return super().train(False)

    def forward(self, x):
        """Normalise ``[batch, channels, frames]``."""
        x = super().forward(x)
        if self.frames is None:
            return x
        valid = length_mask(self.frames, x.shape[-1])[:, None]
        return x.masked_fill(~valid, 0.0)


def _normalise(wav, lengths):
    """Zero mean and unit variance, as transformers' feature extractor."""
    valid = length_mask(lengths, wav.shape[1])
    wav = full_precision(wav)
    mean, variance = masked_moments(wav, valid, (1,))
    wav = (wav - mean) * torch.rsqrt(variance + 1e-7)
    return wav.masked_fill(~valid, 0.0)
