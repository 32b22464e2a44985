"""The low-level descriptors of eGeMAPS: loudness, spectrum, pitch, formants.

openSMILE computes them (Eyben et al., "The Geneva minimalistic acoustic
parameter set (GeMAPS) for voice research and affective computing", 2016),
25 of them every 10 ms. Pepino et al. 2021 (section 2.2) average two
consecutive frames, which gives the 20 ms of the pretrained encoders.

openSMILE's frame arithmetic is nowhere in its documentation; what is said
here of frames and samples was found by experiment, and a test holds every
installed version to it.
"""

import numpy as np
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.encoders.grid import FrameGrid

FEATURE_SET = "eGeMAPSv02"
HOP = 160
# Frames are made of so many samples, but the first one alone is withheld.
WINDOW = 800
MIN_SAMPLES = WINDOW + HOP
# Frames that are averaged to one.
GROUP = 2
# openSMILE takes 16 bits, and what is louder would come out with the other
# sign.
LOUDEST = 32767 / 32768


class EgemapsEncoder(Encoder):
    """The 25 eGeMAPS low-level descriptors, averaged in pairs to 20 ms.

    openSMILE makes ``samples // 160 - 4`` frames of 10 ms, and two at least;
    the encoder makes half as many, where an odd last frame stands alone.
    What is shorter than 960 samples is lengthened with zeros.

    Descriptors of openSMILE's frame ``i`` begin at the sample ``160 i``: those
    of loudness and spectrum see 320 samples from there on, those of pitch and
    formants 960, and all are smoothed over three frames. The tile of frame
    ``t`` therefore begins at the sample ``320 t``, and the last tile reaches to
    the end of the utterance, 60 ms at the most beyond its last window.

    There is nothing to train. Every utterance is measured by itself on the
    CPU, whatever the device of the waveform, and what is louder than full
    scale is clipped. The values are openSMILE's own, in its units; where there
    is no voice, pitch is 0 and amplitudes of formants are -201.

    ``names`` are openSMILE's names of the channels.
    """

    num_layers = 1
    # A process each: openSMILE runs on one core.
    parallel = True

    def __init__(self, output_norm=False):
        super().__init__(output_norm)
        opensmile = _opensmile()
        self.version = opensmile.__version__
        self.smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[FEATURE_SET],
            feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
        )
        self.names = list(self.smile.feature_names)
        self.output_size = len(self.names)
        self.grid = FrameGrid([(WINDOW, HOP, 0), (1, GROUP, 0)])
        self.freeze()

    def encode(self, wav, lengths, all_layers):
        samples = wav.float().detach().cpu().numpy()
        frames = int(self.grid.num_frames(wav.shape[1]))
        output = np.zeros(
            (len(samples), frames, self.output_size), dtype=np.float32
        )
        for row, utterance, length in zip(output, samples, lengths.tolist()):
            encoded = self._encode_alone(utterance[:length])
            row[: len(encoded)] = encoded
        output = torch.from_numpy(output).to(
            wav.device, torch.promote_types(wav.dtype, torch.float32)
        )
        return output[:, None] if all_layers else output

    def describe(self):
        return {
            "opensmile": self.version,
            "feature_set": FEATURE_SET,
            "hop": HOP,
            "group": GROUP,
        }

    def _encode_alone(self, wav):
        """Descriptors ``[frames, channels]`` of one utterance."""
        if not np.isfinite(wav).all():
            raise ValueError(
                "wav: expected finite samples, got NaN or infinity"
            )
        missing = max(MIN_SAMPLES - len(wav), 0)
        wav = np.pad(np.clip(wav, -1.0, LOUDEST), (0, missing))
        x = self.smile.process_signal(wav, self.sample_rate).to_numpy()
        starts = np.arange(0, len(x), GROUP)
        counts = np.diff(starts, append=len(x))[:, None]
        return np.add.reduceat(x, starts, axis=0) / counts


def _opensmile():
    try:
        import opensmile
    except ImportError as error:
        raise UserError(
            "encoder source: 'egemaps' needs the package opensmile, which is "
            "missing; run 'pip install opensmile'."
        ) from error
    return opensmile
