"""What the tests of the runner share."""

import pytest

from tests.experiment.recipe import TRAIN, YAML


@pytest.fixture
def recipe(tmp_path):
    """Paths of the recipe and of its YAML."""
    train = tmp_path / "recipes" / "small" / "train.py"
    yaml = train.parent / "hparams" / "small.yaml"
    yaml.parent.mkdir(parents=True)
    train.write_text(TRAIN)
    yaml.write_text(YAML)
    return train, yaml
