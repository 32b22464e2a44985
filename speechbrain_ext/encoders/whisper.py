"""Whisper's encoder without its decoder and without its 30 seconds.

Positions are cut to the utterance and batches are masked. What enters the first
transformer layer is the same; the layers do not attend to the silence.
"""

import torch
from torch.nn import functional as F
from transformers.models.whisper import modeling_whisper

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import loading
from speechbrain_ext.encoders.base import full_precision, length_mask
from speechbrain_ext.encoders.features.spectra import log_mel, power_spectrum
from speechbrain_ext.encoders.grid import FrameGrid


class WhisperEncoder(loading.PretrainedEncoder):
    """The encoder of a pretrained Whisper model.

    It takes up to 30 s and makes ``ceil(samples / 320)`` frames, centred at
    the samples 0, 320, 640, ... Hidden state 0 is what the first transformer
    layer gets (convolutions and positions; with ``local_encoder``, convolutions
    alone). For the options see ``load_encoder``.
    """

    convolutions = ("model.conv1.", "model.conv2.")

    def _build(self, source, save_path, config):
        # A dropped layer's weights get no gradient, which breaks DDP.
        config.encoder_layerdrop = 0.0
        extractor = loading.load_feature_extractor(source, save_path)
        if extractor.feature_size != config.num_mel_bins:
            raise UserError(
                f"encoder source: '{source}' has {extractor.feature_size} mel "
                "bands in its preprocessor_config.json but "
                f"{config.num_mel_bins} in its config.json; use the files of "
                "one checkpoint."
            )
        self.n_fft = extractor.n_fft
        self.hop = extractor.hop_length
        filters = torch.from_numpy(extractor.mel_filters).float()
        self.register_buffer("filters", filters, persistent=False)
        window = torch.hann_window(self.n_fft)
        self.register_buffer("window", window, persistent=False)
        # The encoder's weights alone, from the whole model's file.
        names = {r"^(model\.)?encoder\.": ""}
        self.model = loading.load_weights(
            modeling_whisper.WhisperEncoder, source, config, save_path, names
        )
        convolutions = [
            (*layer.kernel_size, *layer.stride, *layer.padding)
            for layer in (self.model.conv1, self.model.conv2)
        ]
        # There is a spectrum for every hop begun. A frame is centred at the
        # middle one of three spectra and reaches a hop to either side.
        spectra = (1, self.hop, 0)
        self.grid = FrameGrid([spectra, *convolutions], first=-self.hop)
        self.max_samples = config.max_source_positions * self.grid.stride
        if not self.pad_to_30s:
            # Else the silence after the utterance belongs to it, too.
            self.convolved_size = config.d_model
        # They are sinusoids, which loading makes trainable.
        self.model.embed_positions.requires_grad_(False)

    def convolve(self, wav, lengths):
        frames = int(self.grid.num_frames(wav.shape[1]))
        model = self.model
        x = self._spectra(wav, frames).to(model.conv1.weight.dtype)
        x = F.gelu(model.conv1(x))
        x = F.gelu(model.conv2(x)).transpose(1, 2)
        # The spectra beyond gave the last frames their right context.
        return x if self.pad_to_30s else x[:, :frames]

    def contextualize(self, features, frames, all_layers):
        model = self.model
        x = features.to(model.conv1.weight.dtype)
        mask = None
        valid = length_mask(frames, x.shape[1])
        if not self.pad_to_30s and not bool(valid.all()):
            padding = ~valid[:, None, None]
            mask = padding.to(x.dtype) * torch.finfo(x.dtype).min
        x = x + model.embed_positions.weight[: x.shape[1]]
        x = F.dropout(x, model.dropout, self.training)
        longest = int(frames.max())
        states = []
        for layer in model.layers:
            if all_layers:
                states.append(x[:, :longest])
            x = layer(x, mask)
        x = model.layer_norm(x)[:, :longest]
        if all_layers and self.local_encoder:
            states[0] = features[:, :longest]
        return torch.stack([*states, x], dim=1) if all_layers else x

    @property
    def layers(self):
        return self.model.layers

    @property
    def final_norm(self):
        return self.model.layer_norm

    def describe(self):
        own = self.describe_convolutions()
        return {**super().describe(), **own, "pad_to_30s": self.pad_to_30s}

    def describe_convolutions(self):
        return {
            "n_fft": self.n_fft,
            "hop": self.hop,
            "filters": self.filters.double().sum(0).tolist(),
        }

    def _spectra(self, wav, frames):
        """Log-mel spectra of the batch and of the silence after it."""
        count = self.max_samples // self.hop
        if not self.pad_to_30s:
            # The second convolution's last frame sees this many.
            count = min(2 * frames + 1, count)
        with torch.autocast(wav.device.type, enabled=False):
            sizes = self.n_fft, self.hop, count, self.max_samples
            power = power_spectrum(full_precision(wav), self.window, *sizes)
            return (log_mel(power, self.filters) + 4.0) / 4.0
