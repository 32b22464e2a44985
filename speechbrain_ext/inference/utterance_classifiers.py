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
from speechbrain_ext.models.inputs import (
    check_strides,
    frame_limit,
    hidden_states,
    inputs,
    utterance_log_probs,
)


class UtteranceClassifier:
    """Encoders, normalisation, mixture of layers and head: this project's."""

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
        """Encode a batch."""
        wav_lens = lengths.double() / wavs.shape[1]
        return hidden_states(
            self.modules, wavs, wav_lens, self.layers, self.max_length
        )

    def cuts(self, num_samples):
        """Whether a waveform is longer than ``max_length``."""
        if self.max_length is None:
            return False
        limit = frame_limit(self.grid, self.max_length)
        return self.grid.num_frames(num_samples) > limit

    def forget(self):
        """Forget the statistics of all speakers."""
        for normalizer in self._by_speaker.values():
            normalizer.reset()

    def learn(self, encoded, speakers):
        """Take a batch into the statistics of its speakers."""
        for prefix, normalizer in self._by_speaker.items():
            normalizer.update(*encoded[prefix], speakers)

    def probabilities(self, encoded, speakers):
        """Classify utterances."""
        return utterance_log_probs(
            self.modules, hidden=encoded, speakers=speakers
        ).exp()


class PublishedUtteranceClassifier:
    """What ``speechbrain/emotion-recognition-wav2vec2-IEMOCAP`` consists of."""

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
    """The classifier of utterances that a model's modules make."""
    if layout_of(modules, hparams, source, UTTERANCES) == OURS:
        return UtteranceClassifier(
            modules,
            hparams.get("layers", "all"),
            hparams.get("max_length"),
            source,
        )
    pool = published_pool(modules, hparams)
    return PublishedUtteranceClassifier(modules, pool)
