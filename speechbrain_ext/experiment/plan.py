"""Which runs there are, where each goes, and whether it is finished."""

import itertools
import re
import shlex
import shutil
import sys
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.files import fingerprint
from speechbrain_ext.base.options import RECORD, RESULTS, Settings, assignment
from speechbrain_ext.base.values import check_value

_REFERENCE = re.compile(r"^!(?:ref|copy)\s+<(.+)>$")


@dataclass(frozen=True, eq=False)
class Run:
    """One training with its test."""

    name: str
    folder: Path
    command: tuple
    settings: Settings
    record: dict
    seed: int | None
    fold: int | None

    def finished(self):
        """Whether there is nothing left to do; raise if it is another run."""
        done = self.settings.is_finished(self.folder, self.record)
        if done and not (self.folder / RECORD).exists():
            raise UserError(
                f"'{self.folder}' has a {RESULTS} but no {RECORD}; delete the "
                "folder or choose another --output_folder."
            )
        return done


# One row of the table.
Row = namedtuple("Row", "name settings runs")


def parse_overrides(words):
    """Options that are passed on to the recipe, from the command line."""
    for word in words:
        if not word.startswith("--") or word == "--":
            raise expected("override", "--key=value", word)
    pairs = (assignment(w[2:], w) if "=" in w else (w[2:], None) for w in words)
    return _by_key(pairs, "command line")


def parse_grid(text):
    """Key and values of one ``--grid``."""
    key, value = assignment(text, f"--grid '{text}'")
    values = _split(value)
    if "" in values or len(set(values)) < len(values):
        raise expected("--grid", "different values, key=a,b", text)
    return key, values


def parse_row(text):
    """Name and options of one ``--row``."""
    where = f"--row '{text}'"
    name, colon, rest = text.partition(":")
    try:
        words = shlex.split(rest)
    except ValueError:
        colon = ""
    if not name.strip() or not colon:
        raise UserError(f"{where}: write it as 'name: key=a key2=b'.")
    pairs = (assignment(word, f"{where}, '{word}'") for word in words)
    return name.strip(), _by_key(pairs, where)


def _by_key(pairs, where):
    options = {}
    for key, value in pairs:
        if key in options:
            raise UserError(f"{where}: '{key}' is given twice; give it once.")
        options[key] = value
    return options


def combine(named, grids):
    """Title, folder and options of every named row with every grid point."""
    keys = [key for key, _ in grids]
    if "output_folder" in keys or any("output_folder" in x for _, x in named):
        raise UserError(
            "--grid, --row: every run has an output_folder of its own; give "
            "--output_folder once, for all."
        )
    for key in keys:
        if keys.count(key) > 1 or any(key in row for _, row in named):
            raise UserError(
                f"'{key}' is in --grid and once more in --grid or --row; "
                "give it in one place."
            )
    rows, slugs = [], {}
    for name, options in named or [("", {})]:
        for values in itertools.product(*(values for _, values in grids)):
            # A reference to another part of the YAML goes by that part's name.
            shown = [_REFERENCE.sub(r"\1", value) for value in values]
            parts = [name] if name else []
            parts += map("{}={}".format, keys, shown)
            title, slug = ", ".join(parts), "__".join(map(_slug, parts))
            if slug in slugs:
                raise UserError(
                    f"The rows '{slugs[slug]}' and '{title}' would share the "
                    f"folder '{slug}'; give them names: --row 'name: key=a'."
                )
            slugs[slug] = title
            rows.append((title, slug, options | dict(zip(keys, values))))
    return rows


def make_plan(recipe, yaml, root, rows, passed, seeds, folds, launcher=None):
    """All runs of an experiment, by row of the table."""
    if not Path(recipe).is_file():
        raise UserError(f"'{recipe}' does not exist; give a train.py.")
    if any(sign in str(root) for sign in ("=", " #", ": ")):
        what = "a path without '=', ' #' and ': '"
        raise expected("--output_folder", what, str(root))
    try:
        words = [sys.executable] if launcher is None else shlex.split(launcher)
    except ValueError:
        words = []
    if not words or shutil.which(words[0]) is None:
        raise expected("--launcher", "a program in PATH or its path", launcher)
    start = [*words, str(recipe), str(yaml.path)]
    levels = _levels(yaml, passed, rows, {"seed": seeds, "fold": folds})
    counted, plan = {}, []
    for title, slug, own in rows:
        options = {**passed, **own}
        # One resolution serves all runs of a row.
        inner = dict.fromkeys(levels, "1")
        if "output_folder" in yaml:
            inner["output_folder"] = "_"
        given = yaml.split({**options, **inner})
        settings = yaml.settings(*given)
        values = dict(levels)
        if values.get("fold") == "all":
            values["fold"] = _all_folds(settings, yaml, given[0], counted)
        name, runs = title or yaml.path.stem, []
        for point in itertools.product(*values.values()):
            where = dict(zip(values, point))
            order = [x for x in ("fold", "seed") if x in where]
            folder = root.joinpath(slug, *(f"{x}_{where[x]}" for x in order))
            words = {**options, **where, "output_folder": folder}
            words["noprogressbar"] = None
            words = [
                f"--{key}" if value is None else f"--{key}={value}"
                for key, value in words.items()
            ]
            run = ", ".join([name, *(f"{x} {where[x]}" for x in order)])
            record = settings.record(recipe, **where)
            point = where.get("seed"), where.get("fold")
            runs.append(
                Run(run, folder, (*start, *words), settings, record, *point)
            )
        plan.append(Row(name, settings, tuple(runs)))
    return plan


def _levels(yaml, passed, rows, asked):
    """Values of seed and fold, by name; without those the YAML lacks."""
    levels = {}
    for name, values in asked.items():
        if any(name in own for _, _, own in rows):
            raise UserError(
                f"'{name}' does not go into --grid or --row; use --{name}s."
            )
        if values is not None and name not in yaml:
            lacks = f"'{yaml.path}' has no key '{name}'"
            raise UserError(f"--{name}s: {lacks}; leave the option out.")
        if values is not None and name in passed:
            raise UserError(f"--{name}s and --{name} exclude each other.")
        if name in yaml:
            own = str(passed.get(name, yaml.tree[name]))
            if values is None and not own.lstrip("-").isdecimal():
                where = f"'{yaml.path}', {name}"
                raise expected(where, "a whole number", own, f"add --{name}s")
            levels[name] = values or [int(own)]
            for value in levels[name] if values != "all" else ():
                check_value(name, value)
    return levels


def _all_folds(settings, yaml, given, counted):
    """Folds 1, 2 ... of the protocol that a row's settings name."""
    # Reading a corpus is for this alone.
    from speechbrain_ext import corpora, protocols

    # Of what makes no other run, settings hold what stands for it.
    folders = yaml.parse(yaml.resolve(given)).get("corpora")
    several = isinstance(folders, dict)
    names = ("protocol",) if several else ("protocol", "corpus", "data_folder")
    found = [settings.scalars.get(name) for name in names]
    for name, value in zip(names, found):
        if not isinstance(value, str):
            where = f"--folds all, '{yaml.path}', {name}"
            raise expected(where, "text", value, "list the folds, such as 1,2")
    protocol, *corpus = found
    folders = folders if several else dict([corpus])
    label_map = settings.options.get("label_map")
    known = fingerprint([protocol, folders], label_map)
    if known not in counted:
        if several:
            # An error if none has a folder.
            protocols.classes_of(protocol, folders, label_map)
        utterances = []
        for name, folder in folders.items():
            if folder is not None:
                utterances += corpora.read_corpus(name, folder)[0]
        counted[known] = protocols.num_folds(protocol, utterances, label_map)
    return list(range(1, counted[known] + 1))


def _split(text):
    """Split at the commas that are outside of brackets and quotes."""
    parts, depth = [""], 0
    for token in re.findall(r"\"[^\"]*\"|'[^']*'|.", text, re.DOTALL):
        depth += (token in "[{(") - (token in "]})")
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _slug(text):
    text = text.replace("=", "-", 1)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "row"
