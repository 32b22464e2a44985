"""The YAML of a model folder, read as data.

A model folder may come from anybody. Its YAML is never given to HyperPyYAML,
which constructs whatever a file names. Here only the parts that are asked for
are read, only what stands in ``ALLOWED`` is constructed, and all of it is
checked before the first object is made.
"""

import ast
import copy
import importlib
import inspect
import io
import operator
import re
from dataclasses import dataclass
from pathlib import Path

from speechbrain_ext.base.errors import UserError, did_you_mean, is_number

MAX_BYTES = 1_000_000
MAX_EVENTS = 50_000
MAX_DEPTH = 50
MAX_TEXT = 2_000
MAX_NUMBER = 1e12
# The largest size of a layer, and the most parameters of one module.
MAX_SIZE = 10_000
MAX_PARAMETERS = 1_000_000_000

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
        f"{_OURS}.encoders.egemaps": "EgemapsEncoder",
        f"{_OURS}.encoders.prosody": "ProsodyEncoder ProsodyStatistics",
        f"{_OURS}.encoders.spectra": "SpectrogramEncoder",
        f"{_OURS}.encoders.ssl": "SSLEncoder",
        f"{_OURS}.encoders.whisper": "WhisperEncoder",
        f"{_OURS}.models.heads": "make_head LinearHead ConvHead RecurrentHead "
        "DenseHead LSTMHead FusionHead MeanHead ConvMeanHead",
        f"{_OURS}.models.inputs": "Input count_layers",
        f"{_OURS}.models.mixture": "LayerMixture",
        f"{_OURS}.models.prosody": "ProsodyHead",
        f"{_OURS}.models.normalization": "make_normalizer FeatureNormalizer "
        "SpeakerNormalizer",
        f"{_OURS}.protocols": "classes_of",
        "speechbrain.dataio.encoder": "CategoricalEncoder",
        "speechbrain.nnet.linear": "Linear",
        "speechbrain.nnet.pooling": "Pooling1d StatisticsPooling",
        "speechbrain.processing.features": "InputNormalization",
    }.items()
    for name in names.split()
} | set(SSL_CLASSES)
# Arguments of what takes more than its signature names.
_SSL = "source save_path output_norm freeze freeze_feature_extractor "
_ARGUMENTS = {
    f"{_OURS}.encoders.load_encoder": f"{_SSL} pad_to_30s lora local_encoder",
    f"{_OURS}.models.heads.make_head": "kind input_size fusion_size "
    "num_classes hidden dropout kernel_size layers",
    "speechbrain.dataio.encoder.CategoricalEncoder": "",
    **dict.fromkeys(
        SSL_CLASSES, f"{_SSL} apply_spec_augment output_all_hiddens"
    ),
}
# What an encoder is asked for with getattr.
_ATTRIBUTES = ("output_size", "num_layers")
# Made without memory first, to count the parameters.
_SIZED = (
    f"{_OURS}.models.heads.",
    f"{_OURS}.models.mixture.",
    f"{_OURS}.models.normalization.",
    "speechbrain.nnet.linear.",
)
#: Old dotted path -> new; where an old one ends with a dot, all that begin so.
MOVED = {
    "getattr": "builtins.getattr",
    "len": "builtins.len",
    "speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2": (
        f"{_HUGGINGFACE}.wav2vec2.Wav2Vec2"
    ),
    "speechbrain.lobes.models.huggingface_transformers.": f"{_HUGGINGFACE}.",
    "speechbrain.pretrained.fetching.": "speechbrain.utils.fetching.",
    "speechbrain.pretrained.": "speechbrain.inference.",
    f"{_OURS}.models.utterance_heads.ConvHead": (
        f"{_OURS}.models.heads.ConvMeanHead"
    ),
    f"{_OURS}.models.utterance_heads.": f"{_OURS}.models.heads.",
    f"{_OURS}.models.frame_heads.": f"{_OURS}.models.heads.",
    f"{_OURS}.models.frames.": f"{_OURS}.models.inputs.",
    f"{_OURS}.encoders.logmel.LogMelEncoder": (
        f"{_OURS}.encoders.prosody.ProsodyEncoder"
    ),
    f"{_OURS}.encoders.magnitude.": f"{_OURS}.encoders.spectra.",
    f"{_OURS}.postprocessing.": f"{_OURS}.decoding.",
    f"{_OURS}.checkpoints.": f"{_OURS}.training.checkpoints.",
}
_WHOLE = re.compile(r"<([^<>]*)>")
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


@dataclass(eq=False)
class Call:
    """An object that a YAML asks for, and that is not constructed yet."""

    tag: str
    path: str
    args: list
    kwargs: dict
    line: int


def modern(path):
    """Today's name for a dotted path."""
    for old, new in MOVED.items():
        if path == old:
            return new
        if old.endswith(".") and path.startswith(old):
            return new + path[len(old) :]
    return path


class ModelYaml:
    """The keys of a YAML, each converted when it is asked for.

    Values are plain; ``Call`` stands for objects. Aliases and references to
    one node give one and the same value.
    """

    def __init__(self, path, overrides=None):
        self.path = path
        self.keys = self._pairs(_compose(_text(path), path))
        self._found, self._open = {}, set()
        if overrides:
            self._override(overrides)

    def __contains__(self, key):
        return key in self.keys

    def get(self, key, default=None):
        """Value of a key."""
        if key not in self.keys:
            return default
        try:
            return self._value(self.keys[key])
        except RecursionError:
            raise bad_yaml(self.path, f"'{key}' is nested too deeply") from None

    def _override(self, overrides):
        if not isinstance(overrides, str):
            text = io.StringIO()
            _yaml().dump(dict(overrides), text)
            overrides = text.getvalue()
        node = _compose(overrides, "overrides")
        for name, new in self._pairs(node).items():
            if name not in self.keys:
                raise bad_yaml(
                    self.path,
                    f"overrides name '{name}', which it does not have"
                    f"{did_you_mean(name, self.keys)}".rstrip("."),
                )
            self.keys[name] = self._updated(self.keys[name], new)

    def _updated(self, old, new):
        if old.id != "mapping" or new.id != "mapping":
            return new
        names = {key.value: at for at, (key, _) in enumerate(old.value)}
        for key, value in new.value:
            if key.value in names:
                at = names[key.value]
                value = self._updated(old.value[at][1], value)
                old.value[at] = (key, value)
            else:
                old.value.append((key, value))
        return old

    def _pairs(self, node):
        """Key -> node of a mapping."""
        found = {}
        for key, value in node.value if node.id == "mapping" else ():
            if key.id != "scalar" or key.tag.endswith(":merge"):
                reason = "keys are words; merge keys (<<) are not supported"
                raise self._bad(key, reason)
            name = self._scalar(key)
            if name in found:
                raise self._bad(key, f"the key '{name}' is there twice")
            found[name] = value
        return found

    def _value(self, node):
        if id(node) not in self._found:
            if id(node) in self._open:
                raise self._bad(node, "it refers to itself")
            self._open.add(id(node))
            # With the node, or another one might get its id.
            self._found[id(node)] = node, self._convert(node)
            self._open.remove(id(node))
        return self._found[id(node)][1]

    def _convert(self, node):
        tag = str(node.tag)
        if tag in ("!ref", "!copy"):
            return self._reference(node, tag == "!copy")
        if tag.startswith("!"):
            return self._call(node, tag)
        if node.id == "mapping":
            return {
                name: self._value(value)
                for name, value in self._pairs(node).items()
            }
        if node.id == "sequence":
            return [self._value(value) for value in node.value]
        return self._scalar(node)

    def _call(self, node, tag):
        tag, _, path = tag.partition(":")
        args, kwargs = [], {}
        if node.id == "mapping":
            kwargs = {k: self._value(v) for k, v in self._pairs(node).items()}
        elif node.id == "sequence":
            args = [self._value(value) for value in node.value]
        elif node.value:
            args = [node.value]
        return Call(tag, modern(path), args, kwargs, node.start_mark.line + 1)

    def _scalar(self, node):
        try:
            return _yaml().constructor.construct_object(node)
        except Exception as error:
            raise self._bad(node, f"invalid value: {error}") from error

    def _reference(self, node, fresh):
        """What ``!ref`` and ``!copy`` stand for."""
        text = node.value
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise self._bad(node, "a reference is a short text")
        if whole := _WHOLE.fullmatch(text):
            return self._named(whole[1], node, fresh)

        def word(match):
            value = self._named(match[1], node)
            if isinstance(value, (dict, list, Call)):
                raise self._bad(node, f"<{match[1]}> is no text or number")
            return str(value)

        text = _WHOLE.sub(word, text)
        if len(text) > MAX_TEXT:
            raise self._bad(node, "a text is too long")
        return self._arithmetic(text, node)

    def _named(self, name, node, fresh=False):
        name, _, attribute = name.partition(".")
        branch, keys = None, self.keys
        for part in name.split("["):
            part = part.rstrip("]")
            if part not in keys:
                raise self._bad(node, f"the reference <{name}> is not valid")
            branch = keys[part]
            keys = self._pairs(branch)
        value = self._value(copy.deepcopy(branch) if fresh else branch)
        if attribute:
            line = node.start_mark.line + 1
            return Call(
                "!apply", "builtins.getattr", [value, attribute], {}, line
            )
        return value

    def _arithmetic(self, text, node):
        try:
            found = _evaluate(ast.parse(text, mode="eval").body)
        except (TypeError, SyntaxError, KeyError, ValueError):
            # A text like any other.
            return text
        except (ArithmeticError, RecursionError, MemoryError) as error:
            raise self._bad(node, f"'{text[:80]}': {error}") from None
        return found

    def _bad(self, node, reason):
        return bad_yaml(self.path, f"line {node.start_mark.line + 1}: {reason}")


def bad_yaml(path, error):
    """What is wrong with a YAML, as a sentence."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"'{path}' does not describe a model ({reason[:300]}); restore the "
        "file that came with the model."
    )


def _evaluate(node):
    if isinstance(node, ast.Constant) and is_number(node.value):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand)
    if not isinstance(node, ast.BinOp):
        raise TypeError
    left, right = _evaluate(node.left), _evaluate(node.right)
    if isinstance(node.op, ast.Pow) and abs(right) > 64:
        raise OverflowError("the exponent is too large")
    found = _OPERATORS[type(node.op)](left, right)
    if not is_number(found) or abs(found) > MAX_NUMBER:
        raise OverflowError("the result is no number, or too large")
    return found


def _text(path):
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise bad_yaml(path, f"it is larger than {MAX_BYTES} bytes")
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise bad_yaml(path, error) from None


def _yaml():
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _compose(text, path):
    """Nodes of a YAML, after a look at its size and depth."""
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    try:
        depth = 0
        parse = _yaml().parse(io.StringIO(text))
        for number, event in enumerate(parse):
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH or number > MAX_EVENTS:
                raise bad_yaml(path, "it is nested too deeply, or too long")
        node = _yaml().compose(io.StringIO(text))
    except (YAMLError, ValueError, RecursionError) as error:
        raise bad_yaml(path, error) from None
    if node is None or node.id != "mapping" or not node.value:
        raise bad_yaml(path, "it has no keys")
    return node


def check(path, values):
    """Refuse what is not in ``ALLOWED``; nothing is constructed yet."""
    sizes = {}

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
                items = [("", x) for x in (*value.args, *value.kwargs.values())]
                call = value
            else:
                named = isinstance(value, dict)
                items = value.items() if named else [("", x) for x in value]
            size = sum(visit(x, where or str(key), call) for key, x in items)
            sizes[id(value)] = size = 1 + size
            if size > MAX_EVENTS:
                raise bad_yaml(path, f"'{where}' is too long")
        return sizes[id(value)]

    try:
        visit(values, "")
    except RecursionError:
        raise bad_yaml(path, "its references are nested too deeply") from None


def _refusal(call, where):
    """Why something is not constructed, or None."""
    if call.tag == "!PLACEHOLDER":
        return f"'{where}' has no value"
    if call.path not in ALLOWED or call.tag not in ("!new", "!apply"):
        return f"'{where}' asks for '{call.tag}:{call.path}', which is refused"
    if call.path == "builtins.getattr":
        encoder, name = call.args if len(call.args) == 2 else (None, None)
        path = getattr(encoder, "path", "")
        if path.startswith(f"{_OURS}.encoders.") and name in _ATTRIBUTES:
            return None
        return f"{call.path}: expected an encoder, and {_ATTRIBUTES}"
    if call.path == "builtins.len":
        kind = [getattr(x, "path", type(x)) for x in call.args]
        if kind in ([list], [f"{_OURS}.protocols.classes_of"]):
            return None
        return f"{call.path}: expected one list"
    if call.path in _ARGUMENTS:
        names = _ARGUMENTS[call.path].split()
        unknown = set(call.kwargs).difference(names)
        if unknown or len(call.args) > len(names):
            more = f"'{min(unknown)}'" if unknown else "so many"
            return f"{call.path}: there is no argument {more}"
    try:
        inspect.signature(_function(call.path)).bind(*call.args, **call.kwargs)
    except TypeError as error:
        return f"{call.path}: {error}"


def _function(path):
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
        else:
            args = _build(value.args, built)
            kwargs = _build(value.kwargs, built)
            made = _made(value, args, kwargs)
        built[id(value)] = made
    return built[id(value)]


def _made(call, args, kwargs):
    import torch

    function = _function(call.path)
    if call.path.startswith(_SIZED):
        with torch.device("meta"):
            check_size(function(*args, **kwargs), call.path)
    return function(*args, **kwargs)


def check_size(module, name):
    """Refuse a module that is too large; it is on the device ``meta``."""
    import torch

    if isinstance(module, torch.nn.Module):
        tensors = (*module.parameters(), *module.buffers())
        if sum(tensor.numel() for tensor in tensors) > MAX_PARAMETERS:
            raise ValueError(f"{name} has more than {MAX_PARAMETERS} values")
