"""Encoders: waveform -> frames.

Every encoder gives the frames of a batch as it would give those of each
utterance alone, and its ``grid`` says which samples a frame stands for.
"""

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.loading import load_config

SSL_TYPES = ("wav2vec2", "hubert", "wavlm")
# Sources that are no checkpoints.
FEATURES = ("egemaps", "spectrogram")


def load_encoder(
    source, save_path=None, pad_to_30s=False, lora=None, **options
):
    """Load a pretrained encoder of any supported architecture, or features.

    The architecture is taken from ``model_type`` in the checkpoint's
    config.json: wav2vec2, hubert, wavlm or whisper.

    Arguments
    ---------
    source : str or os.PathLike
        Folder of a checkpoint, or its name on the Hugging Face Hub;
        ``"egemaps"`` or ``"spectrogram"`` for features that nothing was
        trained for (a folder of that name is ``./egemaps``).
    save_path : str or os.PathLike, optional
        Where downloads are kept; transformers' own cache if absent.
    pad_to_30s : bool
        For Whisper: whether to compute 30 s whatever the utterance's length.
        The pretrained others know no such thing.
    lora : dict, optional
        Options of ``adaptation.add_lora``: adapters are trained in place of
        the encoder's own weights; none with ``rank: None``. ``freeze`` must be
        False then.
    **options
        ``freeze`` (True), ``freeze_feature_extractor`` (True), ``output_norm``
        (False) and ``local_encoder`` (False), see ``ssl.SSLEncoder``. Features
        are always frozen, and their one layer is local.

    Returns
    -------
    Encoder
        ``ssl.SSLEncoder``, ``whisper.WhisperEncoder``,
        ``egemaps.EgemapsEncoder`` or ``magnitude.SpectrogramEncoder``.

    Raises
    ------
    UserError
        When the source is no checkpoint, or one of another architecture, or
        an option makes no sense for it.

    Example
    -------
    >>> from tests.checkpoints import make_ssl_checkpoint
    >>> folder = make_ssl_checkpoint(getfixture("tmp_path"), kind="hubert")
    >>> encoder = load_encoder(folder)
    >>> encoder.num_layers, encoder.output_size
    (4, 32)
    >>> load_encoder("spectrogram").output_size
    201
    """
    # Off in a YAML that has the options one by one.
    if lora is not None and lora.get("rank", True) is None:
        lora = None
    if source in FEATURES:
        return _load_features(source, pad_to_30s, lora, **options)
    encoder = _load_pretrained(source, save_path, pad_to_30s, **options)
    if lora is not None:
        _add_lora(encoder, lora)
    return encoder


def _add_lora(encoder, options):
    from speechbrain_ext.encoders.adaptation import LORA_OPTIONS, add_lora

    unknown = set(options) - set(LORA_OPTIONS)
    if unknown:
        raise UserError(
            f"lora: there is no option '{min(unknown)}'; choose among "
            f"{', '.join(LORA_OPTIONS)}."
        )
    add_lora(encoder, **options)


def _load_pretrained(source, save_path, pad_to_30s, **options):
    kind = load_config(source, save_path).model_type
    if kind == "whisper":
        from speechbrain_ext.encoders.whisper import WhisperEncoder

        return WhisperEncoder(
            source, save_path, pad_to_30s=pad_to_30s, **options
        )
    if kind not in SSL_TYPES:
        raise UserError(
            f"encoder source: '{source}' is of the type '{kind}'; choose a "
            f"checkpoint of one of {', '.join(SSL_TYPES)} and whisper."
        )
    from speechbrain_ext.encoders.ssl import SSLEncoder

    return SSLEncoder(source, save_path, **options)


def _load_features(
    source,
    pad_to_30s,
    lora,
    freeze=True,
    freeze_feature_extractor=True,
    output_norm=False,
    local_encoder=True,
):
    """Features; nothing of them can be trained or chosen."""
    for name, value, needed in (
        ("freeze", freeze, True),
        ("pad_to_30s", pad_to_30s, False),
        ("lora", lora, None),
    ):
        if value != needed:
            raise UserError(
                f"{name}: the encoder source '{source}' has nothing of the "
                f"kind, for it is no pretrained model; leave {name} at "
                f"{needed}."
            )
    if source == "egemaps":
        from speechbrain_ext.encoders.egemaps import EgemapsEncoder

        return EgemapsEncoder(output_norm)
    from speechbrain_ext.encoders.spectra import SpectrogramEncoder

    return SpectrogramEncoder(output_norm)
