#!/usr/bin/env python3
"""Emotion recognition from speech and text (Sharma 2023).

> python train.py hparams/classical.yaml --ravdess_folder=RAVDESS
> python train.py hparams/hubert.yaml --ravdess_folder=RAVDESS
> python train.py hparams/hubert_bert.yaml --ravdess_folder=RAVDESS

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

# What a classifier takes from its YAML, and what models that are trained by
# epochs take.
CLASSIFIER = (
    "classifier grid output_folder seed classes preparation inputs "
    "encoder_source feature_folder feature_memory feature_dtype"
).split()
MODEL = [
    *NEEDED,
    "stop_by",
    "feature_folder",
    "batch_size",
    "warmup_steps",
]


def OPTIONS(yaml):
    """What this recipe takes from a YAML, by what is in it."""
    return CLASSIFIER if "classifier" in yaml else MODEL


if __name__ == "__main__":
    # A wrong option ends here, before imports that take seconds.
    exits_cleanly(read_command_line)(sys.argv[1:], __file__, OPTIONS)

from classifiers import run_classifier
from speechbrain.nnet.schedulers import LinearWarmupScheduler

from speechbrain_ext.training.brain import RecognitionBrain
from speechbrain_ext.training.preparation import prepared_splits
from speechbrain_ext.training.results import show


class FusionBrain(RecognitionBrain):
    """Speech, or speech and text, and a classifier on their means (III.D)."""

    def on_fit_batch_start(self, batch, should_step):
        """The learning rate of the update that is next (table 7)."""
        hparams = self.hparams
        # At the end of an epoch SpeechBrain forgets what waits for an update.
        updates = len(self.batches["train"]) // self.grad_accumulation_factor
        updates = updates * hparams.number_of_epochs + 1
        given = hparams.lr, hparams.warmup_steps, updates
        rate = LinearWarmupScheduler(*given).calculate_lr
        for optimizer in self.optimizers_dict.values():
            for group in optimizer.param_groups:
                group["lr"] = rate(self.optimizer_step + 1)


@exits_cleanly
def main(arguments):
    """The recipe, from the command line."""
    hparams_file, hparams, run_opts = begin_run(arguments, show, OPTIONS)
    if hparams is None:
        return
    run = Path(hparams["output_folder"])
    record = {"recipe": "speech_text_fusion", "hparams": hparams_file}
    if "classifier" in hparams:
        run_classifier(hparams, record, run_opts)
        return
    # Before the corpus is read, for what it says about options.
    brain = FusionBrain.of_recipe(hparams, run_opts)
    brain.set_data(prepared_splits(run / "manifests", hparams, run_opts))
    brain.fit_batches()
    brain.finish(run, record)


if __name__ == "__main__":
    main(sys.argv[1:])
