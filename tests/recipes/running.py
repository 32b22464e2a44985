"""Running the recipes as a user does, on small substitutes for the corpora."""

import contextlib
import functools
import importlib.util
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
import soundfile
import torch
from speechbrain.utils import logger as sb_logger

from speechbrain_ext.corpora import read_corpus
from tests.corpora.trees import iemocap_line

ROOT = Path(__file__).parents[2]
DIARIZATION = ROOT / "recipes" / "emotion_diarization"
EMBEDDINGS = ROOT / "recipes" / "ssl_embeddings"
FINETUNING = ROOT / "recipes" / "ssl_finetuning"
ONE_PASS = {name: {"passes": 1} for name in ("train", "valid", "test")}
CODES = {"neutral": "01", "happy": "03", "sad": "04", "angry": "05"}
# RAVDESS has more emotions than the synthetic corpus, whose they sound like.
EIGHT_CODES = {
    "01": "neutral",
    "02": "neutral",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "sad",
    "07": "angry",
    "08": "happy",
}
IEMOCAP_CODES = {
    "ang": "angry",
    "hap": "happy",
    "exc": "happy",
    "neu": "neutral",
    "sad": "sad",
}


def arguments(recipe, yaml, overrides):
    """Arguments of a train.py; overrides as JSON, which YAML can read."""
    return [
        str(recipe / "hparams" / yaml),
        *(
            f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
            for key, value in overrides.items()
        ),
        "--noprogressbar",
    ]


def command(recipe, yaml, overrides, launcher=(sys.executable,)):
    """Command line of a recipe.

    Arguments
    ---------
    recipe : pathlib.Path
        The recipe's folder.
    yaml : str
        Name of the file in its hparams.
    overrides : dict
        What to change in it; also options of SpeechBrain.
    launcher : sequence of str
        What runs ``train.py``.

    Returns
    -------
    list of str
    """
    train = str(recipe / "train.py")
    return [*launcher, train, *arguments(recipe, yaml, overrides)]


def environment():
    """Environment of a run: one thread, no accelerator, no Hub."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }


def run(recipe, yaml, overrides, folder, launcher=(sys.executable,)):
    """Run a recipe to its end; its output and its results."""
    done = subprocess.run(
        command(recipe, yaml, overrides, launcher),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-5000:]
    return output, read_results(overrides)


def run_here(recipe, yaml, overrides):
    """Run a recipe to its end in this process; its results.

    It leaves the process as it was: logging, excepthook, random numbers.
    """
    with _undisturbed():
        train_module(recipe).main(arguments(recipe, yaml, overrides))
    return read_results(overrides)


def refuse_here(recipe, yaml, overrides, capsys):
    """The sentence with which a recipe ends before it trains."""
    code = None
    with _undisturbed():
        try:
            train_module(recipe).main(arguments(recipe, yaml, overrides))
        except SystemExit as ended:
            code = ended.code
    assert code == 2
    errors = capsys.readouterr().err.splitlines()
    (sentence,) = (line for line in errors if line.startswith("error: "))
    run_folder = Path(overrides["output_folder"])
    assert not (run_folder / "train_log.txt").exists()
    assert not (run_folder / "results.json").exists()
    return sentence


@functools.cache
def train_module(recipe):
    """The train.py of a recipe as a module."""
    spec = importlib.util.spec_from_file_location(
        f"{recipe.name}_train", recipe / "train.py"
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
    describe = sb_logger.get_environment_description
    # Seconds of pip, for a file that no test in this process reads.
    sb_logger.get_environment_description = lambda: "left out"
    try:
        yield
    finally:
        sb_logger.get_environment_description = describe
        for handler in root.handlers:
            if handler not in kept[1]:
                handler.close()
        sys.excepthook, root.handlers[:], _ = kept
        root.setLevel(kept[2])
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def kill_and_finish(recipe, yaml, overrides, folder, is_due):
    """Kill a run (SIGKILL) as soon as ``is_due``, and run it again.

    Returns
    -------
    (str, dict)
        Output and results of the second start.
    """
    process = subprocess.Popen(
        command(recipe, yaml, overrides),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not is_due():
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert process.returncode == -9, "it ended before it could be killed"
    assert not (Path(overrides["output_folder"]) / "results.json").exists()
    return run(recipe, yaml, overrides, folder)


def read_results(overrides):
    """results.json of a run."""
    path = Path(overrides["output_folder"]) / "results.json"
    return json.loads(path.read_text())


def quickstart(folder, corpus, **more):
    """Overrides that make the quickstart a matter of seconds."""
    speakers = sorted({u.speaker for u in read_corpus("synthetic", corpus)[0]})
    return {
        "output_folder": str(Path(folder) / "run"),
        "data_folder": str(corpus),
        "make_data": "!name:builtins.dict",
        "number_of_epochs": 2,
        "batch_seconds": 8,
        "simulation": ONE_PASS,
        "preparation": {
            "speakers": {
                "train": speakers[:2],
                "valid": speakers[2:3],
                "test": speakers[3:],
            },
        },
        **more,
    }


def by_emotion(corpus):
    """A recording of every emotion of the synthetic corpus."""
    found = {}
    for utterance in read_corpus("synthetic", corpus)[0]:
        found.setdefault(utterance.emotion, utterance.wav)
    return found


def ravdess_tree(folder, corpus, short=False):
    """RAVDESS's names on synthetic recordings: 24 actors.

    Arguments
    ---------
    folder : pathlib.Path
        Where to write it.
    corpus : pathlib.Path
        The synthetic corpus.
    short : bool
        Whether all eight emotions are there, in recordings of 0.3 to 0.7 s
        that all differ; otherwise it is four, in whole recordings.

    Returns
    -------
    pathlib.Path
    """
    sources = by_emotion(corpus)
    codes = EIGHT_CODES if short else {c: name for name, c in CODES.items()}
    for actor in range(1, 25):
        for code, emotion in codes.items():
            path = (
                folder
                / f"Actor_{actor:02d}"
                / f"03-01-{code}-01-01-01-{actor:02d}.wav"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            if short:
                cut(sources[emotion], path, 8 * actor + int(code))
            else:
                shutil.copy(sources[emotion], path)
    return folder


def iemocap_tree(folder, corpus, turns=2):
    """IEMOCAP's layout on parts of synthetic recordings.

    Every session has an improvised and a scripted dialog of two speakers, and
    every speaker so many turns in each of the four usual classes and excited.
    Of improvised turns all annotators say the same.
    """
    sources = by_emotion(corpus)
    for session in range(1, 6):
        for style in ("impro01", "script01_1"):
            dialog = f"Ses{session:02d}F_{style}"
            lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
            words = []
            for number, code in enumerate(list(IEMOCAP_CODES) * turns):
                for gender in "FM":
                    turn = f"{dialog}_{gender}{number:03d}"
                    line = iemocap_line(turn, code, 2.0 * number)
                    if style == "impro01":
                        line = _unanimous(line)
                    lines.append(line)
                    words.append(f"{turn} [000.0000-001.0000]: Words.\n")
                    cut(
                        sources[IEMOCAP_CODES[code]],
                        folder
                        / f"Session{session}/sentences/wav/{dialog}/{turn}.wav",
                        31 * session + 7 * number + len(style) + ord(gender),
                    )
            for kind, text in (
                ("EmoEvaluation", "\n".join(lines)),
                ("transcriptions", "".join(words)),
            ):
                path = folder / f"Session{session}/dialog/{kind}/{dialog}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    return folder


def _unanimous(line):
    """All evaluators say what the first says."""
    rows = line.split("\n")
    word = rows[1].split("\t")[1]
    for place, row in enumerate(rows):
        if row.startswith("C-"):
            rows[place] = "\t".join([row.split("\t")[0], word, "()"])
    return "\n".join(rows)


def cut(source, path, number):
    """Write a short part of a recording, another one for every number."""
    rng = np.random.default_rng(number)
    data, rate = soundfile.read(source, dtype="float32")
    size = round(rng.uniform(0.3, 0.7) * rate)
    start = rng.integers(max(1, len(data) - size))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        path, rng.uniform(0.5, 1) * data[start : start + size], rate
    )


def zed_tree(folder, corpus):
    """ZED's layout on synthetic recordings."""
    utterances = read_corpus("synthetic", corpus)[0]
    entries = {}
    for utterance in utterances[:3]:
        place = folder / "wavs"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(utterance.wav, place / f"{utterance.id}.wav")
        entries[utterance.id] = {
            "wav": f"datafolder/wavs/{utterance.id}.wav",
            "duration": utterance.duration,
            "emotion": [
                {"emo": "sad", "start": 0.1, "end": utterance.duration / 2}
            ],
            "transcription": utterance.text,
        }
    (folder / "ZED.json").write_text(json.dumps(entries))
    return folder
