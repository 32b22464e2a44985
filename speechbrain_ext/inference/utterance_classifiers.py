"""The two kinds of classifiers of utterances, behind one face.

Each has ``grid`` (``FrameGrid``), ``max_samples`` and ``max_length`` (s; both
may be None), ``num_classes``, and

- ``encode(wavs, lengths)``, whose result goes to
- ``learn(encoded, speakers)``, which ``by_speaker`` ones need first, after
  ``forget()``, and to
- ``probabilities(encoded, speakers)``, ``[batch, classes]``.

``cuts(num_samples)`` says whether ``encode`` passes over the end of a
waveform. Padding never changes a result.
"""

import torch

from speechbrain_ext.inference.kinds import (
    OURS,
    UTTERANCES,
    head_output,
    layout_of,
    published_pool,
)
from speechbrain_ext.inference.published import PublishedEncoder
from speechbrain_ext.models.frames import (
    check_strides,
    frame_limit,
    hidden_states,
    inputs,
)
from speechbrain_ext.models.utterance_classifier import utterance_log_probs


class UtteranceClassifier:
    """Encoders, normalisation, mixture of layers and head: this project's.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        As for ``utterance_log_probs``.
    layers : str
        As for ``utterance_log_probs``.
    max_length : float, optional
        As for ``utterance_log_probs``.
    source : str
        What to name in the sentence of an error.

    Raises
    ------
    UserError
        When the head does not fit the encoder, or the strides of two
        encoders differ.

    Example
    -------
    >>> from speechbrain_ext.encoders.logmel import LogMelEncoder
    >>> from speechbrain_ext.models.utterance_heads import DenseHead
    >>> encoder = LogMelEncoder().eval()
    >>> modules = {"encoder": encoder, "head": DenseHead(encoder.output_size, 4)}
    >>> classifier = UtteranceClassifier(torch.nn.ModuleDict(modules))
    >>> wavs, lengths = torch.randn(2, 16000), torch.tensor([16000, 8000])
    >>> classifier.probabilities(classifier.encode(wavs, lengths), None).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, modules, layers="all", max_length=None, source="the model"
    ):
        check_strides(modules)
        self.modules = modules
        self.layers = layers
        self.max_length = max_length
        self.grid = modules["encoder"].grid
        encoders = [modules[f"{prefix}encoder"] for prefix in inputs(modules)]
        limits = [e.max_samples for e in encoders if e.max_samples is not None]
        self.max_samples = min(limits, default=None)
        self.num_classes = head_output(modules, source).shape[-1]
        self._by_speaker = {
            prefix: modules[f"{prefix}normalizer"]
            for prefix in inputs(modules)
            if f"{prefix}normalizer" in modules
            and modules[f"{prefix}normalizer"].by_speaker
        }

    @property
    def by_speaker(self):
        """Whether features are normalised by speaker."""
        return bool(self._by_speaker)

    def encode(self, wavs, lengths):
        """Encode a batch.

        Arguments
        ---------
        wavs : torch.Tensor
            Waveforms ``[batch, samples]`` at 16 kHz.
        lengths : torch.Tensor
            In samples ``[batch]``.

        Returns
        -------
        dict
            As ``hidden_states``.
        """
        wav_lens = lengths.double() / wavs.shape[1]
        return hidden_states(
            self.modules, wavs, wav_lens, self.layers, self.max_length
        )

    def cuts(self, num_samples):
        """Whether a waveform is longer than ``max_length``.

        Arguments
        ---------
        num_samples : int
            Its length.

        Returns
        -------
        bool
            Whether ``encode`` leaves out frames at its end.
        """
        if self.max_length is None:
            return False
        limit = frame_limit(self.grid, self.max_length)
        return self.grid.num_frames(num_samples) > limit

    def forget(self):
        """Forget the statistics of all speakers."""
        for normalizer in self._by_speaker.values():
            normalizer.reset()

    def learn(self, encoded, speakers):
        """Take a batch into the statistics of its speakers.

        Arguments
        ---------
        encoded : dict
            From ``encode``.
        speakers : list of str
            Who speaks ``[batch]``.
        """
        for prefix, normalizer in self._by_speaker.items():
            normalizer.update(*encoded[prefix], speakers)

    def probabilities(self, encoded, speakers):
        """Classify utterances.

        Arguments
        ---------
        encoded : dict
            From ``encode``.
        speakers : list of str or None
            Who speaks ``[batch]``, where features are normalised by speaker.

        Returns
        -------
        torch.Tensor
            Posteriors ``[batch, classes]``.
        """
        return utterance_log_probs(
            self.modules, hidden=encoded, speakers=speakers
        ).exp()


class PublishedUtteranceClassifier:
    """What ``speechbrain/emotion-recognition-wav2vec2-IEMOCAP`` consists of.

    The computation is that of SpeechBrain on a single file. Waveforms are
    encoded one by one, because its modules see the padding of a batch.
    SpeechBrain's pooling adds noise of up to 1e-4 to the mean; here it is the
    same noise every time, so that a recording has one result.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        ``wav2vec2`` or ``wav2vec``, and ``output_mlp``; perhaps
        ``input_norm``.
    avg_pool : speechbrain.nnet.pooling.StatisticsPooling
        Pooling over all frames.
    """

    max_samples = None
    max_length = None
    by_speaker = False

    def __init__(self, modules, avg_pool):
        self.published = PublishedEncoder(modules)
        self.output_mlp = modules["output_mlp"]
        self.avg_pool = avg_pool
        self.grid = self.published.grid
        self.num_classes = self.output_mlp.w.out_features

    def cuts(self, num_samples):
        """As ``UtteranceClassifier.cuts``: never."""
        return False

    def encode(self, wavs, lengths):
        """Pool the frames of every waveform: ``[batch, channels]``."""
        return torch.cat(
            [
                self._pooled(self.published(wav[:length]))
                for wav, length in zip(wavs, lengths.tolist())
            ]
        )

    def probabilities(self, encoded, speakers):
        """As ``UtteranceClassifier.probabilities``."""
        return torch.softmax(self.output_mlp(encoded).float(), dim=-1)

    def _pooled(self, frames):
        devices = [frames.device] if frames.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            return self.avg_pool(frames, frames.new_ones(1))[:, 0]


def make_utterance_classifier(modules, hparams, source):
    """The classifier of utterances that a model's modules make.

    Arguments
    ---------
    modules : torch.nn.ModuleDict
        See ``UtteranceClassifier`` and ``PublishedUtteranceClassifier``.
    hparams : dict
        Perhaps with ``layers`` and ``max_length``, or with ``avg_pool``.
    source : str
        What to name in the sentence of an error.

    Returns
    -------
    UtteranceClassifier or PublishedUtteranceClassifier

    Raises
    ------
    UserError
        When modules are missing, or the model classifies frames.

    Example
    -------
    >>> from speechbrain_ext.encoders.logmel import LogMelEncoder
    >>> from speechbrain_ext.models.frame_heads import LinearHead
    >>> encoder = LogMelEncoder()
    >>> modules = {"encoder": encoder, "head": LinearHead(encoder.output_size, 4)}
    >>> make_utterance_classifier(modules, {}, "demo")
    Traceback (most recent call last):
        ...
    speechbrain_ext.errors.UserError: model: 'demo' says which emotion appears when; give it to EmotionDiarizer (the command diarize).
    """
    if layout_of(modules, hparams, source, UTTERANCES) == OURS:
        return UtteranceClassifier(
            modules,
            hparams.get("layers", "all"),
            hparams.get("max_length"),
            source,
        )
    pool = published_pool(modules, hparams)
    return PublishedUtteranceClassifier(modules, pool)
