"""Which runs there are, where each goes, and whether it is finished."""

import itertools
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import fingerprint, read_json, write_json
from speechbrain_ext.experiment.options import as_arguments, nest
from speechbrain_ext.experiment.settings import Settings

#: A run with this file is finished.
RESULTS = "results.json"
#: What a run was made with.
RECORD = "options.json"


@dataclass(frozen=True)
class Run:
    """One training with its test."""

    name: str
    folder: Path
    command: tuple
    record: dict
    seed: int | None
    fold: int | None

    def finished(self):
        """Whether there is nothing left to do."""
        done = (self.folder / RESULTS).exists()
        if (self.folder / RECORD).exists():
            self._compare(read_json(self.folder / RECORD))
        elif done:
            raise UserError(
                f"'{self.folder}' has a {RESULTS} but no {RECORD}, so nobody "
                "knows what it was made with; delete the folder or choose "
                "another --output_folder."
            )
        return done

    def start(self):
        """Make the folder and leave the record in it."""
        write_json(self.record, self.folder / RECORD)

    def _compare(self, old):
        if not isinstance(old, dict) or "fingerprint" not in old:
            raise UserError(
                f"'{self.folder / RECORD}' is no record of a run; delete the "
                "folder or choose another --output_folder."
            )
        if old["fingerprint"] == self.record["fingerprint"]:
            return
        raise UserError(
            f"'{self.folder}' was made with other options "
            f"({', '.join(_changes(old, self.record))}); delete the folder or "
            "choose another --output_folder."
        )


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    settings: Settings
    runs: tuple


def make_plan(recipe, yaml, root, rows, passed, seeds, folds, launcher=None):
    """All runs of an experiment."""
    if not Path(recipe).is_file():
        raise UserError(f"'{recipe}' does not exist; give a train.py.")
    root = Path(root)
    if any(sign in str(root) for sign in ("=", " #", ": ")):
        raise UserError(
            f"--output_folder: '{root}' has a sign that overrides cannot hold "
            "('=', ' #' or ': '); choose another folder."
        )
    start = _launcher(launcher)
    levels = _levels(yaml, passed, rows, {"seed": seeds, "fold": folds})
    counted = {}
    plan = []
    for name, slug, own in rows:
        options = nest({**passed, **own})
        for level in levels:
            options.pop(level, None)
        yaml.check_keys(options)
        settings = yaml.resolve(options)
        values = dict(levels)
        if values.get("fold") == "all":
            values["fold"] = _all_folds(settings, yaml, counted)
        runs = []
        for point in itertools.product(*values.values()):
            where = dict(zip(values, point))
            folder = root / slug
            for level in ("fold", "seed"):
                if level in where:
                    folder /= f"{level}_{where[level]}"
            arguments = {
                **options,
                **{level: str(value) for level, value in where.items()},
                "output_folder": str(folder),
                "noprogressbar": None,
            }
            title = [name or yaml.path.stem]
            title += [
                f"{level} {where[level]}"
                for level in ("fold", "seed")
                if level in where
            ]
            runs.append(
                Run(
                    name=", ".join(title),
                    folder=folder,
                    command=(
                        *start,
                        str(recipe),
                        str(yaml.path),
                        *as_arguments(arguments),
                    ),
                    record=_record(recipe, yaml, settings, where),
                    seed=where.get("seed"),
                    fold=where.get("fold"),
                )
            )
        plan.append(Row(name or yaml.path.stem, settings, tuple(runs)))
    return plan


def _launcher(launcher):
    if launcher is None:
        return (sys.executable,)
    words = shlex.split(launcher)
    if not words or shutil.which(words[0]) is None:
        raise UserError(
            f"--launcher: there is no program '{(words or [''])[0]}'; give "
            "its path, or put its folder into PATH."
        )
    return tuple(words)


def _levels(yaml, passed, rows, asked):
    """Values of seed and fold, by name; without those the YAML lacks."""
    levels = {}
    for name, values in asked.items():
        if any(name in own for _, _, own in rows):
            raise UserError(
                f"'{name}' cannot be in --grid or --row; use --{name}s."
            )
        if values is not None and name not in yaml:
            raise UserError(
                f"--{name}s: '{yaml.path}' has no key '{name}'; leave the "
                "option out."
            )
        if values is not None and name in passed:
            raise UserError(f"--{name}s and --{name} exclude each other.")
        if name not in yaml:
            continue
        if values is None:
            values = [_number(passed.get(name, yaml.own(name)), name, yaml)]
        levels[name] = values
    return levels


def _number(value, name, yaml):
    try:
        return int(str(value))
    except ValueError:
        raise UserError(
            f"'{yaml.path}' has no whole number as '{name}'; add --{name}s."
        ) from None


def _all_folds(settings, yaml, counted):
    """Folds 1, 2 ... of the protocol that a row's settings name."""
    # Reading a corpus is for this alone.
    from speechbrain_ext import corpora, protocols

    found = {}
    for key in ("protocol", "corpus", "data_folder"):
        found[key] = settings.scalars.get(key)
        if not isinstance(found[key], str):
            raise UserError(
                f"--folds all needs the plain keys protocol, corpus and "
                f"data_folder, and '{yaml.path}' has no '{key}' of that kind "
                "(or its data is made by each run); list the folds, such as "
                "--folds 1,2."
            )
    label_map = settings.options.get("label_map")
    known = fingerprint(found, label_map)
    if known not in counted:
        utterances, _ = corpora.read_corpus(
            found["corpus"], found["data_folder"]
        )
        counted[known] = protocols.num_folds(
            found["protocol"], utterances, label_map
        )
    return list(range(1, counted[known] + 1))


def _record(recipe, yaml, settings, where):
    record = {
        "recipe": Path(recipe).resolve().parent.name,
        "yaml": yaml.path.name,
        **where,
        "options": settings.options,
        "run_options": settings.run_options,
    }
    return {**record, "fingerprint": fingerprint(record)}


def _changes(old, new):
    """What differs between two records, for a sentence."""
    changes = []
    for part in ("recipe", "yaml", "seed", "fold"):
        if old.get(part) != new.get(part):
            changes.append(_change(part, old.get(part), new.get(part)))
    for part in ("options", "run_options"):
        before, after = old.get(part) or {}, new.get(part) or {}
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                changes.append(_change(key, before.get(key), after.get(key)))
    shown = changes[:3]
    if len(changes) > len(shown):
        shown.append(f"{len(changes) - len(shown)} more")
    return shown or [f"{RECORD} was edited"]


def _change(key, before, after):
    if isinstance(before, dict | list) or isinstance(after, dict | list):
        return key
    return f"{key}: then {before!r}, now {after!r}"
