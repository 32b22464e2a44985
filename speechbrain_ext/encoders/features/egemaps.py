"""The low-level descriptors of eGeMAPS: loudness, spectrum, pitch, formants.

Eyben et al., "The Geneva minimalistic acoustic parameter set (GeMAPS)", 2016.
openSMILE does not document its frame arithmetic; a test holds the installed
version to what was found here by experiment.
"""

import numpy as np

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.base import MeasuringEncoder
from speechbrain_ext.encoders.grid import FrameGrid

FEATURE_SET = "eGeMAPSv02"
HOP = 160
# Frames are made of so many samples, but the first one alone is withheld.
WINDOW = 800
MIN_SAMPLES = WINDOW + HOP
# Frames that are averaged to one.
GROUP = 2
# openSMILE takes 16 bits, and gives what is louder the other sign.
LOUDEST = 32767 / 32768


class EgemapsEncoder(MeasuringEncoder):
    """The 25 descriptors every 10 ms, averaged in pairs to 20 ms.

    The pairs are those of Pepino et al. 2021, section 2.2; an odd last frame
    of openSMILE's ``samples // 160 - 4`` stands alone, and what is shorter
    than 960 samples is lengthened with zeros. Descriptors of openSMILE's frame
    ``i`` see 320 (pitch and formants: 960) samples from ``160 i`` on, so tile
    ``t`` begins at the sample ``320 t``, and the last one reaches to the end.

    Every utterance is measured by itself on the CPU, and what is louder than
    full scale is clipped. Values are in openSMILE's units: without a voice
    pitch is 0 and amplitudes of formants are -201.
    """

    def __init__(self, output_norm=False):
        super().__init__(output_norm)
        try:
            import opensmile
        except ImportError as error:
            raise UserError(
                "encoder source: 'egemaps' needs the package opensmile; run "
                "'pip install opensmile'."
            ) from error
        self.version = opensmile.__version__
        self.smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[FEATURE_SET],
            feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
        )
        self.output_size = self.smile.num_features
        self.grid = FrameGrid([(WINDOW, HOP, 0), (1, GROUP, 0)])
        self.freeze()

    def describe(self):
        return {
            "opensmile": self.version,
            "feature_set": FEATURE_SET,
            "hop": HOP,
            "group": GROUP,
        }

    def measure(self, wav):
        """Descriptors ``[frames, channels]`` of one utterance."""
        missing = max(MIN_SAMPLES - len(wav), 0)
        wav = np.pad(np.clip(wav, -1.0, LOUDEST), (0, missing))
        x = self.smile.process_signal(wav, self.sample_rate).to_numpy()
        starts = np.arange(0, len(x), GROUP)
        counts = np.diff(starts, append=len(x))[:, None]
        return np.add.reduceat(x, starts, axis=0) / counts
