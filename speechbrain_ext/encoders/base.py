"""What all encoders have in common: lengths, masks, freezing, fingerprints."""

import hashlib

import torch
from torch import nn

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import fingerprint
from speechbrain_ext.encoders.grid import absolute_lengths


class Encoder(nn.Module):
    """Waveform -> frames, where padding never changes a result.

    A subclass sets ``grid`` (``FrameGrid``), ``output_size`` and
    ``num_layers``, and implements ``encode`` and ``describe``. What ``encode``
    gets is zero beyond the end of every utterance, whatever the batch held
    there; what it returns for frames of padding does not matter.

    Arguments
    ---------
    output_norm : bool
        Whether every layer's output is normalised to zero mean and unit
        variance over the frames and channels of each utterance.
    """

    sample_rate = 16000
    max_samples = None
    # What is read of a record, and whether single utterances are to be spread
    # over the cores.
    reads = ("audio",)
    parallel = False
    # Of pretrained encoders: the transformer layers from the bottom upwards,
    # and what normalises the last one's output.
    layers = ()
    final_norm = None
    # What ``adaptation`` keeps: names of the parameters that may train, and
    # what shapes the adapters.
    may_train = None
    lora = None

    def __init__(self, output_norm=False):
        super().__init__()
        self.output_norm = output_norm
        self.frozen = False

    def forward(self, wav, wav_lens=None, all_layers=False):
        """Encode a batch.

        Arguments
        ---------
        wav : torch.Tensor
            Waveforms ``[batch, samples]`` at 16 kHz.
        wav_lens : torch.Tensor, optional
            Relative lengths ``[batch]``; all full if absent.
        all_layers : bool
            Whether to return every hidden state, not the last one alone.

        Returns
        -------
        torch.Tensor
            ``[batch, frames, channels]``, or ``[batch, layers, frames,
            channels]`` with the last layer last. Frames of padding are zero.

        Raises
        ------
        UserError
            When the batch is longer than the encoder can take.
        """
        if wav.dim() != 2:
            raise ValueError(f"wav is [batch, samples], not {list(wav.shape)}")
        num_samples = wav.shape[1]
        self._check_length(num_samples)
        if wav_lens is None:
            wav_lens = wav.new_ones(wav.shape[0])
        lengths = absolute_lengths(wav_lens.to(wav.device), num_samples)
        wav = wav.masked_fill(~length_mask(lengths, num_samples), 0.0)
        gradients = torch.is_grad_enabled() and not self.frozen
        with torch.set_grad_enabled(gradients):
            encoded = self.encode(wav, lengths, all_layers)
            frames = self.grid.num_frames(lengths)
            valid = length_mask(frames, encoded.shape[-2])[:, :, None]
            if all_layers:
                valid = valid[:, None]
            if self.output_norm:
                encoded = _normalise(encoded, valid)
            return encoded.masked_fill(~valid, 0.0)

    def encode(self, wav, lengths, all_layers):
        """The encoder proper.

        Arguments
        ---------
        wav : torch.Tensor
            ``[batch, samples]``, zero beyond the lengths.
        lengths : torch.Tensor
            In samples, ``[batch]``.
        all_layers : bool
            As for ``forward``.

        Returns
        -------
        torch.Tensor
            As ``forward``; frames of padding hold anything finite.
        """
        raise NotImplementedError

    def describe(self):
        """JSON-able dict of all but the weights that shapes the output."""
        raise NotImplementedError

    def fingerprint(self):
        """Digest of the encoder: class, configuration, preprocessing, weights.

        Features that were stored under one fingerprint may be used again by
        any encoder with the same one, wherever its files lie.

        Returns
        -------
        str
            Twenty hexadecimal digits.
        """
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            tensor = tensor.detach().cpu().contiguous()
            header = f"{name} {tensor.dtype} {tuple(tensor.shape)}"
            digest.update(header.encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
        description = {**self.describe(), "output_norm": self.output_norm}
        if self.lora is not None:
            description["lora"] = self.lora
        return fingerprint(type(self).__name__, description, digest.hexdigest())

    def freeze(self):
        """Stop training the encoder: no gradients, no dropout, for good."""
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self, mode=True):
        """As ``torch.nn.Module.train``; what is frozen stays in evaluation."""
        return super().train(mode and not self.frozen)

    def _check_length(self, num_samples):
        if self.max_samples is not None and num_samples > self.max_samples:
            raise UserError(
                f"An utterance of {num_samples / self.sample_rate:.1f} s is "
                "longer than the "
                f"{self.max_samples / self.sample_rate:g} s that the encoder "
                f"{type(self).__name__} can take; cut it, or choose another "
                "encoder."
            )


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


def _normalise(encoded, valid):
    encoded = full_precision(encoded)
    mean, variance = masked_moments(encoded, valid, (-2, -1))
    return (encoded - mean) * torch.rsqrt(variance + 1e-5)
