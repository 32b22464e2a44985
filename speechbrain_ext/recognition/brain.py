"""The Brain of recipes that give an utterance one emotion."""

from pathlib import Path

import speechbrain as sb
import torch

from speechbrain_ext.brain import EmotionBrain
from speechbrain_ext.errors import UserError
from speechbrain_ext.files import read_json
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.models.frames import check_strides
from speechbrain_ext.recognition.results import write_results


class RecognitionBrain(EmotionBrain):
    """A classifier of utterances; a recipe adds ``compute_forward``.

    ``utterances`` are those of every split, as ``load_splits`` gives them.
    The YAML gives ``classes`` and ``stop_by``: what of the validation set is
    to get better, ``"loss"`` or ``"UA"``.

    Arguments
    ---------
    *args
    **kwargs
        As for ``speechbrain.Brain``.

    Raises
    ------
    UserError
        When ``stop_by``, ``batch_size``, ``batch_seconds`` or ``max_length``
        cannot be, or the strides of two encoders differ.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        stop_by = self.hparams.stop_by
        if stop_by not in ("loss", "UA"):
            raise UserError(f"stop_by: '{stop_by}' is none; choose loss or UA.")
        _check_sizes(self.hparams)
        check_strides(self.hparams.modules)

    def compute_objectives(self, predictions, batch, stage):
        """Cross entropy.

        Arguments
        ---------
        predictions : torch.Tensor
            Log posteriors ``[batch, classes]``.
        batch : speechbrain.dataio.batch.PaddedBatch
            Of an ``UtteranceDataset``.
        stage : speechbrain.Stage
            Outside of training, posteriors are collected.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        if stage != sb.Stage.TRAIN:
            outputs = predictions.detach().float().cpu().numpy()
            self.collected.update(zip(batch.id, outputs))
        labels = batch.labels.data[:, 0].to(predictions.device)
        return torch.nn.functional.nll_loss(predictions.float(), labels)

    def validation(self, stage_loss):
        """The loss or UA counts, as the YAML says."""
        summary = self.stats("valid", self.collected).summarize(bootstrap=0)
        error = stage_loss
        if self.hparams.stop_by == "UA":
            error = 100 - summary["UA"]
        return error, {name: summary[name] for name in ("UA", "WA")}

    def stats(self, name, outputs):
        """Figures of a split.

        Arguments
        ---------
        name : str
            Of the split.
        outputs : dict
            From id to log posteriors.

        Returns
        -------
        RecognitionStats
        """
        stats = RecognitionStats(list(self.hparams.classes))
        for utterance in self.utterances[name]:
            stats.append(
                utterance.id,
                utterance.emotion,
                outputs[utterance.id],
                utterance.speaker,
            )
        return stats

    def finish(self, run, record):
        """Test by the best checkpoint, and write down what came out.

        Arguments
        ---------
        run : pathlib.Path
            The run folder.
        record : dict
            What the recipe adds to results.json: ``recipe``, ``hparams`` (the
            YAML), ...
        """
        valid = self.stats("valid", self.outputs_of("valid"))
        stats = self.stats("test", self.outputs_of("test"))
        if not sb.utils.distributed.if_main_process():
            return
        of_valid = valid.summarize(bootstrap=0)
        # What choices between systems are made by.
        valid.write_csv(run / "predictions_valid.csv")
        write_results(
            run,
            stats,
            self.hparams.modules,
            {
                **record,
                "hparams": Path(record["hparams"]).name,
                "seed": self.hparams.seed,
                "fold": self.hparams.fold,
                "corpus": self.hparams.corpus,
                "train_seconds": self.train_seconds,
                "protocol": read_json(run / "manifests" / "protocol.json"),
                "valid": {name: of_valid[name] for name in ("UA", "WA")},
            },
        )


def _check_sizes(hparams):
    size = getattr(hparams, "batch_size", 1)
    if not isinstance(size, int) or size < 1:
        raise UserError(
            f"batch_size: {size} cannot be; give a whole number from 1 on."
        )
    for name in ("batch_seconds", "max_length"):
        seconds = getattr(hparams, name, None)
        if seconds is None:
            continue
        if not isinstance(seconds, (int, float)) or seconds <= 0:
            raise UserError(
                f"{name}: {seconds} cannot be; give seconds over 0."
            )
