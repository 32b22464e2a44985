#!/usr/bin/env python3
"""Emotion recognition across representations (Makiuchi et al. 2021).

> python train.py hparams/small.yaml --data_folder=IEMOCAP --fold=1
> python train.py hparams/text.yaml --data_folder=IEMOCAP --fold=1

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
    "class_weights",
    "feature_folder",
    "batch_size",
    "head",
]

if __name__ == "__main__":
    # A wrong option ends here, before imports that take seconds.
    exits_cleanly(read_command_line)(sys.argv[1:], __file__, OPTIONS)

import speechbrain as sb

from speechbrain_ext.data import RandomCrop, UtteranceDataset
from speechbrain_ext.models.cross_representation import (
    CrossRepresentation,
    reconstruction_loss,
)
from speechbrain_ext.training.brain import RecognitionBrain
from speechbrain_ext.training.preparation import prepared_splits
from speechbrain_ext.training.results import show


class CrossRepresentationBrain(RecognitionBrain):
    """Speech: a bottleneck, a classifier and a decoder (section 3.1)."""

    def dataset(self, utterances):
        """In training a random segment of every utterance (3.1)."""
        crop = None
        if utterances is self.utterances["train"]:
            frames = self.hparams.head.segment
            crop = RandomCrop(frames, self.hparams.seed)
        labels = self.hparams.classes
        return UtteranceDataset(utterances, labels, self.stored, crop)

    def compute_forward(self, batch, stage):
        """Log posteriors [batch, classes]; in training the spectra that are
        made [segments, frames, bands] and the true one, too."""
        batch = batch.to(self.device)
        head = self.modules.head
        frames = {name: self.frames(name, batch) for name in self.stored}
        codes, counts = head.codes(*frames["speech"], *frames["speaker"])
        log_probs = head.classify(codes, counts)
        if stage != sb.Stage.TRAIN or head.decoder is None:
            return log_probs, None
        given = frames["speaker"], frames.get("phones")
        made = head.reconstruct(codes, counts, *given)
        return log_probs, (made, head.segments(*frames["mel"])[0])

    def compute_objectives(self, predictions, batch, stage):
        """L_e (equation 3), in training plus L_r1 and L_r2 (equation 2)."""
        log_probs, spectra = predictions
        loss = super().compute_objectives(log_probs, batch, stage)
        if spectra is None:
            return loss
        which = self.hparams.reconstruction
        return loss + reconstruction_loss(*spectra, which)


@exits_cleanly
def main(arguments):
    """The recipe, from the command line."""
    hparams_file, hparams, run_opts = begin_run(arguments, show, OPTIONS)
    if hparams is None:
        return
    run = Path(hparams["output_folder"])
    # Text, or speech and text: stored states and a head (section 3.2).
    brain_class = RecognitionBrain
    if isinstance(hparams["head"], CrossRepresentation):
        brain_class = CrossRepresentationBrain
        for name in hparams["head"].unused:
            del hparams["inputs"][name]
    # Before the corpus is read, for what it says about options.
    brain = brain_class.of_recipe(hparams, run_opts)
    brain.set_data(prepared_splits(run / "manifests", hparams, run_opts))
    brain.fit_batches()
    brain.finish(
        run, {"recipe": "cross_representation", "hparams": hparams_file}
    )


if __name__ == "__main__":
    main(sys.argv[1:])
