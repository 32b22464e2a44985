"""What tests of pictures share: figures as they are when they are saved."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def figures(monkeypatch):
    """The figures that were saved, still open."""
    saved, save = [], Figure.savefig

    def keep(figure, *args, **options):
        save(figure, *args, **options)
        saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


@pytest.fixture
def png(tmp_path):
    """A picture that is not there yet."""
    return tmp_path / "a.png"


def texts(artists):
    """What artists say."""
    return [text.get_text() for text in artists]
