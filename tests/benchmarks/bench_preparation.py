"""RAVDESS to train-ready, beside SpeechBrain's recipe; and how it grows.

> python -m tests.benchmarks.bench_preparation --data_folder=RAVDESS
>     --speechbrain=SPEECHBRAIN
> python -m tests.benchmarks.bench_preparation --growth 25000 50000 100000

SPEECHBRAIN is a clone of github.com/speechbrain/speechbrain, whose recipe
ZaionEmotionDataset also needs ``pip install pydub webrtcvad-wheels``. Each side
runs in processes of its own, in turn; what counts is their processor time,
with imports ("whole") and without ("work").
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

from speechbrain_ext.audio import read_audio
from speechbrain_ext.corpora import read_corpus
from tests.benchmarks.timing import parse, ratio, show, used

OPTIONS = {
    "data_folder": None,
    "speechbrain": None,
    "rate": 48000,
    "repeats": 3,
    "growth": [],
}
# What a side imports, does and is told, in a process of its own.
CODE = """
import json, resource, sys, time
{0}
begin = time.process_time()
{1}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps([time.process_time() - begin, peak]))
"""
OURS = CODE.format(
    "from speechbrain_ext.training.preparation import prepare",
    "prepare(progress=False, **json.loads(sys.argv[1]))",
)
THEIRS = CODE.format(
    "sys.path.insert(0, sys.argv[1])\n"
    "from datasets.prepare_RAVDESS import prepare_ravdess",
    "prepare_ravdess(*sys.argv[2:])",
)
RECIPE = "recipes/ZaionEmotionDataset/emotion_diarization"
NAMES = ("neutral", "happy", "sad", "angry")
OTHERS = ("calm", "fearful", "disgust", "surprised")
BOUNDS = {"train": (1, 20), "valid": (21, 22), "test": (23, 24)}


def run(code, *arguments):
    """Processor time of a process and of its work (s), and its memory (GB)."""
    before = used()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [used() - before, *json.loads(done.stdout.splitlines()[-1])]


def speech(folder, data, cache):
    """Options of the recipe ravdess_frozen."""
    actors = {one.speaker for one in read_corpus("ravdess", data)[0]}
    speakers = {
        split: sorted(one for one in actors if a <= int(one[-2:]) <= b)
        for split, (a, b) in BOUNDS.items()
    }
    return {
        "folder": str(folder),
        "protocol": "list",
        "corpora": {"ravdess": str(data)},
        "label_map": {name: name for name in NAMES} | dict.fromkeys(OTHERS),
        "classes": NAMES,
        "speakers": speakers,
        "simulation": dict.fromkeys(BOUNDS, {}),
        "cache": str(cache),
    }


def copy_at(data, folder, rate):
    """RAVDESS as it is published: WAV files, an actor a folder."""
    for one in read_corpus("ravdess", data)[0]:
        name = f"Actor_{one.speaker[-2:]}/{Path(one.wav).stem}.wav"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, read_audio(one.wav, sample_rate=rate), rate)
    return folder


def compare(options, work):
    """Times of every side, a list a repeat."""
    times = defaultdict(list)
    for repeat in range(options.repeats):
        folder = work / str(repeat)
        data = copy_at(options.data_folder, folder / "data", options.rate)
        ours = speech(folder / "1", data, folder / "cache.json")
        sides = {"without cache": (OURS, json.dumps(ours))}
        ours = {**ours, "folder": str(folder / "2"), "seed": 2}
        sides["with cache"] = OURS, json.dumps(ours)
        if options.speechbrain:
            recipe = Path(options.speechbrain) / RECIPE
            copy = copy_at(options.data_folder, folder / "copy", options.rate)
            sides["SpeechBrain"] = THEIRS, recipe, copy, folder / "out.json"
        for name, side in sides.items():
            times[name].append(run(*side))
    return times


def grow(count, work):
    """Prepare so many recordings of 10 ms, with the names of EmoV-DB."""
    data, source = work / str(count), None
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 160)
    for number in range(count):
        speaker = ("bea", "jenie", "josh", "sam")[number % 4]
        style = ("Amused", "Neutral", "Sleepy")[number // 4 % 3]
        path = data / f"{speaker}_{style}" / f"{style}_1-9_{number:06d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        # File systems bound the links to a file.
        if number % 10000 == 0:
            source = path
            soundfile.write(source, noise, 16000)
        else:
            os.link(source, path)
    ours = {
        "folder": str(work / f"{count}-manifests"),
        "protocol": "grouped_kfold",
        "corpora": {"emovdb": str(data)},
        "label_map": {name: name for name in ("amused", "neutral", "sleepy")},
        "cache": str(work / f"{count}.json"),
    }
    again = {**ours, "folder": ours["folder"] + "2"}
    return run(OURS, json.dumps(ours)), run(OURS, json.dumps(again))


def main(arguments=None):
    """Print the tables."""
    options = parse(__doc__, arguments, **OPTIONS)
    with tempfile.TemporaryDirectory() as work:
        if options.data_folder:
            times = compare(options, Path(work))
            cells = [["RAVDESS", "whole (s)", "work (s)", "memory (GB)"]]
            if options.speechbrain:
                cells[0] += ["whole, times", "work, times"]
            for name, rows in times.items():
                columns = list(zip(*rows))
                cells.append([name, *(f"{median(x):.2f}" for x in columns)])
                if options.speechbrain:
                    theirs = zip(*times["SpeechBrain"])
                    pairs = list(zip(columns, theirs))[:2]
                    cells[-1] += [f"{ratio(*pair):.2f}" for pair in pairs]
            show(cells)
        if options.growth:
            cells = [
                ["recordings", "work (s)", "memory (GB)", "with cache (s)"]
            ]
            for count in options.growth:
                (_, work_s, peak), again = grow(count, Path(work))
                found = f"{work_s:.1f}", f"{peak:.2f}", f"{again[1]:.1f}"
                cells.append([str(count), *found])
            show(cells)


if __name__ == "__main__":
    main()
