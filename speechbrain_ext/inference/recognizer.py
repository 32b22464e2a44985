"""Which emotion a recording expresses, one for the whole of it."""

import logging
from collections import defaultdict
from pathlib import Path

import torch
from tqdm import tqdm

from speechbrain_ext.audio import SAMPLE_RATE, AudioStream, to_samples
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference.interfaces import (
    WINDOW,
    EmotionModel,
    check_batch,
    check_window,
    windows_of,
)

logger = logging.getLogger("speechbrain_ext.inference")

# Whose all recordings are, where no speakers are named.
_SOMEBODY = "the speaker"


class EmotionRecognizer(EmotionModel):
    """A trained model, ready to find the emotion that a recording expresses.

    Results come as SpeechBrain's classifiers give them: ``out_prob`` ``[batch,
    classes]``, ``score`` ``[batch]`` (the highest of each row), ``index``
    ``[batch]`` and ``text_lab``, a list of the classes' names. ``out_prob``
    holds probabilities, where SpeechBrain's ``EncoderClassifier`` has their
    logarithms; names are full words, such as ``angry`` for ``ang``.

    A recording of up to one window is classified just as in training: as a
    whole or, where it is longer than the model's ``max_length``, by its first
    ``max_length`` seconds, with a warning. A longer one is cut into the fewest
    equal stretches of at most one window (and at most ``max_length``), whose
    posteriors are averaged, with a warning; memory does not grow with its
    length. So with a ``max_length`` of 5 s, the first 5 s of a recording of
    29 s count, and seven stretches of one of 31 s: cut such recordings to have
    all of them judged alike.

    A model with speaker normalisation needs recordings of the speaker. All
    that are given in one call are taken for one speaker's, unless ``speakers``
    says whose they are; nothing of an earlier call is used.

    Arguments
    ---------
    modules : dict
        ``Input`` modules by name, or ``encoder`` and perhaps ``normalizer``
        and ``mixture`` (and the same after ``fusion_``), and ``head``; or
        ``wav2vec2``, ``avg_pool`` and ``output_mlp`` of a published model.
    hparams : dict
        ``classes`` or ``label_encoder``; perhaps ``layers``, ``max_length``
        (s), ``window`` (s) and ``avg_pool``.
    run_opts : dict, optional
        Such as ``{"device": "cuda"}``.
    window : float, optional
        Longest stretch (s); what the model's YAML says if absent, or 30, or
        what the encoder can take if that is less.
    source : str
        What to name in the sentences of errors.

    Attributes
    ----------
    classes : list of str
        Name of every class.
    by_speaker : bool
        Whether the model has speaker normalisation.

    Raises
    ------
    UserError
        When modules or classes are missing or do not fit, when the model is a
        diarizer, or a window is invalid.

    Example
    -------
    >>> import numpy as np
    >>> import soundfile
    >>> from speechbrain_ext.encoders.prosody import ProsodyEncoder
    >>> from speechbrain_ext.models.heads import DenseHead
    >>> encoder = ProsodyEncoder()
    >>> recognizer = EmotionRecognizer(
    ...     {"encoder": encoder, "head": DenseHead(encoder.output_size, 1)},
    ...     {"classes": ["sad"]},
    ...     run_opts={"device": "cpu"},
    ... )
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros(48000), 48000)
    >>> recognizer.classify_file(path)
    (tensor([[1.]]), tensor([1.]), tensor([0]), ['sad'])
    """

    by_frame = False

    def __init__(
        self, modules, hparams, run_opts=None, window=None, source="the model"
    ):
        super().__init__(modules, hparams, run_opts, source)
        self.by_speaker = self.classifier.by_speaker
        longest = self.classifier.max_samples
        if window is None:
            window = hparams.get("window")
        if window is None:
            window = WINDOW
            if longest is not None:
                window = min(window, longest / SAMPLE_RATE)
        check_window(window, 0.0, self.grid, longest)
        self.window = window

    def classify_file(self, path):
        """Classify a recording.

        With speaker normalisation the statistics are of this recording alone,
        with a warning; ``classify_files`` takes more of the same speaker.

        Arguments
        ---------
        path : str or os.PathLike
            Any format that soundfile reads, any rate, channels and length.

        Returns
        -------
        out_prob : torch.Tensor
            Probabilities ``[1, classes]``.
        score : torch.Tensor
            The highest of them ``[1]``.
        index : torch.Tensor
            Its class ``[1]``.
        text_lab : list of str
            The class's name, alone in the list.

        Raises
        ------
        UserError
            When the recording cannot be used.
        """
        return self.classify_files([path])

    def classify_files(self, paths, speakers=None, progress=False):
        """Classify recordings.

        Arguments
        ---------
        paths : list of (str or os.PathLike)
            As for ``classify_file``.
        speakers : list of str, optional
            Who speaks in each, for speaker normalisation; all of them are one
            speaker's if absent.
        progress : bool
            Whether to show progress bars.

        Returns
        -------
        out_prob, score, index, text_lab
            As ``classify_file``, a row for every recording.

        Raises
        ------
        UserError
            When a recording cannot be used, or speakers are given to a model
            without speaker normalisation.
        """
        rows = tqdm(
            self.iterate_files(paths, speakers, progress),
            total=len(paths),
            desc="Classify",
            unit="file",
            disable=not progress or len(paths) == 1,
        )
        out_prob, score, index, text_lab = zip(*rows, strict=True)
        return (
            torch.cat(out_prob),
            torch.cat(score),
            torch.cat(index),
            [name for names in text_lab for name in names],
        )

    def iterate_files(self, paths, speakers=None, progress=False):
        """Classify recordings, and give each result as soon as it is there.

        Arguments
        ---------
        paths : list of (str or os.PathLike)
            As for ``classify_files``.
        speakers : list of str, optional
            As for ``classify_files``.
        progress : bool
            Whether to show bars over what takes long within: the pass for the
            speakers' statistics, and recordings longer than a window.

        Yields
        ------
        tuple
            As ``classify_file``.
        """
        if not paths:
            raise ValueError("there are no recordings")
        recordings = [AudioStream(path) for path in paths]
        names = self._speakers(speakers, len(recordings))
        for row in self._each(recordings, names, progress):
            yield self._result(row[None])

    def classify_batch(self, wavs, wav_lens=None, speakers=None):
        """Classify waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            ``[batch, samples]`` (or ``[samples]``) at 16 kHz; what they hold
            beyond their lengths does not matter.
        wav_lens : torch.Tensor, optional
            Relative lengths ``[batch]``; all full if absent.
        speakers : list of str, optional
            As for ``classify_files``.

        Returns
        -------
        out_prob, score, index, text_lab
            As ``classify_file``, a row for every waveform.

        Raises
        ------
        UserError
            When a waveform holds values that are not finite, or speakers are
            given to a model without speaker normalisation.
        """
        wavs = wavs[None] if wavs.dim() == 1 else wavs
        lengths = check_batch(wavs, wav_lens)
        names = self._speakers(speakers, len(wavs))
        recordings = [
            _Waveform(wav[:length], f"waveform {number}")
            for number, (wav, length) in enumerate(
                zip(wavs, lengths.tolist()), 1
            )
        ]
        wavs = wavs[:, : lengths.max()]
        if len(self._spans(wavs.shape[1])) > 1:
            rows = list(self._each(recordings, names))
            return self._result(torch.stack(rows))
        for recording in recordings:
            self._warn(recording)
        encoded = self.encode(wavs, lengths)
        if self.by_speaker:
            self.classifier.forget()
            self._learn(encoded, names)
            _report(recordings, names)
        return self._result(self._probabilities(encoded, names))

    def forward(self, wavs, wav_lens=None):
        """As ``classify_batch``."""
        return self.classify_batch(wavs, wav_lens)

    def _speakers(self, speakers, count):
        if speakers is None:
            return [_SOMEBODY] * count
        if not self.by_speaker:
            raise UserError(
                "speakers: the model has no speaker normalisation, so that "
                "they make no difference; leave them out."
            )
        if len(speakers) != count:
            raise ValueError(f"{len(speakers)} speakers, {count} recordings")
        return list(speakers)

    def _each(self, recordings, speakers, progress=False):
        """Probabilities ``[classes]`` of one recording after the other."""
        if self.by_speaker:
            self._survey(recordings, speakers, progress)
        for recording, speaker in zip(recordings, speakers):
            self._warn(recording)
            rows = [
                self._probabilities(self.encode(wav[None]), [speaker])[0]
                for wav in self._stretches(recording, progress)
            ]
            yield torch.stack(rows).mean(0)

    def _survey(self, recordings, speakers, progress):
        """Statistics of the speakers, in one pass over their recordings."""
        self.classifier.forget()
        bar = tqdm(
            recordings,
            desc="Speakers' statistics",
            unit="file",
            disable=not progress or len(recordings) == 1,
        )
        for recording, speaker in zip(bar, speakers):
            alone = progress and len(recordings) == 1
            for wav in self._stretches(recording, alone):
                self._learn(self.encode(wav[None]), [speaker])
        _report(recordings, speakers)

    def _warn(self, recording):
        """Say where stretches are averaged, or the end is left out."""
        path, count = recording.path, len(self._spans(recording.num_samples))
        if count > 1:
            logger.warning(
                f"'{path}' lasts {recording.duration:.1f} s, longer than a "
                f"window ({self.window:g} s): the posteriors of {count} "
                "stretches are averaged; to see how emotion changes in it, use "
                "a diarizer."
            )
        elif self.classifier.cuts(recording.num_samples):
            longest = self.classifier.max_length
            logger.warning(
                f"'{path}' lasts {recording.duration:.2f} s, longer than the "
                f"model's max_length: only its first {longest:g} s are judged, "
                "as in training; cut the recording into parts of at most "
                f"{longest:g} s to have all of it judged."
            )

    def _stretches(self, recording, progress):
        return windows_of(
            recording, self._spans(recording.num_samples), progress
        )

    def _spans(self, num_samples):
        """Equal stretches, as few as there can be."""
        size = to_samples(self.window)
        if num_samples <= size:
            return [(0, num_samples)]
        if self.classifier.max_length is not None:
            size = min(size, to_samples(self.classifier.max_length))
        count = -(-num_samples // size)
        edges = [num_samples * i // count for i in range(count + 1)]
        return list(zip(edges, edges[1:]))

    def _learn(self, encoded, speakers):
        with torch.inference_mode():
            self.classifier.learn(encoded, speakers)

    def _probabilities(self, encoded, speakers):
        """Classify utterances."""
        return torch.stack(self.log_probs(encoded, speakers)).exp()

    def _result(self, out_prob):
        # A copy is a tensor like any other, also where gradients are wanted.
        out_prob = out_prob.clone()
        score, index = out_prob.max(dim=-1)
        return out_prob, score, index, [self.classes[i] for i in index.tolist()]


class _Waveform:
    """A waveform with the face of ``AudioStream``."""

    def __init__(self, wav, path):
        self.wav, self.path = wav, path
        self.num_samples = len(wav)
        self.duration = len(wav) / SAMPLE_RATE

    def windows(self, spans):
        """As ``AudioStream.windows``."""
        return (self.wav[start:stop] for start, stop in spans)


def _report(recordings, speakers):
    """Say what speakers' statistics were computed from, in one sentence."""
    owned = defaultdict(list)
    for recording, speaker in zip(recordings, speakers):
        owned[speaker].append(recording)
    alone = [group[0] for group in owned.values() if len(group) == 1]
    if not alone:
        logger.info(
            "Speaker normalisation: the statistics of %s are those of %d "
            "recordings, %.1f s in all.",
            "the speaker" if len(owned) == 1 else f"{len(owned)} speakers",
            len(recordings),
            sum(recording.duration for recording in recordings),
        )
        return
    name, seconds = Path(alone[0].path).name, alone[0].duration
    if len(owned) == 1:
        whose = f"the statistics are those of '{name}' ({seconds:.1f} s) alone"
    else:
        whose = (
            f"of {len(alone)} of {len(owned)} speakers there is one recording "
            f"(such as '{name}', {seconds:.1f} s), and the statistics are "
            "those of it alone"
        )
    logger.warning(
        "Speaker normalisation: %s; give more recordings of the same speaker.",
        whose,
    )
