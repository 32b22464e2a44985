"""Which emotion appears when, in any recording."""

import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from speechbrain_ext.audio import SAMPLE_RATE, AudioStream
from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.inference.classifiers import make_classifier
from speechbrain_ext.inference.interfaces import (
    WINDOW,
    EmotionModel,
    check_batch,
    check_longest,
)
from speechbrain_ext.inference.kinds import classes_of
from speechbrain_ext.inference.windows import (
    check_window,
    merge_windows,
    plan_windows,
    ramp_frames,
)

logger = logging.getLogger("speechbrain_ext.inference")

#: Seconds, where neither the call nor the model says otherwise.
OVERLAP = 5.0


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
    """A trained model, ready to say which emotion appears when.

    Recordings of up to one window are classified as a whole. Longer ones are
    read window by window, and the posteriors of overlapping windows are
    averaged, so that memory does not grow with their length.

    Arguments
    ---------
    modules : dict
        ``encoder`` and ``head``, perhaps ``mixture``; or those of
        SpeechBrain's ``Speech_Emotion_Diarization``, with ``wav2vec`` or
        ``wav2vec2``, as the repository has it.
    hparams : dict
        ``classes`` or ``label_encoder``; perhaps ``postprocessing``,
        ``window`` and ``overlap``, ``avg_pool`` and ``log_softmax``.
    run_opts : dict, optional
        Such as ``{"device": "cuda"}``.
    window : float, optional
        Length of a window in seconds; what the model's YAML says if absent,
        or 30. A model that has heard only short utterances in training does
        best with windows of about their length.
    overlap : float, optional
        Seconds that neighbouring windows share; what the model's YAML says if
        absent, or 5.
    source : str
        What to name in the sentences of errors.

    Raises
    ------
    UserError
        When modules or classes are missing, or a window makes no sense.

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

    def __init__(
        self,
        modules,
        hparams,
        run_opts=None,
        window=None,
        overlap=None,
        source="the model",
    ):
        if window is None:
            window = hparams.get("window", WINDOW)
        if overlap is None:
            overlap = hparams.get("overlap", OVERLAP)
        super().__init__(modules, hparams, run_opts)
        self.classifier = make_classifier(self.mods, hparams, source)
        self.classes = _diarizer_classes(hparams, source)
        self.postprocessing = hparams.get("postprocessing") or PostProcessing()
        self.grid = self.classifier.grid
        check_window(window, overlap, self.grid)
        check_longest(window, self.classifier.max_samples)
        self.window = window
        self.overlap = overlap

    def diarize_file(self, path, postprocessing=None, progress=False):
        """Which emotion appears when in a recording.

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
            When the recording cannot be used, or an option is wrong.
        """
        return self.analyse_file(path, postprocessing, progress).segments

    def posteriors_file(self, path, progress=False):
        """Posteriors of every frame of a recording.

        Arguments
        ---------
        path : str or os.PathLike
            As for ``diarize_file``.
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

        Raises
        ------
        UserError
            When the recording cannot be used.
        """
        found = self.analyse_file(path, PostProcessing(), progress)
        return found.probabilities, found.edges, self.classes

    def analyse_file(self, path, postprocessing=None, progress=False):
        """Segments and posteriors of a recording at once.

        Arguments
        ---------
        path : str or os.PathLike
            As for ``diarize_file``.
        postprocessing : PostProcessing or dict, optional
            As for ``diarize_file``.
        progress : bool
            As for ``diarize_file``.

        Returns
        -------
        Analysis

        Raises
        ------
        UserError
            When the recording cannot be used, or an option is wrong.
        """
        stream = AudioStream(path)
        spans = self._spans(stream.num_samples)
        options = self._options(postprocessing, path, len(spans) > 1)
        bar = tqdm(
            stream.windows(spans),
            total=len(spans),
            desc=Path(path).name,
            unit="window",
            disable=not progress or len(spans) == 1,
        )
        log_probs = self._merged(bar, spans, stream.num_samples)
        segments = options.diarize(
            log_probs, self.classes, stream.num_samples, self.grid
        )
        edges = self.grid.edges(stream.num_samples) / SAMPLE_RATE
        # The last sample at 16 kHz may begin before and end after the file.
        segments[-1]["end"] = edges[-1] = stream.duration
        return Analysis(segments, np.exp(log_probs), edges, stream.duration)

    def diarize_batch(self, wavs, wav_lens=None, postprocessing=None):
        """Which emotion appears when in waveforms.

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
            wrong.
        """
        lengths = check_batch(wavs, wav_lens)
        if len(self._spans(wavs.shape[1])) == 1:
            found = self._log_probs(wavs, lengths)
        else:
            found = [
                self._windowed(wav[:length])
                for wav, length in zip(wavs, lengths.tolist())
            ]
        diarizations = []
        for number, (frames, length) in enumerate(
            zip(found, lengths.tolist()), 1
        ):
            options = self._options(
                postprocessing,
                f"waveform {number}",
                len(self._spans(length)) > 1,
            )
            diarizations.append(
                options.diarize(frames, self.classes, length, self.grid)
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
        parts = (
            self._log_probs(wav[None], torch.tensor([len(wav)]))[0]
            for wav in windows
        )
        ramp = ramp_frames(self.overlap, self.grid)
        return merge_windows(parts, spans, ramp, num_samples, self.grid)

    def _log_probs(self, wavs, lengths):
        with torch.inference_mode(), self.inference_ctx:
            found = self.classifier.log_probs(
                wavs.float().to(self.device), lengths.to(self.device)
            )
        if found[0].shape[1] != len(self.classes):
            raise UserError(
                f"The model scores {found[0].shape[1]} classes but names "
                f"{len(self.classes)} ({', '.join(self.classes)}); correct "
                "its hyperparams.yaml."
            )
        return [frames.float().cpu().numpy() for frames in found]

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


def _diarizer_classes(hparams, source):
    classes = classes_of(hparams, source)
    if NEUTRAL not in classes:
        raise UserError(
            f"model: '{source}' has the classes {', '.join(classes)}, but a "
            f"diarizer needs '{NEUTRAL}' among them; give another model."
        )
    return classes
