#!/usr/bin/env python3
"""Emotion recognition by fine-tuning an encoder (Jafarzadeh et al. 2024).

> python train.py hparams/finetune.yaml --corpus=emodb --data_folder=EmoDB

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
    "encoder",
    "augmentation",
    "unfreeze_every",
    "cnn_folder",
    "batch_seconds",
    "num_buckets",
]

if __name__ == "__main__":
    # A wrong option ends here, before imports that take seconds.
    exits_cleanly(read_command_line)(sys.argv[1:], __file__, OPTIONS)

import speechbrain as sb
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.adaptation import unfreeze_top, unfrozen_layers
from speechbrain_ext.training.augmentation import make_augmenter
from speechbrain_ext.training.brain import RecognitionBrain
from speechbrain_ext.training.preparation import prepared_splits
from speechbrain_ext.training.results import show


class FinetuningBrain(RecognitionBrain):
    """An encoder that is trained, the mean of its frames, and a classifier."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        every = self.hparams.unfreeze_every
        if every is None:
            return
        unfrozen_layers(1, every)  # raises for an invalid value
        if self.distributed_launch and not self.find_unused_parameters:
            raise UserError(
                "unfreeze_every: in several processes parameters that do not "
                "train yet have to be looked for; add "
                "--find_unused_parameters."
            )

    def compute_forward(self, batch, stage):
        """Log posteriors [batch, classes] (figure 1)."""
        batch = batch.to(self.device)
        if stage == sb.Stage.TRAIN and self.augmenter is not None:
            batch.sig = type(batch.sig)(*self.augmenter(*batch.sig))
        frames, lengths = self.frames("speech", batch)
        logits = self.modules.head(frames, lengths)
        return torch.log_softmax(logits.float(), dim=-1)

    def on_stage_start(self, stage, epoch=None):
        """Unfreeze more of the encoder, if that is asked for."""
        super().on_stage_start(stage, epoch)
        if stage == sb.Stage.TRAIN and self.hparams.unfreeze_every is not None:
            unfreeze_top(
                self.hparams.encoder,
                unfrozen_layers(epoch, self.hparams.unfreeze_every),
            )


@exits_cleanly
def main(arguments):
    """The recipe, from the command line."""
    hparams_file, hparams, run_opts = begin_run(arguments, show, OPTIONS)
    if hparams is None:
        return
    run = Path(hparams["output_folder"])
    # Before the corpus is read, for what it says about options.
    augmenter = make_augmenter(
        **hparams["augmentation"], cache_folder=run / "augmentation"
    )
    if augmenter is not None and hparams["cnn_folder"] is not None:
        raise UserError(
            "augmentation and cnn_folder exclude each other: the CNN's output "
            "differs whenever a recording does; set cnn_folder to null."
        )
    brain = FinetuningBrain.of_recipe(hparams, run_opts)
    brain.augmenter = augmenter
    brain.set_data(prepared_splits(run / "manifests", hparams, run_opts))
    brain.fit_batches()
    brain.finish(run, {"recipe": "ssl_finetuning", "hparams": hparams_file})


if __name__ == "__main__":
    main(sys.argv[1:])
