"""Figures that a paper has published, in a recipe's ``published.yaml``.

A list of entries with the keys of ``Figure``. ``when`` says which runs a
figure belongs to: keys of the recipe's YAML (``a.b`` for the entry ``b`` of
``a``) and their values; of the entries that fit, that with most keys counts.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from speechbrain_ext.base.errors import UserError, expected, reason
from speechbrain_ext.base.files import read_text

#: Beside the recipe's train.py.
PUBLISHED = "published.yaml"

_FIELDS = {
    "table": (int | str, "a number or a name"),
    "row": (str, "text"),
    "metric": (str, "text"),
    "value": (int | float, "a number"),
    "sd": (int | float | None, "a number"),
    "when": (dict, "a mapping of keys of the YAML to plain values"),
    "reference": (bool, "True or False"),
}
_PLAIN = str | int | float | bool | None

_ENCODER = "encoder_source"
_NO_CHECKPOINTS = "blocks", "classical", "egemaps", "mel", "spectrogram"


@dataclass(frozen=True)
class Figure:
    """A published figure."""

    table: int | str  # Its number, or where else the figure stands.
    row: str  # As the paper calls it.
    metric: str  # As results.json calls it.
    value: float
    when: dict
    sd: float | None = None
    # It is also put beside runs with a checkpoint that no entry is about, if
    # all other keys fit: nobody has published a figure for those.
    reference: bool = False

    def source(self):
        """Where the figure stands, and of which system and encoder it is."""
        table = self.table
        if not isinstance(table, str):
            table = f"Table {table}"
        encoder = self.when.get(_ENCODER)
        named = _is_checkpoint(encoder)
        of = f", encoder {PurePosixPath(encoder).name}" if named else ""
        return f"{table}, {self.row}{of}"

    def __str__(self):
        return f"{with_sd(self.value, self.sd)} ({self.source()})"


def with_sd(value, sd):
    """A figure, and its standard deviation if there is one."""
    return f"{value:.1f}" if sd is None else f"{value:.1f} ± {sd:.1f}"


def read_published(path):
    """Read a ``published.yaml``."""
    path = Path(path)
    if not path.exists():
        return []
    text = read_text(path)
    try:
        entries = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(
            f"'{path}' is not valid YAML: {reason(error)}."
        ) from None
    if not isinstance(entries, list):
        raise expected(f"'{path}'", "a list of published figures", entries)
    return [
        _figure(entry, f"'{path}', entry {number}")
        for number, entry in enumerate(entries, 1)
    ]


def match(figures, scalars):
    """The published figures that belong to a row."""
    found = _best([each for each in figures if _fits(each.when, scalars)])
    encoder = scalars.get(_ENCODER)
    published = [each.when.get(_ENCODER) for each in figures]
    known = any(_same(_ENCODER, encoder, each) for each in published)
    if known or not _is_checkpoint(encoder):
        return found
    others = [
        each
        for each in figures
        if each.reference and _fits(each.when | {_ENCODER: encoder}, scalars)
    ]
    return _best(others) | found


def _is_checkpoint(encoder):
    return isinstance(encoder, str) and encoder not in _NO_CHECKPOINTS


def _fits(when, scalars):
    """Whether a run has these settings."""
    return all(
        k in scalars and _same(k, scalars[k], v) for k, v in when.items()
    )


def _same(key, source, published):
    """Whether a run has the published value of a key.

    An encoder may be a folder with the same last name.
    """
    # True is no 1 here, but 1 is 1.0.
    if isinstance(source, bool) != isinstance(published, bool):
        return False
    texts = isinstance(source, str) and isinstance(published, str)
    if key != _ENCODER or not texts:
        return source == published
    # A name of the Hub is OWNER/NAME.
    folder = (
        source.startswith(("/", ".", "~"))
        or source.rstrip("/").count("/") != 1
        or Path(source).is_dir()
    )
    same = PurePosixPath(source).name == PurePosixPath(published).name
    return source == published or folder and same


def _best(figures):
    """By metric, the one with the most keys."""
    best = {}
    for figure in sorted(figures, key=lambda one: -len(one.when)):
        rival = best.setdefault(figure.metric, figure)
        if rival is not figure and len(rival.when) == len(figure.when):
            raise UserError(
                f"{PUBLISHED}: the entries '{rival.source()}' and "
                f"'{figure.source()}' fit the same run equally well for "
                f"{figure.metric}; add a key to 'when' of one."
            )
    return best


def _figure(entry, where):
    fields = f"the fields {', '.join(_FIELDS)}"
    if not isinstance(entry, dict):
        raise expected(where, f"a mapping with {fields}", entry)
    for key in entry:
        if key not in _FIELDS:
            raise expected(where, fields, key)
    entry = {"sd": None, "reference": False} | entry
    for key, (kind, name) in _FIELDS.items():
        value = entry.get(key)
        true = isinstance(value, bool) and kind is not bool
        if true or not isinstance(value, kind):
            raise expected(f"{where}, '{key}'", name, value)
    for key, value in entry["when"].items():
        if not isinstance(key, str) or not isinstance(value, _PLAIN):
            raise expected(f"{where}, 'when', {key!r}", "a plain value", value)
    return Figure(**entry)
