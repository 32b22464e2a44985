#!/usr/bin/env python3
"""Emotion recognition from frozen embeddings (Pepino et al. 2021).

> python train.py hparams/ravdess.yaml --data_folder=RAVDESS
> python train.py hparams/iemocap.yaml --data_folder=IEMOCAP --fold=1

See README.md beside this file.
"""

import sys
from pathlib import Path

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.training.run import (
    NEEDED,
    begin_run,
    read_command_line,
)

# What this recipe takes from its YAML.
OPTIONS = [
    *NEEDED,
    "stop_by",
    "feature_folder",
    "batch_size",
]

if __name__ == "__main__":
    # A wrong option ends here, before imports that take seconds.
    exits_cleanly(read_command_line)(sys.argv[1:], __file__, OPTIONS)

from speechbrain_ext.training.brain import RecognitionBrain
from speechbrain_ext.training.preparation import prepared_splits
from speechbrain_ext.training.results import show


class EmbeddingBrain(RecognitionBrain):
    """Embeddings, normalised and mixed (equation 1), and a head (figure 1)."""


@exits_cleanly
def main(arguments):
    """The recipe, from the command line."""
    hparams_file, hparams, run_opts = begin_run(arguments, show, OPTIONS)
    if hparams is None:
        return
    run = Path(hparams["output_folder"])
    # Before the corpus is read, for what it says about options.
    brain = EmbeddingBrain.of_recipe(hparams, run_opts)
    brain.set_data(prepared_splits(run / "manifests", hparams, run_opts))
    brain.fit_batches()
    record = {"recipe": "ssl_embeddings", "hparams": hparams_file}
    brain.finish(run, {**record, "normalization": hparams["normalization"]})


if __name__ == "__main__":
    main(sys.argv[1:])
