"""What the ready-to-use models have in common: where they come from."""

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import FetchConfig, LocalStrategy

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.encoders.frames import absolute_lengths
from speechbrain_ext.errors import UserError
from speechbrain_ext.inference.sources import Origin, load_source

#: Seconds, where neither the call nor the model says otherwise.
WINDOW = 30.0


class EmotionModel(Pretrained):
    """A trained model, ready to use.

    A subclass takes ``modules``, ``hparams``, ``run_opts``, ``source`` and
    options of its own.

    Arguments
    ---------
    modules : dict
        The model's modules.
    hparams : dict
        Other keys of its YAML.
    run_opts : dict, optional
        Such as ``{"device": "cuda"}``.

    Raises
    ------
    UserError
        When the device is not there.
    """

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
        """Load a model.

        Nothing is written to the source, and it may be given from any working
        directory. No Python file of it is imported; but its YAML may construct
        any class that is installed, so it must be trusted, as SpeechBrain's
        own ``from_hparams`` demands.

        Arguments
        ---------
        source : str or os.PathLike
            The run folder of a recipe, the folder of a model, or a repository
            on the Hugging Face Hub; those that SpeechBrain has published are
            among them (``speechbrain/emotion-diarization-wavlm-large``,
            ``speechbrain/emotion-recognition-wav2vec2-IEMOCAP``).
        hparams_file : str
            Name of the YAML in it.
        savedir : str, optional
            Where downloads from the Hub are put; its cache if absent. A folder
            is read where it is.
        overrides : dict, optional
            Changes to the YAML, such as ``{"wav2vec2_hub": "folder"}``.
        run_opts : dict, optional
            Such as ``{"device": "cuda"}``.
        local_strategy : LocalStrategy
            How downloads come into ``savedir``.
        fetch_config : FetchConfig
            Token, revision and the like for the Hub.
        **kwargs
            Further options of the class.

        Returns
        -------
        EmotionModel
            Of the class that was asked.

        Raises
        ------
        UserError
            When there is no such model, or a file of it is missing, damaged,
            or does not fit.
        """
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
    """Refuse a window that is longer than what the encoder takes.

    Arguments
    ---------
    window : float
        In seconds.
    max_samples : int, optional
        What the encoder takes at most; anything if None.

    Raises
    ------
    UserError
        When it is longer.

    Example
    -------
    >>> check_longest(31, 480000)
    Traceback (most recent call last):
        ...
    speechbrain_ext.errors.UserError: window: 31 s is more than the 30 s that the model's encoder can take; give less.
    """
    if max_samples is not None and window * SAMPLE_RATE > max_samples:
        raise UserError(
            f"window: {window} s is more than the "
            f"{max_samples / SAMPLE_RATE:g} s that the model's encoder can "
            "take; give less."
        )


def check_batch(wavs, wav_lens=None):
    """Lengths of the waveforms of a batch, if it can be used.

    Arguments
    ---------
    wavs : torch.Tensor
        ``[batch, samples]``.
    wav_lens : torch.Tensor, optional
        Relative lengths ``[batch]``; all full if absent.

    Returns
    -------
    torch.Tensor
        In samples ``[batch]``.

    Raises
    ------
    UserError
        When a waveform holds values that are not finite.

    Example
    -------
    >>> check_batch(torch.zeros(2, 8), torch.tensor([1.0, 0.5]))
    tensor([8, 4])
    """
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
