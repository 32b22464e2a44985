"""A recipe's YAML as plain data: references resolved, nothing constructed."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from hyperpyyaml import resolve_references
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from speechbrain_ext.base.errors import UserError, did_you_mean

#: What stands for the folder of a run, which is no setting.
RUN_FOLDER = "RUN_FOLDER"

#: Run options that change where or how loudly a run happens, not its result.
_WITHOUT_EFFECT = ("device", "distributed_backend", "noprogressbar")


@dataclass(frozen=True)
class Settings:
    """What a run is made with."""

    options: dict
    scalars: dict
    run_options: dict


class RecipeYaml:
    """The YAML of a recipe."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            self.text = self.path.read_text(encoding="utf-8")
            self.tree = YAML().load(self.text)
        except FileNotFoundError:
            raise UserError(f"'{path}' does not exist; check it.") from None
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            raise UserError(
                f"'{path}' cannot be read as YAML: {_one_line(error)}"
            ) from None
        if not isinstance(self.tree, dict):
            raise UserError(f"'{path}' is no YAML of a recipe; check it.")

    def __contains__(self, key):
        return key in self.tree

    def own(self, key):
        """Plain value of a key as the file has it; None for all else."""
        return _plain(self.tree.get(key))

    def folder(self):
        """Where the runs go: ``output_folder`` up to the seed or the fold."""
        value = self.tree.get("output_folder")
        value = getattr(value, "value", value)
        parts = []
        for part in Path(value).parts if isinstance(value, str) else ():
            if "<" in part:
                break
            parts.append(part)
        return str(Path(*parts or ("results", self.path.stem)))

    def check_keys(self, keys):
        """Raise if a key is neither in the YAML nor a run option."""
        unknown = [key for key in keys if key not in self.tree]
        if not unknown:
            return
        # Imports torch, which the command does not need otherwise.
        from speechbrain.utils.run_opts import RunOptions

        for key in unknown:
            if key not in RunOptions.__dataclass_fields__:
                raise UserError(
                    f"'{self.path}' has no key '{key}', and SpeechBrain has "
                    f"no such run option{did_you_mean(key, self.tree)}"
                )

    def resolve(self, options):
        """Settings of a row of the table."""
        overrides = {k: v for k, v in options.items() if k in self.tree}
        # One resolution serves all runs of a row.
        fixed = {"output_folder": RUN_FOLDER, "seed": "1", "fold": "1"}
        overrides |= {k: v for k, v in fixed.items() if k in self.tree}
        text = "\n".join(
            f"{key}: {'' if value is None else value}"
            for key, value in overrides.items()
        )
        try:
            # With a name, so that !include finds its file.
            stream = io.StringIO(self.text)
            stream.name = str(self.path)
            resolved = YAML().load(resolve_references(stream, text))
            own = {**self.tree, **(YAML().load(text) or {})}
        except Exception as error:
            missing = re.search(r"'(.+)' is a !PLACEHOLDER", str(error))
            if missing:
                raise UserError(
                    f"'{self.path}' leaves '{missing[1]}' to you; add "
                    f"--{missing[1]}=..."
                ) from None
            raise UserError(
                f"The overrides do not fit '{self.path}': {_one_line(error)}"
            ) from None
        tree = {k: v for k, v in resolved.items() if k not in ("seed", "fold")}
        scalars = _scalars(tree)
        for key, value in own.items():
            name = _reference(value)
            if key in tree and name and isinstance(tree[key], dict | list):
                scalars[key] = name
        return Settings(
            options=_json(tree),
            scalars={
                key: value
                for key, value in scalars.items()
                if not (isinstance(value, str) and RUN_FOLDER in value)
            },
            run_options={
                key: "" if value is None else value
                for key, value in sorted(options.items())
                if key not in self.tree and key not in _WITHOUT_EFFECT
            },
        )


def _one_line(error):
    return " ".join(str(error).split())


def _reference(value):
    """Name of the only thing that a ``!ref`` names; None for all else."""
    tag = getattr(getattr(value, "tag", None), "value", None)
    if tag in ("!ref", "!copy"):
        match = re.fullmatch(r"<([^<>]+)>", str(value.value).strip())
        return match and match[1]
    return None


def _plain(value):
    """A scalar in Python's own types; None for all else."""
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _is_plain(value):
    return value is None or isinstance(value, bool | int | float | str)


def _scalars(tree, prefix=""):
    found = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _scalars(value, f"{prefix}{key}.")
        elif _is_plain(value):
            found[f"{prefix}{key}"] = _plain(value)
    return found


def _json(node):
    """A YAML tree as what JSON can hold, tags included."""
    tag = getattr(getattr(node, "tag", None), "value", None)
    if isinstance(node, dict):
        plain = {str(key): _json(value) for key, value in node.items()}
    elif isinstance(node, list):
        plain = [_json(value) for value in node]
    elif _is_plain(node):
        return _plain(node)
    else:
        plain = str(getattr(node, "value", node))
    return {tag: plain} if tag and tag.startswith("!") else plain
