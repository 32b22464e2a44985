"""Pretrained checkpoints: found, checked and loaded in float32.

SpeechBrain's interface asks the Hub about what lies in the cache, loads
Whisper's decoder, keeps the file's dtype, and what it freezes drops out again.
"""

from pathlib import Path

from transformers import AutoConfig, AutoFeatureExtractor
from transformers.utils import logging as transformers_logging

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.base import Encoder

# Settings of a configuration that do not shape the output.
_LOOSE = "_name_or_path", "architectures", "dtype", "transformers_version"


class PretrainedEncoder(Encoder):
    """The encoder of a checkpoint; for the options see ``load_encoder``.

    A subclass makes ``model`` and ``grid`` of the configuration in ``_build``.
    """

    def __init__(
        self,
        source,
        save_path=None,
        freeze=True,
        freeze_feature_extractor=True,
        output_norm=False,
        local_encoder=False,
        pad_to_30s=False,
    ):
        super().__init__(output_norm)
        self.local_encoder = local_encoder
        self.pad_to_30s = pad_to_30s
        config = load_config(source, save_path)
        # Computing parts of the graph twice breaks DDP.
        config.gradient_checkpointing = False
        self._build(source, save_path, config)
        self.output_size = config.hidden_size
        self.num_layers = len(self.layers) + 1
        if freeze:
            self.freeze()
        elif freeze_feature_extractor:
            for parameter in self.convolution_parameters().values():
                parameter.requires_grad_(False)
        self.train()

    def describe(self):
        settings = self.model.config.to_dict()
        settings = {k: settings[k] for k in settings if k not in _LOOSE}
        return {"config": settings, "local_encoder": self.local_encoder}


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


def load_feature_extractor(source, save_path):
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
    if extractor.sampling_rate != Encoder.sample_rate:
        raise UserError(
            f"encoder source: expected a model for 16000 Hz, got '{source}' "
            f"for audio of {extractor.sampling_rate} Hz; choose another one."
        )
    return extractor


def load_weights(model_class, source, config, save_path, names=None):
    """A model with all of its weights from the checkpoint, in float32.

    ``names`` is from patterns of names in the checkpoint to the model's.
    """
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
            key_mapping=names,
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


def _check_folder(folder):
    suffixes = {path.suffix for path in folder.iterdir()}
    if not (folder / "config.json").is_file():
        missing = "config.json"
    elif suffixes.isdisjoint((".safetensors", ".bin")):
        missing = "model.safetensors"
    else:
        return
    raise UserError(
        f"encoder source: '{folder / missing}' does not exist; give the "
        "folder of a checkpoint in the layout of the Hub."
    )


def _place(source):
    """What transformers takes: it does not know what a tilde means."""
    folder = Path(source).expanduser()
    return str(folder if folder.is_dir() else source)
