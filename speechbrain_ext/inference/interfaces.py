"""What the interfaces share: a model from a source, batches and windows."""

import contextlib
import itertools
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from speechbrain.inference.interfaces import Pretrained
from tqdm import tqdm

from speechbrain_ext.audio import (
    SAMPLE_RATE,
    AudioStream,
    check_level,
    list_notes,
    to_samples,
)
from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.values import check_value, check_windows
from speechbrain_ext.conditioning.cleaning import make_cleaner
from speechbrain_ext.conditioning.recordings import clean_once, release
from speechbrain_ext.encoders.grid import absolute_lengths
from speechbrain_ext.inference import layouts
from speechbrain_ext.inference.loading import load_model
from speechbrain_ext.metrics.predictions import check_posteriors
from speechbrain_ext.untrusted.place import Place

logger = logging.getLogger("speechbrain_ext.inference")

# Samples as whole numbers: which one is silence, and which one full scale.
_INTEGERS = {
    torch.uint8: (128, 128),
    torch.int8: (0, 2**7),
    torch.int16: (0, 2**15),
    torch.int32: (0, 2**31),
}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Relative lengths of little precision may exceed 1 by this.
_ROUNDING = 1e-3
# Without a limit of the encoder (samples): time that is still a number.
_ENDLESS = 2**62


class EmotionModel(Pretrained):
    """A trained model, ready to use."""

    by_frame = None

    def __init__(
        self, modules, hparams, run_opts=None, window=None, source="the model"
    ):
        run_opts = dict(run_opts or {})
        device = str(run_opts.get("device") or "cpu")
        if "device" in run_opts:
            run_opts["device"] = device
        try:
            torch.empty(0, device=device).cpu()
        except (AssertionError, RuntimeError):
            sentence = f"device: '{device}' is not available; choose cpu."
            raise UserError(sentence) from None
        modules = layouts.named_inputs(modules, hparams)
        super().__init__(modules, hparams, run_opts)
        self.classifier = found = layouts.make_classifier(
            self.mods, hparams, source, self.by_frame
        )
        self.grid, self.by_speaker = found.grid, found.by_speaker
        self.classes = layouts.classes_of(hparams, source, found.num_classes)
        longest = (found.max_samples or _ENDLESS) / SAMPLE_RATE
        given = hparams.get("window") if window is None else window
        self.window = min(30.0, longest) if given is None else given
        check_window(self.window, self.grid, longest)
        self.cleaner = make_cleaner(hparams.get("preprocessing"))

    @classmethod
    def from_hparams(
        cls,
        source,
        hparams_file="hyperparams.yaml",
        savedir=None,
        overrides=None,
        run_opts=None,
        **options,
    ):
        """Load a run folder, a model's folder, or a repository of the Hub.

        Arguments as for ``Pretrained`` of SpeechBrain and for the class.
        """
        names = {"local_strategy", "fetch_config"} & options.keys()
        fetching = {name: options.pop(name) for name in names}
        place = Place(str(source), savedir, **fetching)
        modules, hparams = load_model(place, hparams_file, overrides)
        return cls(modules, hparams, run_opts, source=str(source), **options)

    def log_probs(self, encoded, speakers=None, recordings=()):
        """Log posteriors of every utterance, on the CPU.

        ``recordings`` are what an error names.
        """
        with torch.inference_mode(), self.inference_ctx:
            found = self.classifier.log_probs(encoded, speakers)
        found = [x.float().cpu() for x in found]
        names = [f"'{recording.path}'" for recording in recordings]
        for each, name in itertools.zip_longest(found, names):
            check_posteriors(each.numpy(), name or "a recording")
        return found

    def remarks(self, recording):
        """What a user is to know of a recording that was analysed, and of its
        result: parts of a sentence."""
        return self.cleaned(recording).notes

    def cleaned(self, recording):
        """A recording as the model was trained on its like."""
        return clean_once(recording, self.cleaner)

    def warn(self, recording):
        """Say what a user is to know of a recording that was analysed."""
        for remark in self.remarks(recording):
            logger.warning(f"'{recording.path}' {remark}.")

    def encode(self, wavs, lengths=None, texts=None, **options):
        """What ``log_probs`` needs of a batch of waveforms; ``options`` are
        those of the classifier."""
        if lengths is None:
            lengths = torch.tensor([wavs.shape[1]] * len(wavs))
        wavs, lengths = wavs.to(self.device), lengths.to(self.device)
        with torch.inference_mode(), self.inference_ctx:
            return self.classifier.encode(wavs, lengths, texts, **options)

    def by_window(self, recording, progress=False, speakers=None):
        """Log posteriors of every window of a recording."""
        for wav in self.windows(recording, progress):
            encoded = self.encode(wav[None])
            yield self.log_probs(encoded, speakers, [recording])[0]

    def windows(self, recording, progress=False):
        """Read a recording part by part, with a bar if there are several."""
        spans = self.spans(recording.num_samples)
        return tqdm(
            recording.windows(spans),
            total=len(spans),
            desc=Path(recording.path).name,
            unit="window",
            disable=not progress or len(spans) == 1,
        )


class Recognition:
    """The face of recognizers, over what each of them is or has: ``classes``,
    ``by_speaker``, ``reads_text``, ``needs_text``, ``listener``, ``survey``,
    ``judge`` and ``remarks``."""

    def classify_file(self, path, text=None):
        """Classify a recording; by what a speaker says, by it alone."""
        return self.classify_files([path], texts=[text])

    def classify_files(self, paths, speakers=None, texts=None):
        """Classify recordings, which ``speakers`` (a list) have spoken.

        ``paths`` may hold an ``AudioStream`` in place of its path; ``texts``
        are what is said, where it is not to be transcribed (None).
        """
        found = self.iterate_files(paths, speakers, texts=texts)
        return self._result([out_prob[0] for out_prob, *_ in found])

    def iterate_files(self, paths, speakers=None, progress=False, texts=None):
        """As ``classify_files``, each result as soon as it is there."""
        several = isinstance(paths, Iterable) and not isinstance(paths, str)
        paths = list(paths) if several else paths
        if not several or not paths:
            raise expected("paths", "a list of recordings", paths)
        recordings = [
            path if isinstance(path, AudioStream) else AudioStream(path)
            for path in paths
        ]
        names = self._speakers(speakers, len(paths))
        self._attach(recordings, texts)
        for row in self._each(recordings, names, progress):
            yield self._result([row])

    def classify_batch(self, wavs, wav_lens=None, speakers=None, texts=None):
        """Classify waveforms ``[batch, samples]`` (or one) at 16 kHz.

        What they hold beyond the relative lengths ``[batch]`` does not matter.
        Samples are from -1 to 1, or whole numbers of 8, 16 or 32 bits.
        """
        recordings, wavs, lengths = as_batch(wavs, wav_lens)
        names = self._speakers(speakers, len(wavs))
        self._attach(recordings, texts)
        return self._classify(recordings, names, wavs, lengths)

    def _classify(self, recordings, speakers, wavs, lengths):
        return self._result(list(self._each(recordings, speakers)))

    def _speakers(self, speakers, count):
        if speakers is None:
            return ["the speaker"] * count
        if not self.by_speaker:
            raise UserError(
                "speakers: the model has no speaker normalisation or "
                "embedding, so that they make no difference; leave them out."
            )
        if len(speakers) != count:
            what = f"one for each of {count} recordings"
            raise expected("speakers", what, speakers)
        return speakers

    def _attach(self, recordings, texts):
        """Give recordings their texts."""
        if not self.reads_text and any(x is not None for x in texts or ()):
            raise UserError("texts: the model reads no text; leave them out.")
        self.listener.attach(recordings, texts)
        if self.needs_text and self.listener.is_deaf(recordings):
            raise UserError(
                "texts: the model reads what is said; give its text, or the "
                "folder or name of a Whisper model as transcriber."
            )

    def _each(self, recordings, speakers, progress=False):
        """Probabilities ``[classes]`` of one recording after the other."""
        if self.by_speaker:
            self.survey(recordings, speakers, progress)
        for recording, speaker in zip(recordings, speakers):
            row = self.judge(recording, speaker, progress)
            self.warn(recording)
            release(recording)
            yield row

    def _result(self, rows):
        out_prob = torch.stack(rows)
        score, index = out_prob.max(dim=-1)
        return out_prob, score, index, [self.classes[i] for i in index.tolist()]


class Waveform:
    """A waveform with the face of ``AudioStream``."""

    def __init__(self, wav, number=1):
        self.wav, self.path = wav, f"waveform {number}"
        self.num_samples = len(wav)
        self.duration = len(wav) / SAMPLE_RATE
        peak = float(wav.abs().max())
        scale = "divide samples of 16 bits by 32768"
        check_level(peak, self.path, scale)
        self.notes = list_notes((), self.duration, peak)

    def windows(self, spans):
        """As ``AudioStream.windows``."""
        return (self.wav[start:stop] for start, stop in spans)


def as_batch(wavs, wav_lens=None):
    """Waveforms one by one, all of them as short as can be, and the lengths."""
    wavs = _as_waveforms(wavs)
    lengths = _as_lengths(wav_lens, *wavs.shape)
    pairs = zip(wavs, lengths.tolist())
    alone = [Waveform(wav[:n], at) for at, (wav, n) in enumerate(pairs, 1)]
    return alone, wavs[:, : lengths.max()], lengths


def _as_waveforms(wavs):
    """A tensor or an array as float32 ``[batch, samples]`` from -1 to 1."""
    if isinstance(wavs, np.ndarray):
        # torch takes neither another order of bytes nor negative strides.
        native = wavs.dtype.newbyteorder("=")
        # And there are types of arrays that it does not know.
        with contextlib.suppress(TypeError):
            wavs = torch.from_numpy(wavs.astype(native, order="C"))
    dense = isinstance(wavs, torch.Tensor) and wavs.layout == torch.strided
    if not dense or wavs.is_meta:
        what = "a tensor or an array of samples"
        raise expected("wavs", what, type(wavs).__name__)
    wavs = (wavs[None] if wavs.dim() == 1 else wavs).detach()
    if wavs.dim() != 2 or not wavs.numel():
        what, remedy = "the shape [batch, samples]", "give one channel of each"
        raise expected("wavs", what, list(wavs.shape), remedy)
    if wavs.dtype in _INTEGERS:
        silence, full_scale = _INTEGERS[wavs.dtype]
        return (wavs.float() - silence) / full_scale
    if wavs.dtype not in _FLOATS:
        known = ", ".join(map(str, [*_FLOATS, *_INTEGERS]))
        remedy = "divide samples of 16 bits by 32768"
        raise expected("wavs", f"one of {known}", str(wavs.dtype), remedy)
    return wavs.float()


def _as_lengths(wav_lens, count, num_samples):
    """Relative lengths, which are all 1 if absent, in samples."""
    if wav_lens is None:
        wav_lens = torch.ones(count)
    try:
        given = torch.as_tensor(wav_lens, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        given = torch.empty(0)
    fits = (given > 0) & (given <= 1 + _ROUNDING)
    if given.shape != (count,) or not fits.all():
        what = f"{count} fractions, above 0 and up to 1"
        remedy = f"divide lengths in samples by {num_samples}"
        shown = given.tolist() if given.numel() else wav_lens
        raise expected("wav_lens", what, shown, remedy)
    return absolute_lengths(given, num_samples)


def plan_windows(num_samples, window, overlap, grid):
    """The fewest windows that cover a recording, of about equal length.

    They begin at multiples of the encoder's stride, so that their frames are
    those of the recording.
    """
    longest = to_samples(window)
    if num_samples <= longest:
        return [(0, num_samples)]
    stride = grid.stride
    longest -= longest % stride
    # What windows share; some encoders make no frame of the last samples.
    shared = max(
        ramp_frames(overlap, grid) * stride,
        longest - grid.num_frames(longest) * stride,
    )
    count = -(-(num_samples - shared) // (longest - shared))
    while True:
        steps = -(-(num_samples - shared) // stride)
        starts = [steps * i // count * stride for i in range(count)]
        stops = [start + shared for start in starts[1:]] + [num_samples]
        if all(b - a <= longest for a, b in zip(starts, stops)):
            return list(zip(starts, stops))
        # The last one has the samples that fill no stride.
        count += 1


def check_window(window, grid, longest):
    """Refuse a window that is no length, or does not fit."""
    check_value("window", window)
    framed = grid is not None and grid.stride is not None
    least = grid.min_samples + 2 * grid.stride if framed else 1
    least /= SAMPLE_RATE
    if window < least:
        raise expected("window", f"{least:g} s or more", window)
    if window > longest:
        what = f"at most the {longest:g} s that the model's encoder can take"
        raise expected("window", what, window)


def check_overlap(overlap, window, grid):
    """Refuse an overlap that is no length, or leaves nothing of a window."""
    check_value("overlap", overlap)
    check_windows(window, overlap)
    # In whole frames it may still fill the window.
    if ramp_frames(overlap, grid) >= to_samples(window) // grid.stride:
        what = f"less than the window of {window} s"
        raise expected("overlap", what, overlap)


def ramp_frames(overlap, grid):
    """Frames over which a window gains or loses its weight."""
    return -(-to_samples(overlap) // grid.stride)


def window_weights(frames, ramp, first, last):
    """Weight of every frame of a window: less where context is missing."""
    rise = np.minimum(np.arange(1, frames + 1) / (ramp + 1), 1)
    left, right = (np.ones(frames) if end else rise for end in (first, last))
    return np.minimum(left, right[::-1])


def merge_windows(parts, spans, overlap, num_samples, grid):
    """Log posteriors of a recording from those of its windows."""
    if len(spans) == 1:
        return next(iter(parts))
    ramp = ramp_frames(overlap, grid)
    total, weight = None, np.zeros((grid.num_frames(num_samples), 1))
    for part, (start, stop) in zip(parts, spans):
        if total is None:
            total = np.zeros((len(weight), part.shape[1]))
        ends = start == 0, stop == num_samples
        weights = window_weights(len(part), ramp, *ends)[:, None]
        at = slice(start // grid.stride, start // grid.stride + len(part))
        total[at] += weights * np.exp(part)
        weight[at] += weights
    tiny = np.finfo(np.float32).tiny
    return np.log(np.maximum(total / weight, tiny)).astype(np.float32)
