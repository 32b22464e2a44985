"""Pretrained checkpoints: found, checked and loaded in float32.

SpeechBrain's interface asks the Hub about what lies in the cache, loads
Whisper's decoder, keeps the file's dtype, and what it freezes drops out again.
No code beside a checkpoint is run, and no size is taken on trust.
"""

import contextlib
import os
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoTokenizer,
    FeatureExtractionMixin,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import logging as transformers_logging

from speechbrain_ext.base.errors import UserError, expected, is_number, reason
from speechbrain_ext.base.parameters import MAX_OTHER_BYTES, check_parameters
from speechbrain_ext.encoders.base import Encoder

# By the type of a checkpoint, its class in speechbrain_ext.encoders.
PRETRAINED = {
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm"), "ssl.SSLEncoder"),
    "whisper": "whisper.WhisperEncoder",
}
# By the type of a text encoder, what its tokenizer may be called.
TEXT = {
    "bert": "BertTokenizer",
    "albert": "AlbertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "xlnet": "XLNetTokenizer",
}
# Settings of a configuration that do not shape the output.
LOOSE = "_name_or_path", "architectures", "dtype", "transformers_version"
# Weights that only pretraining uses.
_UNUSED = "masked_spec_embed", "pooler."
# What comes of settings that are none.
_INVALID = (OSError, ValueError, TypeError, AttributeError, ArithmeticError)
# The largest setting, the most layers, and the largest size of a spectrum.
MAX_SETTING = 1_000_000
MAX_LAYERS = 200
# Of ALBERT, how many layers there are, too.
_REPEATED = "num_hidden_groups", "inner_group_num"
MAX_SPECTRUM = 10_000
# Of the files of a tokenizer.
MAX_VOCABULARY = 50_000_000
_VOCABULARY = (
    "tokenizer.json tokenizer_config.json special_tokens_map.json "
    "added_tokens.json vocab.txt vocab.json merges.txt spiece.model "
    "sentencepiece.bpe.model"
).split()


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
        settings = {k: settings[k] for k in settings if k not in LOOSE}
        return {"config": settings, "local_encoder": self.local_encoder}


def load_config(source, save_path=None, weights=True, types=tuple(PRETRAINED)):
    """Configuration of a checkpoint of one of some ``types``, which has
    ``weights`` beside it."""
    folder = Path(_place(source))
    if os.path.isdir(folder):
        _check_folder(folder, weights)
    try:
        config = AutoConfig.from_pretrained(
            str(folder), cache_dir=save_path, trust_remote_code=False
        )
        _check_config(config)
    except (*_INVALID, StrictDataclassError) as error:
        wrong = (
            f"'{folder / 'config.json'}' is invalid, or of an architecture "
            f"that transformers does not know ({reason(error)}); give another "
            "checkpoint's folder."
            if os.path.isdir(folder)
            else f"'{source}' is neither a folder nor a model found on the "
            "Hugging Face Hub; check the path, or the name and the connection."
        )
        raise UserError(f"encoder source: {wrong}") from error
    if config.model_type not in types:
        what = f"a checkpoint of the type {', '.join(types)} in '{source}'"
        raise expected("encoder source", what, config.model_type)
    return config


def _check_config(config):
    """Raise a ``ValueError`` where settings would exhaust memory or time, or
    would have other code loaded."""
    for name, value in config.to_dict().items():
        values = value if isinstance(value, list) else [value]
        counted = "_layer" in name or name in _REPEATED
        most = MAX_LAYERS if counted else MAX_SETTING
        if any(is_number(x) and abs(x) > most for x in values):
            raise ValueError(f"'{name}' is larger than {most}")
        if "conv_" in name and len(values) > MAX_LAYERS:
            raise ValueError(f"'{name}' is longer than {MAX_LAYERS}")
    if getattr(config, "quantization_config", None):
        raise ValueError("quantised models are not supported")
    # It may name code on the Hub; the usual one is chosen again.
    config._attn_implementation = None


def load_feature_extractor(source, save_path):
    """Feature extractor of a checkpoint, for the settings that it holds."""
    place = _place(source)
    try:
        settings, _ = FeatureExtractionMixin.get_feature_extractor_dict(
            place, cache_dir=save_path
        )
        for name, value in settings.items():
            most = MAX_SETTING
            if name in ("feature_size", "n_fft", "hop_length"):
                most = MAX_SPECTRUM
            if is_number(value) and value > most:
                raise ValueError(f"'{name}' is larger than {most}")
        extractor = AutoFeatureExtractor.from_pretrained(
            place, cache_dir=save_path, trust_remote_code=False
        )
    except _INVALID as error:
        raise UserError(
            f"encoder source: '{source}' has no valid "
            f"preprocessor_config.json ({reason(error)}), which says how the "
            "waveform is normalised; put the model's own file beside its "
            "config.json."
        ) from error
    rate = getattr(extractor, "sampling_rate", None)
    if rate != Encoder.sample_rate:
        raise UserError(
            f"encoder source: expected a model for 16000 Hz, got '{source}' "
            f"for audio of {rate} Hz; choose another one."
        )
    return extractor


def load_tokenizer(source, save_path, usual):
    """Fast tokenizer of a checkpoint, whose ``usual`` one has this name."""
    place = _place(source)
    names = usual, "BertTokenizer", "PreTrainedTokenizer", "Tokenizers"
    try:
        if os.path.isdir(place):
            _check_sizes(Path(place), _VOCABULARY, MAX_VOCABULARY)
        settings = get_tokenizer_config(place, cache_dir=save_path)
        # Another one would cut the text into pieces that the model does not
        # know, or be made by code of its own.
        name = settings.get("tokenizer_class") or usual
        if str(name).removesuffix("Fast").removesuffix("Backend") not in names:
            raise ValueError(f"its tokenizer is {name}, not {usual}")
        tokenizer = AutoTokenizer.from_pretrained(
            place, cache_dir=save_path, trust_remote_code=False
        )
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            raise ValueError("it has no fast tokenizer")
    except UserError:
        raise
    except Exception as error:
        # tokenizers raises plain exceptions.
        raise UserError(
            f"encoder source: '{source}' has no valid tokenizer "
            f"({reason(error)}); put the model's own tokenizer.json and "
            "tokenizer_config.json beside its config.json."
        ) from error
    return tokenizer


def load_weights(model_class, source, config, save_path, names=None):
    """A model with all of its weights from the checkpoint, in float32.

    ``names`` is from patterns of names in the checkpoint to the model's.
    """
    try:
        _check_weights(model_class, _place(source), config)
        # Heads and decoders that are left out would be reported as unexpected.
        with quiet():
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
            f"({reason(error)}); download them again."
        ) from error
    missing = {*report["missing_keys"], *report["mismatched_keys"]}
    # What masks stand for and what pools tokens is never used here.
    missing = {x for x in missing if not x.startswith(_UNUSED)}
    if missing:
        raise UserError(
            f"encoder source: the weights of '{source}' lack {len(missing)} "
            f"that its config.json needs, such as '{min(missing)}'; use the "
            "files of one checkpoint."
        )
    return model


@contextlib.contextmanager
def quiet():
    """Without warnings of transformers."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def _check_folder(folder, weights):
    names = "config.json", "preprocessor_config.json"
    _check_sizes(folder, names, MAX_OTHER_BYTES)
    suffixes = {path.suffix for path in folder.iterdir()}
    if not (folder / "config.json").is_file():
        missing = "config.json"
    elif weights and suffixes.isdisjoint((".safetensors", ".bin")):
        missing = "model.safetensors"
    else:
        return
    raise UserError(
        f"encoder source: '{folder / missing}' does not exist; give the "
        "folder of a checkpoint in the layout of the Hub."
    )


def _check_sizes(folder, names, most):
    for path in (folder / name for name in names):
        if path.is_file() and path.stat().st_size > most:
            raise UserError(
                f"encoder source: '{path}' is far too large; give another "
                "checkpoint's folder."
            )


def _check_weights(model_class, folder, config):
    """Look at the files in a folder before memory is taken for them."""
    if not os.path.isdir(folder):
        return
    kept = 0
    for path in Path(folder).iterdir():
        if path.suffix == ".bin" and path.is_file():
            check_parameters(path)
        if path.suffix in (".bin", ".safetensors") and path.is_file():
            kept += path.stat().st_size
    with torch.device("meta"):
        make = getattr(model_class, "from_config", model_class)
        needed = sum(x.numel() for x in make(config).parameters())
    if needed > kept + MAX_OTHER_BYTES:
        raise ValueError(f"its config.json needs {needed} values")


def _place(source):
    """What transformers takes: it does not know what a tilde means."""
    folder = os.path.expanduser(source)
    return folder if os.path.isdir(folder) else str(source)
