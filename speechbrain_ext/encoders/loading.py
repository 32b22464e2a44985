"""Pretrained checkpoints: found, checked and loaded in float32.

SpeechBrain's interface to transformers is not used: it asks the Hub about what
lies in the cache, loads Whisper's decoder, keeps the dtype of the file, and
what it freezes drops out again on ``train()``.
"""

from pathlib import Path

from transformers import AutoConfig, AutoFeatureExtractor
from transformers.utils import logging as transformers_logging

from speechbrain_ext.base.errors import UserError


def load_config(source, save_path=None):
    """Configuration of a checkpoint."""
    folder = Path(source).expanduser()
    if folder.is_dir():
        _check_folder(folder)
    try:
        return AutoConfig.from_pretrained(_place(source), cache_dir=save_path)
    except (OSError, ValueError) as error:
        wrong = (
            f"'{folder / 'config.json'}' is invalid, or of an architecture "
            "that transformers does not know; give another checkpoint's folder."
            if folder.is_dir()
            else f"'{source}' is neither a folder nor a model found on the "
            "Hugging Face Hub; check the path, or the name and the connection."
        )
        raise UserError(f"encoder source: {wrong}") from error


def load_feature_extractor(source, save_path=None):
    """Feature extractor of a checkpoint, for the settings that it holds."""
    try:
        extractor = AutoFeatureExtractor.from_pretrained(
            _place(source), cache_dir=save_path
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"encoder source: '{source}' has no valid "
            "preprocessor_config.json, which says how the waveform is "
            "normalised; put the model's own file beside its config.json."
        ) from error
    if extractor.sampling_rate != 16000:
        raise UserError(
            f"encoder source: expected a model for 16000 Hz, got '{source}' "
            f"for audio of {extractor.sampling_rate} Hz; choose another one."
        )
    return extractor


def load_weights(model_class, source, config, save_path=None, **kwargs):
    """A model with all of its weights from the checkpoint, in float32."""
    verbosity = transformers_logging.get_verbosity()
    # Heads and decoders that are left out would be reported as unexpected.
    transformers_logging.set_verbosity_error()
    try:
        model, report = model_class.from_pretrained(
            _place(source),
            config=config,
            cache_dir=save_path,
            dtype="float32",
            output_loading_info=True,
            **kwargs,
        )
    except Exception as error:
        # Any of the libraries that read a damaged file may raise its own.
        raise UserError(
            f"encoder source: the weights of '{source}' are invalid "
            f"({str(error).strip().splitlines()[0]}); download them again."
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = {*report["missing_keys"], *report["mismatched_keys"]}
    # It stands in for masked frames in pretraining, and is never used here.
    missing.discard("masked_spec_embed")
    if missing:
        raise UserError(
            f"encoder source: the weights of '{source}' lack {len(missing)} "
            f"that its config.json needs, such as '{min(missing)}'; use the "
            "files of one checkpoint."
        )
    return model


def config_dict(config):
    """The settings of a configuration that shape an encoder's output."""
    settings = config.to_dict()
    others = "_name_or_path", "architectures", "dtype", "transformers_version"
    return {name: settings[name] for name in settings if name not in others}


def _check_folder(folder):
    missing = None
    if not (folder / "config.json").is_file():
        missing = "config.json"
    elif not any(
        x.suffix in (".safetensors", ".bin") for x in folder.iterdir()
    ):
        missing = "model.safetensors"
    if missing:
        raise UserError(
            f"encoder source: '{folder / missing}' does not exist; give the "
            "folder of a checkpoint in the layout of the Hub."
        )


def _place(source):
    """What transformers takes: it does not know what a tilde means."""
    folder = Path(source).expanduser()
    return str(folder if folder.is_dir() else source)
