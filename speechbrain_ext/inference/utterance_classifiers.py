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
from speechbrain_ext.models.inputs import check_strides


class UtteranceClassifier:
    """Inputs and head: this project's."""

    def __init__(self, modules, source="the model"):
        self.inputs = {n: m for n, m in modules.items() if n != "head"}
        self.head = modules["head"]
        check_strides(self.inputs)
        first = next(iter(self.inputs.values()))
        self.max_length, self.grid, self.limit = (
            first.max_length,
            first.grid,
            first.limit,
        )
        limits = [one.encoder.max_samples for one in self.inputs.values()]
        self.max_samples = min(filter(None, limits), default=None)
        self.num_classes = head_output(modules, source).shape[-1]
        self._normalizers = {
            n: m.normalizer for n, m in self.inputs.items() if m.by_speaker
        }

    @property
    def by_speaker(self):
        """Whether features are normalised by speaker."""
        return bool(self._normalizers)

    def encode(self, wavs, lengths):
        """Hidden states of every input."""
        wav_lens = lengths.double() / wavs.shape[1]
        return {n: m.hidden(wavs, wav_lens) for n, m in self.inputs.items()}

    def cuts(self, num_samples):
        """Whether a waveform is longer than ``max_length``."""
        return self.limit is not None and (
            self.grid.num_frames(num_samples) > self.limit
        )

    def forget(self):
        """Forget the statistics of all speakers."""
        for normalizer in self._normalizers.values():
            normalizer.reset()

    def learn(self, encoded, speakers):
        """Take a batch into the statistics of its speakers."""
        for name, normalizer in self._normalizers.items():
            normalizer.update(*encoded[name], speakers)

    def probabilities(self, encoded, speakers):
        """Classify utterances."""
        frames = []
        for name, (hidden, lengths) in encoded.items():
            one = self.inputs[name]
            frames += one.frames(hidden, lengths, speakers), lengths
        return torch.softmax(self.head(*frames).float(), dim=-1)


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
        return UtteranceClassifier(modules, source)
    pool = published_pool(modules, hparams)
    return PublishedUtteranceClassifier(modules, pool)
