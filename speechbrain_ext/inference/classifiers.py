"""The two kinds of frame-wise classifiers that are served, behind one face.

Each has ``grid`` (``FrameGrid``), ``max_samples`` (or None) and
``log_probs(wavs, lengths)``, which never lets padding change a result.
"""

import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference.kinds import (
    FRAMES,
    OURS,
    layout_of,
    published_pool,
)
from speechbrain_ext.inference.published import PublishedEncoder


class EncoderClassifier:
    """Encoder, perhaps a mixture of its layers, and head: this project's."""

    def __init__(self, modules):
        self.source, self.head = modules["speech"], modules["head"]
        self.grid = self.source.grid
        self.max_samples = self.source.encoder.max_samples

    def log_probs(self, wavs, lengths):
        """Classify frames."""
        frames, counts = self.source(wavs, lengths.double() / wavs.shape[1])
        found = torch.log_softmax(self.head(frames, counts).float(), dim=-1)
        return found.split(counts.tolist())


class PublishedClassifier:
    """What ``speechbrain/emotion-diarization-wavlm-large`` consists of."""

    max_samples = None

    def __init__(self, modules, avg_pool=None, log_softmax=None):
        pooling = [] if avg_pool is None else [pooling_convolution(avg_pool)]
        self.encode = PublishedEncoder(modules, pooling)
        self.output_mlp = modules["output_mlp"]
        self.avg_pool = avg_pool
        self.log_softmax = log_softmax
        self.grid = self.encode.grid

    def log_probs(self, wavs, lengths):
        """As ``EncoderClassifier.log_probs``."""
        return [
            self._alone(wav[:length])
            for wav, length in zip(wavs, lengths.tolist())
        ]

    def _alone(self, wav):
        x = self.encode(wav)
        if self.avg_pool is not None:
            x = self.avg_pool(x)
        logits = self.output_mlp(x)
        if self.log_softmax is None:
            return torch.log_softmax(logits.float(), dim=-1)[0]
        return self.log_softmax(logits)[0].float()


def pooling_convolution(avg_pool):
    """Kernel, stride and padding that make as many frames as a pooling does."""
    layer = getattr(avg_pool, "pool_layer", None)
    if not isinstance(layer, torch.nn.AvgPool1d):
        raise UserError(
            f"avg_pool: '{type(avg_pool).__name__}' is not understood; use "
            "speechbrain.nnet.pooling.Pooling1d with pool_type avg."
        )
    (kernel,), (stride,), (padding,) = (
        value if isinstance(value, tuple) else (value,)
        for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    if layer.ceil_mode:
        # A last, shorter pool is allowed where it begins within the frames.
        kernel = max(kernel - stride + 1, 1)
    return kernel, stride, padding


def make_classifier(modules, hparams, source):
    """The classifier of frames that a model's modules make."""
    if layout_of(modules, hparams, source, FRAMES) == OURS:
        return EncoderClassifier(modules)
    pool = published_pool(modules, hparams)
    return PublishedClassifier(modules, pool, hparams.get("log_softmax"))
