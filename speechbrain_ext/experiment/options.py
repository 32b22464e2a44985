"""What the command line says about options of the recipe.

Everywhere an option is a key of the recipe's YAML, or a run option of
SpeechBrain, and the text of its value as it would stand in the YAML.
"""

import itertools
import re
import shlex

from speechbrain_ext.base.errors import UserError

_KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_REFERENCE = re.compile(r"!(?:ref|copy)\s+<(.+)>")


def parse_overrides(tokens):
    """Understand the overrides that are passed on to the recipe."""
    options = {}
    for token in tokens:
        if not token.startswith("--") or token == "--":
            raise UserError(
                f"'{token}' is no option; write overrides as --key=value."
            )
        if "=" in token:
            key, value = _assignment(token[2:], token)
        else:
            key, value = token[2:], None
        if key in options:
            raise UserError(f"--{key} is given twice; give it once.")
        options[key] = value
    return options


def parse_grid(text):
    """Understand one ``--grid``."""
    key, value = _assignment(text, f"--grid '{text}'")
    values = _split(value)
    if "" in values:
        raise UserError(
            f"--grid '{text}' has an empty value; write --grid key=a,b."
        )
    if len(set(values)) < len(values):
        raise UserError(f"--grid '{text}' has a value twice; give it once.")
    return key, values


def parse_row(text):
    """Understand one ``--row``."""
    name, colon, rest = text.partition(":")
    name = name.strip()
    try:
        words = shlex.split(rest)
    except ValueError:
        colon = ""
    if not name or not colon:
        raise UserError(f"--row '{text}': write it as 'name: key=a key2=b'.")
    options = {}
    for word in words:
        key, value = _assignment(word, f"--row '{text}', '{word}'")
        if key in options:
            raise UserError(f"--row '{text}' has '{key}' twice.")
        options[key] = value
    return name, options


def combine(named, grids):
    """Rows of the table: every named row with every point of the grid."""
    keys = [key for key, _ in grids]
    for key in keys:
        if keys.count(key) > 1 or any(key in row for _, row in named):
            raise UserError(
                f"'{key}' is in --grid and once more in --grid or --row; "
                "give it in one place."
            )
    rows, slugs = [], {}
    for name, options in named or [("", {})]:
        for values in itertools.product(*(values for _, values in grids)):
            point = dict(zip(keys, values))
            plain = {key: _plain(value) for key, value in point.items()}
            names = [name] if name else []
            title = ", ".join(names + [f"{k}={v}" for k, v in plain.items()])
            parts = names + [f"{key}-{value}" for key, value in plain.items()]
            slug = "__".join(_slug(part) for part in parts)
            if slug in slugs:
                raise UserError(
                    f"The rows '{slugs[slug]}' and '{title}' would share the "
                    f"folder '{slug}'; tell them apart by names: --row "
                    "'name: key=value'."
                )
            slugs[slug] = title
            rows.append((title, slug, {**options, **point}))
    return rows


def nest(options):
    """Put dotted keys together as SpeechBrain's overrides take them."""
    tree = {}
    for key, value in options.items():
        *path, last = key.split(".")
        place = tree
        for depth, part in enumerate(path):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise _both(".".join(path[: depth + 1]), key)
        if isinstance(place.get(last), dict):
            raise _both(key, f"{key}.{next(iter(place[last]))}")
        place[last] = value
    return {key: _flow(value) for key, value in tree.items()}


def as_arguments(options):
    """Options as words of a command line."""
    return [
        f"--{key}" if value is None else f"--{key}={value}"
        for key, value in options.items()
    ]


def _assignment(text, where):
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not _KEY.fullmatch(key):
        raise UserError(f"{where}: write it as key=value.")
    if "=" in value:
        # SpeechBrain joins and splits its overrides at the sign.
        raise UserError(
            f"{where}: SpeechBrain takes no '=' inside of a value; put the "
            "value into the YAML."
        )
    return key, value


def _split(text):
    """Split at the commas that are outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _plain(value):
    """A reference to another part of the YAML, by the name of that part."""
    match = _REFERENCE.fullmatch(value)
    return match[1] if match else value


def _slug(text):
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "row"


def _both(mapping, entry):
    return UserError(
        f"'{mapping}' and '{entry}' are both given; give one of them."
    )


def _flow(value):
    if not isinstance(value, dict):
        return value
    inside = ", ".join(f"{key}: {_flow(each)}" for key, each in value.items())
    return "{" + inside + "}"
