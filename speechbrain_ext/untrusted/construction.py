"""Objects of a model, made of a list of classes and of nothing else."""

import importlib
import inspect

import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.untrusted.model_yaml import MAX_EVENTS, Call, bad_yaml

# The largest size of a layer, the most of them and of all objects, and the most
# parameters of those that are not checked against a file before they are made.
MAX_SIZE = 10_000
MAX_LAYERS = 100
MAX_CALLS = 200
MAX_PARAMETERS = 100_000_000

_OURS = "speechbrain_ext"
_HUGGINGFACE = "speechbrain.integrations.huggingface"
#: WavLM and HuBERT are loaded by the very code of wav2vec 2.0.
SSL_CLASSES = [
    f"{_HUGGINGFACE}.{name}"
    for name in ("hubert.HuBERT", "wav2vec2.Wav2Vec2", "wavlm.WavLM")
]
#: What a model may be made of.
ALLOWED = {
    f"{module}.{name}"
    for module, names in {
        "builtins": "getattr len",
        "torch.nn": "ModuleList",
        "torch.nn.modules.container": "ModuleList",
        f"{_OURS}.decoding": "PostProcessing",
        f"{_OURS}.encoders": "load_encoder",
        f"{_OURS}.encoders.features.egemaps": "EgemapsEncoder",
        f"{_OURS}.encoders.features.images": "BlockEncoder",
        f"{_OURS}.encoders.phones": "PhoneEncoder",
        f"{_OURS}.encoders.features.prosody": "ProsodyEncoder "
        "ProsodyStatistics",
        f"{_OURS}.encoders.speaker": "SpeakerEncoder",
        f"{_OURS}.encoders.features.spectra": "SpectrogramEncoder",
        f"{_OURS}.encoders.ssl": "SSLEncoder",
        f"{_OURS}.encoders.text": "TextEncoder",
        f"{_OURS}.encoders.whisper": "WhisperEncoder",
        f"{_OURS}.models.cnn": "ConvClassifier MobileNetHead",
        f"{_OURS}.models.heads": "make_head LinearHead ConvHead RecurrentHead "
        "DenseHead LSTMHead FusionHead MeanHead ConvMeanHead PooledHead",
        f"{_OURS}.models.inputs": "Input count_layers",
        f"{_OURS}.models.mixture": "LayerMixture",
        f"{_OURS}.models.prosody": "ProsodyHead",
        f"{_OURS}.models.cross_representation": "CrossRepresentation",
        f"{_OURS}.models.text": "TextHead JointHead",
        f"{_OURS}.models.normalization": "make_normalizer FeatureNormalizer "
        "SpeakerNormalizer make_speaker_mean SpeakerMean",
        f"{_OURS}.protocols": "classes_of",
        "speechbrain.dataio.encoder": "CategoricalEncoder",
        "speechbrain.lobes.features": "Fbank",
        "speechbrain.lobes.models.ECAPA_TDNN": "ECAPA_TDNN",
        "speechbrain.lobes.models.ResNet": "ResNet",
        "speechbrain.lobes.models.Xvector": "Xvector",
        "speechbrain.nnet.linear": "Linear",
        "speechbrain.nnet.pooling": "Pooling1d StatisticsPooling",
        "speechbrain.processing.features": "InputNormalization",
    }.items()
    for name in names.split()
} | set(SSL_CLASSES)
#: What may be an argument itself, by ``!name``.
NAMED = "torch.nn.LeakyReLU", "torch.nn.ReLU"
# Arguments of what takes more than its signature names.
_SSL = "source save_path output_norm freeze freeze_feature_extractor "
_ARGUMENTS = {
    f"{_OURS}.encoders.load_encoder": f"{_SSL} pad_to_30s lora local_encoder "
    "trained_layers",
    f"{_OURS}.models.heads.make_head": "kind input_size fusion_size "
    "num_classes hidden dropout kernel_size layers",
    "speechbrain.dataio.encoder.CategoricalEncoder": "",
    **dict.fromkeys(
        SSL_CLASSES, f"{_SSL} apply_spec_augment output_all_hiddens"
    ),
}
# What an encoder is asked for with getattr.
_ATTRIBUTES = ("output_size", "num_layers", "num_phones")
# Made without memory first, to count the parameters.
_SIZED = tuple(
    f"{_OURS}.models.{name}."
    for name in (
        "cnn cross_representation heads mixture normalization text".split()
    )
) + ("speechbrain.nnet.linear.", "speechbrain.lobes.models.")


def check(path, values):
    """Refuse what is not in ``ALLOWED`` before the first object is made; give
    every ``Call`` in the values."""
    sizes, calls = {}, []

    def visit(value, where, call=None):
        """Number of values that a value would hold without aliases."""
        if not isinstance(value, (dict, list, Call)):
            if call and isinstance(value, int) and abs(value) > MAX_SIZE:
                reason = f"{call.path}: {value} is larger than {MAX_SIZE}"
                raise bad_yaml(path, f"line {call.line}: {reason}")
            return 1
        if id(value) not in sizes:
            if isinstance(value, Call):
                if reason := _refusal(value, where):
                    raise bad_yaml(path, f"line {value.line}: {reason}")
                # A seed is no size.
                named = [
                    x
                    for key, x in value.kwargs.items()
                    if key != "seed" or not isinstance(x, int)
                ]
                items = [("", x) for x in (*value.args, *named)]
                call = value
                calls.append(call)
                if len(calls) > MAX_CALLS:
                    raise bad_yaml(path, f"it asks for {MAX_CALLS} objects")
            else:
                named = isinstance(value, dict)
                items = value.items() if named else [("", x) for x in value]
            size = sum(visit(x, where or str(key), call) for key, x in items)
            sizes[id(value)] = size = 1 + size
            if size > MAX_EVENTS:
                what = f"'{where}'" if where else "it"
                raise bad_yaml(path, f"{what} is too long")
        return sizes[id(value)]

    try:
        visit(values, "")
    except RecursionError:
        raise bad_yaml(path, "its references are nested too deeply") from None
    return calls


def _refusal(call, where):
    """Why something is not constructed, or None."""
    if call.tag == "!PLACEHOLDER":
        return f"'{where}' has no value"
    if call.tag == "!name" and call.path in NAMED:
        return "only its name is needed" if call.args or call.kwargs else None
    if call.path not in ALLOWED or call.tag not in ("!new", "!apply"):
        return f"'{where}' asks for '{call.tag}:{call.path}', which is refused"
    kinds = [getattr(value, "path", type(value)) for value in call.args]
    if call.path == "builtins.getattr":
        encoder = str(kinds[0]) if len(kinds) == 2 else ""
        ours = encoder.startswith(f"{_OURS}.encoders.")
        if ours and call.args[1] in _ATTRIBUTES:
            return None
        return f"{call.path}: expected an encoder, and {_ATTRIBUTES}"
    if call.path == "builtins.len":
        if kinds in ([list], [f"{_OURS}.protocols.classes_of"]):
            return None
        return f"{call.path}: expected one list"
    if call.path in _ARGUMENTS:
        names = _ARGUMENTS[call.path].split()
        unknown = set(call.kwargs).difference(names)
        if unknown or len(call.args) > len(names):
            more = f"'{min(unknown)}'" if unknown else "so many"
            return f"{call.path}: there is no argument {more}"
    try:
        signature = inspect.signature(function(call.path))
        given = signature.bind(*call.args, **call.kwargs).arguments
    except TypeError as error:
        return f"{call.path}: {error}"
    layers = {**call.kwargs, **given}.get("layers")
    if isinstance(layers, int) and layers > MAX_LAYERS:
        return f"{call.path}: {layers} layers are more than {MAX_LAYERS}"


def function(path):
    """What a dotted path of ``ALLOWED`` names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def construct(path, value, built):
    """Make objects of checked values; ``built`` has those of each ``Call``."""
    try:
        return _build(value, built)
    except UserError:
        raise
    except Exception as error:
        # Any class may raise anything.
        raise bad_yaml(path, error) from error


def _build(value, built):
    if not isinstance(value, (dict, list, Call)):
        return value
    if id(value) not in built:
        if isinstance(value, dict):
            made = {key: _build(item, built) for key, item in value.items()}
        elif isinstance(value, list):
            made = [_build(item, built) for item in value]
        elif value.tag == "!name":
            made = function(value.path)
        else:
            make = function(value.path)
            parts = value.args, value.kwargs
            args, kwargs = (_build(part, built) for part in parts)
            if value.path.startswith(_SIZED):
                with torch.device("meta"):
                    size = count_values(make(*args, **kwargs))
                built["values"] = built.get("values", 0) + size
                if built["values"] > MAX_PARAMETERS:
                    what = f"{MAX_PARAMETERS} values"
                    raise ValueError(f"{value.path} has more than {what}")
            made = make(*args, **kwargs)
        built[id(value)] = made
    return built[id(value)]


def count_values(module):
    """Number of values of a module's parameters and buffers."""
    if not isinstance(module, torch.nn.Module):
        return 0
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() for tensor in tensors)
