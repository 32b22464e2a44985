"""The Brain that the recipes' Brains extend."""

import logging
import time

import speechbrain as sb
import torch
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.distributed import get_rank
from tqdm import tqdm

from speechbrain_ext.batches import BucketBatches, make_loader
from speechbrain_ext.checkpoints import RandomState
from speechbrain_ext.encoders.adaptation import parameter_groups
from speechbrain_ext.encoders.frames import absolute_lengths
from speechbrain_ext.models.frames import hidden_states, inputs
from speechbrain_ext.protocols import stable_rng

# Audio in a batch that statistics are taken of.
STATISTICS_SECONDS = 80


class EmotionBrain(sb.Brain):
    """An encoder that may be trained, and what stands on it.

    A recipe's YAML gives ``opt_class`` for everything but the encoder and,
    where the encoder is trained, ``encoder_opt_class`` for it; the schedulers
    ``lr_annealing`` and ``encoder_lr_annealing`` that follow the validation
    error; ``seed``, ``epoch_counter`` and ``train_logger``; in ``modules`` the
    encoder under the name ``encoder``; perhaps ``layer_decay``, by which the
    encoder's learning rate falls from layer to layer, and ``layers`` and
    ``max_length`` as for ``speechbrain_ext.models.frames.hidden_states``.

    A recipe's Brain gives ``validation``, and collects outputs of validation
    and test by utterance in ``collected``.

    Random numbers are seeded anew for every epoch, and their state is a part
    of checkpoints within an epoch: a run that was killed goes on as if it had
    not been.

    Arguments
    ---------
    *args
    **kwargs
        As for ``speechbrain.Brain``.
    """

    def init_optimizers(self):
        """One optimizer for the encoder if it is trained, one for the rest."""
        encoder = list(self.modules.encoder.parameters())
        of_encoder = {id(parameter) for parameter in encoder}
        rest = [p for p in self.modules.parameters() if id(p) not in of_encoder]
        self.optimizers_dict = {}
        for prefix, parameters in (("", rest), ("encoder_", encoder)):
            parameters = [p for p in parameters if p.requires_grad]
            if not parameters:
                continue
            decay = getattr(self.hparams, "layer_decay", 1.0)
            if prefix and decay != 1.0:
                parameters = parameter_groups(
                    self.hparams.encoder, self.hparams.encoder_lr, decay
                )
            optimizer = getattr(self.hparams, prefix + "opt_class")(parameters)
            self.optimizers_dict[prefix + "optimizer"] = optimizer
            if self.checkpointer is not None:
                self.checkpointer.add_recoverable(
                    prefix + "optimizer", optimizer
                )
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable("random_state", RandomState())

    def freeze_optimizers(self, optimizers):
        """Leave out optimizers that have nothing to do.

        One whose parameters have no gradient at all, such as that of an
        encoder of which nothing is unfrozen yet, would change nothing, but
        GradScaler (``--precision=fp16``) refuses it.

        Arguments
        ---------
        optimizers : dict
            From name to optimizer.

        Returns
        -------
        dict
            Those with a gradient.
        """
        return {
            name: optimizer
            for name, optimizer in optimizers.items()
            if any(
                parameter.grad is not None
                for group in optimizer.param_groups
                for parameter in group["params"]
            )
        }

    def on_fit_start(self):
        """Make optimizers, take up the latest complete checkpoint, and take
        the statistics that are not in it."""
        if self.checkpointer is not None:
            self.checkpointer.sweep()
        super().on_fit_start()
        self.fit_normalizers()

    def fit_normalizers(self):
        """Statistics for normalisation, in one pass over the data.

        Those of all recordings alike are of the training data alone; those of
        single speakers are of all that they say.
        """
        normalizers = {}
        for prefix in inputs(self.hparams.modules):
            normalizer = self.hparams.modules.get(prefix + "normalizer")
            if normalizer is not None and not normalizer.is_fitted():
                normalizers[prefix] = normalizer
        by_speaker = any(n.by_speaker for n in normalizers.values())
        for name, batches in self.batches.items() if normalizers else ():
            if name != "train" and not by_speaker:
                continue
            # All of the data in every process of a distributed run.
            loader = make_loader(
                BucketBatches(
                    batches.dataset, STATISTICS_SECONDS, shuffle=False
                )
            )
            for batch in tqdm(
                loader, f"Statistics, {name}", disable=self.noprogressbar
            ):
                batch = batch.to(self.device)
                with torch.no_grad():
                    hidden = self.hidden(batch)
                for prefix, normalizer in normalizers.items():
                    if name == "train" or normalizer.by_speaker:
                        normalizer.update(*hidden[prefix], batch.speaker)

    def hidden(self, batch):
        """Hidden states of a batch, stored or computed.

        Arguments
        ---------
        batch : speechbrain.dataio.batch.PaddedBatch
            Of a ``SpeechDataset``.

        Returns
        -------
        dict
            As ``speechbrain_ext.models.frames.hidden_states`` has it.
        """
        if hasattr(batch, "sig"):
            return hidden_states(
                self.modules,
                *batch.sig,
                getattr(self.hparams, "layers", "all"),
                getattr(self.hparams, "max_length", None),
            )
        found = {}
        for prefix in inputs(self.modules):
            feats, lengths = getattr(batch, prefix + "feats")
            lengths = absolute_lengths(lengths, feats.shape[1])
            found[prefix] = feats.transpose(1, 2).float(), lengths
        return found

    def fit_batches(self, batches):
        """``fit`` with batches that follow from seed and epoch.

        ``train_seconds`` is the time that it took.

        Arguments
        ---------
        batches : dict
            From ``"train"``, ``"valid"`` and ``"test"`` to
            ``speechbrain_ext.batches.BucketBatches``.
        """
        self.batches = batches
        loaders = {
            name: make_loader(batches[name], self.hparams.num_workers)
            for name in ("train", "valid")
        }
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable(
                "dataloader-TRAIN", loaders["train"]
            )
        start = time.time()
        self.fit(self.hparams.epoch_counter, *loaders.values())
        self.train_seconds = time.time() - start

    def outputs_of(self, name):
        """What ``collected`` holds after a set, by the best checkpoint.

        Arguments
        ---------
        name : str
            ``"valid"`` or ``"test"``.

        Returns
        -------
        dict
            From id to output.
        """
        loader = make_loader(self.batches[name], self.hparams.num_workers)
        self.evaluate(loader, min_key="error")
        return self.collected

    def validation(self, stage_loss):
        """Judge the validation set by what was collected.

        Arguments
        ---------
        stage_loss : float
            Mean loss.

        Returns
        -------
        float
            The error that training is to make small.
        dict
            What else is to be logged.
        """
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
                sb.utils.seed.seed_everything(
                    int(rng.integers(2**31)), verbose=False
                )

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Anneal, stop and save by the error on the validation set."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = stage_loss
        if stage == sb.Stage.VALID:
            error, stats = self.validation(stage_loss)
            rates = self.anneal(error)
            self.hparams.train_logger.log_stats(
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
        """Let the schedulers follow the validation error.

        Arguments
        ---------
        error : float
            Lower is better.

        Returns
        -------
        dict
            Learning rates of the epoch that ends, by optimizer.
        """
        rates = {}
        for name, optimizer in self.optimizers_dict.items():
            prefix = name.removesuffix("optimizer")
            rates[prefix + "lr"] = max(
                group["lr"] for group in optimizer.param_groups
            )
            scheduler = getattr(self.hparams, prefix + "lr_annealing", None)
            if scheduler is not None:
                update_learning_rate(optimizer, scheduler(error)[1])
                for group in optimizer.param_groups:
                    # Layers below the top learn more slowly.
                    group["lr"] *= group.get("scale", 1.0)
        return rates


def frame_loss(log_probs, labels, lengths):
    """Mean negative log likelihood over the valid frames of a batch.

    Arguments
    ---------
    log_probs : torch.Tensor
        ``[batch, frames, classes]``.
    labels : torch.Tensor
        Class indices ``[batch, frames]``.
    lengths : torch.Tensor
        Number of valid frames ``[batch]``.

    Returns
    -------
    torch.Tensor
        A scalar.

    Example
    -------
    >>> log_probs = torch.log(torch.tensor([[[0.5, 0.5], [0.01, 0.99]]]))
    >>> loss = frame_loss(log_probs, torch.tensor([[0, 0]]), torch.tensor([1]))
    >>> round(loss.item(), 4)
    0.6931
    """
    frames = torch.arange(labels.shape[1], device=labels.device)
    labels = labels.masked_fill(frames >= lengths[:, None], -100)
    return torch.nn.functional.nll_loss(
        log_probs.float().transpose(1, 2), labels, ignore_index=-100
    )
