"""wav2vec 2.0, HuBERT and WavLM, such that padding never changes a result.

Three things see the padding in spite of transformers' masks: normalisation of
the waveform, group normalisation in the base models' first convolution, and
batch normalisation before some HuBERT models' positional convolution.
"""

from contextlib import ExitStack

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel

from speechbrain_ext.encoders import loading
from speechbrain_ext.encoders.base import (
    Encoder,
    full_precision,
    length_mask,
    normalise,
)
from speechbrain_ext.encoders.grid import FrameGrid


class SSLEncoder(Encoder):
    """A pretrained wav2vec 2.0, HuBERT or WavLM model.

    Hidden state 0 is what the first transformer layer gets: the output of the
    convolutions, projected, with the positional convolution added unless
    ``local_encoder``. The last one is after the large models' final layer
    normalisation. For the options see ``load_encoder``.
    """

    convolutions = ("model.feature_extractor.",)

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
        config = loading.load_config(source, save_path)
        # Masks are pretraining's. A dropped layer's weights get no gradient,
        # which breaks DDP, and so does computing parts of the graph twice.
        config.apply_spec_augment = False
        config.layerdrop = 0.0
        config.gradient_checkpointing = False
        # An adapter would halve the frames; it is not part of the encoder.
        config.add_adapter = False
        extractor = loading.load_feature_extractor(source, save_path)
        self.do_normalize = bool(extractor.do_normalize)
        self.model = loading.load_weights(AutoModel, source, config, save_path)
        # What it does for checkpointing fails on waveforms with gradients.
        self.model.feature_extractor._requires_grad = False
        convolutions = [
            (kernel, stride, 0)
            for kernel, stride in zip(config.conv_kernel, config.conv_stride)
        ]
        self.grid = FrameGrid(convolutions)
        self.output_size = config.hidden_size
        self.convolved_size = config.conv_dim[-1]
        self.num_layers = config.num_hidden_layers + 1
        # The two norms that look across frames are told which are valid.
        self._group_norm = self._batch_norm = None
        if config.feat_extract_norm == "group":
            norm = self.model.feature_extractor.conv_layers[0].layer_norm
            norm.__class__ = MaskedGroupNorm
            self._group_norm = (norm, FrameGrid(convolutions[:1]))
        norm = getattr(self.model.encoder.pos_conv_embed, "batch_norm", None)
        if norm is not None:
            norm.__class__ = MaskedBatchNorm
            self._batch_norm = (norm,)
        if hasattr(self.model, "masked_spec_embed"):
            self.model.masked_spec_embed.requires_grad = False
        self._start_training(freeze, freeze_feature_extractor)

    def convolve(self, wav, lengths):
        if self.do_normalize:
            valid = length_mask(lengths, wav.shape[1])
            # As transformers' feature extractor.
            wav = normalise(wav, valid, (1,), 1e-7).masked_fill(~valid, 0.0)
        needed = self.grid.min_samples
        if wav.shape[1] < needed:
            wav = F.pad(wav, (0, needed - wav.shape[1]))
        if self._group_norm is not None:
            norm, grid = self._group_norm
            lengths = lengths.clamp(min=needed)
            padded = bool((lengths < wav.shape[1]).any())
            norm.frames = grid.num_frames(lengths) if padded else None
        features = self.model.feature_extractor(wav.to(self.model.dtype))
        return features.transpose(1, 2)

    def contextualize(self, features, frames, all_layers):
        model = self.model
        projected = model.feature_projection(features.to(model.dtype))
        if isinstance(projected, tuple):
            # Some kinds give their normalised input beside it.
            projected = projected[0]
        # Without padding there is nothing to mask, and attention is faster.
        mask = None
        if bool((frames < features.shape[1]).any()):
            mask = length_mask(frames, features.shape[1])
        if self._batch_norm is not None:
            self._batch_norm[0].mask = mask
        states = []

        def before(module, args):
            states.append(args[0])

        def after(module, args, output):
            states.append(output[0] if isinstance(output, tuple) else output)

        with ExitStack() as hooks:
            if all_layers:
                first = self.layers[0].register_forward_pre_hook(before)
                hooks.enter_context(first)
                for layer in self.layers:
                    hooks.enter_context(layer.register_forward_hook(after))
            output = model.encoder(projected, attention_mask=mask)
        if not all_layers:
            return output.last_hidden_state
        # The last layer's output lacks the large models' final normalisation.
        states[-1] = output.last_hidden_state
        if self.local_encoder:
            states[0] = projected
        return torch.stack(states, dim=1)

    @property
    def layers(self):
        return self.model.encoder.layers

    @property
    def final_norm(self):
        # In the base models it stands before the first layer.
        stable = self.model.config.do_stable_layer_norm
        return self.model.encoder.layer_norm if stable else None

    def describe(self):
        return {
            "config": loading.config_dict(self.model.config),
            "do_normalize": self.do_normalize,
            "local_encoder": self.local_encoder,
        }

    def describe_convolutions(self):
        config = loading.config_dict(self.model.config)
        names = [n for n in config if "feat_extract" in n or "conv_" in n]
        described = {name: config[name] for name in names}
        return {"do_normalize": self.do_normalize, **described}


# Channels that are normalised together: few enough for a processor's cache.
_TOGETHER = 32


class MaskedGroupNorm(nn.GroupNorm):
    """Normalisation of each channel over the valid frames of each utterance."""

    frames = None

    def forward(self, x):
        """Normalise ``[batch, channels, frames]``."""
        if self.frames is None:
            return super().forward(x)
        # In float32 as the plain one is under autocast, and in place of the
        # convolution's output where no gradient needs it.
        x = full_precision(x)
        output = torch.empty_like(x) if x.requires_grad else x
        for start in range(0, self.num_channels, _TOGETHER):
            some = slice(start, start + _TOGETHER)
            weight, bias = self.weight[some], self.bias[some]
            for index, frames in enumerate(self.frames.tolist()):
                valid = x[index : index + 1, some, :frames]
                output[index, some, :frames] = F.group_norm(
                    valid, valid.shape[1], weight, bias, self.eps
                )[0]
                output[index, some, frames:] = 0.0
        return output


class MaskedBatchNorm(nn.BatchNorm1d):
    """Normalisation by the stored statistics, with zeros for the padding."""

    mask = None

    def train(self, mode=True):
        """Stay in evaluation."""
        return super().train(False)

    def forward(self, x):
        """Normalise ``[batch, channels, frames]``."""
        x = super().forward(x)
        if self.mask is None:
            return x
        return x.masked_fill(~self.mask[:, None], 0.0)
