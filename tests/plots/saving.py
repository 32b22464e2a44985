"""Figures as they are at the moment they are saved."""

from matplotlib.figure import Figure


def keep_figures(monkeypatch):
    """A list that grows by every figure that is saved from now on."""
    saved = []
    original = Figure.savefig

    def keep(figure, *args, **options):
        original(figure, *args, **options)
        saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved
