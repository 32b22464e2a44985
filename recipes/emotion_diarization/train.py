#!/usr/bin/env python3
"""Emotion diarization: which emotion appears when (Wang et al. 2023).

> python train.py hparams/quickstart.yaml
> python train.py hparams/large.yaml --zed_folder=... --ravdess_folder=...

See README.md beside this file.
"""

import logging
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
    "simulation",
    "resimulate",
    "feature_folder",
    "batch_seconds",
    "num_buckets",
    "postprocessing",
    "postprocessing_grid",
]

if __name__ == "__main__":
    # A wrong option ends here, before imports that take seconds.
    exits_cleanly(read_command_line)(sys.argv[1:], __file__, OPTIONS)

import speechbrain as sb
import torch
from report import diarize, report, score_diarization, show

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.data import FrameDataset
from speechbrain_ext.decoding import candidates, tune
from speechbrain_ext.training.brain import EmotionBrain
from speechbrain_ext.training.preparation import (
    check_preparation,
    prepared_splits,
    resimulation,
)

logger = logging.getLogger("speechbrain_ext.recipe")


class DiarizationBrain(EmotionBrain):
    """A frame-wise classifier: encoder, perhaps a mixture of layers, head."""

    def dataset(self, utterances):
        """Utterances with a label for every frame."""
        grid = self.hparams.inputs["speech"].grid
        return FrameDataset(utterances, grid, self.hparams.classes, self.stored)

    def compute_forward(self, batch, stage):
        """Log posteriors [frames, classes] of all utterances (figure 3)."""
        batch = batch.to(self.device)
        frames, lengths = self.frames("speech", batch)
        logits = self.modules.head(frames, lengths)
        return torch.log_softmax(logits.float(), dim=-1)

    def compute_objectives(self, predictions, batch, stage):
        """Negative log likelihood of the frames (section 5.2)."""
        labels, lengths = batch.labels
        if stage != sb.Stage.TRAIN:
            frames = predictions.cpu().split(lengths.tolist())
            self.collected.update(
                zip(batch.id, map(torch.Tensor.numpy, frames))
            )
        return torch.nn.functional.nll_loss(predictions, labels)

    def validation(self, stage_loss):
        """EDER counts."""
        eder = self.error(self.collected, self.hparams.postprocessing)
        return eder, {"EDER": eder}

    def error(self, posteriors, postprocessing):
        """EDER on the validation set in percent, the mean over utterances."""
        valid = self.utterances["valid"]
        model = self.hparams.classes, self.hparams.inputs["speech"].grid
        found = diarize(posteriors, valid, *model, postprocessing)
        stats = score_diarization(found, valid)
        return stats.summarize(bootstrap=0)["eder"]


def check(hparams):
    """Tell a mistake now, not after the data is made, or after training."""
    candidates(hparams["postprocessing_grid"])
    check_preparation(**hparams["preparation"])
    if hparams["resimulate"] and hparams["feature_folder"] is not None:
        raise UserError(
            "resimulate and feature_folder exclude each other: a fresh plan "
            "has features of its own; set one of them to null."
        )


def fresh_plan(hparams):
    """Epoch -> utterances to train on; None for the same ones in all."""
    if not hparams["resimulate"]:
        return None
    return resimulation(
        Path(hparams["output_folder"]) / "manifests",
        hparams["preparation"]["seed"],
        hparams["simulation"]["train"],
    )


@exits_cleanly
def main(arguments):
    """The recipe, from the command line."""
    hparams_file, hparams, run_opts = begin_run(arguments, show, OPTIONS)
    if hparams is None:
        return
    check(hparams)
    run = Path(hparams["output_folder"])
    if "make_data" in hparams:
        sb.utils.distributed.run_on_main(hparams["make_data"])
    data = prepared_splits(run / "manifests", hparams, run_opts)
    brain = DiarizationBrain.of_recipe(hparams, run_opts)
    brain.set_data(data, fresh_plan(hparams))
    brain.fit_batches()
    record = {
        "recipe": "emotion_diarization",
        "hparams": hparams_file,
        "train_seconds": brain.train_seconds,
        "tuning": None,
    }
    postprocessing = hparams["postprocessing"]
    logger.info("Diarizing valid and test, by the best checkpoint.")
    valid = brain.outputs_of("valid")
    if hparams["postprocessing_grid"]:
        postprocessing, record["tuning"] = tune(
            hparams["postprocessing_grid"],
            lambda tried: brain.error(valid, tried),
        )
    error = brain.error(valid, postprocessing)
    test = brain.outputs_of("test")
    if sb.utils.distributed.if_main_process():
        report(run, hparams, data, test, postprocessing, error, record)
        print(show(run))


if __name__ == "__main__":
    main(sys.argv[1:])
