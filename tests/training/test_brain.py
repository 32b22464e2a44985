"""The Brain that the recipes' Brains extend: which optimizers step."""

import pytest
import torch
from torch import nn

from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.models.inputs import Input
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
    hparams = {
        "opt_class": lambda p: torch.optim.AdamW(p, lr=0.1),
        "encoder_opt_class": lambda p: torch.optim.AdamW(p, lr=0.1),
    }
    encoder = nn.Linear(4, 3)
    encoder.grid = FrameGrid([(400, 320, 0)])
    hparams["inputs"] = {"speech": Input(encoder)}
    modules = {**hparams["inputs"], "head": nn.Linear(3, 2)}
    brain = SmallBrain(
        modules, hparams["opt_class"], hparams, {"device": "cpu"}
    )
    brain.init_optimizers()
    assert list(brain.optimizers_dict) == ["optimizer", "encoder_optimizer"]
    return brain


def weights(brain, name):
    return module_of(brain, name).weight.detach().clone()


def module_of(brain, name):
    return (
        brain.modules.head if name == "head" else brain.modules.speech.encoder
    )


@pytest.mark.parametrize("scaled", [False, True])
def test_an_encoder_that_does_not_train_yet(scaled, brain):
    brain.scaler = torch.GradScaler("cpu", init_scale=8.0, enabled=scaled)
    assert brain.scaler.is_enabled() == scaled
    module_of(brain, "encoder").requires_grad_(False)
    before = {name: weights(brain, name) for name in ("encoder", "head")}
    brain.fit_batch(torch.randn(5, 4))
    assert torch.equal(weights(brain, "encoder"), before["encoder"])
    assert not torch.equal(weights(brain, "head"), before["head"])
    module_of(brain, "encoder").requires_grad_(True)
    brain.fit_batch(torch.randn(5, 4))
    assert not torch.equal(weights(brain, "encoder"), before["encoder"])
    assert brain.scaler.get_scale() == (8.0 if scaled else 1.0)


def test_optimizers_with_a_gradient_alone(brain):
    optimizers = brain.optimizers_dict
    assert brain.freeze_optimizers(optimizers) == {}
    module_of(brain, "encoder").bias.grad = torch.zeros(3)
    found = brain.freeze_optimizers(optimizers)
    assert list(found) == ["encoder_optimizer"]
    brain.modules.head.bias.grad = torch.zeros(2)
    assert brain.freeze_optimizers(optimizers) == optimizers
