"""Heads on tokens against plain PyTorch, one text after another."""

import pytest
import torch
from torch.nn import functional as F

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.packing import split
from speechbrain_ext.models.text import JointHead, TextHead

# As long as the data's longest, and the odd ones.
LENGTHS = torch.tensor([1, 30, 2, 3, 9, 4])
FRAMES = torch.tensor([5, 1, 40, 7, 2, 9])


def tokens(lengths=LENGTHS, size=8):
    torch.manual_seed(3)
    return torch.randn(int(lengths.sum()), size, dtype=torch.float64)


def convolve(x, weight, bias, padding):
    """A convolution [time, channels] by its definition."""
    x = F.pad(x, (0, 0, padding, padding))
    kernel = weight.shape[2]
    windows = x.unfold(0, kernel, 1)
    return torch.einsum("tik,oik->to", windows, weight) + bias


def alone(head, x):
    x = F.pad(x, (0, 0, 0, max(0, head.min_tokens - len(x))))
    for layer in head.layers:
        x = convolve(x, layer.weight, layer.bias, 1).relu()
    logits = head.output(x.mean(0))
    return 1 / (1 + torch.exp(-logits)) if head.sigmoid else logits


@pytest.mark.parametrize("sigmoid, min_tokens", [(False, 3), (True, 30)])
def test_texts_have_the_result_that_they_have_alone(sigmoid, min_tokens):
    torch.manual_seed(0)
    head = TextHead(8, 4, sigmoid, min_tokens).double()
    shapes = [tuple(layer.weight.shape) for layer in head.layers]
    sizes = [(256, 8, 1), (256, 256, 1), (128, 256, 8), (64, 128, 4)]
    assert shapes == sizes
    x = tokens()
    found = head(x, LENGTHS)
    expected = torch.stack([alone(head, one) for one in split(x, LENGTHS)])
    assert torch.allclose(found, expected, atol=1e-12)
    if sigmoid:
        # What the released code can say at most.
        posteriors = (1e3 * (found - 0.5)).sign().clamp(0).softmax(1)
        assert posteriors.max() < 0.476 and posteriors.min() > 0.108
    found.sum().backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("kind", ["gated", "attention"])
def test_speech_and_text_are_joined(kind):
    torch.manual_seed(0)
    head = JointHead(6, 8, 4, kind, hidden=16).double().eval()
    frames, x = tokens(FRAMES, 6), tokens()
    found = head(frames, FRAMES, x, LENGTHS)
    parts = zip(split(frames, FRAMES), split(x, LENGTHS))
    for one, (speech, text) in zip(found, parts):
        speech = head.speech[0](speech).relu()
        text = head.text[0](text).relu()
        if kind == "attention":
            layer = head.attention
            weights = layer.in_proj_weight.chunk(3)
            q, k, v = (
                given @ weight.T + bias
                for given, weight, bias in zip(
                    (text, speech, speech), weights, layer.in_proj_bias.chunk(3)
                )
            )
            scores = (q @ k.T / 16**0.5).softmax(1)
            text = text + layer.out_proj(scores @ v)
        speech, text = speech.mean(0), text.mean(0)
        gate = head.gate(torch.cat([speech, text])).sigmoid()
        expected = head.output(gate * speech + (1 - gate) * text)
        assert torch.allclose(one, expected, atol=1e-12)


def test_invalid_options():
    for head, options in [
        (TextHead, {"min_tokens": 2}),
        (TextHead, {"sigmoid": 1}),
    ]:
        with pytest.raises(UserError, match=f"^{[*options][0]}: expected"):
            head(8, 4, **options)
    with pytest.raises(UserError, match="^joint_kind: expected one of gated"):
        JointHead(8, 8, 4, "sum")
