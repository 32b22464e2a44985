"""Figures that a paper has published, in a recipe's ``published.yaml``.

A list of entries such as::

    - table: 1              # number of the table, or where else it stands
      row: eGeMAPS          # as the paper calls it
      metric: UA            # as results.json calls it
      value: 57.0           # in the unit of results.json
      sd: 0.4               # optional
      when: {encoder_source: egemaps, protocol: pepino_ravdess}

``when`` says which runs the figure belongs to: keys of the recipe's YAML
(``a.b`` for the entry ``b`` of ``a``) and their values. Of the entries that
fit a run, the one with the most keys counts.

The ``encoder_source`` of a run may be a local folder: it is the encoder that
has the same last name, so ``/models/wav2vec2-base`` fits an entry of
``facebook/wav2vec2-base``.

An entry with ``reference: True`` is also put beside runs with a checkpoint
that no entry of the file is about, if all other keys fit: nobody has published
a figure for those, and the cell names the system that it belongs to.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from speechbrain_ext.base.errors import UserError

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
_OPTIONAL = ("sd", "reference")
_PLAIN = str | int | float | bool | None

_ENCODER = "encoder_source"
_NO_CHECKPOINTS = ("egemaps", "spectrogram")


@dataclass(frozen=True)
class Figure:
    """A published figure."""

    table: int | str
    row: str
    metric: str
    value: float
    when: dict
    sd: float | None = None
    reference: bool = False

    def source(self):
        """Where the figure stands, and of which system and encoder it is."""
        table = self.table
        if not isinstance(table, str):
            table = f"Table {table}"
        encoder = self.when.get(_ENCODER)
        named = encoder is not None and encoder not in _NO_CHECKPOINTS
        of = f", encoder {PurePosixPath(encoder).name}" if named else ""
        return f"{table}, {self.row}{of}"

    def __str__(self):
        sd = "" if self.sd is None else f" ± {self.sd:.1f}"
        return f"{self.value:.1f}{sd} ({self.source()})"


def read_published(path):
    """Read a ``published.yaml``."""
    path = Path(path)
    if not path.exists():
        return []
    try:
        entries = YAML(typ="safe", pure=True).load(
            path.read_text(encoding="utf-8")
        )
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UserError(
            f"'{path}' is not valid YAML: {' '.join(str(error).split())}"
        ) from None
    if not isinstance(entries, list):
        raise UserError(f"'{path}': expected a list of published figures.")
    return [
        _figure(entry, f"'{path}', entry {number}")
        for number, entry in enumerate(entries, 1)
    ]


def match(figures, scalars):
    """The published figures that belong to a row."""
    found = _best([each for each in figures if _fits(each.when, scalars)])
    encoder = scalars.get(_ENCODER)
    checkpoint = isinstance(encoder, str) and encoder not in _NO_CHECKPOINTS
    if not checkpoint or any(
        _same_encoder(encoder, each.when.get(_ENCODER)) for each in figures
    ):
        return found
    others = [
        figure
        for figure in figures
        if figure.reference
        and _fits({**figure.when, _ENCODER: encoder}, scalars)
    ]
    return {**_best(others), **found}


def _fits(when, scalars):
    """Whether a run has these settings."""
    return all(
        key in scalars
        and (
            _same_encoder(scalars[key], value)
            if key == _ENCODER
            else _equal(scalars[key], value)
        )
        for key, value in when.items()
    )


def _same_encoder(source, published):
    """Whether a run's encoder, by folder maybe, is the published one."""
    if source == published:
        return True
    if not isinstance(source, str) or not isinstance(published, str):
        return False
    # A name of the Hub is OWNER/NAME.
    folder = (
        source.startswith(("/", ".", "~"))
        or source.rstrip("/").count("/") != 1
        or Path(source).is_dir()
    )
    name = PurePosixPath(published).name
    return folder and PurePosixPath(source).name == name


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
    if not isinstance(entry, dict):
        raise UserError(
            f"{where}: expected a mapping with the keys {', '.join(_FIELDS)}."
        )
    for key in entry:
        if key not in _FIELDS:
            raise UserError(
                f"{where}: there is no field '{key}'; the fields are "
                f"{', '.join(_FIELDS)}."
            )
    for key, (kind, name) in _FIELDS.items():
        if key not in entry:
            if key in _OPTIONAL:
                continue
            raise UserError(f"{where}: '{key}' is missing; expected {name}.")
        value = entry[key]
        if not isinstance(value, kind) or (
            isinstance(value, bool) and kind is not bool
        ):
            raise UserError(f"{where}: '{key}' is {value!r}; expected {name}.")
    for key, value in entry["when"].items():
        if not isinstance(key, str) or not isinstance(value, _PLAIN):
            raise UserError(
                f"{where}: 'when' has {key!r}: {value!r}; give plain values."
            )
    return Figure(**entry)


def _equal(one, other):
    # True is no 1 here, but 1 is 1.0.
    return isinstance(one, bool) == isinstance(other, bool) and one == other
