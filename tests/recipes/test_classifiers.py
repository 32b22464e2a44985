"""Classifiers on vectors: what is fitted, chosen, written and refused."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.values import CLASSIFIERS
from speechbrain_ext.experiment import command as experiments
from speechbrain_ext.recognition import fuse
from speechbrain_ext.utterance import load_manifest
from tests.recipes.results import check_results, read_table
from tests.recipes.running import (
    SHARMA,
    arguments,
    overriding,
    run_here,
    script,
)

NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(path.partition(".")[0]) is None,
            reason=f"{path.partition('.')[0]} is not installed",
        ),
    )
    for name, path in CLASSIFIERS.items()
]


@pytest.fixture(scope="module")
def module():
    return script(SHARMA, "classifiers")


@pytest.fixture(scope="module")
def options(tmp_path_factory, synthetic_folder):
    pytest.importorskip("librosa")
    return overriding(
        synthetic_folder=str(synthetic_folder),
        protocol="makiuchi_grouped",
        cache_folder=str(tmp_path_factory.mktemp("cache")),
        preprocessing=None,
        balancing=None,
    )


def blobs(classes, each=20, seed=0):
    """Points around one place a class, in four dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(classes, each)
    return rng.normal(size=(len(labels), 4)) + 3 * labels[:, None], labels


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_class_shifts_no_column(module, name):
    """Of six classes two were never seen."""
    x, labels = blobs([1, 2, 4, 5])
    present, y = np.unique(labels, return_inverse=True)
    classifier = module.make_classifier(name, seed=1)
    model, found = module.fit(classifier, None, (x, y, ["a"] * len(x)), True, 1)
    assert found is None
    rows = module.log_posteriors(model, x, present, 6)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1, atol=1e-5)
    assert (np.exp(rows[:, [0, 3]]) < 1e-6).all()
    assert balanced_accuracy_score(labels, rows.argmax(axis=1)) > 0.9
    # Another seed is given on, the same one gives the same.
    params = module.make_classifier(name, seed=7).get_params()
    assert params.get("random_state", 7) == 7
    again = module.make_classifier(name, seed=1)
    again, _ = module.fit(again, None, (x, y, None), True, 1)
    assert np.array_equal(rows, module.log_posteriors(again, x, present, 6))


def test_scaling_is_that_of_training_alone(module):
    x, y = blobs([0, 1])
    others = 100 + 50 * x
    model, _ = module.fit(
        module.make_classifier("knn", 1), None, (x, y, None), True, 1
    )
    scaler = StandardScaler().fit(x)
    expected = KNeighborsClassifier().fit(scaler.transform(x), y)
    expected = expected.predict_proba(scaler.transform(others))
    assert np.array_equal(model.predict_proba(others), expected)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 9), st.integers(0, 5))
def test_the_folds_of_the_search_keep_speakers_apart(count, seed):
    module = script(SHARMA, "classifiers")
    speakers = [f"s{n % count}" for n in range(60)]
    labels = [n // 10 % 3 for n in range(60)]
    folds = module.inner_folds(speakers, True, seed)
    assert folds.get_n_splits() == min(5, count)
    for train, test in folds.split(labels, labels, speakers):
        ours, others = ({speakers[n] for n in part} for part in (train, test))
        assert others and not ours & others
    mixed = module.inner_folds(speakers, False, seed)
    assert mixed.get_n_splits() == 5


def test_one_speaker_cannot_be_kept_apart(module):
    with pytest.raises(UserError, match="^grid: .* one speaker"):
        module.inner_folds(["a"] * 9, True, 1)


def test_the_search_finds_the_better_value(module):
    """A tree of one decision cannot tell four classes apart."""
    x, y = blobs([0, 1, 2, 3], each=25)
    data = x, y, [f"s{n % 6}" for n in range(100)]
    tree, grid = module.make_classifier("tree", 1), {"max_depth": [1, 5]}
    model, found = module.fit(tree, grid, data, True, 1)
    assert found["best"] == {"max_depth": 5} and found["inner_UA"] > 80
    assert model["classifier"].max_depth == 5
    # More than there are in any fold.
    knn, grid = module.make_classifier("knn", 1), {"n_neighbors": [90]}
    with pytest.raises(UserError, match="^grid: the search has failed"):
        module.fit(knn, grid, data, True, 1)


@pytest.mark.parametrize(
    "name, grid, sentence",
    [
        ("knn", {"neighbours": [1]}, "did you mean 'n_neighbors'.* metric, "),
        ("knn", {"n_neighbors": [3, 0]}, "n_neighbors: .* take 0 "),
        ("mlp", {"activation": ["relu", "step"]}, "activation: .* 'step'"),
        ("bayes", {"depth": [1]}, "no parameter 'depth'. It has priors, "),
    ],
)
def test_a_grid_is_looked_at_before_features(module, name, grid, sentence):
    with pytest.raises(UserError, match=f"^grid: .*{sentence}"):
        module.check_grid(module.make_classifier(name, 1), grid)
    module.check_grid(module.make_classifier("knn", 1), {"p": [1, 2]})


def test_without_its_package_a_sentence(module, monkeypatch):
    monkeypatch.setitem(CLASSIFIERS, "xgboost", "no_such_package.Trees")
    with pytest.raises(
        UserError, match=r"^classifier: 'xgboost' .*\[boosted\]"
    ):
        module.make_classifier("xgboost", 1)


def test_a_run_a_table_and_a_fusion(options, tmp_path, capsys):
    runs = []
    for name in ("knn", "tree"):
        place = tmp_path / f"classifier-{name}" / "fold_1" / "seed_1"
        given = options(tmp_path, classifier=name, output_folder=str(place))
        folder, results = run_here(SHARMA, "classical.yaml", given)
        runs.append(str(folder))
        check_results(folder, results)
        named = results["recipe"], results["hparams"], results["classifier"]
        assert named == ("speech_text_fusion", "classical.yaml", name)
        assert results["grid"] is None and results["encoder_source"]
        assert results["protocol"]["speakers_shared_with_train"]["test"] == 0
    shown = capsys.readouterr().out
    assert "classifier: tree" in shown and "recall" in shown
    assert run_here(SHARMA, "classical.yaml", given)[1] == results
    assert "This run is finished" in capsys.readouterr().out
    given = options(tmp_path, output_folder=str(tmp_path))
    train, yaml, *words = (
        SHARMA / "train.py",
        *arguments(SHARMA, "classical.yaml", given),
    )
    words += ["--grid", "classifier=knn,tree", "--table-only"]
    experiments.main([str(train), yaml, *words])
    table = capsys.readouterr().out
    assert "knn" in table and "tree" in table
    # The paper's figures stand beside ours.
    assert "56.7 (Table 6, KNeighborsClassifier)" in table
    fused = tmp_path / "fused"
    fuse.main([*runs, "--output", str(fused)])
    assert len(read_table(fused / "predictions.csv")) == len(
        load_manifest(folder / "manifests" / "test.json")
    )


def test_a_grid_search_is_written_down(options, tmp_path, capsys):
    given = options(tmp_path, grid={"n_neighbors": [1, 5]})
    _, results = run_here(SHARMA, "classical.yaml", given)
    assert results["grid"]["best"]["n_neighbors"] in (1, 5)
    assert 0 < results["grid"]["inner_UA"] < 100
    assert "Grid search: n_neighbors=" in capsys.readouterr().out


def test_features_are_needed_in_a_folder(options, tmp_path, capsys):
    given = options(tmp_path, feature_folder="null")
    with pytest.raises(SystemExit):
        run_here(SHARMA, "classical.yaml", given)
    assert "error: feature_folder: " in capsys.readouterr().err
    assert not (tmp_path / "run" / "manifests").exists()
