"""A run begins with the options that it goes on with, or not at all."""

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.training.run import begin_run

ROOT = Path(__file__).parents[2]
RECIPE = """
seed: 1
output_folder: !ref results/<seed>
save_folder: !ref <output_folder>/save
data_folder: !PLACEHOLDER
feature_folder: !ref <output_folder>/features
number_of_epochs: 4
patience: 2
num_workers: 0
lr: 0.1
flag: True
max_grad_norm: 1.0
classes: [a, b]
label_map: null # the protocol's
plan: {train: {passes: 1}}
preparation: {data_folder: !ref <data_folder>, simulation: !ref <plan>, jobs: 2,
    label_map: !ref <label_map>, cache: !ref <output_folder>/cache.json}
counter: !name:builtins.dict {limit: !ref <number_of_epochs>}
adam: !name:builtins.dict {lr: !ref <lr>, beta: 0.9}
opt: 1
"""


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begin a run with these overrides; what is in its YAML."""
    # Logging to a file.
    monkeypatch.setattr("speechbrain.utils.logger.setup_logging", lambda *_: 0)
    monkeypatch.setattr("sys.excepthook", sys.excepthook)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)

    def call(options="", **more):
        needed = {"output_folder": tmp_path / "run", "data_folder": "d"} | more
        given = [f"--{key}={value}" for key, value in needed.items() if value]
        words = [str(path), *given, *shlex.split(options)]
        return begin_run(words, "table of {}".format)[1]

    return call


@pytest.fixture
def trained(begin, tmp_path):
    """A run that was killed after its first checkpoint."""
    begin()
    (tmp_path / "run" / "save" / "CKPT+1").mkdir(parents=True)
    return tmp_path / "run"


@pytest.fixture(params=["unfinished", "finished"])
def run(trained, request):
    if request.param == "finished":
        (trained / "results.json").write_text("{}")
    return trained


DICT, LIST = "!name:builtins.dict", "!name:builtins.list"


@pytest.mark.parametrize(
    "options, named",
    [
        ("--lr=0.5", "lr was 0.1, now 0.5"),
        ("--lr=0.5 --seed=9", "seed was 1, now 9; lr was 0.1, now 0.5"),
        ("--data_folder=e", "data_folder was d, now e"),
        ("--classes=[a]", "classes was ['a', 'b'], now ['a']"),
        ("--classes=[a,c]", "classes.1 was b, now c"),
        ("--flag=1", "flag was True, now 1"),
        ("--label_map='{a: b}'", "label_map was null, now {'a': 'b'}"),
        ("--precision=bf16", "precision was not there, now bf16"),
        ("--max_grad_norm=2", "max_grad_norm was 1.0, now 2.0"),
        ("--plan='{train: {passes: 3}}'", "plan.train.passes was 1, now 3"),
        ("--plan.train.passes=3", "plan.train.passes was 1, now 3"),
        ("--adam='{beta: 0.5}'", "adam.beta was 0.9, now 0.5"),
        (f"--adam='{LIST}'", f"adam was {DICT}, now {LIST}"),
    ],
)
def test_other_options_are_refused(options, named, run, begin):
    before = (run / "hyperparams.yaml").read_text()
    data = "" if "data_folder" in options else "d"
    with pytest.raises(UserError) as raised:
        begin(options, data_folder=data)
    assert f"({named})" in str(raised.value) and str(run) in str(raised.value)
    assert "choose another output_folder" in str(raised.value)
    assert (run / "hyperparams.yaml").read_text() == before


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--lr=0.10 --seed=1 --noprogressbar --device=cpu",
        "--num_workers=2 --feature_folder=/elsewhere",
        "--feature_folder=null",
        "--preparation='{jobs: 5, cache: c.json}'",
    ],
)
def test_what_changes_nothing_may_change(options, run, begin, capsys):
    done = begin(options) is None
    assert done == (run / "results.json").exists()
    shown = capsys.readouterr().out
    assert done == ("This run is finished" in shown)
    assert done == (f"table of {run}" in shown)


def test_a_folder_is_the_same_however_it_is_spelled(
    trained, begin, tmp_path, monkeypatch
):
    # As it was given, from another folder.
    monkeypatch.chdir(tmp_path)
    assert begin(output_folder="run") is not None
    (tmp_path / "link").symlink_to("d")
    for same in ("d/", "./d", tmp_path / "d", "link"):
        assert begin(data_folder=same)["preparation"]["data_folder"] == str(
            same
        )
    with pytest.raises(UserError, match="data_folder was link, now e"):
        begin(data_folder="e")


def test_a_run_may_go_on_for_longer(trained, begin):
    assert begin("--number_of_epochs=9 --patience=5")["number_of_epochs"] == 9
    written = YAML().load(trained / "hyperparams.yaml")
    assert written["counter"]["limit"] == 9
    # Nine may be done already.
    with pytest.raises(UserError, match="number_of_epochs was 9, now 5"):
        begin("--number_of_epochs=5 --patience=5")
    results = trained / "results.json"
    results.write_text("{}")
    with pytest.raises(UserError, match="number_of_epochs was 9, now 20"):
        begin("--number_of_epochs=20 --patience=5")
    # Without its results it is not finished, without its record a new run.
    results.unlink()
    assert begin("--number_of_epochs=20 --patience=5") is not None
    (trained / "options.json").unlink()
    assert begin("--lr=0.5")["lr"] == 0.5
    (trained / "save" / "CKPT+1").rmdir()
    assert begin("--lr=0.7")["lr"] == 0.7
    assert YAML().load(trained / "hyperparams.yaml")["lr"] == 0.7


@pytest.mark.parametrize(
    "options, sentence",
    [
        ("--data_folder=", "needs the option 'data_folder'; add --data_folder"),
        ("--patienec=1", "no option 'patienec'; did you mean 'patience'?"),
        ("--qqqqq=1", "has no option 'qqqqq'."),
        ("--lr=1 --lr=2", 'found duplicate key "lr"'),
        ("--lr='{a: 1}'", "'lr': expected one value, such as 0.1, got {'a"),
        ("--classes='{a: 1}'", "'classes': expected one value, such as ['a"),
        ("--lr.a=1", "'lr': expected one value, such as 0.1, got {'a': 1}"),
        ("--plan=1 --plan.train=2", "'plan' and 'plan.train' are both given"),
        ("--lr='!ref <no_such_key>'", '"no_such_key" is not valid'),
        ("--opt=2", "takes '--opt' for its own option '--optimizer_step_lim"),
        ("--lr=a=b", "--lr=a=b: expected no '=' inside of a value"),
    ],
)
def test_invalid_options(options, sentence, begin, tmp_path):
    data = {"data_folder": ""} if options == "--data_folder=" else {}
    with pytest.raises(UserError) as raised:
        begin("" if data else options, **data)
    assert sentence in str(raised.value)
    assert "recipe.yaml" in str(raised.value) or "=b" in options
    assert not (tmp_path / "run").exists()


def test_mappings(begin):
    given = begin("--label_map='{a: null, b: c}'")
    assert given["label_map"] == {"a": None, "b": "c"}
    assert given["preparation"]["label_map"] == {"a": None, "b": "c"}
    for gap in ("--plan='{train: {gap: [2, 3]}}'", "--plan.train.gap='[2, 3]'"):
        assert begin(gap)["plan"] == {"train": {"passes": 1, "gap": [2, 3]}}
    assert begin("--adam='!name:builtins.dict {a: 1}'")["adam"]() == {"a": 1}
    assert begin("--plan=null")["plan"] is None
    with pytest.raises(UserError, match="no such class as no_such_module"):
        begin("--adam='!new:no_such_module.Thing'")


LOCK = """
import pathlib, sys, time
from speechbrain_ext.training.run import lock
lock(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


def test_a_folder_has_one_process(begin, tmp_path):
    run = tmp_path / "run"
    words = [sys.executable, "-c", LOCK, str(run)]
    how = {"stdout": subprocess.PIPE, "env": {"PYTHONPATH": str(ROOT)}}
    with subprocess.Popen(words, **how) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match="another process trains in"):
            begin()
        assert not any(run.iterdir())
        # Even one that is killed gives it back.
        other.kill()
    (run / "manifests").mkdir()
    for left in (run, run / "manifests"):
        (left / ".train.part-0abc_1.json").write_text("half")
    assert begin() is not None
    assert not list(run.rglob(".*"))


TRAIN = """
import logging, sys
from speechbrain_ext.training.run import begin_run, read_command_line

try:
    read_command_line(["a.yaml", "--nope=1"], __file__)
except Exception as error:
    print(error, "torch" in sys.modules)
begin_run(sys.argv[1:], str)
for name in ("matplotlib", "speechbrain_ext.recipe"):
    logging.getLogger(name).debug(f"detail of {name}")
    logging.getLogger(name).info(f"news of {name}")
raise ValueError("the loss is not finite")
"""


def test_a_run_folder_tells_the_truth(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "a.yaml").write_text("seed: 3\noutput_folder: run\n")
    where = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT)}}
    words = [sys.executable, "train.py", "a.yaml"]
    done = subprocess.run(words, capture_output=True, text=True, **where)
    # A wrong option costs no import of torch.
    assert "'a.yaml' has no option 'nope'. False\n" in done.stdout
    run = tmp_path / "run"
    names = "env.log hyperparams.yaml log.txt options.json train.py"
    assert sorted(path.name for path in run.iterdir()) == names.split()
    assert (run / "train.py").read_text() == TRAIN
    env = (run / "env.log").read_text()
    assert sys.version in env and sys.executable in env
    assert f"\nspeechbrain=={version('speechbrain')}\n" in env
    record = json.loads((run / "options.json").read_text())
    assert (record["yaml"], record["seed"]) == ("a.yaml", 3)
    log = (run / "log.txt").read_text()
    assert re.findall(r"(detail|news) of (\S+)", log) == [
        ("news", "matplotlib"),
        ("detail", "speechbrain_ext.recipe"),
        ("news", "speechbrain_ext.recipe"),
    ]
    assert "ValueError: the loss is not finite" in log
