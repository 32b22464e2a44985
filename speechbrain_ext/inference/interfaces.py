"""What the ready-to-use models have in common: where they come from."""

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import FetchConfig, LocalStrategy

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.grid import absolute_lengths
from speechbrain_ext.inference.sources import Origin, load_source

#: Seconds, where neither the call nor the model says otherwise.
WINDOW = 30.0


class EmotionModel(Pretrained):
    """A trained model, ready to use."""

    def __init__(self, modules, hparams, run_opts=None):
        device = str((run_opts or {}).get("device") or "cpu")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(
                f"device: '{device}' is not there; choose cpu, or a machine "
                "with a GPU."
            )
        super().__init__(modules, hparams, run_opts)

    @classmethod
    def from_hparams(
        cls,
        source,
        hparams_file="hyperparams.yaml",
        savedir=None,
        overrides=None,
        run_opts=None,
        local_strategy=LocalStrategy.SYMLINK,
        fetch_config=FetchConfig(),
        **kwargs,
    ):
        """Load a model."""
        source = str(source)
        hparams = load_source(
            Origin(
                source,
                hparams_file,
                savedir,
                overrides,
                local_strategy,
                fetch_config,
            )
        )
        modules = hparams.pop("modules")
        return cls(modules, hparams, run_opts, source=source, **kwargs)


def check_longest(window, max_samples):
    """Refuse a window that is longer than what the encoder takes."""
    if max_samples is not None and window * SAMPLE_RATE > max_samples:
        raise UserError(
            f"window: {window} s is more than the "
            f"{max_samples / SAMPLE_RATE:g} s that the model's encoder can "
            "take; give less."
        )


def check_batch(wavs, wav_lens=None):
    """Lengths of the waveforms of a batch, if it can be used."""
    if wavs.dim() != 2 or not wavs.shape[1]:
        raise ValueError(f"wavs is [batch, samples], not {wavs.shape}")
    if wav_lens is None:
        wav_lens = torch.ones(len(wavs))
    lengths = absolute_lengths(wav_lens.cpu(), wavs.shape[1])
    for number, (wav, length) in enumerate(zip(wavs, lengths.tolist()), 1):
        if not torch.isfinite(wav[:length]).all():
            raise UserError(
                f"Waveform {number} of the batch holds samples that are "
                "not finite numbers (NaN or infinity); mend or leave it "
                "out."
            )
    return lengths
