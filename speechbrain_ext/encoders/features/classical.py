"""94 features of a whole utterance (Sharma 2023, section III.B).

What is measured is said there; how is not. Ours: librosa's defaults (windows of
2048 samples every 512, at 16 kHz), the mean over time, and decibels for the mel
bands, whose power spans many decades.
"""

import warnings

import numpy as np

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.base import MeasuringEncoder
from speechbrain_ext.encoders.grid import OneFrame

WINDOW, HOP = 2048, 512
CHROMA, MEL, MFCC = 12, 60, 20
#: Names of the features in their order.
NAMES = (
    *(f"chroma_{note}" for note in "C C# D D# E F F# G G# A A# B".split()),
    *(f"mel_{band}" for band in range(1, MEL + 1)),
    *(f"mfcc_{number}" for number in range(1, MFCC + 1)),
    "zero_crossing_rate",
    "spectral_centroid",
)
# Silence has no tuning, which is no news.
_NO_TUNING = "Trying to estimate tuning from empty frequency set"


class ClassicalEncoder(MeasuringEncoder):
    """Chroma, mel bands, MFCCs, zero crossing rate, spectral centroid.

    One vector of an utterance: 12 chroma (0 to 1), 60 mel bands (dB), 20
    MFCCs, the rate of zero crossings (of a sample), the centroid (Hz). What is
    shorter than a window is lengthened with zeros. Every utterance is measured
    by itself on the CPU.
    """

    output_size = len(NAMES)

    def __init__(self, output_norm=False):
        super().__init__(output_norm)
        try:
            import librosa
        except ImportError as error:
            raise UserError(
                "encoder source: 'classical' needs the package librosa; run "
                "'pip install -e \".[fusion]\"'."
            ) from error
        self.version = librosa.__version__
        self.grid = OneFrame()
        self.freeze()

    def describe(self):
        # The names tell what is measured, and in which order.
        return {
            "librosa": self.version,
            "names": NAMES,
            "window": WINDOW,
            "hop": HOP,
        }

    def measure(self, wav):
        """The features ``[1, 94]`` of one utterance."""
        import librosa

        wav = np.pad(wav, (0, max(WINDOW - len(wav), 0)))
        sizes = {"n_fft": WINDOW, "hop_length": HOP}
        # One spectrum for all.
        magnitude = np.abs(librosa.stft(wav, **sizes))
        power, rate = magnitude**2, {"sr": self.sample_rate}
        feature = librosa.feature
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _NO_TUNING)
            chroma = feature.chroma_stft(S=power, n_chroma=CHROMA, **rate)
        mel = feature.melspectrogram(S=power, n_mels=MEL, **rate)
        # librosa makes them of 128 bands.
        bands = feature.melspectrogram(S=power, **rate)
        mfcc = feature.mfcc(S=librosa.power_to_db(bands), n_mfcc=MFCC, **rate)
        frames = {"frame_length": WINDOW, "hop_length": HOP}
        rows = [
            chroma,
            librosa.power_to_db(mel),
            mfcc,
            feature.zero_crossing_rate(wav, **frames),
            feature.spectral_centroid(S=magnitude, **rate),
        ]
        return np.concatenate([row.mean(axis=1) for row in rows])[None]
