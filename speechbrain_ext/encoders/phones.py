"""Which phone is spoken in every frame of another encoder."""

import re

import torch

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.encoders.grid import frame_labels

# The phones of CMUdict, without stress.
ARPABET = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R "
    "S SH T TH UH UW V W Y Z ZH"
).split()
UNKNOWN = "unknown"
# What aligners call silence and words that they do not know.
_SILENCES = "", "SIL", "SP", "<EPS>"
_UNKNOWNS = "SPN", "OOV", "UNKNOWN"
# Stress, and the place in a word that Kaldi appends.
_SUFFIX = re.compile(r"[0-2]?(_[BIES])?$")
SILENCE = "silence"


class PhoneEncoder(Encoder):
    """One channel: the number of the longest phone of every frame.

    Section 3.1.5 of Makiuchi et al. (2021). The vocabulary is silence (0),
    what is unknown (1), the 39 phones of CMUdict without stress, and the
    special tokens of the corpus. The paper's 128 are those of the aligner
    Gentle, whose phones depend on their place in a word.

    Arguments
    ---------
    like : speechbrain_ext.encoders.base.Encoder
        The frames are the ones of this encoder.
    special_phones : list of str, optional
        Tokens in the texts of the corpus, such as ``"[LAUGHTER]"``.

    Example
    -------
    >>> from speechbrain_ext.encoders.features.spectra import SpectrogramEncoder
    >>> phones = PhoneEncoder(SpectrogramEncoder(), ["[LAUGHTER]"])
    >>> phones.num_phones
    42
    >>> spoken = [{"phone": "AA1", "start": 0.01, "end": 0.02}]
    >>> phones.encode_alone(torch.zeros(960), spoken).flatten()
    tensor([0., 2., 0., 0.])
    """

    reads = ("audio", "alignment")
    output_size = 1

    def __init__(self, like, special_phones=()):
        super().__init__()
        self.grid = like.grid
        self.max_samples = like.max_samples
        special = [phone_name(name) for name in special_phones]
        for name in special:
            if not str(name).startswith("["):
                what = "tokens in brackets, such as '[LAUGHTER]'"
                raise expected("special_phones", what, list(special_phones))
        names = dict.fromkeys([SILENCE, UNKNOWN, *ARPABET, *special])
        self.numbers = {name: number for number, name in enumerate(names)}
        self.num_phones = len(self.numbers)
        self.freeze()

    def encode_alone(self, wav, alignment):
        """Numbers of phones ``[1, frames, 1]``, as floats.

        Arguments
        ---------
        wav : torch.Tensor
            A waveform ``[samples]`` at 16 kHz, for its length.
        alignment : list of dict
            ``{"phone", "start", "end"}`` each, times in seconds.

        Raises
        ------
        UserError
            When there is no alignment, or one of other phones.
        """
        if alignment is None:
            raise UserError(
                "preparation.phones: an utterance has no alignment; choose "
                "pocketsphinx, or put a TextGrid or CTM beside the recording."
            )
        names = [phone_name(each["phone"]) for each in alignment]
        if names and not set(names) & (self.numbers.keys() | {None}):
            raise UserError(
                f"alignment: no phone, such as '{alignment[0]['phone']}', is "
                "one of CMUdict (such as 'AA'); align with its phones, or name "
                "special tokens in special_phones."
            )
        segments = [
            {**each, "emo": name if name in self.numbers else UNKNOWN}
            for each, name in zip(alignment, names)
            if name is not None
        ]
        where = len(wav), self.sample_rate, self.grid
        labels = frame_labels(segments, *where, elsewhere=SILENCE)
        numbers = [self.numbers[label] for label in labels]
        return torch.tensor(numbers, device=wav.device).float()[None, :, None]

    def encode(self, wav, lengths, all_layers):
        raise UserError(
            "PhoneEncoder: phones are not found in audio alone; give an "
            "alignment of each utterance."
        )

    def describe(self):
        return {**self.grid.describe(), "phones": list(self.numbers)}


def phone_name(name):
    """The name of a phone without stress, ``None`` for silence."""
    if name.startswith("["):
        return name.upper()
    name = _SUFFIX.sub("", name.strip().upper())
    if name in _SILENCES:
        return None
    return UNKNOWN if name in _UNKNOWNS else name
