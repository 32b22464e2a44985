"""What options take: every value is taken or refused, and none is forgotten."""

import inspect
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_ext.base import values
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.options import RecipeYaml, _leaves, _named, _tag
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.models.heads import HEADS
from speechbrain_ext.models.inputs import LAYERS
from speechbrain_ext.models.normalization import NORMALIZERS
from speechbrain_ext.simulation import simulate
from speechbrain_ext.training.augmentation import make_augmenter
from speechbrain_ext.training.preparation import prepare

YAMLS = sorted((Path(__file__).parents[2] / "recipes").glob("*/hparams/*.yaml"))
# Of single classes, which check them themselves.
UNDECLARED = (
    "opt_class encoder_opt_class epoch_counter head encoder_dim "
    "encoder_layers postprocessing_grid egemaps_encoder egemaps_dim "
    "egemaps_normalizer text_dim speech_layers speaker_dim num_phones"
).split()
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(ANYTHING)
def test_any_value_is_taken_or_refused(value):
    for option, kind in values.OPTIONS.items():
        if kind.takes(value):
            values.check_value(option, value)
        else:
            with pytest.raises(UserError, match="expected"):
                values.check_value(option, value)


@given(st.floats(), st.floats(), st.floats())
def test_bounds(low, high, value):
    kind = values.number(low, high)
    assert kind.takes(value) == (math.isfinite(value) and low <= value <= high)
    kind = values.number(above=low, below=high)
    assert kind.takes(value) == (math.isfinite(value) and low < value < high)
    assert not kind.takes(True)


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_every_option_of_the_recipes_is_declared(path):
    tree = RecipeYaml(path).tree
    declared = {
        where
        for option, kind in values.OPTIONS.items()
        for where, _ in _named(tree, option.split("."))
        if kind is not values.MAPPING
    }
    for where, leaf in _leaves(tree):
        if not _tag(leaf) and where[0] not in UNDECLARED:
            parts = (where[:end] for end in range(1, len(where) + 1))
            assert declared.intersection(parts), where


def test_words_and_keys_are_those_of_the_code():
    for option, known in [
        ("head_kind", HEADS),
        ("layers", LAYERS),
        ("normalization", NORMALIZERS),
    ]:
        words = values.OPTIONS[option].what.removeprefix("one of ")
        assert set(words.split(", ")) == set(known)
    ours = {"folder", "max_samples", "progress", "reads", "lacks", "device"}
    for option, function, more in [
        ("preparation", prepare, ours),
        ("postprocessing", PostProcessing, set()),
        ("augmentation", make_augmenter, {"cache_folder"}),
        ("simulation.*", simulate, {"recordings", "seed", "epoch"}),
    ]:
        names = set(inspect.signature(function).parameters) - more
        for name in names:
            values.check_keys(option, {name: None})
        with pytest.raises(UserError, match="no option 'nothing'"):
            values.check_keys(option, {"nothing": 1})
