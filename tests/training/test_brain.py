"""The Brain that the recipes' Brains extend: which optimizers step."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.normalization import make_normalizer
from speechbrain_ext.training.brain import EmotionBrain


class SmallBrain(EmotionBrain):
    """Two linear maps, on tensors."""

    def compute_forward(self, batch, stage):
        return self.modules.head(self.modules.speech.encoder(batch))

    def compute_objectives(self, predictions, batch, stage):
        return predictions.square().mean()


@pytest.fixture
def brain():
    torch.manual_seed(0)
    optimizer = partial(torch.optim.AdamW, lr=0.1)
    encoder = nn.Linear(4, 3)
    encoder.grid = FrameGrid([(400, 320, 0)])
    inputs = {"speech": Input(encoder)}
    hparams = {"inputs": inputs, "encoder_opt_class": optimizer}
    hparams["opt_class"] = optimizer
    modules = {**inputs, "head": nn.Linear(3, 2)}
    brain = SmallBrain(modules, optimizer, hparams, {"device": "cpu"})
    brain.init_optimizers()
    assert list(brain.optimizers_dict) == ["optimizer", "encoder_optimizer"]
    return brain


def weights(brain):
    modules = brain.modules.speech.encoder, brain.modules.head
    return [module.weight.detach().clone() for module in modules]


@pytest.mark.parametrize("scaled", [False, True])
def test_an_encoder_that_does_not_train_yet(scaled, brain):
    brain.scaler = torch.GradScaler("cpu", init_scale=8.0, enabled=scaled)
    assert brain.scaler.is_enabled() == scaled
    encoder = brain.modules.speech.encoder.requires_grad_(False)
    before = weights(brain)
    brain.fit_batch(torch.randn(5, 4))
    assert [*map(torch.equal, weights(brain), before)] == [True, False]
    encoder.requires_grad_(True)
    brain.fit_batch(torch.randn(5, 4))
    assert not torch.equal(weights(brain)[0], before[0])
    assert brain.scaler.get_scale() == (8.0 if scaled else 1.0)


def test_optimizers_with_a_gradient_alone(brain):
    optimizers = brain.optimizers_dict
    assert brain.freeze_optimizers(optimizers) == {}
    brain.modules.speech.encoder.bias.grad = torch.zeros(3)
    found = brain.freeze_optimizers(optimizers)
    assert list(found) == ["encoder_optimizer"]
    brain.modules.head.bias.grad = torch.zeros(2)
    assert brain.freeze_optimizers(optimizers) == optimizers


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number(value, brain):
    """It stops before a step; the batch and the remedy are named."""
    brain.hparams.epoch_counter = SimpleNamespace(current=3)
    batch = torch.full((5, 4), value)
    batch.id = ["a", "b"]
    before = weights(brain)
    said = "lr: the loss is .* in epoch 3, in the batch that begins with 'a'"
    with pytest.raises(UserError, match=said):
        brain.fit_batch(batch)
    with pytest.raises(UserError, match=said):
        brain.evaluate_batch(batch, None)
    assert all(map(torch.equal, weights(brain), before))


@pytest.mark.parametrize("stored", [False, True])
def test_statistics_of_what_is_no_number(stored, brain):
    """The recording is named; what is wrong enters no statistics."""
    hidden = torch.zeros(1, 5, 2)
    hidden[0, 3] = torch.nan
    given = hidden, torch.tensor([3, 2])
    source = SimpleNamespace(
        normalizer=make_normalizer("global", 1, 2),
        by_speaker=False,
        hidden=lambda *sig: given,
    )
    brain.hparams.inputs = {"speech": source}
    brain.stored = {"speech": None} if stored else {}

    class Batch(dict):
        id, sig, speaker = ["a", "b"], (), ["s", "s"]

        def to(self, device):
            return self

    brain.batches = {"train": SimpleNamespace(dataset=None)}
    with pytest.MonkeyPatch.context() as patch:
        where = "speechbrain_ext.training.brain."
        patch.setattr(f"{where}BucketBatches", lambda *_, **how: None)
        patch.setattr(f"{where}make_loader", lambda _: [Batch(speech=given)])
        with pytest.raises(UserError, match="'b': the encoder gives values"):
            brain.fit_normalizers()
    assert not source.normalizer.is_fitted()
