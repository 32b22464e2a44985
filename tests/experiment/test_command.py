"""The command, on a recipe that trains nothing."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.experiment.command import main, parse
from speechbrain_ext.experiment.plan import Run
from speechbrain_ext.experiment.runs import follow, last_error
from speechbrain_ext.training.run import lock
from tests.experiment.recipe import attempts, command, run


def alive(pid):
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.split()[0] != "Z"


def wait_for(condition):
    """Wait until something holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def children(*folders):
    """Ids of the processes of runs that sleep, once they do."""
    paths = [folder / "pids.txt" for folder in folders]
    wait_for(lambda: all(p.exists() and p.read_text() for p in paths))
    pids = [int(pid) for p in paths for pid in p.read_text().split()]
    assert all(map(alive, pids))
    return pids


def seeds(root, *numbers):
    """Folders of runs."""
    return [root / "fold_1" / f"seed_{number}" for number in numbers]


def test_every_combination_runs_and_is_not_run_again(recipe, tmp_path):
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    root = tmp_path / "runs"
    words = ["--grid", "quality=0.5,0.9", "--seeds", "2", "--folds=1,3"]
    words += ["--jobs=100"]
    output, bar = run(recipe, root, *words, env=env)
    folders = sorted(path.parent for path in root.rglob("results.json"))
    assert len(folders) == 8
    assert "8/8" in bar
    name = "quality=0.9, fold 3, seed 2"
    folder = root / "quality-0.9" / "fold_3" / "seed_2"
    assert '"seed": 2,' in (folder / "results.json").read_text()
    log = folder / "run.log"
    assert "--quality=0.9" in log.read_text().splitlines()[0]
    assert "threads 1\n" in log.read_text()
    assert f"Started: {name} (log: {log})" in bar
    assert f"Finished: {name}: epoch 2, valid loss: 1.0, valid UA: 42.5" in bar
    assert "| quality=0.9 |" in output
    assert (root / "table.md").read_text() in output
    assert (root / "table.csv").exists()
    assert r"\begin{tabular}" in (root / "table.tex").read_text()

    again, _ = run(recipe, root, *words)
    assert again == output
    assert all(attempts(folder) == 1 for folder in folders)


@pytest.mark.parametrize("where", ["--jobs=1", "--cluster=local"])
def test_one_failure_stops_nothing(recipe, tmp_path, where):
    if "cluster" in where:
        pytest.importorskip("submitit")
    root = tmp_path / "runs"
    fail = ["--seeds=3", "--fail=1/2", where]
    output, error = run(recipe, root, *fail, status=1)
    log = root / "fold_1" / "seed_2" / "run.log"
    line = "exit status 1: ValueError: the loss is not finite"
    assert f"  small, fold 1, seed 2: {line} (see {log})" in error
    assert "1 failed" in error and "3/3" in error
    assert "2 of 3" in output
    assert "rank None None" in log.read_text()

    # Only what failed is tried again.
    run(recipe, root, *fail, status=1)
    assert list(map(attempts, seeds(root, 1, 2, 3))) == [1, 2, 1]
    recipe[0].write_text("print('hello')")
    _, error = run(recipe, tmp_path / "other", where, status=1)
    assert "ended without results.json" in error


def test_epochs_are_shown_while_runs_last(tmp_path, capsys):
    class Job:
        looks = 2

        def done(self):
            self.looks -= 1
            return self.looks < 0

    lines = [f"epoch: {n} - valid loss: 0.{n}, valid UA: 4" for n in (1, 2)]
    (tmp_path / "train_log.txt").write_text("\n".join(lines))
    folders = {"a": tmp_path, "b": tmp_path / "b"}
    jobs = {Run(n, f, *[None] * 5): Job() for n, f in folders.items()}
    failures = follow(jobs, 2, lambda job: True, lambda job: "no memory")
    assert failures == [
        f"{name}: no memory (see {folder / 'run.log'})"
        for name, folder in folders.items()
    ]
    error = capsys.readouterr().err
    assert "a: epoch 2, valid loss: 0.2, valid UA: 4; b" in error
    assert "2/2" in error and "2 failed" in error


def test_other_options_and_the_table_alone(recipe, tmp_path):
    root = tmp_path / "runs"
    run(recipe, root, "--seeds=2")
    _, error = run(recipe, root, "--seeds=2", "--quality=0.9", status=2)
    assert "error: " in error and "quality was 0.5, now 0.9" in error
    output, _ = run(recipe, root, "--seeds=3", "--table-only")
    assert "2 of 3" in output
    assert not seeds(root, 3)[0].exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_and_continued(recipe, tmp_path, number):
    root = tmp_path / "runs"
    words = command(recipe, root, "--seeds=3", "--jobs=2", "--sleep=600")
    options = {"stderr": subprocess.PIPE, "text": True}
    # Tests in the background may have been started with it ignored.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(words, preexec_fn=heed, **options)
    started = children(*seeds(root, 1, 2))
    process.send_signal(number)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert "the same command goes on" in error
    wait_for(lambda: not any(map(alive, started)))
    assert not seeds(root, 3)[0].exists()

    # The recipe goes on where it was; here it is over at once.
    text = recipe[0].read_text()
    recipe[0].write_text(text.replace('"sleep", options', '"true", options'))
    run(recipe, root, "--seeds=3", "--sleep=600")
    assert list(map(attempts, seeds(root, 1, 2, 3))) == [2, 2, 1]


def test_two_runners_and_runs_that_end_with_them(recipe, tmp_path):
    root = tmp_path / "runs"
    words = command(recipe, root, "--sleep=60")
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    left = children(*seeds(root, 1))
    _, error = run(recipe, root, "--sleep=60", status=1)
    assert "another process is working on it" in error
    assert attempts(*seeds(root, 1)) == 1 and all(map(alive, left))
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, left)))
    text = recipe[0].read_text()
    recipe[0].write_text(text.replace('"sleep", options', '"true", options'))
    run(recipe, root, "--sleep=60")
    assert attempts(*seeds(root, 1)) == 2


def test_a_run_that_another_process_trains(recipe, tmp_path):
    (folder,) = seeds(tmp_path / "runs", 1)
    code = "from speechbrain_ext.base.errors import exits_cleanly\n"
    code += "from speechbrain_ext.training.run import lock\n"
    where = "exits_cleanly(lock)(folder)\n"
    text = recipe[0].read_text()
    recipe[0].write_text(
        code + text.replace("seed, fold", where + "seed, fold", 1)
    )
    lock(folder)
    _, error = run(recipe, tmp_path / "runs", status=1)
    said = f"error: output_folder: another process trains in '{folder}'"
    assert f"exit status 2: {said}" in error


def test_a_launcher_of_several_processes(recipe, tmp_path):
    launcher = tmp_path / "launch.sh"
    ranks = f'for RANK in 0 1; do export RANK; {sys.executable} "$@"; done'
    launcher.write_text(f"export WORLD_SIZE=2\n{ranks}\n")
    root = tmp_path / "runs"
    run(recipe, root, f"--launcher=sh {launcher}")
    log = (root / "fold_1" / "seed_1" / "run.log").read_text()
    assert "rank 0 2" in log and "rank 1 2" in log


def test_the_error_of_a_torchrun_worker(tmp_path):
    log = tmp_path / "run.log"
    error = "torch.cuda.OutOfMemoryError: no memory left"
    child = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:"
    log.write_text(f"KeyError: before\n[rank0]: {error}\n{child}\n======\n")
    assert last_error(log) == error
    log.write_text("KeyError: before\n$ train.py\nKilled\n")
    assert last_error(log, begin=17) == "Killed"


def test_published_figures_and_a_comparison(recipe, tmp_path):
    recipe[0].with_name("published.yaml").write_text(
        "- {table: 2, row: best, metric: WA, value: 90.5, sd: 1.5,\n"
        "   when: {quality: 0.9}}\n"
    )
    root = tmp_path / "runs"
    words = [*ROWS, "--seeds=2", "--noprogressbar", "--compare", "low", "high"]
    output, bar = run(recipe, root, *words)
    assert "Finished: low" in bar and "4/4" not in bar
    lines = output.splitlines()
    (high,) = [line for line in lines if "(Table" in line]
    assert high.startswith("| high") and "90.5 ± 1.5 (Table 2, best)" in high
    (test,) = [line for line in lines if line.startswith("high against low")]
    for part in (
        "difference +",
        "(paired bootstrap over 4 test speakers, too few for the interval",
        "p = 0.1250 (two-sided sign-flip test; 4 speakers are too few for any",
    ):
        assert part in test


ROWS = ["--row=low: quality=0.2", "--row=high: quality=0.9"]


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--launcher=no-such-program -x"], "expected a program in PATH"),
        (["--table-only"], "expected finished runs in"),
        (["--nope=1"], "has no option 'nope'"),
        ([*ROWS, "--compare", "low", "x"], "rows of low; high, got 'x'"),
        ([], "expected a list of published figures"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_runs(
    recipe, tmp_path, words, sentence, capsys
):
    if not words:
        recipe[0].with_name("published.yaml").write_text("table: 1")
    root = tmp_path / "runs"
    with pytest.raises(SystemExit) as ended:
        main(command(recipe, root, *words)[3:])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert sentence in error
    assert not root.exists()


def test_seeds_and_folds_of_the_command_line(capsys):
    given = parse(["t.py", "y.yaml", "--seeds", "1,4", "--folds", "all"])
    assert (given.seeds, given.folds) == ([1, 4], "all")
    given = parse(["t.py", "y.yaml", "--seeds=3,", "--seed=5", "--debug"])
    assert given.seeds == [3]
    assert given.passed == {"seed": "5", "debug": None}
    for wrong in ("--seeds=0", "--seeds=a", "--folds=1,1", "--jobs=-1"):
        with pytest.raises(SystemExit):
            parse(["t.py", "y.yaml", wrong])
    capsys.readouterr()
    with pytest.raises(UserError, match="expected --key=value, got 'stray'"):
        parse(["t.py", "y.yaml", "--lr", "stray"])
