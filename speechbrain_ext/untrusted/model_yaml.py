"""The YAML of a model folder, which may come from anybody, as plain values:
an object stays a ``Call``; references and arithmetic are resolved in limits."""

import ast
import copy
import io
import json
import operator
import re
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from speechbrain_ext.base.errors import (
    UserError,
    did_you_mean,
    expected,
    is_number,
    reason,
)

# A hundred times what models have.
MAX_BYTES = 200_000
MAX_EVENTS = 10_000
MAX_DEPTH = 50
MAX_TEXT = 2_000
MAX_NUMBER = 1e12
_HUGGINGFACE = "speechbrain.integrations.huggingface"
#: Old dotted path -> new; where an old one ends with a dot, all that begin so.
MOVED = {
    "getattr": "builtins.getattr",
    "len": "builtins.len",
    "speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2": (
        f"{_HUGGINGFACE}.wav2vec2.Wav2Vec2"
    ),
    "speechbrain.lobes.models.huggingface_transformers.": f"{_HUGGINGFACE}.",
    **{
        f"speechbrain_ext.{old}": f"speechbrain_ext.{new}"
        for old, new in {
            "models.utterance_heads.ConvHead": "models.heads.ConvMeanHead",
            "models.utterance_heads.": "models.heads.",
            "models.frame_heads.": "models.heads.",
            "models.frames.": "models.inputs.",
            "encoders.logmel.LogMelEncoder": (
                "encoders.features.prosody.ProsodyEncoder"
            ),
            "encoders.magnitude.": "encoders.features.spectra.",
            **{
                f"encoders.{name}.": f"encoders.features.{name}."
                for name in ("egemaps", "prosody", "spectra")
            },
            "postprocessing.": "decoding.",
        }.items()
    },
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

    Aliases and references to one node give one and the same value.
    """

    def __init__(self, path, overrides=None):
        self.path = path
        try:
            if Path(path).stat().st_size > MAX_BYTES:
                raise bad_yaml(path, f"it is larger than {MAX_BYTES} bytes")
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise bad_yaml(path, error) from None
        self._constructor = _yaml().constructor
        self._found, self._branches = {}, {}
        self._open, self._copied = set(), 0
        self.keys = self._pairs(_compose(text, path))
        if overrides:
            self._override(overrides)

    def __contains__(self, key):
        return key in self.keys

    def get(self, key):
        """Value of a key, if there is one."""
        if key not in self.keys:
            return None
        try:
            return self._value(self.keys[key])
        except RecursionError:
            raise bad_yaml(self.path, f"'{key}' is nested too deeply") from None

    def _override(self, overrides):
        if not isinstance(overrides, str):
            try:
                overrides = json.dumps(dict(overrides))
            except (TypeError, ValueError, RecursionError) as error:
                raise bad_yaml("overrides", error) from None
        node = _compose(overrides, "overrides")
        for name, new in self._pairs(node).items():
            if name not in self.keys:
                what = f"overrides name '{name}', which it does not have"
                near = did_you_mean(name, self.keys)
                raise bad_yaml(self.path, what + near)
            self.keys[name] = self._updated(self.keys[name], new)

    def _updated(self, old, new):
        if old.id != "mapping" or new.id != "mapping":
            return new
        places = {name: at for at, name in enumerate(self._pairs(old))}
        for name, (key, value) in zip(self._pairs(new), new.value):
            at = places.get(name)
            if at is None:
                old.value.append((key, value))
            else:
                old.value[at] = key, self._updated(old.value[at][1], value)
        return old

    def _pairs(self, node):
        """Key -> node of a mapping."""
        found = {}
        for key, value in node.value if node.id == "mapping" else ():
            if key.id != "scalar" or key.tag.endswith(":merge"):
                what = "keys are words; merge keys (<<) are not supported"
                raise self._bad(key, what)
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
        ours = tag.startswith("!")
        args, kwargs = [], {}
        if node.id == "mapping":
            kwargs = {k: self._value(v) for k, v in self._pairs(node).items()}
        elif node.id == "sequence":
            args = [self._value(value) for value in node.value]
        elif not ours:
            return self._scalar(node)
        elif node.value:
            args = [node.value]
        if ours:
            return self._call(node, tag, args, kwargs)
        return kwargs if node.id == "mapping" else args

    def _call(self, node, tag, args, kwargs=None):
        tag, _, path = tag.partition(":")
        line = node.start_mark.line + 1
        return Call(tag, modern(path), args, kwargs or {}, line)

    def _scalar(self, node):
        try:
            return self._constructor.construct_object(node)
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
        try:
            return _evaluate(ast.parse(text, mode="eval").body)
        except (TypeError, SyntaxError, KeyError, ValueError):
            # A text like any other.
            return text
        except (ArithmeticError, RecursionError, MemoryError) as error:
            raise self._bad(node, f"'{text[:80]}': {error}") from None

    def _named(self, name, node, fresh=False):
        name, _, attribute = name.partition(".")
        branch, keys = None, self.keys
        for part in name.split("["):
            part = part.rstrip("]")
            if part not in keys:
                raise self._bad(node, f"the reference <{name}> is not valid")
            branch = keys[part]
            if id(branch) not in self._branches:
                self._branches[id(branch)] = branch, self._pairs(branch)
            keys = self._branches[id(branch)][1]
        if fresh:
            self._copied += _count_nodes(branch)
            if self._copied > MAX_EVENTS:
                raise self._bad(node, "too long with all its copies")
            branch = copy.deepcopy(branch)
        value = self._value(branch)
        if attribute:
            return self._call(node, "!apply:getattr", [value, attribute])
        return value

    def _bad(self, node, what):
        return bad_yaml(self.path, f"line {node.start_mark.line + 1}: {what}")


def bad_yaml(path, error):
    """What is wrong with a YAML, as a sentence."""
    return UserError(
        f"'{path}' does not describe a model ({reason(error, 300)}); restore "
        "the file that came with the model."
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


def _count_nodes(node):
    """Nodes of a tree, each counted once."""
    found, left = {}, [node]
    while left:
        node = left.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        if node.id != "scalar":
            for item in node.value:
                left += item if isinstance(item, tuple) else [item]
    return len(found)


def _yaml():
    return YAML(typ="safe", pure=True)


def _compose(text, path):
    """Nodes of a YAML, after a look at its size and depth."""
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


def mapping(path, saver, key):
    """A mapping that a pretrainer or a checkpointer is given."""
    found = saver.get(key) or {}
    if not isinstance(found, dict):
        remedy = "restore the file that came with the model"
        raise expected(f"'{path}', '{key}'", "a mapping", found, remedy)
    return found
