"""Heads against plain loops over their frames, one utterance after another."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.heads import (
    ConvHead,
    FusionHead,
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


def numbers(layer):
    """The parameters of a layer."""
    return [p.detach().double().numpy() for p in layer.parameters()]


def linear(layer, x):
    """What a linear layer makes of a vector."""
    weight, bias = numbers(layer)
    return weight @ x + bias


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense_loop(head, frames):
    states = [
        relu(linear(head.second[0], relu(linear(head.first[0], frame))))
        for frame in frames
    ]
    return linear(head.output, sum(states) / len(states))


def lstm_loop(head, frames):
    entering, staying, *biases = numbers(head.lstm)
    state = cell = np.zeros(head.lstm.hidden_size)
    total = 0
    for frame in frames:
        x = relu(linear(head.first[0], frame))
        gates = entering @ x + staying @ state + sum(biases)
        enter, forget, new, leave = np.split(gates, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        state = sigmoid(leave) * np.tanh(cell)
        total = total + state
    return linear(head.output, total / len(frames))


def mean_loop(head, frames):
    mean = sum(frames) / len(frames)
    return linear(head.layers[4], relu(linear(head.layers[1], mean)))


def conv_loop(head, frames):
    rows = [np.asarray(frame) for frame in frames]
    for layer in head.convolutions.layers:
        weight, bias = numbers(layer)
        half = weight.shape[2] // 2
        new = []
        for place in range(len(rows)):
            total = bias.copy()
            for tap in range(weight.shape[2]):
                source = place + tap - half
                if 0 <= source < len(rows):
                    total += weight[:, :, tap] @ rows[source]
            new.append(relu(total))
        rows = new
    return mean_loop(head, rows)


LOOPS = {
    "dense": dense_loop,
    "lstm": lstm_loop,
    "mean": mean_loop,
    "conv": conv_loop,
}


def check_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


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


@pytest.mark.parametrize("name", LOOPS)
def test_a_head_is_what_it_says(name, frames):
    torch.manual_seed(0)
    more = {"kernel_size": 3} if name == "conv" else {}
    head = make_head(name, input_size=8, num_classes=4, hidden=6, **more).eval()
    found = head(frames, LENGTHS).detach()
    assert found.shape == (4, 4)
    for row, item in zip(found, split(frames, LENGTHS)):
        check_close(row, LOOPS[name](head, item.double().numpy()))


def test_fusion_is_what_it_says(frames):
    """Its second input may be shorter or longer than the first."""
    torch.manual_seed(0)
    head = FusionHead(8, 3, 4, hidden=6).eval()
    other_lengths = torch.tensor([4, 9, 2, 7])
    others = torch.randn(int(other_lengths.sum()), 3)
    found = head(frames, LENGTHS, others, other_lengths).detach()
    for row, item, other in zip(
        found, split(frames, LENGTHS), split(others, other_lengths)
    ):
        total = 0
        for place, frame in enumerate(item.double().numpy()):
            x = relu(linear(head.first[0], frame))
            y = other[min(place, len(other) - 1)].double().numpy()
            y = relu(linear(head.fusion[0], y))
            both = np.concatenate([x, y])
            total = total + relu(linear(head.second[0], both))
        check_close(row, linear(head.output, total / len(item)))


@pytest.mark.parametrize("name", [*LOOPS, "fusion"])
def test_heads_by_name(name):
    more = {"fusion_size": 3} if name == "fusion" else {}
    head = make_head(name, input_size=8, num_classes=4, dropout=0.5, **more)
    drops = {m.p for m in head.modules() if isinstance(m, torch.nn.Dropout)}
    assert drops == {0.5}


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"kind": "x"}, "head_kind: expected one of dense, .* got 'x'"),
        ({"kind": "fusion"}, "head_kind: 'fusion' does not fit the inputs"),
        ({"kind": "lstm", "fusion_size": 3}, "head_kind: 'lstm' does not fit"),
        *(
            (
                {"kind": "dense", "dropout": p},
                f"^dropout: expected .* got {p!r}",
            )
            for p in (2, 1.0, -0.1, "much", None)
        ),
    ],
)
def test_invalid_heads(options, sentence):
    with pytest.raises(UserError, match=sentence):
        make_head(input_size=8, num_classes=4, **options)


def test_the_sizes_of_the_paper():
    """Pepino et al., 2.3: two layers of 128."""
    head = make_head("dense", input_size=768, num_classes=7)
    sizes = [tuple(p.shape) for p in head.parameters() if p.dim() == 2]
    assert sizes == [(128, 768), (128, 128), (7, 128)]
