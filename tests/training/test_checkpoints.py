"""Checkpoints are complete or not there."""

import random
import subprocess
import sys

import numpy as np
import torch
from speechbrain.utils.epoch_loop import EpochCounterWithStopper

from speechbrain_ext.training.checkpoints import RandomState, SafeCheckpointer


def checkpointer(folder):
    layer = torch.nn.Linear(2, 2)
    return layer, SafeCheckpointer(
        folder, {"layer": layer, "random": RandomState()}
    )


def test_killed_while_saving(tmp_path):
    """The second file is never written: the checkpoint before it counts."""
    layer, safe = checkpointer(tmp_path)
    kept = safe.save_checkpoint(meta={"EDER": 1.0})
    code = f"""
import os, signal
from tests.training.test_checkpoints import checkpointer
_, safe = checkpointer({str(tmp_path)!r})
safe.custom_save_hooks["random"] = (
    lambda obj, path: os.kill(os.getpid(), signal.SIGKILL)
)
safe.save_checkpoint(meta={{"EDER": 0.5}})
"""
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -9
    assert len(list(tmp_path.glob("CKPT+*"))) == 2
    assert safe.find_checkpoint(min_key="EDER").path == kept.path
    assert safe.recover_if_possible().path == kept.path
    safe.sweep()
    assert [path for path in tmp_path.glob("CKPT+*")] == [kept.path]


def test_killed_while_deleting(tmp_path):
    _, safe = checkpointer(tmp_path)
    safe.save_checkpoint(meta={"EDER": 2.0})
    half = safe.save_checkpoint(meta={"EDER": 1.0})
    (half.path / "layer.ckpt").unlink()
    assert safe.find_checkpoint(min_key="EDER").meta["EDER"] == 2.0


def test_all_processes_wait_for_the_mark(tmp_path, monkeypatch):
    """Or they disagree on what to delete, and wait for each other for ever."""
    _, safe = checkpointer(tmp_path)
    marked = []
    monkeypatch.setattr(
        "speechbrain_ext.training.checkpoints.ddp_barrier",
        lambda: marked.append(bool(list(tmp_path.glob("CKPT+*/CKPT.yaml")))),
    )
    safe.save_checkpoint()
    assert marked == [False, True]


def test_all_random_numbers_go_on(tmp_path):
    state = RandomState()
    state.save(tmp_path / "r.ckpt")

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    first = draw()
    state.load(tmp_path / "r.ckpt", end_of_epoch=False)
    assert draw() == first


def test_patience_goes_on(tmp_path):
    def make():
        counter = EpochCounterWithStopper(10, 2, 0, "min")
        checkpointer = SafeCheckpointer(tmp_path, {"counter": counter})
        checkpointer.recover_if_possible()
        return counter, checkpointer

    counter, checkpointer = make()
    for error in (5.0, 3.0, 4.0):
        next(counter)
        counter.update_metric(error)
    checkpointer.save_checkpoint()
    counter, checkpointer = make()
    assert (counter.current, counter.best_limit) == (3, 2)
    assert next(counter) == 4
    # Better than nothing, and no better than the second epoch.
    counter.update_metric(3.5)
    checkpointer.save_checkpoint()
    assert list(counter) == list(make()[0]) == []
