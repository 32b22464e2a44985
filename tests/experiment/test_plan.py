"""Rows, grids and overrides; which runs there are, and which are finished."""

import json

import pytest

from speechbrain_ext import corpora, protocols
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import write_json
from speechbrain_ext.base.options import RecipeYaml
from speechbrain_ext.experiment.plan import (
    combine,
    make_plan,
    parse_grid,
    parse_overrides,
    parse_row,
)

PASSED = {"data_folder": "/data"}


def plan(recipe, folder, rows=(), passed=PASSED, seeds=None, folds=None):
    yaml, rows = RecipeYaml(recipe[1]), rows or combine([], [])
    return make_plan(recipe[0], yaml, folder, rows, passed, seeds, folds)


@pytest.fixture
def one(recipe, tmp_path):
    """The only run of a plan with these options besides those it needs."""

    def make(**options):
        return plan(recipe, tmp_path, passed=PASSED | options)[0].runs[0]

    return make


def test_a_grid_is_a_product():
    rows = combine([], [parse_grid("a=1,2"), parse_grid("b=x,y,z")])
    assert [row[2] for row in rows] == [
        {"a": a, "b": b} for a in "12" for b in "xyz"
    ]
    assert rows[1][:2] == ("a=1, b=y", "a-1__b-y")
    assert combine([], []) == [("", "", {})]
    # References are named by what they refer to.
    grid = parse_grid("head=!ref <dense_head>,!ref <lstm_head>")
    names = "head=lstm_head", "head-lstm_head"
    assert combine([], [grid])[1] == (*names, {"head": "!ref <lstm_head>"})


def test_rows_and_grids_combine():
    named = [parse_row("Dense, mean: head=dense k=2"), parse_row("plain:")]
    rows = combine(named, [parse_grid("a=1,2")])
    names = ["Dense, mean, a=1", "Dense, mean, a=2", "plain, a=1", "plain, a=2"]
    assert [name for name, _, _ in rows] == names
    options = {"head": "dense", "k": "2", "a": "1"}
    assert rows[0][1:] == ("Dense-mean__a-1", options)
    grid = parse_grid("""x=[1,2],{a: [3,4], b: 5},"a,b",'c[,'""")
    values = ["[1,2]", "{a: [3,4], b: 5}", '"a,b"', "'c[,'"]
    assert grid == ("x", values)


@pytest.mark.parametrize(
    "parse, texts, sentence",
    [
        (parse_grid, "a|a=|=1|a=1,,2|a=1,1|a b=1|a=b=c", "--grid"),
        (parse_row, "a=1|: a=1|x: 'a=1|x: a|x: a=1 a=2", "--row"),
        (parse_overrides, "a=1|--", "expected --key=value, got"),
        (parse_overrides, "--a=1 --a=2", "given twice"),
        (parse_overrides, "--a=b=c", "no '=' inside of a value"),
    ],
)
def test_invalid_words(parse, texts, sentence):
    for text in texts.split("|"):
        with pytest.raises(UserError, match=sentence):
            parse(text.split() if parse is parse_overrides else text)


def test_rows_that_would_share_a_folder():
    with pytest.raises(UserError, match="share the folder 'source-a-b'"):
        combine([], [parse_grid("source=a/b,a:b")])
    with pytest.raises(UserError, match="'a' is in --grid and once more"):
        combine([parse_row("x: a=1")], [parse_grid("a=1,2")])


def test_every_run_has_its_folder(recipe, tmp_path):
    rows = combine([], [("quality", ["0.5", "0.9"])])
    passed = {**PASSED, "precision": "bf16"}
    found = plan(recipe, tmp_path, rows, passed, seeds=[1, 4], folds=[2, 3])
    assert [row.name for row in found] == ["quality=0.5", "quality=0.9"]
    assert [run.folder for run in found[0].runs] == [
        tmp_path / "quality-0.5" / f"fold_{fold}" / f"seed_{seed}"
        for seed in (1, 4)
        for fold in (2, 3)
    ]
    run = found[1].runs[3]
    assert run.command[1:3] == (str(recipe[0]), str(recipe[1]))
    words = "--data_folder=/data --quality=0.9 --seed=4 --fold=3"
    words += f" --output_folder={run.folder} --noprogressbar --precision=bf16"
    assert set(run.command[3:]) == set(words.split())


def test_the_yamls_own_seed_and_fold(recipe, tmp_path, one):
    assert one(seed="7").folder == tmp_path / "fold_1" / "seed_7"
    recipe[1].write_text("seed: 2\noutput_folder: a\n")
    (run,) = plan(recipe, tmp_path, passed={})[0].runs
    assert run.folder == tmp_path / "seed_2"
    assert not any("fold=" in word.lstrip("-")[:5] for word in run.command)
    with pytest.raises(UserError, match="--folds: .* has no key 'fold'"):
        plan(recipe, tmp_path, passed={}, folds=[1])


def test_all_folds_are_those_of_the_protocol(recipe, tmp_path, monkeypatch):
    asked = []

    def num_folds(protocol, *data):
        asked.append((protocol, *data))
        return {"five": 5, "three": 3}[protocol]

    monkeypatch.setattr(protocols, "num_folds", num_folds)
    monkeypatch.setattr(corpora, "read_corpus", lambda *names: (names, []))
    rows = combine([], [("protocol", ["five", "three"]), ("quality", "12")])
    passed = {**PASSED, "label_map": "{calm: neutral}"}
    found = plan(recipe, tmp_path, rows, passed, folds="all")
    assert [len(row.runs) for row in found] == [5, 5, 3, 3]
    assert [run.fold for run in found[3].runs] == [1, 2, 3]
    # The corpus is read once for each protocol.
    corpus = ["ravdess", "/data"], {"calm": "neutral"}
    assert asked == [("five", *corpus), ("three", *corpus)]
    recipe[1].write_text("seed: 2\nfold: 1\ncorpus: ravdess\n")
    with pytest.raises(UserError, match="protocol: expected text, got None"):
        plan(recipe, tmp_path, passed={}, folds="all")


def test_all_folds_of_several_corpora(recipe, tmp_path, monkeypatch):
    """Those of the corpora that have a folder; of others there is no fold."""
    monkeypatch.setattr(protocols, "num_folds", lambda name, data, _: len(data))
    monkeypatch.setattr(corpora, "read_corpus", lambda *names: (names, []))
    folders = "".join(
        f"{name}_folder: null\n" for name in ("savee", "tess", "ravdess")
    )
    recipe[1].write_text(
        f"seed: 2\nfold: 1\nprotocol: sharma\n{folders}corpora:\n"
        "    savee: !ref <savee_folder>\n    tess: !ref <tess_folder>\n"
        "    ravdess: !ref <ravdess_folder>\n"
    )
    passed = {"tess_folder": "/t", "ravdess_folder": "/r"}
    (row,) = plan(recipe, tmp_path, passed=passed, folds="all")
    assert [run.fold for run in row.runs] == [1, 2, 3, 4]
    with pytest.raises(UserError, match="no folder is given; give that of"):
        plan(recipe, tmp_path, passed={}, folds="all")


def test_settings_are_plain(one):
    settings = one(**{"nested.b": "5", "head": "!ref <lstm_head>"}).settings
    assert settings.scalars.items() >= {
        ("nested.a", 1),
        ("nested.b", 5),
        ("head", "lstm_head"),
        ("lstm_head.size", 0.5),
    }
    assert "save_folder" not in settings.scalars
    head = {"!new:collections.OrderedDict": {"size": 0.5}}
    assert settings.options["head"] == head
    json.dumps(settings.options)


@pytest.mark.parametrize(
    "options, rows, seeds, sentence",
    [
        ({"qualty": "1"}, (), None, "did you mean 'quality'"),
        ({}, [("", "", {"seed": "1"})], None, "use --seeds"),
        ({"seed": "1"}, (), [1], "exclude each other"),
        ({"seed": "one"}, (), None, "seed: expected a whole .* add --seeds"),
    ],
)
def test_invalid_options(recipe, tmp_path, options, rows, seeds, sentence):
    with pytest.raises(UserError, match=sentence):
        plan(recipe, tmp_path, rows, PASSED | options, seeds)


def test_a_finished_run_with_other_options(recipe, tmp_path, one):
    run = one()
    assert not run.finished()
    write_json(run.record, run.folder / "options.json")
    assert not run.finished()
    # Nothing is lost where nothing was trained.
    assert not one(quality="0.9").finished()
    (run.folder / "results.json").write_text("{}")
    same = {"device": "cpu", "feature_folder": "/else", "data_folder": "/data/"}
    assert one(**same).finished()
    with pytest.raises(UserError, match=r"\(quality was 0.5, now 0.9\)"):
        one(quality="0.9").finished()
    # A comment is no change, another file is.
    recipe[1].write_text("# About it\n" + recipe[1].read_text())
    assert one().finished()
    other = recipe[1].rename(recipe[1].with_name("other.yaml"))
    with pytest.raises(UserError, match="yaml was small.yaml, now other.yaml"):
        plan((recipe[0], other), tmp_path)[0].runs[0].finished()
    (run.folder / "options.json").write_text("[]")
    with pytest.raises(UserError, match="expected the record of a run, got"):
        run.finished()
    (run.folder / "options.json").unlink()
    with pytest.raises(UserError, match="no options.json"):
        run.finished()


def test_files(recipe, tmp_path):
    with pytest.raises(UserError, match="train2.py' does not exist"):
        plan((tmp_path / "train2.py", recipe[1]), tmp_path)
    assert RecipeYaml(recipe[1]).folder() == "results/small"
    recipe[1].write_text("output_folder: !ref <root>/a\n")
    assert RecipeYaml(recipe[1]).folder() == "results/small"
    for text, sentence in (
        ("a: [1", "not valid YAML"),
        ("- 1", "a mapping"),
        (None, "small.yaml' does not exist"),
    ):
        recipe[1].write_text(text) if text else recipe[1].unlink()
        with pytest.raises(UserError, match=sentence):
            RecipeYaml(recipe[1])
