"""Encoders: waveform -> frames.

Every encoder gives the frames of a batch as it would give those of each
utterance alone, and its ``grid`` says which samples a frame stands for.
"""

from importlib import import_module

from speechbrain_ext.base.errors import expected
from speechbrain_ext.base.values import check_value

__all__ = ["load_encoder"]

# By a source that is no checkpoint.
FEATURES = {
    "classical": "features.classical.ClassicalEncoder",
    "egemaps": "features.egemaps.EgemapsEncoder",
    "mel": "features.spectra.MelEncoder",
    "spectrogram": "features.spectra.SpectrogramEncoder",
}
LORA_OPTIONS = ("rank", "alpha", "dropout", "targets")


def load_encoder(
    source,
    save_path=None,
    freeze=True,
    freeze_feature_extractor=True,
    output_norm=False,
    local_encoder=False,
    pad_to_30s=False,
    lora=None,
    trained_layers=None,
):
    """Load a pretrained encoder of any supported architecture, or features.

    The architecture is ``model_type`` in the checkpoint's config.json:
    wav2vec2, hubert, wavlm or whisper.

    Arguments
    ---------
    source : str or os.PathLike
        Folder of a checkpoint, or its name on the Hugging Face Hub;
        ``"classical"``, ``"egemaps"``, ``"mel"`` or ``"spectrogram"`` for
        features, which are always frozen and whose one layer is local (a
        folder of that name is ``./egemaps``).
    save_path : str or os.PathLike, optional
        Where downloads are kept; transformers' own cache if absent.
    freeze : bool
        Nothing of the encoder is trained.
    freeze_feature_extractor : bool
        Its convolutions are not trained.
    output_norm : bool
        The output is normalised over each utterance's frames and channels.
    local_encoder : bool
        Hidden state 0 is the output of the convolutions, projected, without
        positions (Pepino et al. 2021, section 2.3).
    pad_to_30s : bool
        Whisper computes 30 s whatever the utterance's length.
    lora : dict, optional
        Options of ``adaptation.add_lora``, which needs ``freeze=False``:
        adapters are trained in place of the weights; none with ``rank: None``.
    trained_layers : int or str, optional
        In place of ``freeze``: how many of the top layers are trained, or
        ``"all"``; 0 freezes the encoder.

    Returns
    -------
    speechbrain_ext.encoders.base.Encoder

    Raises
    ------
    UserError
        When the source is no checkpoint, or one of another architecture, or
        an option is invalid for it.

    Example
    -------
    >>> load_encoder("spectrogram").output_size
    201
    """
    # Off in a YAML that has the options one by one.
    if lora is not None and lora.get("rank", True) is None:
        lora = None
    frozen = "freeze", freeze, True
    if trained_layers is not None:
        check_value("trained_layers", trained_layers)
        freeze = trained_layers == 0
        frozen = "trained_layers", trained_layers, 0
    if source in FEATURES:
        for name, value, needed in (
            frozen,
            ("pad_to_30s", pad_to_30s, False),
            ("lora", lora, None),
        ):
            if value != needed:
                what = f"{needed} for '{source}', which is no pretrained model"
                raise expected(name, what, value)
        return _class(FEATURES[source])(output_norm)
    from speechbrain_ext.encoders.loading import PRETRAINED, load_config

    kind = load_config(source, save_path).model_type
    options = freeze, freeze_feature_extractor, output_norm, local_encoder
    encoder_class = _class(PRETRAINED[kind])
    encoder = encoder_class(source, save_path, *options, pad_to_30s)
    if lora is not None:
        from speechbrain_ext.encoders.adaptation import add_lora

        if unknown := set(lora).difference(LORA_OPTIONS):
            known = f"options among {', '.join(LORA_OPTIONS)}"
            raise expected("lora", known, min(unknown))
        add_lora(encoder, **lora)
    if trained_layers is not None:
        from speechbrain_ext.encoders.adaptation import train_top

        train_top(encoder, trained_layers)
    return encoder


def _class(path):
    """A class of this package, whose module is imported where it is needed."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"{__name__}.{module}"), name)
