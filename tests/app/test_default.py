"""The model that the page makes for itself: once, whole, and told about."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from speechbrain_ext.app import page, state
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference import EmotionDiarizer
from tests.app.conftest import give, said, wav
from tests.recipes.running import DIARIZATION, ROOT

# Does what a recipe does, with a model that is there already.
TRAIN = textwrap.dedent(
    """
    import os, shutil, sys, time
    from pathlib import Path

    words = (word[2:].partition("=") for word in sys.argv[2:])
    folder = Path({key: value for key, _, value in words}["output_folder"])
    here = Path(__file__).parent
    print("x", end="", file=open(folder / "attempts.txt", "a"))
    (folder / "pid.txt").write_text(str(os.getpid()))
    if (here / "fail.txt").exists():
        sys.exit("error: The package of voices is missing; install it.")
    for epoch in (1, 2):
        with open(folder / "train_log.txt", "a") as file:
            print(f"epoch: {epoch}, lr: 1 - train loss: 1", file=file)
        time.sleep(float((here / "sleep.txt").read_text()))
    shutil.copytree(here / "run", folder, dirs_exist_ok=True)
    (folder / "results.json").write_text("{\\"postprocessing\\": {}}")
    """
)
YAML = """\
seed: 1
number_of_epochs: 2
output_folder: !ref results/quickstart/<seed>
save_folder: !ref <output_folder>/save
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch, small_run):
    """The folder of a recipe that is quick."""
    folder = tmp_path / "recipe"
    (folder / "hparams").mkdir(parents=True)
    (folder / "hparams" / "quickstart.yaml").write_text(YAML)
    (folder / "train.py").write_text(TRAIN)
    (folder / "sleep.txt").write_text("0")
    shutil.copytree(small_run[0], folder / "run")
    monkeypatch.setattr(state, "_RECIPE", folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def attempts(job):
    return (job.folder / "attempts.txt").read_text()


def test_a_page_without_a_model_trains_one(open_page, recipe, tmp_path):
    page = give(open_page(), wav(2.0))
    assert said(page) == [] and page.subheader
    [found] = (tmp_path / "cache").glob("speechbrain_ext/quickstart-*/*")
    [result] = page.session_state["results"].values()
    (tmp_path / "a.wav").write_bytes(wav(2.0))
    diarizer = EmotionDiarizer.from_hparams(found)
    assert result.segments == diarizer.diarize_file(tmp_path / "a.wav")
    assert "quickstart, on synthetic speech" in page.caption[0].value
    # The next one finds it.
    assert said(open_page()) == []
    assert (found / "attempts.txt").read_text() == "x"


def test_it_is_trained_once_for_all_who_wait(recipe):
    (recipe / "sleep.txt").write_text("0.5")
    jobs = [state.DefaultModel() for _ in range(3)]
    share, text = jobs[1].progress()
    assert 0 < share < 1
    for job in jobs:
        assert job.done.wait(60) and job.problem is None
    assert attempts(jobs[0]) == "x"
    assert jobs[0].progress() == (0.75, "testing")
    assert len({job.folder for job in jobs}) == 1


def test_progress_follows_the_epochs(recipe):
    job = state.DefaultModel()
    assert job.done.wait(60)
    log = job.folder / "train_log.txt"
    log.unlink()
    assert job.progress() == (0.25, "making speech")
    log.write_text("epoch: 1, lr: 1 - train loss: 1\n")
    assert job.progress() == (0.5, "epoch 2 of 2")


def test_a_training_that_fails_is_told_and_tried_again(open_page, recipe):
    (recipe / "fail.txt").touch()
    page = open_page()
    [error] = said(page)
    assert "error: The package of voices is missing; install it); " in error
    assert error.count("run.log") == 1 and not page.radio
    (recipe / "fail.txt").unlink()
    page.run()
    assert said(page) == [] and page.radio


def test_a_process_that_is_killed_leaves_no_training_behind(recipe, tmp_path):
    (recipe / "sleep.txt").write_text("60")
    code = (
        "from pathlib import Path; from speechbrain_ext.app import state; "
        f"state._RECIPE = Path({str(recipe)!r}); job = state.DefaultModel(); "
        "print(job.folder, flush=True); job.done.wait()"
    )
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **options)
    try:
        folder = state.Path(process.stdout.readline().strip())
        end = time.monotonic() + 60
        pid = folder / "pid.txt"
        while not (pid.exists() and pid.read_text()):
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    # What comes after waits until it has ended, and goes on.
    (recipe / "sleep.txt").write_text("0")
    job = state.DefaultModel()
    assert job.done.wait(60) and job.problem is None
    assert attempts(job) == "xx"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_where_it_cannot_be(recipe, tmp_path, monkeypatch, open_page):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    [error] = said(open_page())
    assert error.startswith("XDG_CACHE_HOME: cannot write to")
    monkeypatch.setattr(state, "_RECIPE", tmp_path / "nowhere")
    with pytest.raises(UserError, match="^MODEL: give .* is not beside an ins"):
        state.DefaultModel()


def test_the_recipe_is_that_of_the_quickstart(tmp_path):
    run = state._planned(tmp_path)
    assert run.command[1:3] == (
        str(DIARIZATION / "train.py"),
        str(DIARIZATION / "hparams" / "quickstart.yaml"),
    )
    assert run.settings.scalars["number_of_epochs"] == 8
    assert run.folder.is_relative_to(tmp_path) and not run.folder.exists()
    assert json.dumps(run.record)
    assert page.default_model is not None
