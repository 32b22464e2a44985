"""What the tests of the runner share."""

import pytest

from tests.experiment.recipe import make_recipe


@pytest.fixture
def recipe(tmp_path):
    """Paths of the recipe and of its YAML."""
    return make_recipe(tmp_path / "recipes" / "small")
