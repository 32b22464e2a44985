"""Heads against plain PyTorch, one utterance after another."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.heads import (
    ConvHead,
    LinearHead,
    RecurrentHead,
    make_head,
)
from speechbrain_ext.models.packing import (
    mean_over_frames,
    pack,
    pad,
    run_lstm,
    split,
)

LENGTHS = torch.tensor([3, 11, 1, 7])
FRAME_HEADS = {
    LinearHead: (0.3,),
    ConvHead: (6, 5, 3, 0.3),
    RecurrentHead: (6, 5, 2, 0.3),
}


def dense(layer, x):
    return layer[0](x).relu()


def dense_alone(head, x):
    return head.output(dense(head.second, dense(head.first, x)).mean(0))


def lstm_alone(head, x):
    return head.output(head.lstm(dense(head.first, x)[None])[0][0].mean(0))


def mean_alone(head, x):
    return head.layers[4](head.layers[1](x.mean(0)).relu())


def conv_alone(head, x):
    for layer in head.convolutions.layers:
        x = torch.conv1d(x.T, layer.weight, layer.bias, padding="same").T.relu()
    return mean_alone(head, x)


def fusion_alone(head, x, other):
    other = other[[min(place, len(other) - 1) for place in range(len(x))]]
    x = torch.cat([dense(head.first, x), dense(head.fusion, other)], dim=1)
    return head.output(dense(head.second, x).mean(0))


ALONE = {
    "dense": dense_alone,
    "lstm": lstm_alone,
    "mean": mean_alone,
    "conv": conv_alone,
    "fusion": fusion_alone,
}


@pytest.fixture
def frames():
    torch.manual_seed(1)
    return torch.randn(int(LENGTHS.sum()), 8)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_packing(lengths, surplus):
    """There and back; whatever the padding held is gone."""
    rng = np.random.default_rng(sum(lengths))
    items = [torch.from_numpy(rng.normal(size=(n, 3))) for n in lengths]
    padded = torch.full((len(items), max(lengths) + surplus, 3), torch.nan)
    padded = padded.double()
    for row, item in zip(padded, items):
        row[: len(item)] = item
    sizes = torch.tensor(lengths)
    packed = pack(padded, sizes)
    assert torch.equal(packed, torch.cat(items))
    layers = pack(torch.stack([padded, 2 * padded], 1), sizes)
    assert torch.equal(layers, torch.stack([packed, 2 * packed]))
    assert all(map(torch.equal, split(packed, sizes), items))
    again = pad(packed, sizes)
    assert again.shape == (len(items), max(lengths), 3)
    assert torch.equal(pack(again, sizes), packed)
    means = mean_over_frames(packed, sizes)
    for row, item, mean in zip(again, items, means, strict=True):
        assert not row[len(item) :].any()
        np.testing.assert_allclose(mean, item.mean(0), atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_an_lstm_is_that_of_pytorch(bidirectional, layers, frames):
    """Outputs and gradients are those of packed sequences."""
    torch.manual_seed(0)
    options = {"batch_first": True, "bidirectional": bidirectional}
    lstm = torch.nn.LSTM(8, 6, layers, **options)
    found = run_lstm(lstm, frames, LENGTHS)
    sequences = pack_sequence(split(frames, LENGTHS), enforce_sorted=False)
    expected = torch.cat(unpack_sequence(lstm(sequences)[0]))
    torch.testing.assert_close(found, expected)
    weights = list(lstm.parameters())
    goal = torch.randn_like(found)
    gradients = (
        torch.autograd.grad((output * goal).sum(), weights)
        for output in (found, expected)
    )
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", FRAME_HEADS)
def test_a_head_gives_a_batch_what_it_gives_each_alone(kind, frames):
    torch.manual_seed(0)
    head = kind(8, 4, *FRAME_HEADS[kind]).eval()
    together = head(frames, LENGTHS)
    for item, length, logits in zip(
        split(frames, LENGTHS), LENGTHS, split(together, LENGTHS)
    ):
        torch.testing.assert_close(logits, head(item, length[None]))


@pytest.mark.parametrize("name", ALONE)
def test_a_head_is_what_it_says(name, frames):
    """The second input of fusion may be shorter or longer than the first."""
    torch.manual_seed(0)
    given = [(frames, LENGTHS)]
    options = {"input_size": 8, "num_classes": 4, "hidden": 6, "dropout": 0.5}
    if name == "fusion":
        given.append((torch.randn(22, 3), torch.tensor([4, 9, 2, 7])))
        options["fusion_size"] = 3
    head = make_head(name, **options)
    drops = {m.p for m in head.modules() if isinstance(m, torch.nn.Dropout)}
    assert drops == {0.5}
    head.eval()
    items = zip(*(split(*each) for each in given))
    expected = [ALONE[name](head, *item) for item in items]
    found = head(*itertools.chain(*given))
    torch.testing.assert_close(found, torch.stack(expected))


BAD_DROPOUTS = 2, 1.0, -0.1, "much", None


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"kind": "x"}, "head_kind: expected one of dense, .* got 'x'"),
        ({"kind": "fusion"}, "head_kind: 'fusion' does not fit the inputs"),
        ({"kind": "lstm", "fusion_size": 3}, "head_kind: 'lstm' does not fit"),
        *(({"dropout": p}, f"^dropout: .*got '?{p}") for p in BAD_DROPOUTS),
    ],
)
def test_invalid_heads(options, sentence):
    with pytest.raises(UserError, match=sentence):
        make_head(**{"kind": "dense", **options}, input_size=8, num_classes=4)


def test_the_sizes_of_the_paper():
    """Pepino et al., 2.3: two layers of 128."""
    head = make_head("dense", input_size=768, num_classes=7)
    sizes = [tuple(p.shape) for p in head.parameters() if p.dim() == 2]
    assert sizes == [(128, 768), (128, 128), (7, 128)]
