"""What the interfaces share: a model from a source, batches and windows."""

from pathlib import Path

import numpy as np
import torch
from speechbrain.inference.interfaces import Pretrained
from tqdm import tqdm

from speechbrain_ext.audio import SAMPLE_RATE, to_samples
from speechbrain_ext.base.errors import UserError, expected, is_number
from speechbrain_ext.encoders.grid import absolute_lengths
from speechbrain_ext.inference import layouts
from speechbrain_ext.inference.loading import Place, load_model

# More than any recording lasts (s).
_LONGEST = 1e6


class EmotionModel(Pretrained):
    """A trained model, ready to use."""

    by_frame = None

    def __init__(
        self, modules, hparams, run_opts=None, window=None, source="the model"
    ):
        device = str((run_opts or {}).get("device") or "cpu")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"device: '{device}' is not available; choose cpu.")
        modules = layouts.named_inputs(modules, hparams)
        super().__init__(modules, hparams, run_opts)
        self.classifier = found = layouts.make_classifier(
            self.mods, hparams, source, self.by_frame
        )
        self.grid, self.by_speaker = found.grid, found.by_speaker
        self.classes = layouts.classes_of(hparams, source, found.num_classes)
        longest = (found.max_samples or float("inf")) / SAMPLE_RATE
        given = hparams.get("window") if window is None else window
        self.window = min(30.0, longest) if given is None else given
        check_window(self.window, self.grid, longest)

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

    def log_probs(self, encoded, speakers=None):
        """Log posteriors of every utterance, on the CPU."""
        with torch.inference_mode(), self.inference_ctx:
            found = self.classifier.log_probs(encoded, speakers)
        found = [x.float().cpu() for x in found]
        if not all(x.exp().isfinite().all() for x in found):
            raise UserError(
                "The model gives posteriors that are not finite numbers: its "
                "parameters are damaged; use another checkpoint."
            )
        return found

    def encode(self, wavs, lengths=None):
        """What ``log_probs`` needs of a batch of waveforms."""
        if lengths is None:
            lengths = torch.tensor([wavs.shape[1]] * len(wavs))
        wavs, lengths = wavs.float().to(self.device), lengths.to(self.device)
        with torch.inference_mode(), self.inference_ctx:
            return self.classifier.encode(wavs, lengths)

    def by_window(self, recording, progress=False, speakers=None):
        """Log posteriors of every window of a recording."""
        for wav in self.windows(recording, progress):
            yield self.log_probs(self.encode(wav[None]), speakers)[0]

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


class Waveform:
    """A waveform with the face of ``AudioStream``."""

    def __init__(self, wav, number=1):
        self.wav, self.path = wav, f"waveform {number}"
        self.num_samples = len(wav)
        self.duration = len(wav) / SAMPLE_RATE
        if not torch.isfinite(wav).all():
            raise UserError(
                f"Waveform {number} of the batch holds samples that are not "
                "finite numbers (NaN or infinity); mend it or leave it out."
            )

    def windows(self, spans):
        """As ``AudioStream.windows``."""
        return (self.wav[start:stop] for start, stop in spans)


def as_batch(wavs, wav_lens=None):
    """Waveforms one by one, all of them as short as can be, and the lengths."""
    if wavs.dim() != 2 or not wavs.shape[1]:
        raise ValueError(f"wavs is [batch, samples], not {wavs.shape}")
    if wav_lens is None:
        wav_lens = torch.ones(len(wavs))
    lengths = absolute_lengths(wav_lens.cpu(), wavs.shape[1])
    pairs = zip(wavs, lengths.tolist())
    alone = [Waveform(wav[:n], at) for at, (wav, n) in enumerate(pairs, 1)]
    return alone, wavs[:, : lengths.max()], lengths


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
    least = (grid.min_samples + 2 * grid.stride) / SAMPLE_RATE
    if not is_number(window) or not least <= window <= _LONGEST:
        what = f"{least:g} s or more, at most {_LONGEST:g} s"
        raise expected("window", what, window)
    if window > longest:
        what = f"at most the {longest:g} s that the model's encoder can take"
        raise expected("window", what, window)


def check_overlap(overlap, window, grid):
    """Refuse an overlap that is no length, or leaves nothing of a window."""
    size = to_samples(window) // grid.stride
    short = is_number(overlap) and overlap < window
    ramp = ramp_frames(overlap, grid) if short else size
    if ramp >= size or overlap < 0:
        what = f"0 or more and less than the window of {window} s"
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
