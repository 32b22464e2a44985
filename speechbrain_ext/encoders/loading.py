"""Pretrained checkpoints: found, checked and loaded in float32.

``speechbrain.integrations.huggingface``'s interface is not used here. It asks
the Hub about a model by name even where the model lies in the cache, so that
nothing runs offline; it takes whichever cached snapshot is listed first; it
loads Whisper's decoder with the encoder; it keeps the dtype of the file; and
what it freezes begins to drop out again on ``train()``. The classes of
transformers, which it wraps, do the same work without these.
"""

import re
from pathlib import Path

from transformers import AutoConfig, AutoFeatureExtractor
from transformers.utils import logging as transformers_logging

from speechbrain_ext.base.errors import UserError

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def load_config(source, save_path=None):
    """Configuration of a checkpoint."""
    _check_source(source)
    try:
        return AutoConfig.from_pretrained(_place(source), cache_dir=save_path)
    except (OSError, ValueError) as error:
        if _is_folder(source):
            raise UserError(
                f"encoder source: '{Path(source) / 'config.json'}' is invalid, "
                "or of an architecture that transformers does not know; give "
                "the folder of another checkpoint."
            ) from error
        raise _unreachable(source) from error


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
            f"encoder source: expected a model for audio of 16000 Hz, got "
            f"'{source}' for audio of {extractor.sampling_rate} Hz; choose "
            "another encoder."
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
        # A damaged file shows itself by an exception of any of the libraries
        # that read it.
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
            f"encoder source: the weights of '{source}' lack "
            f"{len(missing)} that its config.json needs, such as "
            f"'{min(missing)}'; use the files of one checkpoint."
        )
    return model


def config_dict(config):
    """The settings of a configuration that shape an encoder's output."""
    settings = config.to_dict()
    for name in (
        "_name_or_path",
        "architectures",
        "dtype",
        "transformers_version",
    ):
        settings.pop(name, None)
    return settings


def _check_source(source):
    if _is_folder(source):
        folder = Path(source).expanduser()
        if not (folder / "config.json").is_file():
            raise UserError(
                f"encoder source: '{folder / 'config.json'}' does not exist; "
                "give the folder of a checkpoint in the layout of the Hub."
            )
        if not any(
            path.suffix in (".safetensors", ".bin") for path in folder.iterdir()
        ):
            raise UserError(
                f"encoder source: '{folder / 'model.safetensors'}' does not "
                "exist; put the weights beside the config.json."
            )
    elif not _HUB_NAME.fullmatch(str(source)):
        raise UserError(
            f"encoder source: '{source}' is neither a folder nor the name of "
            "a model on the Hugging Face Hub; check the path."
        )


def _is_folder(source):
    return Path(source).expanduser().is_dir()


def _place(source):
    """What transformers takes: it does not know what a tilde means."""
    return str(Path(source).expanduser()) if _is_folder(source) else str(source)


def _unreachable(source):
    return UserError(
        f"encoder source: '{source}' is neither a folder nor a model that can "
        "found on the Hugging Face Hub; check the name and the connection, "
        "or give the folder of a downloaded checkpoint."
    )
