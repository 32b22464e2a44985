"""The entry points of the project, by the names that the tables use."""

import functools
import runpy
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.experiment import command as experiments
from speechbrain_ext.inference import command
from speechbrain_ext.training.run import read_command_line
from tests.inputs import runs
from tests.inputs.recordings import MAKERS

# Contents of YAMLs by name.
YAMLS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "Latin-1": "output_folder: Fälle\n".encode("latin-1"),
    "a list": b"[1, 2]\n",
    "a word": b"word\n",
    "a tab": b"a:\n\t- b\n",
    "3000 deep": b"a: " + b"[" * 3000 + b"]" * 3000,
    "itself": b"output_folder: &a [*a]\n",
    "reference to itself": b"output_folder: !ref <output_folder>\n",
    "references in a circle": (
        b"output_folder: !ref <b>\nb: !ref <output_folder>\n"
    ),
    "reference to nothing": b"output_folder: !ref <nothing>/a\n",
    "missing class in a module": b"x: !new:torch.nn.NoSuch\n",
    "wrong argument": b"x: !new:torch.nn.Linear\n    in_sizes: 3\n",
    "missing class": b"x: !new:no.such.Class\n",
    "key twice": b"output_folder: a\noutput_folder: b\n",
    "two documents": b"output_folder: a\n---\noutput_folder: b\n",
    "no output_folder": b"seed: 1\n",
    "unclosed": b"output_folder: {a: 1\n",
    "byte order mark": b"\xef\xbb\xbfoutput_folder: a\n",
    "UTF-16": "output_folder: a\n".encode("utf-16"),
    "null byte": b"output_folder: a\0b\n",
    "unknown tag": b"x: !what 1\n",
    "include of nothing": b"output_folder: a\nx: !include:nothing.yaml\n",
    "python object": (
        b"output_folder: a\nx: !!python/object/apply:os.getcwd []\n"
    ),
}
RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass
class Place:
    """Where a row of the tables is tried."""

    folder: Path
    # Folders of small models.
    models: dict
    # A fixture by its name, made only where it is needed.
    fixture: Callable

    def words(self, text):
        """Words of a command line; {here} is the folder."""
        return shlex.split(text.replace("{here}", str(self.folder)))


def options(given, place):
    """RECIPE YAML OPTION...: the options of a run."""
    recipe, yaml, *words = place.words(given)
    recipe = RECIPES / recipe
    yaml = recipe / "hparams" / yaml
    train = recipe / "train.py"
    needed = _recipe(train)["OPTIONS"]
    exits_cleanly(read_command_line)([str(yaml), *words], train, needed)


def recipe(given, place):
    """RECIPE YAML OPTION...: a run, which ends before it trains."""
    folder, yaml, *words = place.words(given)
    if yaml in YAMLS:
        path = place.folder / "x.yaml"
        shipped = RECIPES / folder / "hparams" / "quickstart.yaml"
        path.write_bytes(shipped.read_bytes() + YAMLS[yaml])
    else:
        path = RECIPES / folder / "hparams" / yaml
    main = _recipe(RECIPES / folder / "train.py")["main"]
    main([str(path), *words, f"--output_folder={place.folder / 'run'}"])


def before_data(given, place):
    """RECIPE YAML OPTION...: a run, which ends before any data is made."""
    try:
        recipe(given, place)
    finally:
        made = {path.name for path in place.folder.glob("run/*/")}
        # Where checkpoints would go.
        assert made <= {"save"}


@functools.cache
def _recipe(path):
    sys.path.insert(0, str(path.parent))
    try:
        return runpy.run_path(str(path))
    finally:
        sys.path.remove(str(path.parent))


def yaml_file(given, place):
    """NAME: the options of a run whose YAML has odd contents."""
    path = place.folder / "x.yaml"
    path.write_bytes(YAMLS[given])
    recipe = RECIPES / "emotion_diarization" / "train.py"
    exits_cleanly(read_command_line)([str(path)], recipe)


def experiment(given, place):
    """RECIPE YAML OPTION...: a plan of runs; none is started."""
    recipe, yaml, *words = place.words(given)
    recipe = RECIPES / recipe
    yaml = recipe / "hparams" / yaml
    words = [str(recipe / "train.py"), str(yaml), *words, "--table-only"]
    experiments.main([*words, f"--output_folder={place.folder / 'runs'}"])


def _judge(name, model, given, place):
    """FILE... OPTION...: what a command makes of recordings."""
    words = place.words(given)
    for word in words:
        if word in MAKERS:
            MAKERS[word](place.folder / word)
    model = str(place.models[model])
    command.main([name, model, "--device=cpu", "--", *words])


ENTRIES = {
    "options": options,
    "yaml": yaml_file,
    "recipe": recipe,
    "before data": before_data,
    "experiment": experiment,
    "recognize": functools.partial(_judge, "recognize", "recognizer"),
    "diarize": functools.partial(_judge, "diarize", "diarizer"),
    "goes on": runs.goes_on,
    "disturbed": runs.disturbed,
    "trains": runs.trains,
    "features": runs.features,
    "cache": runs.cache,
    "finished": runs.finished,
    "table": runs.table,
    "average": runs.averaged,
}
