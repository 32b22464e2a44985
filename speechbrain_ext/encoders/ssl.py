"""wav2vec 2.0, HuBERT and WavLM, such that padding never changes a result.

What sees the padding in spite of transformers' masks: normalisation of the
waveform, of groups in the base models' first convolution, and of batches before
some HuBERT models' positional convolution.
"""

from contextlib import ExitStack

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel

from speechbrain_ext.encoders import loading
from speechbrain_ext.encoders.base import length_mask, normalise
from speechbrain_ext.encoders.grid import FrameGrid


class SSLEncoder(loading.PretrainedEncoder):
    """A pretrained wav2vec 2.0, HuBERT or WavLM model.

    Hidden state 0 is what the first transformer layer gets: the output of the
    convolutions, projected, with the positional convolution added unless
    ``local_encoder``. The last one is after the large models' final layer
    normalisation. For the options see ``load_encoder``.
    """

    convolutions = ("model.feature_extractor.",)

    def _build(self, source, save_path, config):
        # Masks are pretraining's.
        config.apply_spec_augment = False
        # A dropped layer's weights get no gradient, which breaks DDP.
        config.layerdrop = 0.0
        # An adapter would halve the frames; it is not part of the encoder.
        config.add_adapter = False
        extractor = loading.load_feature_extractor(source, save_path)
        self.do_normalize = bool(extractor.do_normalize)
        self.model = loading.load_weights(AutoModel, source, config, save_path)
        # What it does for checkpointing fails on waveforms with gradients.
        self.model.feature_extractor._requires_grad = False
        sizes = zip(config.conv_kernel, config.conv_stride)
        convolutions = [(kernel, stride, 0) for kernel, stride in sizes]
        self.grid = FrameGrid(convolutions)
        self.convolved_size = config.conv_dim[-1]
        # The norm that looks across frames is told which are valid.
        self._batch_norm = None
        norm = getattr(self.model.encoder.pos_conv_embed, "batch_norm", None)
        if norm is not None:
            norm.__class__ = MaskedBatchNorm
            self._batch_norm = (norm,)
        if hasattr(self.model, "masked_spec_embed"):
            self.model.masked_spec_embed.requires_grad = False

    def convolve(self, wav, lengths):
        if self.do_normalize:
            valid = length_mask(lengths, wav.shape[1])
            # As transformers' feature extractor.
            wav = normalise(wav, valid, (1,), 1e-7).masked_fill(~valid, 0.0)
        extract, wav = self.model.feature_extractor, wav.to(self.model.dtype)
        lengths = lengths.clamp(min=self.grid.min_samples).tolist()
        by_groups = self.model.config.feat_extract_norm == "group"
        if not by_groups or min(lengths) == wav.shape[1]:
            return extract(wav).transpose(1, 2)
        # Normalisation of groups looks across all frames. One by one costs no
        # more than all together with the padding.
        parts = (extract(x[None, :n])[0].T for x, n in zip(wav, lengths))
        return pad_sequence([*parts], batch_first=True)

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
        with ExitStack() as hooks:
            for layer in self.layers if all_layers else ():
                hook = layer.register_forward_pre_hook(
                    lambda layer, args: states.append(args[0])
                )
                hooks.enter_context(hook)
            last = model.encoder(projected, attention_mask=mask)[0]
        if not all_layers:
            return last
        if self.local_encoder:
            states[0] = projected
        return torch.stack([*states, last], dim=1)

    @property
    def layers(self):
        return self.model.encoder.layers

    @property
    def final_norm(self):
        # In the base models it stands before the first layer.
        stable = self.model.config.do_stable_layer_norm
        return self.model.encoder.layer_norm if stable else None

    def describe(self):
        return {**super().describe(), "do_normalize": self.do_normalize}

    def describe_convolutions(self):
        return {
            name: value
            for name, value in self.describe()["config"].items()
            if "feat_extract" in name or "conv_" in name
        } | {"do_normalize": self.do_normalize}


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
