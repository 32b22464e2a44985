"""The two kinds of frame-wise classifiers that are served, behind one face.

Each has ``grid`` (``FrameGrid``), ``max_samples`` (or None) and
``log_probs(wavs, lengths)``, which never lets padding change a result.
"""

import torch

from speechbrain_ext.errors import UserError
from speechbrain_ext.inference.kinds import (
    FRAMES,
    OURS,
    layout_of,
    published_pool,
)
from speechbrain_ext.inference.published import PublishedEncoder
from speechbrain_ext.models.frame_classifier import frame_log_probs


class EncoderClassifier:
    """Encoder, perhaps a mixture of its layers, and head: this project's.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        ``encoder`` and ``head``, perhaps ``mixture``.

    Example
    -------
    >>> from speechbrain_ext.encoders.logmel import LogMelEncoder
    >>> from speechbrain_ext.models.frame_heads import LinearHead
    >>> encoder = LogMelEncoder().eval()
    >>> modules = {"encoder": encoder, "head": LinearHead(encoder.output_size, 4)}
    >>> classifier = EncoderClassifier(torch.nn.ModuleDict(modules))
    >>> wavs, lengths = torch.randn(2, 16000), torch.tensor([16000, 8000])
    >>> [list(frames.shape) for frames in classifier.log_probs(wavs, lengths)]
    [[13, 4], [7, 4]]
    """

    def __init__(self, modules):
        self.modules = modules
        self.grid = modules["encoder"].grid
        self.max_samples = modules["encoder"].max_samples

    def log_probs(self, wavs, lengths):
        """Classify frames.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms ``[batch, samples]`` at 16 kHz.
        lengths : torch.Tensor
            In samples ``[batch]``.

        Returns
        -------
        list of torch.Tensor
            Log posteriors ``[frames, classes]`` of every waveform.
        """
        frames = self.grid.num_frames(lengths)
        found = frame_log_probs(
            self.modules, frames, wavs, lengths.double() / wavs.shape[1]
        )
        return [row[:count] for row, count in zip(found, frames.tolist())]


class PublishedClassifier:
    """What ``speechbrain/emotion-diarization-wavlm-large`` consists of.

    The computation is that of SpeechBrain's ``Speech_Emotion_Diarization`` on
    a single file. Waveforms are classified one by one, because its modules see
    the padding of a batch.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        ``wav2vec2`` or ``wav2vec``, and ``output_mlp``; perhaps
        ``input_norm``.
    avg_pool : callable, optional
        SpeechBrain's ``Pooling1d`` over frames.
    log_softmax : callable, optional
        Logits -> log posteriors; torch's if absent.
    """

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
    """Kernel, stride and padding that make as many frames as a pooling does.

    Arguments
    ---------
    avg_pool : speechbrain.nnet.pooling.Pooling1d
        Pooling over the frames of ``[batch, frames, channels]``.

    Returns
    -------
    (int, int, int)
        For ``FrameGrid``.

    Raises
    ------
    UserError
        When it is another kind of pooling.

    Example
    -------
    >>> from speechbrain.nnet.pooling import Pooling1d
    >>> pooling_convolution(Pooling1d("avg", 5, stride=2, ceil_mode=True))
    (4, 2, 0)
    """
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
    """The classifier of frames that a model's modules make.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        See ``EncoderClassifier`` and ``PublishedClassifier``.
    hparams : dict
        Perhaps with ``avg_pool`` and ``log_softmax``.
    source : str
        What to name in the sentence of an error.

    Returns
    -------
    EncoderClassifier or PublishedClassifier

    Raises
    ------
    UserError
        When modules are missing, or the model classifies utterances.

    Example
    -------
    >>> make_classifier({"head": None}, {}, "demo")
    Traceback (most recent call last):
        ...
    speechbrain_ext.errors.UserError: model: 'demo' has the modules head, but encoder and head are needed, or wav2vec2 and output_mlp; give another model.
    """
    if layout_of(modules, hparams, source, FRAMES) == OURS:
        return EncoderClassifier(modules)
    pool = published_pool(modules, hparams)
    return PublishedClassifier(modules, pool, hparams.get("log_softmax"))
