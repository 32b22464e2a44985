"""Segments a minute of the speech model of Makiuchi et al. (2021).

> python -m tests.benchmarks.bench_cross_representation --run=RUN

from the root of the repository. ``RUN`` is a run of the recipe for speech
whose stored features are where they were; what is timed is its training, from
stored features to the step of the optimizer, with models of other widths.
Wall-clock time, on a quiet machine; the last column is the paper's million
iterations of two segments at that speed.
"""

import os
import time

from hyperpyyaml import load_hyperpyyaml

from speechbrain_ext.training.brain import keep_memory
from speechbrain_ext.training.preparation import load_splits
from tests.benchmarks.timing import footer, parse, show
from tests.recipes.running import CROSS, script

OPTIONS = {"batch_size": 16, "steps": 20, "widths": [512, 128, 512, 512]}
SEGMENTS = 2_000_000


def speed(run, encoder_width, decoder_width, batch_size, steps, precision):
    """Segments a minute."""
    # In the YAML of a run references are resolved.
    widths = {"encoder_width": encoder_width, "decoder_width": decoder_width}
    changes = {"batch_size": batch_size, "head": widths, "checkpointer": None}
    with open(os.path.join(run, "hyperparams.yaml"), encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, changes)
    train = script(CROSS, "train")
    run_opts = {"device": "cpu", "noprogressbar": True, "precision": precision}
    brain = train.CrossRepresentationBrain.of_recipe(hparams, run_opts)
    brain.set_data(load_splits(os.path.join(run, "manifests")))
    brain.checkpointer = None
    brain.on_fit_start()
    brain.on_stage_start(train.sb.Stage.TRAIN, 1)
    brain.modules.train()
    batches = train_batches(brain)
    brain.fit_batch(next(batches))
    start, done = time.perf_counter(), 0
    for _ in range(steps):
        batch = next(batches)
        brain.fit_batch(batch)
        done += len(batch.id)
    return 60 * done / (time.perf_counter() - start)


def train_batches(brain):
    """Batches of training without end."""
    from speechbrain_ext.data import make_loader

    while True:
        yield from make_loader(brain.batches["train"])


def main(arguments=None):
    """The command line."""
    options = parse(__doc__, arguments, "run", **OPTIONS)
    keep_memory()
    pairs = zip(options.widths[::2], options.widths[1::2])
    cells = [["encoder, decoder", "precision", "segments/min", "days for 10^6"]]
    for widths in pairs:
        for precision in ("fp32", "bf16"):
            how = options.batch_size, options.steps, precision
            found = speed(options.run, *widths, *how)
            days = SEGMENTS / found / 60 / 24
            name = ", ".join(map(str, widths))
            cells.append([name, precision, f"{found:.0f}", f"{days:.1f}"])
    show(cells, f"Batches of {options.batch_size}")
    footer(1)


if __name__ == "__main__":
    main()
