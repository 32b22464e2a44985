"""published.yaml: its form, and which entry counts."""

import pytest

from speechbrain_ext.errors import UserError
from speechbrain_ext.experiment.published import (
    Figure,
    match,
    read_published,
)

FIGURES = [
    Figure(1, "any", "UA", 10.0, {"corpus": "ravdess"}),
    Figure(1, "all", "UA", 20.0, {"corpus": "ravdess", "layers": "all"}),
    Figure(1, "all", "WA", 21.0, {"corpus": "ravdess", "layers": "all"}),
    Figure(2, "frozen", "UA", 30.0, {"freeze": True, "lr": 1, "x": None}),
]


def values(scalars):
    return {k: figure.value for k, figure in match(FIGURES, scalars).items()}


def test_the_entry_with_the_most_keys_counts():
    assert values({"corpus": "ravdess", "layers": "local"}) == {"UA": 10.0}
    assert values({"corpus": "ravdess", "layers": "all"}) == {
        "UA": 20.0,
        "WA": 21.0,
    }
    assert values({"layers": "all"}) == {}


def test_values_are_compared_as_yaml_has_them():
    assert values({"freeze": True, "lr": 1.0, "x": None}) == {"UA": 30.0}
    assert values({"freeze": 1, "lr": 1, "x": None}) == {}
    assert values({"freeze": True, "lr": 1}) == {}


def test_two_entries_that_fit_equally_well():
    twice = [*FIGURES, Figure(3, "again", "UA", 9.0, {"corpus": "ravdess"})]
    with pytest.raises(UserError, match=r"'any' \(Table 1\) and 'again'"):
        match(twice, {"corpus": "ravdess"})
    # A better one settles it.
    both = {"corpus": "ravdess", "layers": "all"}
    assert match(twice, both)["UA"].value == 20


def test_reading(tmp_path):
    path = tmp_path / "published.yaml"
    assert read_published(path) == []
    path.write_text(
        "- table: 1\n  row: eGeMAPS\n  metric: UA\n  value: 57\n  sd: null\n"
        "  when: {layers: all, lr: 1e-5}\n"
        "- {table: figure 2, row: a, metric: UA, value: 1.5, sd: 0.4,\n"
        "   when: {}}\n"
    )
    first, second = read_published(path)
    assert first == Figure(
        1, "eGeMAPS", "UA", 57, {"layers": "all", "lr": 1e-5}
    )
    assert str(second) == "1.5 ± 0.4 (figure 2)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1", "must be a list"),
        ("- 5", "entry 1: it must be a mapping"),
        ("- [", "cannot be read as YAML"),
        (
            "- {table: 1, row: a, metric: UA, value: high, when: {}}",
            "entry 1: 'value' is 'high'; it must be a number",
        ),
        (
            "- {table: 1, row: a, metric: UA, value: true, when: {}}",
            "'value' is True",
        ),
        (
            "- {table: 1, row: a, metric: UA, value: 1, wen: {}, when: {}}",
            "there is no field 'wen'",
        ),
        (
            "- {table: 1, row: a, metric: UA, value: 1, when: {a: [1]}}",
            "'when' has 'a'",
        ),
        (
            "- {table: 1, row: a, metric: UA, value: 1, when: {}}\n"
            "- {table: 1, row: a, value: 1, when: {}}",
            "entry 2: 'metric' is missing",
        ),
    ],
)
def test_wrong_forms(tmp_path, text, sentence):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_published(path)
