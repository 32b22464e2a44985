#!/usr/bin/env python3
"""Emotion recognition from speech and text (Sharma 2023).

> python train.py hparams/classical.yaml --ravdess_folder=RAVDESS
> python train.py hparams/cnn.yaml --ravdess_folder=RAVDESS
> python train.py hparams/mobilenet.yaml --ravdess_folder=RAVDESS
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

# What a YAML is to have, by the option that tells what it trains: classifiers,
# the two CNNs, or else a model of HuBERT's and perhaps BERT's states.
MODEL = [*NEEDED, "stop_by", "feature_folder"]
KINDS = {
    "classifier": (
        "grid output_folder seed classes preparation inputs encoder_source "
        "feature_folder feature_memory feature_dtype"
    ).split(),
    "l1": [*MODEL, "batch_size", "l2"],
    "gender": [
        *MODEL,
        *("batch_seconds", "num_buckets", "weights"),
        *("block_shift", "max_blocks"),
    ],
}
FUSION = [*MODEL, "batch_size", "warmup_steps"]


def OPTIONS(yaml):
    """What this recipe takes from a YAML, by what is in it."""
    return next((KINDS[key] for key in KINDS if key in yaml), FUSION)


if __name__ == "__main__":
    # A wrong option ends here, before imports that take seconds.
    exits_cleanly(read_command_line)(sys.argv[1:], __file__, OPTIONS)

from classifiers import run_classifier
from cnns import ConvBrain, ImageBrain
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
    brain_class = FusionBrain
    for key, one in {"l1": ConvBrain, "gender": ImageBrain}.items():
        brain_class = one if key in hparams else brain_class
    # Before the corpus is read, for what it says about options.
    brain = brain_class.of_recipe(hparams, run_opts)
    brain.set_data(prepared_splits(run / "manifests", hparams, run_opts))
    brain.fit_batches()
    brain.finish(run, record)


if __name__ == "__main__":
    main(sys.argv[1:])
