"""Processor time until a command answers, beside SpeechBrain's import.

python -m tests.benchmarks.bench_start --repeats=5
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

from tests.benchmarks.timing import machine, ratio

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "ssl_embeddings"
YAML = str(RECIPE / "hparams" / "ravdess.yaml")
COMMANDS = {
    "import speechbrain": ["-c", "import speechbrain"],
    "experiment --help": ["-m", "speechbrain_ext.experiment", "--help"],
    "inference --help": ["-m", "speechbrain_ext.inference", "--help"],
    "train.py, wrong option": [str(RECIPE / "train.py"), YAML, "--nope=1"],
    "import plots": ["-c", "import speechbrain_ext.plots"],
}


def seconds(words):
    """Processor time of a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(after[:2]) - sum(before[:2])


def main():
    """Time all commands in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    times = {name: [] for name in COMMANDS}
    for repeat in range(repeats + 1):
        for name, words in COMMANDS.items():
            times[name].append(seconds(words))
    # The first of each filled the file cache.
    times = {name: each[1:] for name, each in times.items()}
    print(machine())
    reference = times["import speechbrain"]
    for name, each in times.items():
        print(
            f"{name}: {median(each):.2f} s, {ratio(each, reference):.2f} times "
            "SpeechBrain's import"
        )


if __name__ == "__main__":
    main()
