"""Which runs there are, and which are finished."""

import json

import pytest

from speechbrain_ext import corpora, protocols
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.options import RecipeYaml
from speechbrain_ext.experiment.plan import combine, make_plan

PASSED = {"data_folder": "/data"}


def plan(recipe, folder, rows=(), passed=PASSED, seeds=None, folds=None):
    return make_plan(
        recipe[0],
        RecipeYaml(recipe[1]),
        folder,
        rows or combine([], []),
        passed,
        seeds,
        folds,
    )


def test_every_run_has_its_folder(recipe, tmp_path):
    rows = combine([], [("quality", ["0.5", "0.9"])])
    found = plan(recipe, tmp_path, rows, seeds=[1, 4], folds=[2, 3])
    assert [row.name for row in found] == ["quality=0.5", "quality=0.9"]
    assert [
        run.folder.relative_to(tmp_path).as_posix() for run in found[0].runs
    ] == [
        f"quality-0.5/fold_{fold}/seed_{seed}"
        for seed in (1, 4)
        for fold in (2, 3)
    ]
    command = found[1].runs[3].command
    assert command[1:3] == (str(recipe[0]), str(recipe[1]))
    assert set(command[3:]) == {
        "--data_folder=/data",
        "--quality=0.9",
        "--seed=4",
        "--fold=3",
        f"--output_folder={found[1].runs[3].folder}",
        "--noprogressbar",
    }


def test_the_yamls_own_seed_and_fold(recipe, tmp_path):
    passed = {**PASSED, "seed": "7"}
    (run,) = plan(recipe, tmp_path, passed=passed)[0].runs
    assert run.folder == tmp_path / "fold_1" / "seed_7"


def test_a_yaml_without_folds(recipe, tmp_path):
    recipe[1].write_text("seed: 2\noutput_folder: a\n")
    (run,) = plan(recipe, tmp_path, passed={})[0].runs
    assert run.folder == tmp_path / "seed_2"
    assert not any("fold=" in word.lstrip("-")[:5] for word in run.command)
    with pytest.raises(UserError, match="--folds: .* has no key 'fold'"):
        plan(recipe, tmp_path, passed={}, folds=[1])


def test_all_folds_are_those_of_the_protocol(recipe, tmp_path, monkeypatch):
    asked = []

    def num_folds(protocol, utterances, label_map):
        asked.append((protocol, utterances, label_map))
        return {"five": 5, "three": 3}[protocol]

    monkeypatch.setattr(protocols, "num_folds", num_folds)
    monkeypatch.setattr(
        corpora, "read_corpus", lambda name, folder: ([name, folder], [])
    )
    rows = combine([], [("protocol", ["five", "three"]), ("quality", "12")])
    text = recipe[1].read_text()
    recipe[1].write_text(
        text.replace("label_map: null", "label_map: {calm: neutral}")
    )
    found = plan(recipe, tmp_path, rows, folds="all")
    assert [len(row.runs) for row in found] == [5, 5, 3, 3]
    assert [run.fold for run in found[3].runs] == [1, 2, 3]
    # The corpus is read once for each protocol.
    utterances = ["ravdess", "/data"]
    labels = {"calm": "neutral"}
    assert asked == [
        ("five", utterances, labels),
        ("three", utterances, labels),
    ]


def test_all_folds_need_a_protocol(recipe, tmp_path):
    recipe[1].write_text("seed: 2\nfold: 1\ncorpus: ravdess\n")
    with pytest.raises(UserError, match="has no 'protocol'"):
        plan(recipe, tmp_path, passed={}, folds="all")


def test_settings_are_plain(recipe, tmp_path):
    passed = {**PASSED, "nested.b": "5", "head": "!ref <lstm_head>"}
    settings = plan(recipe, tmp_path, passed=passed)[0].settings
    assert settings.scalars["nested.a"] == 1
    assert settings.scalars["nested.b"] == 5
    assert settings.scalars["head"] == "lstm_head"
    assert settings.scalars["lstm_head.size"] == 0.5
    assert "save_folder" not in settings.scalars
    assert settings.options["head"] == {
        "!new:collections.OrderedDict": {"size": 0.5}
    }
    json.dumps(settings.options)


def test_what_the_yaml_leaves_open(recipe, tmp_path):
    with pytest.raises(UserError, match="add --data_folder=..."):
        plan(recipe, tmp_path, passed={})


def test_unknown_options(recipe, tmp_path):
    with pytest.raises(UserError, match="did you mean 'quality'"):
        plan(recipe, tmp_path, passed={**PASSED, "qualty": "1"})
    found = plan(recipe, tmp_path, passed={**PASSED, "precision": "bf16"})
    assert "--precision=bf16" in found[0].runs[0].command
    assert found[0].settings.run_options == {"precision": "bf16"}


def test_seeds_belong_into_no_grid(recipe, tmp_path):
    rows = combine([], [("seed", ["1", "2"])])
    with pytest.raises(UserError, match="use --seeds"):
        plan(recipe, tmp_path, rows)
    with pytest.raises(UserError, match="exclude each other"):
        plan(recipe, tmp_path, passed={**PASSED, "seed": "1"}, seeds=[1])


def test_a_finished_run_with_other_options(recipe, tmp_path):
    run = plan(recipe, tmp_path)[0].runs[0]
    assert not run.finished()
    run.start()
    assert not run.finished()
    (run.folder / "results.json").write_text("{}")
    assert run.finished()
    # Where it happens changes nothing, what happens does.
    same = plan(recipe, tmp_path, passed={**PASSED, "device": "cpu"})
    assert same[0].runs[0].finished()
    other = plan(recipe, tmp_path, passed={**PASSED, "quality": "0.9"})
    with pytest.raises(UserError, match=r"\(quality was 0.5, now 0.9\)"):
        other[0].runs[0].finished()
    recipe[1].rename(recipe[1].with_name("other.yaml"))
    renamed = plan((recipe[0], recipe[1].with_name("other.yaml")), tmp_path)
    with pytest.raises(UserError, match="yaml was small.yaml, now other"):
        renamed[0].runs[0].finished()


def test_a_comment_is_no_change(recipe, tmp_path):
    run = plan(recipe, tmp_path)[0].runs[0]
    run.start()
    recipe[1].write_text("# About it\n" + recipe[1].read_text())
    assert not plan(recipe, tmp_path)[0].runs[0].finished()


def test_results_of_unknown_origin(recipe, tmp_path):
    run = plan(recipe, tmp_path)[0].runs[0]
    run.folder.mkdir(parents=True)
    (run.folder / "results.json").write_text("{}")
    with pytest.raises(UserError, match="no options.json"):
        run.finished()


def test_the_folder_of_the_yaml(recipe):
    assert RecipeYaml(recipe[1]).folder() == "results/small"
    recipe[1].write_text("output_folder: !ref <root>/a\n")
    assert RecipeYaml(recipe[1]).folder() == "results/small"


def test_wrong_files(recipe, tmp_path):
    with pytest.raises(UserError, match="no.yaml' does not exist"):
        RecipeYaml(tmp_path / "no.yaml")
    with pytest.raises(UserError, match="train2.py' does not exist"):
        plan((tmp_path / "train2.py", recipe[1]), tmp_path)
    recipe[1].write_text("a: [1")
    with pytest.raises(UserError, match="is not valid YAML"):
        RecipeYaml(recipe[1])
