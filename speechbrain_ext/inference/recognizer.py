"""Which emotion a recording expresses, one for the whole of it."""

import logging
from collections import Counter
from pathlib import Path

import torch
from tqdm import tqdm

from speechbrain_ext.audio import to_samples
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.conditioning.recordings import release
from speechbrain_ext.inference.fused import FusedRecognizer, find_fusion
from speechbrain_ext.inference.interfaces import EmotionModel, Recognition
from speechbrain_ext.inference.texts import (
    Listener,
    NoText,
    transcript_of,
)
from speechbrain_ext.models.normalization import SpeakerMean

logger = logging.getLogger("speechbrain_ext.inference")


class EmotionRecognizer(Recognition, EmotionModel):
    """A trained model, ready to find the emotion that a recording expresses.

    Results come as SpeechBrain's classifiers give them: ``out_prob`` ``[batch,
    classes]`` (probabilities, not their logarithms), ``score`` ``[batch]``,
    ``index`` ``[batch]`` and ``text_lab``, a list of full words.

    A recording of up to one window is classified just as in training: by its
    first ``max_length`` seconds, with a warning if it is longer. Of a longer
    one, the posteriors of the fewest equal stretches (of at most a window, and
    ``max_length``) are averaged, with a warning.

    Recordings and waveforms are cleaned first, if ``preprocessing`` says so:
    what is too short for training then is judged with a warning, and what is
    longer than ten minutes is refused.

    All recordings that are given in one call to a model with speaker
    normalisation are one speaker's, unless ``speakers`` says whose they are.

    Arguments
    ---------
    modules : dict
        ``Input`` modules by name, or ``encoder`` and perhaps ``normalizer``
        and ``mixture`` (and the same after ``fusion_``), and ``head``; or
        ``wav2vec2``, ``avg_pool`` and ``output_mlp`` of a published model.
    hparams : dict
        ``classes`` or ``label_encoder``; perhaps ``layers``, ``max_length``
        (s), ``window`` (s), ``avg_pool`` and ``preprocessing``, the options
        of a ``Cleaner``.
    run_opts, window, source : optional
        As for ``EmotionDiarizer``; a stretch is at most as long as a window.

    Raises
    ------
    UserError
        When modules or classes are missing or do not fit, when the model is a
        diarizer, or a window is invalid.

    Example
    -------
    >>> import numpy as np
    >>> import soundfile
    >>> from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
    >>> from speechbrain_ext.models.heads import DenseHead
    >>> encoder = ProsodyEncoder()
    >>> recognizer = EmotionRecognizer(
    ...     {"encoder": encoder, "head": DenseHead(encoder.output_size, 1)},
    ...     {"classes": ["sad"]},
    ... )
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros(48000), 48000)
    >>> recognizer.classify_file(path)
    (tensor([[1.]]), tensor([1.]), tensor([0]), ['sad'])
    """

    by_frame = False

    def __init__(self, *args, transcriber=None, **options):
        super().__init__(*args, **options)
        self.reads_text = self.needs_text = self.classifier.reads_text
        if transcriber is None:
            transcriber = getattr(self.hparams, "transcriber", None)
        elif not self.reads_text:
            raise UserError(
                "transcriber: the model reads no text; leave it out."
            )
        self.listener = Listener(transcriber, self.device)

    @classmethod
    def from_hparams(cls, source, *args, **options):
        """As ``EmotionModel``; of a fusion, a ``FusedRecognizer``."""
        if (path := find_fusion(source)) is not None:
            load = super().from_hparams
            return FusedRecognizer.of_file(path, load, *args, **options)
        return super().from_hparams(source, *args, **options)

    def _classify(self, recordings, speakers, wavs, lengths):
        one_by_one = self.reads_text or self.cleaner is not None
        if one_by_one or len(self.spans(wavs.shape[1])) > 1:
            return super()._classify(recordings, speakers, wavs, lengths)
        encoded = self.encode(wavs, lengths)
        if self.by_speaker:
            self.classifier.forget()
            self.classifier.learn(encoded, speakers)
            _report(recordings, speakers, self.classifier.inputs)
        rows = self.log_probs(encoded, speakers, recordings)
        for recording in recordings:
            self.warn(recording)
        return self._result([row.exp() for row in rows])

    forward = Recognition.classify_batch

    def judge(self, recording, speaker, progress=False):
        """Probabilities ``[classes]`` of a recording."""
        recording = self.cleaned(recording)
        rows = list(self.by_window(recording, progress, [speaker]))
        if not rows:
            said = transcript_of(recording)
            reason = self.classifier.lacks(said) or "has no words"
            raise NoText(
                f"'{recording.path}' {reason}, and the model cannot do without "
                "it; give its text, or a model of speech."
            )
        return torch.stack(rows).exp().mean(0)

    def by_window(self, recording, progress=False, speakers=None):
        """Log posteriors of every window of a recording; where texts are read,
        of those in which something is said."""
        if not self.reads_text:
            yield from super().by_window(recording, progress, speakers)
            return
        spans = self.spans(recording.num_samples)
        for span, wav in zip(spans, self.windows(recording, progress)):
            given = recording, span, wav
            if self.cleaner is not None:
                given = recording.before(span)
            text = self.listener.text_of(*given)
            if self.classifier.lacks(text) is None:
                encoded = self.encode(wav[None], texts=[text])
                yield self.log_probs(encoded, speakers, [recording])[0]

    def survey(self, recordings, speakers, progress):
        """Statistics of the speakers, in one pass over their recordings."""
        self.classifier.forget()
        alone = progress and len(recordings) == 1
        options = {"unit": "file", "disable": alone or not progress}
        bar = tqdm(recordings, desc="Speakers' statistics", **options)
        for recording, speaker in zip(bar, speakers):
            for wav in self.windows(self.cleaned(recording), alone):
                encoded = self.encode(wav[None], by_speaker=True)
                self.classifier.learn(encoded, [speaker])
            release(recording)
        _report(recordings, speakers, self.classifier.inputs)

    def remarks(self, recording):
        """Where stretches are averaged or the end is left out, too."""
        recording = self.cleaned(recording)
        lasts = f"lasts {recording.duration:.2f} s, longer"
        most, limit = self.classifier.max_length, self.classifier.limit
        count = recording.num_samples
        found = list(recording.notes)
        if (parts := len(self.spans(count))) > 1:
            found.append(
                f"{lasts} than a window ({self.window:g} s): the posteriors of "
                f"{parts} stretches are averaged; a diarizer shows how emotion "
                "changes in it"
            )
        elif limit is not None and self.grid.num_frames(count) > limit:
            found.append(
                f"{lasts} than the model's max_length: only its first {most:g} "
                "s are judged, as in training; cut the recording into parts of "
                f"at most {most:g} s to have all of it judged"
            )
        if parts > 1 and self.reads_text:
            lacks = map(self.classifier.lacks, recording.heard.values())
            if silent := sum(reason is not None for reason in lacks):
                found.append(f"has no words in {silent} of {parts} stretches")
        return found

    def spans(self, num_samples):
        """Equal stretches, as few as there can be."""
        size = to_samples(self.window)
        if num_samples <= size:
            return [(0, num_samples)]
        if self.classifier.max_length is not None:
            size = min(size, to_samples(self.classifier.max_length))
        count = -(-num_samples // size)
        edges = [num_samples * i // count for i in range(count + 1)]
        return list(zip(edges, edges[1:]))


def _report(recordings, speakers, inputs):
    """Say what was computed of speakers, and from what, in one sentence."""
    ways = [one.normalizer for one in inputs.values() if one.by_speaker]
    name, what = "normalisation", "statistics"
    if all(isinstance(way, SpeakerMean) for way in ways):
        name, what = "embedding", "mean embeddings"
    counts = Counter(speakers)
    alone = [x for x, who in zip(recordings, speakers) if counts[who] == 1]
    if alone:
        first, seconds = Path(alone[0].path).name, alone[0].duration
        logger.warning(
            f"Speaker {name}: {len(alone)} of {len(counts)} speakers "
            f"have one recording alone, such as '{first}' ({seconds:.1f} s); "
            "give more recordings of the same speaker."
        )
    else:
        whose = f"{len(counts)} speakers" if len(counts) > 1 else "the speaker"
        seconds = sum(recording.duration for recording in recordings)
        logger.info(
            f"Speaker {name}: the {what} of {whose} are those of "
            f"{len(recordings)} recordings, {seconds:.1f} s in all."
        )
