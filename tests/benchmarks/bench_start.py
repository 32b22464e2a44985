"""Processor time until a command answers, beside SpeechBrain's import.

> python -m tests.benchmarks.bench_start --repeats=5
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.benchmarks.timing import against, footer, interleave, parse, show

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "ssl_embeddings"
YAML = str(RECIPE / "hparams" / "ravdess.yaml")
REFERENCE = "import speechbrain"
COMMANDS = {
    REFERENCE: ["-c", "import speechbrain"],
    "experiment --help": ["-m", "speechbrain_ext.experiment", "--help"],
    "inference --help": ["-m", "speechbrain_ext.inference", "--help"],
    "train.py, wrong option": [str(RECIPE / "train.py"), YAML, "--nope=1"],
    "import plots": ["-c", "import speechbrain_ext.plots"],
}


def main(arguments=None):
    """Time all commands in turn; the first of each fills the file cache."""
    repeats = parse(__doc__, arguments, repeats=5).repeats
    run = partial(subprocess.run, capture_output=True, cwd=ROOT)
    jobs = {
        name: partial(run, [sys.executable, *words])
        for name, words in COMMANDS.items()
    }
    show(against(interleave(jobs, repeats), REFERENCE))
    footer(repeats)


if __name__ == "__main__":
    main()
