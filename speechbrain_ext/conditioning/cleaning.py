"""Noise and silence out of recordings."""

import importlib.util
from importlib.metadata import version

import numpy as np

from speechbrain_ext.audio import SAMPLE_RATE, SILENCE, AudioError
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.values import check_keys, check_value


class Cleaner:
    """Takes noise and silence out of a recording at 16 kHz.

    First comes noisereduce, with its defaults: the spectral gate whose noise
    floor follows the recording (``stationary=False``, ``prop_decrease=1.0``,
    ``time_constant_s=2.0``, ``n_fft=1024``). Then librosa's ``effects.split``
    tells stretches of sound from silence, and those of sound are joined. The
    same recording gives the same samples, and a louder one the same louder.

    Steps 2 to 4 of section III.A of V. Sharma, "Speech and Text-Based Emotion
    Recognizer", 2023, which gives neither libraries nor thresholds.

    Arguments
    ---------
    reduce_noise, remove_silence : bool
        Which of the steps are taken.
    min_duration : float
        What of a recording must be left (s) for it to be trained on.
    top_db : float
        Frames of 128 ms that lie so far below the loudest one are silence
        (dB).

    Raises
    ------
    UserError
        When an option is of no use, or a library is not installed.

    Example
    -------
    >>> import torch
    >>> cleaner = Cleaner(reduce_noise=False)
    >>> time = torch.arange(16000) / 16000
    >>> tone = torch.sin(2 * torch.pi * 440 * time)
    >>> cleaner.clean(torch.cat([torch.zeros(32000), tone])).shape
    torch.Size([16768])
    """

    def __init__(
        self,
        reduce_noise=True,
        remove_silence=True,
        min_duration=1.0,
        top_db=40.0,
    ):
        self.options = {
            "reduce_noise": reduce_noise,
            "remove_silence": remove_silence,
            "min_duration": min_duration,
            "top_db": top_db,
        }
        for name, value in self.options.items():
            check_value(f"preprocessing.{name}", value)
        self.min_duration = min_duration
        self.reduce_noise, self.remove_silence = reduce_noise, remove_silence
        self.top_db = top_db
        used = {"noisereduce": reduce_noise, "librosa": remove_silence}
        self.libraries = [name for name, is_used in used.items() if is_used]
        check_installed("preprocessing", self.libraries)

    def clean(self, waveform, path="the waveform"):
        """What is left of a waveform ``[samples]``, float32.

        ``path`` is what an ``AudioError`` names: nothing may be left, and what
        is no number stays none.
        """
        import torch

        cleaned, spans = self.parts(waveform, path)
        return torch.cat([cleaned[start:stop] for start, stop in spans])

    def parts(self, waveform, path="the waveform"):
        """The waveform without noise, and the start and stop (samples) of each
        of its stretches that stay."""
        import torch

        samples = waveform.numpy()
        # Of silence alone noisereduce makes values that are no numbers.
        _check_sound(samples, "has no sound", path)
        if self.reduce_noise:
            samples = _without_noise(samples)
            _check_sound(samples, "has no sound but noise", path)
        spans = [(0, len(samples))]
        if self.remove_silence:
            import librosa

            # To full scale: it takes what is below -100 dB for as loud.
            scaled = samples / np.abs(samples).max()
            found = librosa.effects.split(scaled, top_db=self.top_db)
            spans = [(int(start), int(stop)) for start, stop in found]
        return torch.from_numpy(samples), spans

    def describe(self):
        """What the samples follow from, as plain data: options, versions."""
        # Whether a recording is long enough changes none of its samples.
        options = {k: v for k, v in self.options.items() if k != "min_duration"}
        versions = {name: version(name) for name in self.libraries}
        return {**options, "versions": versions}


def make_cleaner(preprocessing):
    """A ``Cleaner`` of the mapping of its options, or None of none."""
    if preprocessing is None:
        return None
    check_value("preprocessing", preprocessing)
    check_keys("preprocessing", preprocessing)
    return Cleaner(**preprocessing)


def check_installed(option, libraries):
    """Raise a ``UserError`` unless what an option needs is installed."""
    for name in libraries:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"{option}: it needs the package {name}; run "
                "'pip install -e \".[fusion]\"', or set it to null."
            )


def _without_noise(samples):
    import noisereduce

    with np.errstate(invalid="ignore", divide="ignore"):
        reduced = noisereduce.reduce_noise(y=samples, sr=SAMPLE_RATE)
    # So are parts of long recordings that are silence alone.
    reduced[~np.isfinite(reduced) & (samples == 0)] = 0.0
    return reduced


def _check_sound(samples, reason, path):
    peak = np.abs(samples).max(initial=0.0)
    if not np.isfinite(peak):
        raise AudioError("holds samples that are not finite", path)
    if peak < SILENCE:
        raise AudioError(reason, path)
