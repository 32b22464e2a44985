"""Grids, rows and overrides."""

import pytest
from ruamel.yaml import YAML

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.experiment.plan import (
    combine,
    nest,
    parse_grid,
    parse_overrides,
    parse_row,
)


def test_a_grid_is_a_product():
    grids = [parse_grid("a=1,2"), parse_grid("b=x,y,z")]
    rows = combine([], grids)
    assert [row[2] for row in rows] == [
        {"a": a, "b": b} for a in "12" for b in "xyz"
    ]
    assert rows[1][:2] == ("a=1, b=y", "a-1__b-y")


def test_rows_and_grids_combine():
    rows = combine(
        [parse_row("Dense, mean: head=dense k=2"), parse_row("plain:")],
        [parse_grid("a=1,2")],
    )
    assert [name for name, _, _ in rows] == [
        "Dense, mean, a=1",
        "Dense, mean, a=2",
        "plain, a=1",
        "plain, a=2",
    ]
    assert rows[0][1] == "Dense-mean__a-1"
    assert rows[0][2] == {"head": "dense", "k": "2", "a": "1"}
    assert combine([], []) == [("", "", {})]


def test_references_are_named_by_what_they_refer_to():
    grid = parse_grid("head=!ref <dense_head>,!ref <lstm_head>")
    name, slug, options = combine([], [grid])[1]
    assert (name, slug) == ("head=lstm_head", "head-lstm_head")
    assert options == {"head": "!ref <lstm_head>"}


def test_rows_that_would_share_a_folder():
    with pytest.raises(UserError, match="share the folder 'source-a-b'"):
        combine([], [parse_grid("source=a/b,a:b")])


def test_a_key_in_two_places():
    with pytest.raises(UserError, match="'a' is in --grid and once more"):
        combine([parse_row("x: a=1")], [parse_grid("a=1,2")])


@pytest.mark.parametrize(
    "text", ["a", "a=", "=1", "a=1,,2", "a=1,1", "a b=1", "a=b=c"]
)
def test_bad_grids(text):
    with pytest.raises(UserError, match="--grid"):
        parse_grid(text)


@pytest.mark.parametrize(
    "text", ["a=1", ": a=1", "x: 'a=1", "x: a", "x: a=1 a=2"]
)
def test_bad_rows(text):
    with pytest.raises(UserError, match="--row"):
        parse_row(text)


def test_bad_overrides():
    for words in (["a=1"], ["--"], ["--a=1", "--a=2"], ["--a=b=c"]):
        with pytest.raises(UserError):
            parse_overrides(words)


def test_dotted_keys_become_a_mapping():
    nested = nest({"a.b": "[1, 2]", "a.c.d": "text", "e": "1"})
    assert YAML(typ="safe").load(nested["a"]) == {
        "b": [1, 2],
        "c": {"d": "text"},
    }
    for both in ({"a": "1", "a.b": "2"}, {"a.b": "2", "a": "1"}):
        with pytest.raises(UserError, match="both given"):
            nest(both)
