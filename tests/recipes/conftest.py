"""Small corpora, encoders and settings that the recipes' tests share."""

import pytest

from tests.checkpoints import make_ssl_checkpoint
from tests.plots.conftest import figures  # noqa: F401
from tests.recipes.running import iemocap_tree, ravdess_tree, unchanged


@pytest.fixture(scope="session")
def short_ravdess(tmp_path_factory, synthetic_folder):
    """192 short recordings with RAVDESS's names."""
    folder = tmp_path_factory.mktemp("short") / "ravdess"
    yield from unchanged(ravdess_tree(folder, synthetic_folder, short=True))


@pytest.fixture(scope="session")
def short_iemocap(tmp_path_factory, synthetic_folder):
    """100 short turns in IEMOCAP's layout."""
    folder = tmp_path_factory.mktemp("short") / "IEMOCAP_full_release"
    yield from unchanged(iemocap_tree(folder, synthetic_folder))


@pytest.fixture(scope="session")
def wav2vec2(tmp_path_factory):
    """A small wav2vec 2.0 checkpoint in the layout of the base model."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    return make_ssl_checkpoint(folder, kind="wav2vec2", size="base")
