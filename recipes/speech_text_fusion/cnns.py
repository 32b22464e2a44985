"""How the two CNNs are trained (section III.C)."""

import speechbrain as sb
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.cnn import load_weights, weight_penalty
from speechbrain_ext.training.brain import RecognitionBrain

# In the order in which the classes of either lie side by side.
GENDERS = "female", "male"
# Without a bound to the number of blocks (s).
LEAST_SHIFT = 0.1


class ConvBrain(RecognitionBrain):
    """Features of an utterance, normalised, and a CNN over them (III.C.2)."""

    def compute_objectives(self, predictions, batch, stage):
        """Cross entropy, in training with L1 and L2 regularisation."""
        loss = super().compute_objectives(predictions, batch, stage)
        if stage != sb.Stage.TRAIN:
            return loss
        given = self.modules.head, self.hparams.l1, self.hparams.l2
        return loss + weight_penalty(*given)


class ImageBrain(RecognitionBrain):
    """Images of an utterance's blocks (III.C.1): in training each of them is an
    example of its own, elsewhere they vote."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        shift = self.hparams.block_shift
        if self.hparams.max_blocks is None and shift < LEAST_SHIFT:
            raise UserError(
                f"max_blocks: blocks that begin every {shift:g} s are "
                f"{1 / shift:.0f} a second, too many; give the most of an "
                "utterance, such as 4."
            )
        # Before the corpus is read; what a checkpoint has comes later.
        load_weights(self.hparams.head, self.hparams.weights)

    def set_data(self, utterances, plan=None):
        """As of every recipe; genders are classes, perhaps."""
        self.genders = {}
        for one in utterances["train"] if self.hparams.gender else ():
            if one.gender not in GENDERS:
                raise UserError(
                    f"gender: '{one.wav or one.id}' is said to be "
                    f"{one.gender or 'of no known gender'}, not female or "
                    "male; set gender to False, or leave its corpus out."
                )
            self.genders[one.id] = GENDERS.index(one.gender)
        super().set_data(utterances, plan)

    def compute_forward(self, batch, stage):
        """Log posteriors [batch, classes]; in training those of each block
        [blocks, classes * genders] and the number of blocks [batch]."""
        if stage != sb.Stage.TRAIN:
            return super().compute_forward(batch, stage)
        frames, lengths = self.frames("speech", batch.to(self.device))
        logits = self.modules.head.of_blocks(frames)
        return torch.log_softmax(logits.float(), dim=-1), lengths

    def compute_objectives(self, predictions, batch, stage):
        """Cross entropy of log posteriors."""
        if stage != sb.Stage.TRAIN:
            return super().compute_objectives(predictions, batch, stage)
        log_probs, lengths = predictions
        labels, weights = batch.labels.data.to(log_probs.device), self.weights
        if self.hparams.gender:
            genders = [self.genders[id] for id in batch.id]
            labels = 2 * labels + torch.tensor(genders, device=labels.device)
            weights = None if weights is None else weights.repeat_interleave(2)
        labels = labels.repeat_interleave(lengths.to(labels.device))
        return torch.nn.functional.nll_loss(log_probs, labels, weights)
