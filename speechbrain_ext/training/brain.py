"""The Brain that the recipes' Brains extend."""

import contextlib
import ctypes
import itertools
import logging
import re
import time
from collections import Counter
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.distributed import get_rank
from tqdm import tqdm

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open, read_text, writing
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.data import (
    BucketBatches,
    UtteranceDataset,
    make_batches,
    make_loader,
)
from speechbrain_ext.encoders.adaptation import parameter_groups
from speechbrain_ext.metrics.recognition import RecognitionStats
from speechbrain_ext.models import packing
from speechbrain_ext.models.inputs import check_strides
from speechbrain_ext.store import check_finite, store_inputs
from speechbrain_ext.training.checkpoints import RandomState
from speechbrain_ext.training.results import write_recognition

# Audio in a batch that statistics are taken of.
STATISTICS_SECONDS = 80
# How a line of FileTrainLogger begins.
_EPOCH = re.compile(r"epoch: (\d+),")


class EmotionBrain(sb.Brain):
    """Named inputs, whose encoders may be trained, and a head on them.

    A recipe's YAML gives ``inputs`` (from a name to
    ``speechbrain_ext.models.inputs.Input``), which stand under the same names
    in ``modules``; ``opt_class`` for everything but encoders and, where an
    encoder is trained, ``encoder_opt_class`` for it; the schedulers
    ``lr_annealing`` and ``encoder_lr_annealing`` that follow the validation
    error; ``seed``, ``epoch_counter`` and ``train_logger``; perhaps
    ``layer_decay``, by which the encoder's learning rate falls from layer to
    layer.

    A recipe's Brain gives ``dataset`` and ``validation``, and collects outputs
    of validation and test by utterance in ``collected``.

    Random numbers are seeded anew for every epoch, and their state is a part
    of checkpoints within an epoch: a run that was killed goes on as if it had
    not been.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stored = {}
        check_strides(self.hparams.inputs)

    @classmethod
    def of_recipe(cls, hparams, run_opts):
        """The Brain of what ``begin_run`` gives."""
        names = "modules", "opt_class", "checkpointer"
        given = {name: hparams[name] for name in names}
        return cls(hparams=hparams, run_opts=run_opts, **given)

    def init_optimizers(self):
        """One optimizer for encoders that are trained, one for the rest."""
        encoders = [one.encoder for one in self.hparams.inputs.values()]
        encoder = [p for one in encoders for p in one.parameters()]
        of_encoder = {id(parameter) for parameter in encoder}
        rest = [p for p in self.modules.parameters() if id(p) not in of_encoder]
        self.optimizers_dict = {}
        for prefix, parameters in (("", rest), ("encoder_", encoder)):
            parameters = [p for p in parameters if p.requires_grad]
            if not parameters:
                continue
            decay = getattr(self.hparams, "layer_decay", 1.0)
            if prefix and decay != 1.0:
                how = self.hparams.encoder_lr, decay
                groups = [parameter_groups(one, *how) for one in encoders]
                parameters = sum(groups, [])
            optimizer = getattr(self.hparams, prefix + "opt_class")(parameters)
            self.optimizers_dict[prefix + "optimizer"] = optimizer
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables(
                {**self.optimizers_dict, "random_state": RandomState()}
            )

    def freeze_optimizers(self, optimizers):
        """Leave out optimizers without any gradient, such as that of an
        encoder of which nothing is unfrozen yet: GradScaler refuses them."""

        def has_gradient(optimizer):
            groups = (group["params"] for group in optimizer.param_groups)
            return any(p.grad is not None for group in groups for p in group)

        return {k: one for k, one in optimizers.items() if has_gradient(one)}

    def on_fit_start(self):
        """Make optimizers, take up the latest complete checkpoint, and take
        the statistics that are not in it."""
        super().on_fit_start()
        if self.checkpointer is not None:
            self.checkpointer.sweep()
        sb.utils.distributed.run_on_main(self._trim_log)
        self.fit_normalizers()

    def _trim_log(self):
        """Forget the epochs that are trained again, and half a line."""
        path = getattr(self.hparams.train_logger, "save_file", None)
        done = self.hparams.epoch_counter.current
        text = read_text(path) if path and Path(path).exists() else ""
        lines = text.splitlines(keepends=True)
        epochs = [_EPOCH.match(line) for line in lines]
        kept = [
            line
            for line, epoch in zip(lines, epochs)
            if (epoch is None or int(epoch[1]) <= done) and line[-1] == "\n"
        ]
        if kept != lines:
            with atomic_open(path) as file:
                file.writelines(kept)

    def _should_save_intra_epoch_ckpt(self, *since):
        """As of every Brain; but not while gradients, which are no part of
        checkpoints, wait for those of other batches."""
        due = super()._should_save_intra_epoch_ckpt(*since)
        return due and self.step % self.grad_accumulation_factor == 0

    def fit_batch(self, batch):
        """As of every Brain; ``check_loss_isfinite`` knows the batch."""
        self._batch = batch
        return super().fit_batch(batch)

    def evaluate_batch(self, batch, stage):
        """As of every Brain, with a finite loss or an error."""
        self._batch = batch
        loss = super().evaluate_batch(batch, stage)
        self.check_loss_isfinite(loss)
        return loss

    def check_loss_isfinite(self, loss):
        """Stop at once: nothing good comes after it, and a mean would leave
        it out."""
        if not torch.isfinite(loss):
            raise UserError(
                f"lr: the loss is {float(loss.detach())} in epoch "
                f"{self.hparams.epoch_counter.current}, in the batch that "
                f"begins with '{self._batch.id[0]}'; choose a lower learning "
                "rate, or check that recording. The last checkpoint is kept."
            )

    @torch.no_grad()
    def fit_normalizers(self):
        """Statistics for normalisation, in one pass over the data.

        Those of all recordings alike are of the training data alone; those of
        single speakers are of all that they say.
        """
        todo = {
            name: source
            for name, source in self.hparams.inputs.items()
            if source.normalizer is not None
            and not source.normalizer.is_fitted()
        }
        for split, batches in self.batches.items():
            wanted = {
                name: source
                for name, source in todo.items()
                if split == "train" or source.by_speaker
            }
            if not wanted:
                continue
            # All of the data in every process of a distributed run.
            limits = {"max_seconds": STATISTICS_SECONDS, "shuffle": False}
            loader = make_loader(BucketBatches(batches.dataset, **limits))
            title, quiet = f"Statistics, {split}", self.noprogressbar
            for batch in tqdm(loader, title, disable=quiet):
                batch = batch.to(self.device)
                for name, source in wanted.items():
                    if name in self.stored:
                        hidden, lengths = batch[name]
                    else:
                        hidden, lengths = source.hidden(*batch.sig)
                    parts = packing.split(hidden, lengths)
                    for part, id in zip(parts, batch.id):
                        check_finite(part, id)
                    source.normalizer.update(hidden, lengths, batch.spk_id)
        for features in self.stored.values():
            features.normalize()

    def frames(self, name, batch):
        """Packed frames of an input ``[frames, channels]``, normalised and
        mixed, and their number for each utterance ``[batch]``."""
        # Those of training alone are no part of the model.
        inputs = self.modules if name in self.modules else self.hparams.inputs
        if name in self.stored:
            kind = "convolved" if self.stored[name].convolved else "normalised"
            given = {kind: batch[name]}
        elif self.hparams.inputs[name].encoder.reads == ("text",):
            given = {"texts": batch.text}
        else:
            given = dict(zip(("wav", "wav_lens"), batch.sig))
        return inputs[name](speakers=batch.spk_id, **given)

    def dataset(self, utterances):
        """The ``SpeechDataset`` of a split."""
        raise NotImplementedError

    def set_data(self, utterances, plan=None):
        """Make batches of the splits; inputs are stored where need be.

        The YAML gives ``batch_size``, or ``batch_seconds`` and ``num_buckets``;
        ``plan`` is that of ``make_batches``.
        """
        hparams = vars(self.hparams)
        self.utterances = utterances
        run_opts = {"device": self.device, "noprogressbar": self.noprogressbar}
        self.stored = store_inputs(hparams, utterances, run_opts)
        if "batch_size" in hparams:
            limits = {"batch_size": hparams["batch_size"]}
        else:
            limits = {"max_seconds": hparams["batch_seconds"]}
            limits["num_buckets"] = hparams["num_buckets"]
        datasets = {n: self.dataset(part) for n, part in utterances.items()}
        self.batches = make_batches(datasets, hparams["seed"], plan, **limits)

    def fit_batches(self):
        """``fit`` on ``set_data``; ``train_seconds`` is the time it took."""
        keep_memory()
        loaders = [
            make_loader(self.batches[name], self.hparams.num_workers)
            for name in ("train", "valid")
        ]
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("dataloader-TRAIN", loaders[0])
        start = time.time()
        self.fit(self.hparams.epoch_counter, *loaders)
        self.train_seconds = time.time() - start

    def outputs_of(self, name):
        """What is ``collected`` of a split, by the best checkpoint."""
        loader = make_loader(self.batches[name], self.hparams.num_workers)
        self.evaluate(loader, min_key="error")
        return self.collected

    def validation(self, stage_loss):
        """From the mean loss and what was ``collected`` of the validation set
        to the error that training is to make small, and a dict to log."""
        raise NotImplementedError

    def on_stage_start(self, stage, epoch=None):
        """Seed the epoch and make its batches."""
        self.collected = {}
        if stage == sb.Stage.TRAIN:
            self.batches["train"].set_epoch(epoch)
            # Within an epoch that is taken up again the state came with the
            # checkpoint.
            if self.step == 0:
                rng = stable_rng(self.hparams.seed, epoch, get_rank() or 0)
                seed = int(rng.integers(2**31))
                sb.utils.seed.seed_everything(seed, verbose=False)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Anneal, stop and save by the error on the validation set."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        if stage == sb.Stage.VALID:
            error, stats = self.validation(stage_loss)
            rates = self.anneal(error)
            train_logger = self.hparams.train_logger
            with writing(getattr(train_logger, "save_file", "the log")):
                train_logger.log_stats(
                    {"epoch": epoch, **rates},
                    train_stats={"loss": self.train_loss},
                    valid_stats={"loss": stage_loss, **stats},
                )
            if hasattr(self.hparams.epoch_counter, "update_metric"):
                # A plain number, for the counter writes it into checkpoints.
                self.hparams.epoch_counter.update_metric(float(error))
            self.checkpointer.save_and_keep_only(
                meta={"error": error, "epoch": epoch, **stats},
                min_keys=["error"],
                verbosity=logging.DEBUG,
            )

    def anneal(self, error):
        """Let the schedulers follow the validation error; the learning rates
        of the epoch that ends."""
        rates = {}
        for name, optimizer in self.optimizers_dict.items():
            prefix = name.removesuffix("optimizer")
            groups = optimizer.param_groups
            rates[prefix + "lr"] = max(group["lr"] for group in groups)
            scheduler = getattr(self.hparams, prefix + "lr_annealing", None)
            if scheduler is not None:
                update_learning_rate(optimizer, scheduler(error)[1])
                for group in groups:
                    # Layers below the top learn more slowly.
                    group["lr"] *= group.get("scale", 1.0)
        return rates


def keep_memory():
    """Have glibc keep the memory of a batch for the next one."""
    # By default it gives every large block back to the kernel, which costs as
    # much time as a small model's arithmetic on a CPU.
    trim_threshold, mmap_max = -1, -4
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


class RecognitionBrain(EmotionBrain):
    """A classifier of utterances: named inputs, and a head on their frames.

    The YAML gives ``classes`` and ``stop_by``: what of the validation set is
    to get better, ``"loss"`` or ``"UA"``; perhaps ``class_weights``: whether
    in the loss every class of the training set has the same weight.
    """

    # Of the loss, by class.
    weights = None

    def dataset(self, utterances):
        """Utterances with one label each."""
        live = {
            what
            for name, one in self.hparams.inputs.items()
            if name not in self.stored
            for what in one.encoder.reads
        }
        given = self.hparams.classes, self.stored
        return UtteranceDataset(utterances, *given, live=sorted(live))

    def set_data(self, utterances, plan=None):
        """As of every recipe; classes are counted for their weights."""
        super().set_data(utterances, plan)
        if getattr(self.hparams, "class_weights", False):
            counts = Counter(one.emotion for one in utterances["train"])
            counts = [counts[name] for name in self.hparams.classes]
            share = sum(counts) / len(counts)
            weights = [share / max(count, 1) for count in counts]
            self.weights = torch.tensor(weights, device=self.device)

    def compute_forward(self, batch, stage):
        """Log posteriors ``[batch, classes]``."""
        batch = batch.to(self.device)
        frames = [self.frames(name, batch) for name in self.hparams.inputs]
        logits = self.modules.head(*itertools.chain(*frames))
        return torch.log_softmax(logits.float(), dim=-1)

    def compute_objectives(self, predictions, batch, stage):
        """Cross entropy of log posteriors ``[batch, classes]``."""
        if stage != sb.Stage.TRAIN:
            outputs = predictions.detach().float().cpu().numpy()
            self.collected.update(zip(batch.id, outputs))
        labels = batch.labels.data.to(predictions.device)
        given = predictions.float(), labels, self.weights
        return torch.nn.functional.nll_loss(*given)

    def validation(self, stage_loss):
        """The loss or UA counts, as the YAML says."""
        stats = self.stats("valid", self.collected)
        metrics = stats.metrics(stats.summarize(bootstrap=0))
        by_loss = self.hparams.stop_by == "loss"
        return stage_loss if by_loss else 100 - metrics["UA"], metrics

    def stats(self, name, outputs):
        """``RecognitionStats`` of a split, from id to log posteriors."""
        classes = list(self.hparams.classes)
        return RecognitionStats.of(classes, self.utterances[name], outputs)

    def finish(self, run, record):
        """Test by the best checkpoint, write down what came out, with what the
        recipe adds to results.json, and show it."""
        valid = self.stats("valid", self.outputs_of("valid"))
        test = self.stats("test", self.outputs_of("test"))
        if not sb.utils.distributed.if_main_process():
            return
        record = {**record, "train_seconds": self.train_seconds}
        write_recognition(run, vars(self.hparams), valid, test, record)
