"""The entry points of the project, by the names that the tables use."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.training.run import read_command_line

RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass
class Place:
    """Where a row of the tables is tried."""

    folder: Path
    # What was there before.
    given: list = field(default_factory=list)

    def words(self, text):
        """Words of a command line; {here} is the folder."""
        return shlex.split(text.replace("{here}", str(self.folder)))


def options(given, place):
    """RECIPE YAML OPTION...: the options of a run."""
    recipe, yaml, *words = place.words(given)
    recipe = RECIPES / recipe
    yaml = recipe / "hparams" / yaml
    exits_cleanly(read_command_line)([str(yaml), *words], recipe / "train.py")


ENTRIES = {
    "options": options,
}
