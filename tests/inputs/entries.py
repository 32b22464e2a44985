"""The entry points of the project, by the names that the tables use."""

import functools
import shlex
from dataclasses import dataclass
from pathlib import Path

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.inference import command
from speechbrain_ext.training.run import read_command_line
from tests.inputs.recordings import MAKERS

RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass
class Place:
    """Where a row of the tables is tried."""

    folder: Path
    # Folders of small models.
    models: dict

    def words(self, text):
        """Words of a command line; {here} is the folder."""
        return shlex.split(text.replace("{here}", str(self.folder)))


def options(given, place):
    """RECIPE YAML OPTION...: the options of a run."""
    recipe, yaml, *words = place.words(given)
    recipe = RECIPES / recipe
    yaml = recipe / "hparams" / yaml
    exits_cleanly(read_command_line)([str(yaml), *words], recipe / "train.py")


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
    "recognize": functools.partial(_judge, "recognize", "recognizer"),
    "diarize": functools.partial(_judge, "diarize", "diarizer"),
}
