"""Which emotion appears when, in any recording."""

import logging
from dataclasses import dataclass, fields, replace

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE, AudioStream
from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.inference.interfaces import (
    OVERLAP,
    WINDOW,
    EmotionModel,
    check_batch,
    check_window,
    merge_windows,
    plan_windows,
    ramp_frames,
    windows_of,
)

logger = logging.getLogger("speechbrain_ext.inference")


@dataclass(frozen=True)
class Analysis:
    """What is found in one recording.

    Arguments
    ---------
    segments : list of dict
        ``{"start", "end", "emotion"}`` each, in seconds, contiguous from 0 to
        ``duration``.
    probabilities : numpy.ndarray
        Posteriors ``[frames, classes]``.
    edges : numpy.ndarray
        Where frames begin and end, in seconds ``[frames + 1]``.
    duration : float
        Length of the recording in seconds.
    """

    segments: list
    probabilities: np.ndarray
    edges: np.ndarray
    duration: float


class EmotionDiarizer(EmotionModel):
    """A trained model, ready to find which emotion appears when.

    Recordings of up to one window are classified as a whole. Longer ones are
    read window by window, and the posteriors of overlapping windows are
    averaged, so that memory does not grow with their length.

    Arguments
    ---------
    modules : dict
        An ``Input`` by its name, or ``encoder`` and perhaps ``normalizer`` and
        ``mixture``, and ``head``; or the modules of SpeechBrain's
        ``Speech_Emotion_Diarization``.
    hparams : dict
        ``classes`` or ``label_encoder``; perhaps ``postprocessing``,
        ``window``, ``overlap`` and ``avg_pool``.
    run_opts : dict, optional
        Such as ``{"device": "cuda"}``.
    window : float, optional
        Longest window (s); what the model's YAML says if absent, or 30. A model
        that was trained on short utterances does best with windows of about
        their length.
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
    >>> from speechbrain_ext.encoders.prosody import ProsodyEncoder
    >>> from speechbrain_ext.models.heads import LinearHead
    >>> encoder = ProsodyEncoder()
    >>> diarizer = EmotionDiarizer(
    ...     {"encoder": encoder, "head": LinearHead(encoder.output_size, 1)},
    ...     {"classes": ["neutral"]},
    ...     run_opts={"device": "cpu"},
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
        super().__init__(modules, hparams, run_opts, source)
        if NEUTRAL not in self.classes:
            raise UserError(
                f"model: '{source}' has the classes {', '.join(self.classes)}; "
                f"a diarizer needs '{NEUTRAL}' among them: give another model."
            )
        if window is None:
            window = hparams.get("window", WINDOW)
        if overlap is None:
            overlap = hparams.get("overlap", OVERLAP)
        check_window(window, overlap, self.grid, self.classifier.max_samples)
        self.window, self.overlap = window, overlap
        self.postprocessing = hparams.get("postprocessing") or PostProcessing()

    def diarize_file(self, path, postprocessing=None, progress=False):
        """Find which emotion appears when in a recording.

        Arguments
        ---------
        path : str or os.PathLike
            Any format that soundfile reads, any rate, channels and length.
        postprocessing : PostProcessing or dict, optional
            In place of the model's own options; a dict changes some of them.
            The model's own ``one_event`` is left out, with a warning, for
            recordings of more than one window, which hold many events; give
            it here to have it all the same.
        progress : bool
            Whether to show a progress bar if there is more than one window.

        Returns
        -------
        list of dict
            ``{"start", "end", "emotion"}`` each, in seconds, contiguous from
            0 to the recording's duration.

        Raises
        ------
        UserError
            When the recording cannot be used, or an option is invalid.
        """
        return self.analyse_file(path, postprocessing, progress).segments

    def posteriors_file(self, path, progress=False):
        """Find the posteriors of every frame of a recording.

        Arguments
        ---------
        path : str or os.PathLike
        progress : bool
            As for ``diarize_file``.

        Returns
        -------
        probabilities : numpy.ndarray
            ``[frames, classes]``, before any post-processing.
        edges : numpy.ndarray
            Where frames begin and end, in seconds ``[frames + 1]``.
        classes : list of str
            Name of every class.
        """
        found = self.analyse_file(path, PostProcessing(), progress)
        return found.probabilities, found.edges, self.classes

    def analyse_file(self, path, postprocessing=None, progress=False):
        """Find segments and posteriors of a recording at once.

        Arguments
        ---------
        path : str or os.PathLike
        postprocessing : PostProcessing or dict, optional
        progress : bool
            As for ``diarize_file``.

        Returns
        -------
        Analysis
        """
        stream = AudioStream(path)
        spans = self._spans(stream.num_samples)
        options = self._options(postprocessing, path, len(spans) > 1)
        windows = windows_of(stream, spans, progress)
        log_probs = self._merged(windows, spans, stream.num_samples)
        segments = options.diarize(
            log_probs, self.classes, stream.num_samples, self.grid
        )
        edges = self.grid.edges(stream.num_samples) / SAMPLE_RATE
        # The last sample at 16 kHz may begin before and end after the file.
        segments[-1]["end"] = edges[-1] = stream.duration
        return Analysis(segments, np.exp(log_probs), edges, stream.duration)

    def diarize_batch(self, wavs, wav_lens=None, postprocessing=None):
        """Find which emotion appears when in waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            ``[batch, samples]`` at 16 kHz; what they hold beyond their lengths
            does not matter.
        wav_lens : torch.Tensor, optional
            Relative lengths ``[batch]``; all full if absent.
        postprocessing : PostProcessing or dict, optional
            As for ``diarize_file``.

        Returns
        -------
        list of list of dict
            The segments of every waveform, as ``diarize_file`` gives them.

        Raises
        ------
        UserError
            When a waveform holds values that are not finite, or an option is
            invalid.
        """
        lengths = check_batch(wavs, wav_lens)
        if len(self._spans(wavs.shape[1])) == 1:
            found = [x.numpy() for x in self._log_probs(wavs, lengths)]
        else:
            found = [
                self._windowed(wav[:length])
                for wav, length in zip(wavs, lengths.tolist())
            ]
        diarizations = []
        for number, (log_probs, length) in enumerate(
            zip(found, lengths.tolist()), 1
        ):
            long = len(self._spans(length)) > 1
            options = self._options(postprocessing, f"waveform {number}", long)
            diarizations.append(
                options.diarize(log_probs, self.classes, length, self.grid)
            )
        return diarizations

    def forward(self, wavs, wav_lens=None):
        """As ``diarize_batch``."""
        return self.diarize_batch(wavs, wav_lens)

    def _spans(self, num_samples):
        return plan_windows(num_samples, self.window, self.overlap, self.grid)

    def _windowed(self, wav):
        spans = self._spans(len(wav))
        windows = (wav[start:stop] for start, stop in spans)
        return self._merged(windows, spans, len(wav))

    def _merged(self, windows, spans, num_samples):
        parts = (self._log_probs(wav[None])[0].numpy() for wav in windows)
        ramp = ramp_frames(self.overlap, self.grid)
        return merge_windows(parts, spans, ramp, num_samples, self.grid)

    def _log_probs(self, wavs, lengths=None):
        return self.log_probs(self.encode(wavs, lengths))

    def _options(self, postprocessing, name, long):
        if isinstance(postprocessing, PostProcessing):
            return postprocessing
        changes = check_options(postprocessing or {})
        options = replace(self.postprocessing, **changes)
        if options.one_event and long and "one_event" not in changes:
            logger.warning(
                "'%s' is longer than one window (%g s), so the model's option "
                "one_event, for recordings of a single emotional event, is "
                "left out; set postprocessing one_event to choose.",
                name,
                self.window,
            )
            options = replace(options, one_event=False)
        return options


def check_options(options):
    """Refuse options of post-processing that do not exist."""
    known = [field.name for field in fields(PostProcessing)]
    for name in options:
        if name not in known:
            raise UserError(
                f"postprocessing: there is no option '{name}'; choose from "
                f"{', '.join(known)}."
            )
    return dict(options)
