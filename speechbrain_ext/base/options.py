"""The options of a run: a recipe's YAML, and what a user changes in it.

Nothing is constructed, and neither torch nor SpeechBrain is imported.
"""

import io
import os
import re
import runpy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hyperpyyaml import resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from speechbrain_ext.base.errors import (
    UserError,
    did_you_mean,
    expected,
    is_number,
    reason,
)
from speechbrain_ext.base.files import read_json, read_text
from speechbrain_ext.base.values import (
    OPTIONS,
    check_keys,
    check_value,
    check_windows,
)

# A run with this file is finished.
RESULTS = "results.json"
# What a run is made with, in its folder.
RECORD = "options.json"

# Options that make no other run, and what stands for them in all that is
# derived from them. Seed and fold are recorded by themselves.
_STAND_INS = {
    "output_folder": "OUTPUT_FOLDER",
    "cache_folder": "CACHE_FOLDER",
    "audio_folder": "AUDIO_FOLDER",
    "audio_gigabytes": 10,
    "feature_folder": "FEATURE_FOLDER",
    "feature_memory": 4,
    "cnn_folder": "CNN_FOLDER",
    "num_workers": 0,
    "seed": 1,
    "fold": 1,
    "number_of_epochs": 1,
    "patience": 1,
}
# These may grow or change until the run is finished.
_LENGTHS = ("number_of_epochs", "patience")
# The same within the mapping ``preparation``.
_FREE_IN_PREPARATION = ("jobs", "cache")
# Run options that change no result.
_FREE_RUN_OPTIONS = (
    "device distributed_backend noprogressbar log_config tqdm_colored_bar "
    "ckpt_interval_minutes ckpt_interval_steps"
).split()
_REFERENCES = ("!ref", "!copy")
_TOO_DEEP = "it is nested too deeply"
# More differences than this are counted, not listed.
_LISTED = 3


@dataclass(frozen=True)
class Settings:
    """What makes a run the same as another, as plain data."""

    yaml: str
    options: dict
    # Where the folders among the options are.
    paths: dict
    run_options: dict
    # Plain values by dotted key, for ``published.yaml``.
    scalars: dict
    # Keys of all that only refers to another option.
    references: tuple

    def record(self, recipe, **where):
        """What ``options.json`` of a run holds."""
        return {
            "recipe": Path(recipe).resolve().parent.name,
            "yaml": self.yaml,
            **where,
            "paths": self.paths,
            "options": self.options,
            "run_options": self.run_options,
        }

    def is_finished(self, folder, record):
        """Whether the run in a folder is; raise if it is another run."""
        finished = (folder / RESULTS).exists()
        save = str(self.options.get("save_folder", folder / "save"))
        save = save.replace(_STAND_INS["output_folder"], str(folder))
        # Until there is a checkpoint, whoever mistyped an option may mend it.
        if finished or any(Path(save).glob("CKPT*")):
            self._compare(folder, record, finished)
        return finished

    def _compare(self, folder, now, finished):
        path = folder / RECORD
        if not path.exists():
            return
        then = read_json(path)
        if not isinstance(then, dict) or "options" not in then:
            remedy = f"delete '{folder}', or choose another output_folder"
            raise expected(f"'{path}'", "the record of a run", then, remedy)
        # A folder is the same however it is spelled.
        same = then.get("paths", {}).items() & now["paths"].items()
        same = {(key,) for key, _ in same}
        # What names a run, its options, and its run options.
        pair = (
            {k: v for k, v in each.items() if not isinstance(v, dict)}
            | each["options"]
            | each.get("run_options", {})
            for each in (then, now)
        )
        found = [
            (where, old, new)
            for where, old, new in _differences(*pair)
            if where not in same
            and (finished or not _is_longer(where, old, new))
        ]
        # What only refers to an option is not what the user has changed.
        changed = [
            each
            for each in found
            if not any(each[0][: len(x)] == x for x in self.references)
        ] or found
        listed = [
            f"{'.'.join(where)} was {_short(old)}, now {_short(new)}"
            for where, old, new in changed
        ]
        if len(listed) > _LISTED:
            listed[_LISTED:] = [f"and {len(listed) - _LISTED} more"]
        if listed:
            raise UserError(
                f"output_folder: '{folder}' holds a run that was made with "
                f"other options ({'; '.join(listed)}); choose another "
                "output_folder, or delete it."
            )


class RecipeYaml:
    """The YAML of a recipe."""

    def __init__(self, path):
        self.path = Path(path)
        self.text = read_text(path)
        self.tree = self.parse(self.text)

    def __contains__(self, key):
        return key.partition(".")[0] in self.tree

    def folder(self):
        """Where the runs go: ``output_folder`` up to the seed or the fold."""
        value = self.tree.get("output_folder")
        value = getattr(value, "value", value)
        parts = Path(value).parts if isinstance(value, str) else ()
        fixed = next((n for n, p in enumerate(parts) if "<" in p), len(parts))
        return str(Path(*parts[:fixed] or ("results", self.path.stem)))

    def split(self, options):
        """Overrides as YAML, and run options, of values by key as text."""
        overrides, run_options = [], {}
        for key, value in options.items():
            if key in self:
                overrides.append(f"{key}: {'' if value is None else value}")
            elif key in run_option_class().__dataclass_fields__:
                text = "true" if value is None else value
                run_options[key] = YAML(typ="safe").load(text)
            else:
                raise self._unknown(key)
        return "\n".join(overrides), run_options

    def resolve(self, overrides="", tree=None):
        """The YAML with overrides and without references, as text."""
        stream = io.StringIO()
        YAML().dump(tree or self._merge(overrides), stream)
        stream.seek(0)
        # !include finds its file beside this one.
        stream.name = str(self.path)
        try:
            text = resolve_references(stream).getvalue()
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise self._invalid("invalid", error) from None
        except RecursionError:
            raise self._invalid("invalid", _TOO_DEEP) from None
        for where, leaf in _leaves(self.parse(text)):
            if _tag(leaf) in _REFERENCES:
                circle = f"'{'.'.join(where)}' refers to itself"
                raise self._invalid("invalid", circle)
        return text

    def settings(self, overrides="", run_options=None):
        """What a run with these options is made with."""
        own = self._merge(overrides)
        given = {}
        for key, value in own.items():
            is_path = key.endswith("_folder") and isinstance(value, str | None)
            if key in _LENGTHS or is_path and key not in _STAND_INS:
                given[key] = value
            if key in _STAND_INS or is_path:
                own[key] = _STAND_INS.get(key, key.upper())
        references = tuple(
            where for where, leaf in _leaves(own) if _tag(leaf) in _REFERENCES
        )
        tree = self.parse(self.resolve(tree=own)) | given
        for key in ("seed", "fold"):
            tree.pop(key, None)
        if isinstance(tree.get("preparation"), dict):
            for key in _FREE_IN_PREPARATION:
                tree["preparation"].pop(key, None)
        scalars = {
            ".".join(where): _plain(leaf)
            for where, leaf in _leaves(tree)
            if not _tag(leaf)
        }
        for key in tree:
            if isinstance(tree[key], dict | list) and (key,) in references:
                # Such as the name of a head.
                scalars[key] = own[key].value.strip().strip("<>")
        folder = _STAND_INS["output_folder"]
        return Settings(
            self.path.name,
            options=_json(tree),
            paths={
                key: os.path.realpath(value)
                for key, value in given.items()
                if key not in _LENGTHS and value
            },
            run_options={
                key: value
                for key, value in sorted((run_options or {}).items())
                if key not in _FREE_RUN_OPTIONS and key not in own
            },
            scalars={k: v for k, v in scalars.items() if folder not in str(v)},
            references=references,
        )

    def _merge(self, overrides):
        tree = self.parse(self.text)
        given = self.parse(overrides or "{}")
        for key, value in given.items():
            if key not in self:
                raise self._unknown(key)
            option, *path = key.split(".")
            for depth, part in enumerate(reversed(path), 1):
                value = {part: value}
                if (other := ".".join([option, *path[:-depth]])) in given:
                    raise UserError(
                        f"'{self.path}': '{other}' and '{key}' are both "
                        "given; give one."
                    )
            tree[option] = self._put(value, tree[option], option)
        for (key, *_), leaf in _leaves(tree):
            if _tag(leaf) == "!PLACEHOLDER":
                raise UserError(
                    f"'{self.path}' needs the option '{key}'; add --{key}=..."
                )
        for option in OPTIONS:
            for where, value in _named(tree, option.split(".")):
                self._check(option, value, ".".join(where))
        check_windows(tree.get("window"), tree.get("overlap"))
        return tree

    def _check(self, option, value, where):
        if _tag(value) is None:
            check_value(option, value, where)
        if isinstance(value, dict):
            check_keys(option, value, where)

    def _put(self, value, old, where):
        """A mapping changes the entries of a mapping that it names."""
        if not isinstance(value, dict) or _tag(value):
            return value
        if old is None or _tag(old) == "!PLACEHOLDER":
            return value
        if not isinstance(old, dict):
            what = f"one value, such as {_short(_json(old))}"
            where = f"'{self.path}', option '{where}'"
            raise expected(where, what, _json(value))
        for key, each in value.items():
            old[key] = self._put(each, old.get(key), f"{where}.{key}")
        return old

    def parse(self, text):
        """A mapping from YAML."""
        try:
            tree = YAML().load(text)
        except YAMLError as error:
            problem = getattr(error, "problem", None) or error
            raise self._invalid("not valid YAML", problem) from None
        except RecursionError:
            raise self._invalid("not valid YAML", _TOO_DEEP) from None
        if not isinstance(tree, dict):
            what = "a mapping from option to value"
            raise expected(f"'{self.path}'", what, _json(tree))
        return tree

    def _invalid(self, what, error):
        why = reason(error)
        return UserError(f"'{self.path}' or an option is {what}: {why}.")

    def _unknown(self, key):
        known = [*self.tree, *run_option_class().__dataclass_fields__]
        return UserError(
            f"'{self.path}' has no option '{key}'{did_you_mean(key, known)}"
        )


def run_option_class():
    """SpeechBrain's class of run options, without its import of torch."""
    (root,) = find_spec("speechbrain").submodule_search_locations
    return runpy.run_path(f"{root}/utils/run_opts.py")["RunOptions"]


_KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def assignment(text, where):
    """Key and value of ``key=value``."""
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not _KEY.fullmatch(key):
        raise UserError(f"{where}: write it as key=value.")
    if "=" in value:
        # SpeechBrain joins and splits its overrides at the sign.
        raise expected(where, "no '=' inside of a value", value, "use the YAML")
    return key, value


def _tag(node):
    """Tag such as "!new:torch.nn.Linear"; None for a node without one."""
    tag = getattr(getattr(node, "tag", None), "value", None)
    return tag if tag and tag.startswith("!") else None


def _leaves(node, where=()):
    """(keys, node) of all in a YAML that is neither a mapping nor a list."""
    if isinstance(node, dict | list):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in pairs:
            yield from _leaves(value, (*where, str(key)))
    else:
        yield where, node


def _named(tree, keys, where=()):
    """(keys, node) of all that a dotted option names; * is any key."""
    if not keys:
        yield where, tree
    elif isinstance(tree, dict):
        for key in tree if keys[0] == "*" else {keys[0]} & tree.keys():
            yield from _named(tree[key], keys[1:], (*where, str(key)))


def _plain(value):
    """A scalar in Python's own types; None for all else."""
    # bool is an int.
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _json(node):
    """A YAML tree as what JSON can hold, tags included."""
    if isinstance(node, dict):
        plain = {str(key): _json(value) for key, value in node.items()}
    elif isinstance(node, list):
        plain = [_json(value) for value in node]
    else:
        plain = _plain(node)
        unknown = plain is None and node is not None
        if unknown or isinstance(plain, float) and not is_number(plain):
            plain = str(getattr(node, "value", node))
    return {_tag(node): plain} if _tag(node) else plain


# Where a key or an entry is not there.
_NOTHING = object()


def _differences(old, new, where=()):
    """(keys, old, new) for all that differs in two trees."""
    kind = type(old) if type(old) is type(new) else None
    if kind is dict and _own_tag(old) == _own_tag(new):
        for key in {**old, **new}:
            below = where if key.startswith("!") else (*where, key)
            pair = old.get(key, _NOTHING), new.get(key, _NOTHING)
            yield from _differences(*pair, below)
    elif kind is list and len(old) == len(new):
        for place, pair in enumerate(zip(old, new)):
            yield from _differences(*pair, (*where, str(place)))
    # True is no 1.
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield where, old, new


def _own_tag(tree):
    return next((key for key in tree if key.startswith("!")), None)


def _is_longer(where, old, new):
    """Whether a difference only lets a run go on for longer."""
    if where == ("number_of_epochs",) and is_number(old) and is_number(new):
        # More epochs may have been trained than are asked for now.
        return new >= old
    return len(where) == 1 and where[0] in _LENGTHS


def _short(value):
    """A value as the user may have written it, in some words."""
    if value is None or value is _NOTHING:
        return "null" if value is None else "not there"
    if isinstance(value, dict) and _own_tag(value):
        return _own_tag(value)
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
