"""Running the recipes as a user does, on small substitutes for the corpora."""

import contextlib
import functools
import importlib.util
import itertools
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_ext.corpora import read_corpus
from tests.corpora.trees import snapshot, write_iemocap_labels

ROOT = Path(__file__).parents[2]
DIARIZATION = ROOT / "recipes" / "emotion_diarization"
EMBEDDINGS = ROOT / "recipes" / "ssl_embeddings"
FINETUNING = ROOT / "recipes" / "ssl_finetuning"
SHARMA = ROOT / "recipes" / "speech_text_fusion"
CROSS = ROOT / "recipes" / "cross_representation"
ONE_PASS = {name: {"passes": 1} for name in ("train", "valid", "test")}
CODES = {"neutral": "01", "happy": "03", "sad": "04", "angry": "05"}
# RAVDESS has more emotions than the synthetic corpus, whose they sound like.
SOUNDS = ("neutral neutral happy sad angry sad angry happy").split()
IEMOCAP_CODES = {
    "ang": "angry",
    "hap": "happy",
    "exc": "happy",
    "neu": "neutral",
    "sad": "sad",
}
# Tests run beside each other, each process with a port of its own.
TWO_PROCESSES = (
    *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"),
    f"--master_port={29500 + os.getpid() % 999}",
)


def arguments(recipe, yaml, overrides):
    """Arguments of a train.py; overrides as JSON, which YAML can read."""
    values = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in overrides.items()
    }
    words = [f"--{key}={value}" for key, value in values.items()]
    return [str(recipe / "hparams" / yaml), *words, "--noprogressbar"]


def command(recipe, yaml, overrides, launcher=(sys.executable,)):
    """What starts a recipe: with one thread, no accelerator, no Hub."""
    env = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = arguments(recipe, yaml, overrides)
    return {
        "args": [*launcher, str(recipe / "train.py"), *words],
        "cwd": Path(overrides["output_folder"]).parent,
        "env": {**os.environ, **env, "HF_HUB_OFFLINE": "1"},
    }


def run(recipe, yaml, overrides, *launcher):
    """Run a recipe to its end; its folder, output and results."""
    how = command(recipe, yaml, overrides, *launcher)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(**how, **pipes, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:]
    folder = Path(overrides["output_folder"])
    return folder, done.stdout, read_results(overrides)


def run_here(recipe, yaml, overrides):
    """Run a recipe to its end in this process; its folder and results.

    It leaves the process as it was: logging, excepthook, random numbers.
    """
    with _undisturbed():
        script(recipe, "train").main(arguments(recipe, yaml, overrides))
    return Path(overrides["output_folder"]), read_results(overrides)


def refuse_here(recipe, yaml, overrides, capsys):
    """The sentence with which a recipe ends before it trains."""
    names = ("train_log.txt", "results.json")
    files = [Path(overrides["output_folder"]) / name for name in names]
    before = [path.exists() and path.read_bytes() for path in files]
    with pytest.raises(SystemExit) as ended:
        run_here(recipe, yaml, overrides)
    assert ended.value.code == 2
    assert before == [path.exists() and path.read_bytes() for path in files]
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    (sentence,) = (
        line for line in errors.splitlines() if line.startswith("error: ")
    )
    return sentence


@functools.cache
def script(recipe, name):
    """A script of a recipe as a module."""
    spec = importlib.util.spec_from_file_location(
        f"{recipe.name}_{name}", recipe / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # As when it is started as a script: its own folder comes first.
    sys.path.insert(0, str(recipe))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(recipe))
    return module


@contextlib.contextmanager
def _undisturbed():
    """Take back what a run changes in its process."""
    root = logging.getLogger()
    kept = sys.excepthook, list(root.handlers), root.level
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in kept[1]:
                handler.close()
        sys.excepthook, root.handlers[:], _ = kept
        root.setLevel(kept[2])
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def kill_when(is_due, recipe, yaml, overrides):
    """Start a run and kill it (SIGKILL) as soon as ``is_due``."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    how = command(recipe, yaml, overrides)
    process = subprocess.Popen(**how, **quiet)
    while process.poll() is None and not is_due():
        time.sleep(0.005)
    process.kill()
    return process.wait()


def checkpoints(folder):
    """What the marks of a run's checkpoints say."""
    return [mark.read_text() for mark in folder.glob("save/CKPT+*/CKPT.yaml")]


def kill_and_finish(recipe, yaml, overrides, undisturbed, *moments):
    """A run killed within its first epoch, and at ``moments`` (functions of
    its folder), ends as one that was not."""
    overrides = {**overrides, "ckpt_interval_steps": "1"}
    place = Path(overrides["output_folder"])
    for is_due in checkpoints, *moments:
        due = functools.partial(is_due, place)
        code = kill_when(due, recipe, yaml, overrides)
        assert code == -9, "it ended before it could be killed"
        if is_due == checkpoints:
            assert all("end-of-epoch: false" in x for x in checkpoints(place))
    assert not (place / "results.json").exists()
    _, output, results = run(recipe, yaml, overrides)
    assert "Loading a checkpoint" in output
    for name in {"test", "valid", "metrics", "layer_weights"} & {*results}:
        assert results[name] == undisturbed[2][name]
    for path in undisturbed[0].glob("predictions.*"):
        assert (place / path.name).read_bytes() == path.read_bytes()
    manifest = "manifests/train.json"
    expected = (undisturbed[0] / manifest).read_bytes()
    assert (place / manifest).read_bytes() == expected


def overriding(**fixed):
    """A function from a folder, and what else is given, to overrides."""
    return lambda folder, **more: {
        "output_folder": str(folder / "run"),
        **fixed,
        **more,
    }


def read_results(overrides):
    """results.json of a run."""
    path = Path(overrides["output_folder"]) / "results.json"
    return json.loads(path.read_text())


def quickstart(folder, corpus, **more):
    """Overrides that make the quickstart a matter of seconds."""
    names = sorted({u.speaker for u in read_corpus("synthetic", corpus)[0]})
    parts = {"train": names[:2], "valid": names[2:3], "test": names[3:]}
    return {
        "output_folder": str(Path(folder) / "run"),
        "data_folder": str(corpus),
        "make_data": "!name:builtins.dict",
        "number_of_epochs": 2,
        "batch_seconds": 8,
        "simulation": ONE_PASS,
        "preparation": {"speakers": parts},
        **more,
    }


def by_emotion(corpus):
    """A recording of every emotion of the synthetic corpus."""
    found = {}
    for utterance in read_corpus("synthetic", corpus)[0]:
        found.setdefault(utterance.emotion, utterance.wav)
    return found


def ravdess_tree(folder, corpus, short=False):
    """RAVDESS's names on synthetic recordings: 24 actors, four emotions.

    In ``short`` ones, of 0.3 to 0.7 s that all differ, all eight are there.
    """
    sources = by_emotion(corpus)
    codes = {f"{n:02d}": name for n, name in enumerate(SOUNDS, 1)}
    codes = codes if short else {code: name for name, code in CODES.items()}
    for actor in range(1, 25):
        for code, emotion in codes.items():
            name = f"03-01-{code}-01-01-01-{actor:02d}.wav"
            path = folder / f"Actor_{actor:02d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if short:
                cut(sources[emotion], path, 8 * actor + int(code))
            else:
                shutil.copy(sources[emotion], path)
    return folder


def iemocap_tree(folder, corpus):
    """IEMOCAP's layout on parts of synthetic recordings.

    Every session has an improvised and a scripted dialog of two speakers, and
    every speaker a turn in each of the four usual classes and excited. Of
    improvised turns all annotators say the same.
    """
    sources, codes = by_emotion(corpus), {}
    for session, style, (number, code), gender in itertools.product(
        range(1, 6), ("impro01", "script01_1"), enumerate(IEMOCAP_CODES), "FM"
    ):
        dialog = f"Ses{session:02d}F_{style}"
        turn = f"{dialog}_{gender}{number:03d}"
        codes[turn] = code
        path = folder / f"Session{session}/sentences/wav/{dialog}/{turn}.wav"
        seed = 31 * session + 7 * number + len(style) + ord(gender)
        cut(sources[IEMOCAP_CODES[code]], path, seed)
    write_iemocap_labels(folder, codes, agreed="impro")
    return folder


def cut(source, path, number):
    """Write a short part of a recording, another one for every number."""
    rng = np.random.default_rng(number)
    data, rate = soundfile.read(source, dtype="float32")
    size = round(rng.uniform(0.3, 0.7) * rate)
    start = rng.integers(max(1, len(data) - size))
    part = rng.uniform(0.5, 1) * data[start : start + size]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, part, rate)


def zed_tree(folder, corpus):
    """ZED's layout on synthetic recordings."""
    place = folder / "wavs"
    place.mkdir(parents=True)
    entries = {}
    for utterance in read_corpus("synthetic", corpus)[0][:3]:
        shutil.copy(utterance.wav, place / f"{utterance.id}.wav")
        half = {"emo": "sad", "start": 0.1, "end": utterance.duration / 2}
        entries[utterance.id] = {
            "wav": f"datafolder/wavs/{utterance.id}.wav",
            "duration": utterance.duration,
            "emotion": [half],
            "transcription": utterance.text,
        }
    (folder / "ZED.json").write_text(json.dumps(entries))
    return folder


def unchanged(folder):
    """Gives a corpus to a fixture; no test may write into it."""
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before
