"""What all encoders have in common: lengths, masks, freezing, fingerprints."""

import hashlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import fingerprint
from speechbrain_ext.encoders.grid import absolute_lengths
from speechbrain_ext.utterance import has_audio


class Encoder(nn.Module):
    """Waveform -> frames, where padding never changes a result.

    A subclass sets ``grid`` (``FrameGrid``), ``output_size`` and perhaps
    ``num_layers``, and implements ``describe`` (JSON-able dict of all but the
    weights that shapes the output) and ``encode``, or in its place ``convolve``
    (from ``wav, lengths`` to the convolutions' output ``[batch, frames,
    channels]``), ``contextualize`` (from there to what ``encode`` gives) and
    ``describe_convolutions``. ``output_norm`` normalises every layer's output
    over the frames and channels of each utterance.
    """

    sample_rate = 16000
    max_samples = None
    num_layers = 1
    # What ``encode_alone`` takes: fields of a record, or its ``"audio"``;
    # whether utterances are spread over the cores.
    reads = ("audio",)
    parallel = False
    # Of pretrained encoders: the transformer layers from the bottom upwards,
    # what normalises the last one's output, how the names of the parameters
    # of the convolutions before them begin, and how many channels these give.
    layers = ()
    final_norm = None
    convolutions = ()
    convolved_size = None
    # What ``adaptation`` keeps: names that may train, and shape of adapters.
    may_train = None
    lora = None

    def __init__(self, output_norm=False):
        super().__init__()
        self.output_norm = output_norm
        self.frozen = False

    def forward(self, wav, wav_lens=None, all_layers=False):
        """Encode a batch ``[batch, samples]`` at 16 kHz with relative lengths.

        Gives ``[batch, frames, channels]``, or with ``all_layers`` every hidden
        state, ``[batch, layers, frames, channels]``. Frames of padding are 0.
        """
        if wav.dim() != 2:
            raise ValueError(
                f"wav: expected [batch, samples], got {list(wav.shape)}"
            )
        num_samples, limit = wav.shape[1], self.max_samples
        if limit is not None and num_samples > limit:
            raise UserError(
                f"An utterance of {num_samples / self.sample_rate:.1f} s is "
                f"longer than the {limit / self.sample_rate:g} s that "
                f"{type(self).__name__} takes; cut it, or choose another "
                "encoder."
            )
        if wav_lens is None:
            wav_lens = wav.new_ones(len(wav))
        lengths = absolute_lengths(wav_lens.to(wav.device), num_samples)
        wav = wav.masked_fill(~length_mask(lengths, num_samples), 0.0)
        wav = F.pad(wav, (0, max(self.grid.min_samples - num_samples, 0)))
        encoded = self.encode(
            wav.detach() if self.frozen else wav, lengths, all_layers
        )
        return self._finish(encoded, self.grid.num_frames(lengths), all_layers)

    def encode_alone(self, wav):
        """Hidden states of one utterance, ``[layers, frames, channels]``.

        An encoder that ``reads`` something other than audio takes that.
        """
        return self(wav[None], all_layers=True)[0]

    def lacks(self, record):
        """Why a record lacks what the encoder reads, or None."""
        for what in self.reads:
            there = record.get(what) not in (None, "")
            if not (has_audio(record) if what == "audio" else there):
                return f"has no {what}"
        return None

    def resume(self, features, frames, all_layers=False):
        """What ``forward`` gives, from the ``ConvolvedFeatures`` of a batch.

        ``frames`` is the number of frames of each utterance ``[batch]``.
        """
        valid = length_mask(frames, features.shape[1])[:, :, None]
        features = features.masked_fill(~valid, 0.0)
        encoded = self.contextualize(features, frames, all_layers)
        return self._finish(encoded, frames, all_layers)

    def encode(self, wav, lengths, all_layers):
        """What ``forward`` gives, with anything finite in padded frames.

        ``wav`` is zero beyond the ``lengths`` (samples), and long enough for a
        frame; one layer alone may come without its dimension.
        """
        features = self.convolve(wav, lengths)
        frames = self.grid.num_frames(lengths)
        return self.contextualize(features, frames, all_layers)

    def fingerprint(self):
        """Digest of class, configuration, preprocessing and weights."""
        digest = digest_of(self._weights())
        description = {**self.describe(), "output_norm": self.output_norm}
        if self.lora is not None:
            description["lora"] = self.lora
        return fingerprint(type(self).__name__, description, digest)

    def freeze(self):
        """Stop training the encoder: no gradients, no dropout, for good."""
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self, mode=True):
        """As ``torch.nn.Module.train``; what is frozen stays in evaluation."""
        return super().train(mode and not self.frozen)

    def convolution_parameters(self):
        """Parameters of the convolutions by name."""
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if name.startswith(self.convolutions)
        }

    def _weights(self):
        return self.state_dict()

    def _finish(self, encoded, frames, all_layers):
        if all_layers and encoded.dim() == 3:
            encoded = encoded[:, None]
        valid = length_mask(frames, encoded.shape[-2])[:, :, None]
        if all_layers:
            valid = valid[:, None]
        if self.output_norm:
            encoded = normalise(encoded, valid, (-2, -1), 1e-5)
        return encoded.masked_fill(~valid, 0.0)


class MeasuringEncoder(Encoder):
    """An encoder by a library that measures one utterance at a time, on the
    CPU: a subclass implements ``measure``, from samples ``[samples]`` to frames
    ``[frames, channels]``, both numpy's, and sets ``grid``."""

    # A process each: such libraries run on one core.
    parallel = True

    def encode(self, wav, lengths, all_layers):
        samples = wav.float().detach().cpu().numpy()
        if not np.isfinite(samples).all():
            raise ValueError("wav: expected finite samples, got NaN or inf")
        encoded = [
            torch.from_numpy(self.measure(utterance[:length])).float()
            for utterance, length in zip(samples, lengths.tolist())
        ]
        dtype = torch.promote_types(wav.dtype, torch.float32)
        return pad_sequence(encoded, batch_first=True).to(wav.device, dtype)


class ConvolvedFeatures(Encoder):
    """The frozen convolutions of an encoder whose other layers are trained.

    Its frames can be stored; the encoder's ``resume`` continues from them.
    """

    def __init__(self, encoder):
        super().__init__()
        # In a tuple it is no part of this module, which freezes its parts.
        self._whole = (encoder,)
        if encoder.convolved_size is None:
            raise UserError(
                "cnn_folder: the encoder has no convolutions whose output "
                "stands for the utterance alone; set cnn_folder to null."
            )
        if any(tensor.requires_grad for tensor in self._weights().values()):
            raise UserError(
                "cnn_folder: the convolutions of the encoder are trained; set "
                "freeze_feature_extractor to True, or cnn_folder to null."
            )
        self.grid = encoder.grid
        self.max_samples = encoder.max_samples
        self.output_size = encoder.convolved_size
        self.freeze()

    def encode(self, wav, lengths, all_layers):
        return self._whole[0].convolve(wav, lengths)

    def describe(self):
        whole = self._whole[0]
        return {
            "encoder": type(whole).__name__,
            **whole.describe_convolutions(),
        }

    def _weights(self):
        return self._whole[0].convolution_parameters()

    def _apply(self, fn, recurse=True):
        # The encoder moves along to a device or type.
        self._whole[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)


def digest_of(tensors):
    """Digest of tensors by their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        tensor = tensor.detach().cpu().contiguous()
        header = f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        digest.update(header.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def length_mask(lengths, size):
    """True within the lengths: ``[batch, size]``."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def full_precision(x):
    """Float32 in place of anything less precise."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def masked_moments(x, valid, dims):
    """Mean and variance of what is valid, over some dimensions."""
    valid = valid.expand_as(x)
    count = valid.sum(dims, keepdim=True)
    mean = x.masked_fill(~valid, 0.0).sum(dims, keepdim=True) / count
    centred = (x - mean).masked_fill(~valid, 0.0)
    return mean, centred.square().sum(dims, keepdim=True) / count


def normalise(x, valid, dims, eps):
    """What is valid, with zero mean and unit variance over some dimensions."""
    x = full_precision(x)
    mean, variance = masked_moments(x, valid, dims)
    return (x - mean) * torch.rsqrt(variance + eps)
