"""Which emotion appears when, in any recording."""

import logging
from dataclasses import dataclass, replace

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE, AudioStream
from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.values import check_keys, check_value
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.inference import interfaces

logger = logging.getLogger("speechbrain_ext.inference")


@dataclass(frozen=True)
class Analysis:
    """What is found in one recording.

    Arguments
    ---------
    segments : list of dict
        ``{"start", "end", "emotion"}`` each (s), contiguous from 0 to the end.
    probabilities : numpy.ndarray
        Posteriors ``[frames, classes]``.
    edges : numpy.ndarray
        Where frames begin and end (s), ``[frames + 1]``.
    duration : float
        Length of the recording (s).
    """

    segments: list
    probabilities: np.ndarray
    edges: np.ndarray
    duration: float


class EmotionDiarizer(interfaces.EmotionModel):
    """A trained model, ready to find which emotion appears when.

    Longer recordings than a window are read window by window, and the
    posteriors of overlapping windows are averaged; memory stays small.

    Arguments
    ---------
    modules : dict
        An ``Input`` by its name, or ``encoder`` and perhaps ``normalizer`` and
        ``mixture``, and ``head``; or the modules of SpeechBrain's
        ``Speech_Emotion_Diarization``.
    hparams : dict
        ``classes`` or ``label_encoder``; perhaps ``postprocessing``,
        ``window``, ``overlap``, ``avg_pool`` and ``preprocessing``, the
        options of a ``Cleaner`` that removes no silence.
    run_opts : dict, optional
        Such as ``{"device": "cuda"}``.
    window : float, optional
        Longest window (s); what the model's YAML says if absent, or 30, or what
        the encoder can take if that is less. Windows of about the length of the
        training's utterances are best.
    overlap : float, optional
        Seconds that neighbouring windows share; what the model's YAML says if
        absent, or 5.
    source : str
        What to name in the sentences of errors.

    Raises
    ------
    UserError
        When modules or classes are missing, or a window is invalid.

    Example
    -------
    >>> import soundfile
    >>> from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
    >>> from speechbrain_ext.models.heads import LinearHead
    >>> encoder = ProsodyEncoder()
    >>> diarizer = EmotionDiarizer(
    ...     {"encoder": encoder, "head": LinearHead(encoder.output_size, 1)},
    ...     {"classes": ["neutral"]},
    ... )
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros(48000), 48000)
    >>> diarizer.diarize_file(path)
    [{'start': 0.0, 'end': 1.0, 'emotion': 'neutral'}]
    """

    by_frame = True

    def __init__(
        self,
        modules,
        hparams,
        run_opts=None,
        window=None,
        overlap=None,
        source="the model",
    ):
        super().__init__(modules, hparams, run_opts, window, source)
        if NEUTRAL not in self.classes:
            raise UserError(
                f"model: '{source}' has the classes {', '.join(self.classes)}; "
                f"a diarizer needs '{NEUTRAL}' among them: give another model."
            )
        if self.cleaner is not None and self.cleaner.remove_silence:
            raise UserError(
                f"model: '{source}' was trained on recordings without silence, "
                "in which no time is that of the recording; recognize with it "
                "in place of diarizing."
            )
        given = hparams.get("overlap") if overlap is None else overlap
        self.overlap = 5.0 if given is None else given
        interfaces.check_overlap(self.overlap, self.window, self.grid)
        self.postprocessing = hparams.get("postprocessing") or PostProcessing()

    def diarize_file(self, path, postprocessing=None, progress=False):
        """Segments of a recording, as of ``Analysis``.

        ``postprocessing`` takes the place of the model's own; a dict changes
        it. Its ``one_event`` is left out for more than one window.
        """
        return self.analyse_file(path, postprocessing, progress).segments

    def analyse_file(self, path, postprocessing=None, progress=False):
        """The ``Analysis`` of a recording, as for ``diarize_file``."""
        stream = AudioStream(path)
        options = self._options(postprocessing, stream)
        log_probs = self._windowed(self.cleaned(stream), progress)
        self.warn(stream)
        segments = self._segments(options, log_probs, stream)
        edges = self.grid.edges(stream.num_samples) / SAMPLE_RATE
        # The last sample at 16 kHz may begin before and end after the file.
        segments[-1]["end"] = edges[-1] = stream.duration
        return Analysis(segments, np.exp(log_probs), edges, stream.duration)

    def diarize_batch(self, wavs, wav_lens=None, postprocessing=None):
        """Segments of every waveform of a batch.

        ``wavs`` is ``[batch, samples]`` at 16 kHz; what it holds beyond the
        relative lengths ``wav_lens`` ``[batch]`` does not matter. Samples are
        from -1 to 1, or whole numbers of 8, 16 or 32 bits.
        """
        recordings, wavs, lengths = interfaces.as_batch(wavs, wav_lens)
        options = [self._options(postprocessing, one) for one in recordings]
        if len(self.spans(wavs.shape[1])) == 1 and self.cleaner is None:
            encoded = self.encode(wavs, lengths)
            found = self.log_probs(encoded, recordings=recordings)
            found = [log_probs.numpy() for log_probs in found]
        else:
            found = [self._windowed(self.cleaned(one)) for one in recordings]
        for recording in recordings:
            self.warn(recording)
        return list(map(self._segments, options, found, recordings))

    forward = diarize_batch

    def spans(self, num_samples):
        """Start and stop of every window."""
        return interfaces.plan_windows(
            num_samples, self.window, self.overlap, self.grid
        )

    def _windowed(self, recording, progress=False):
        """Log posteriors of a recording, window by window."""
        parts = (x.numpy() for x in self.by_window(recording, progress))
        count = recording.num_samples
        return interfaces.merge_windows(
            parts, self.spans(count), self.overlap, count, self.grid
        )

    def _segments(self, options, log_probs, recording):
        return options.diarize(
            log_probs, self.classes, recording.num_samples, self.grid
        )

    def _options(self, postprocessing, recording):
        if isinstance(postprocessing, PostProcessing):
            return postprocessing
        changes = postprocessing or {}
        check_value("postprocessing", changes)
        check_keys("postprocessing", changes)
        options = replace(self.postprocessing, **changes)
        long = len(self.spans(recording.num_samples)) > 1
        if options.one_event and long and "one_event" not in changes:
            logger.warning(
                f"'{recording.path}' is longer than one window ({self.window:g}"
                " s), so the model's option one_event, for recordings of a "
                "single emotional event, is left out; set postprocessing "
                "one_event to choose."
            )
            options = replace(options, one_event=False)
        return options
