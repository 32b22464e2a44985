"""Heads for utterances against plain loops over their frames."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.heads import (
    ConvHead,
    DenseHead,
    FusionHead,
    LSTMHead,
    MeanHead,
    make_head,
    masked_mean,
)
from speechbrain_ext.models.inputs import utterance_log_probs
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.models.normalization import make_normalizer

LENGTHS = [3, 11, 1, 7]
SINGLE = {
    "dense": lambda: DenseHead(8, 4, hidden=6),
    "lstm": lambda: LSTMHead(8, 4, hidden=6),
    "mean": lambda: MeanHead(8, 4, hidden=6),
    "conv": lambda: ConvHead(8, 4, hidden=6, kernel_size=3),
}


def linear(layer, x):
    """What a linear layer makes of a vector."""
    weight, bias = (p.detach().double().numpy() for p in layer.parameters())
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
    own = {
        n: p.detach().double().numpy() for n, p in head.lstm.named_parameters()
    }
    state = cell = np.zeros(head.lstm.hidden_size)
    total = 0
    for frame in frames:
        x = relu(linear(head.first[0], frame))
        gates = own["weight_ih_l0"] @ x + own["bias_ih_l0"]
        gates = gates + own["weight_hh_l0"] @ state + own["bias_hh_l0"]
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
        weight, bias = (p.detach().double().numpy() for p in layer.parameters())
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


def padded(padding, channels=8, seed=1):
    """A batch whose padding holds what is asked for."""
    torch.manual_seed(seed)
    frames = torch.randn(len(LENGTHS), max(LENGTHS) + 2, channels)
    for item, length in zip(frames, LENGTHS):
        item[length:] = padding
    return frames, torch.tensor(LENGTHS)


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6),
    st.integers(0, 3),
    st.sampled_from([0.0, 1e6, float("nan"), float("inf")]),
)
@settings(deadline=None, max_examples=40)
def test_masked_mean(lengths, surplus, padding):
    rng = np.random.default_rng(sum(lengths))
    items = [rng.normal(size=(length, 3)) for length in lengths]
    batch = torch.full(
        (len(items), max(lengths) + surplus, 3), padding, dtype=torch.float64
    )
    for row, item in zip(batch, items):
        row[: len(item)] = torch.from_numpy(item)
    found = masked_mean(batch, torch.tensor(lengths))
    for row, item in zip(found, items):
        np.testing.assert_allclose(row, item.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("padding", [0.0, 1e4])
@pytest.mark.parametrize("name", SINGLE)
def test_a_head_is_what_it_says(name, padding):
    torch.manual_seed(0)
    head = SINGLE[name]().eval()
    frames, lengths = padded(padding)
    found = head(frames, lengths).detach()
    assert found.shape == (4, 4)
    for row, item, length in zip(found, frames, LENGTHS):
        expected = LOOPS[name](head, item[:length].double().numpy())
        np.testing.assert_allclose(row, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", [0.0, 1e4])
def test_fusion_is_what_it_says(padding):
    """Its second input may be shorter or longer than the first."""
    torch.manual_seed(0)
    head = FusionHead(8, 3, 4, hidden=6).eval()
    frames, lengths = padded(padding)
    second = torch.randn(4, 12, 3)
    second_lengths = [4, 9, 2, 7]
    for item, length in zip(second, second_lengths):
        item[length:] = padding
    found = head(frames, lengths, second, torch.tensor(second_lengths)).detach()
    for row, item, length, other, limit in zip(
        found, frames, LENGTHS, second, second_lengths
    ):
        total = 0
        for place in range(length):
            x = relu(linear(head.first[0], item[place].double().numpy()))
            y = other[min(place, limit - 1)].double().numpy()
            y = relu(linear(head.fusion[0], y))
            both = np.concatenate([x, y])
            total = total + relu(linear(head.second[0], both))
        expected = linear(head.output, total / length)
        np.testing.assert_allclose(row, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SINGLE)
def test_padding_gets_no_gradient(name):
    torch.manual_seed(0)
    head = SINGLE[name]()
    frames, lengths = padded(5.0)
    frames.requires_grad_(True)
    head(frames, lengths).square().sum().backward()
    for gradient, length in zip(frames.grad, LENGTHS):
        assert gradient[length:].abs().max() == 0
        assert gradient[:length].abs().max() > 0


@pytest.mark.parametrize("name", [*SINGLE, "fusion"])
def test_heads_by_name(name):
    more = {"fusion_size": 3} if name == "fusion" else {}
    head = make_head(name, input_size=8, num_classes=4, dropout=0.5, **more)
    drops = [m.p for m in head.modules() if isinstance(m, torch.nn.Dropout)]
    assert drops and set(drops) == {0.5}


def test_no_such_head():
    with pytest.raises(UserError, match="head_kind: 'x' is none; choose dense"):
        make_head("x", input_size=8, num_classes=4)


@pytest.mark.parametrize(
    "kind, more", [("fusion", {}), ("lstm", {"fusion_size": 3})]
)
def test_a_head_for_another_number_of_inputs(kind, more):
    with pytest.raises(UserError, match="head_kind: .* a fusion_encoder"):
        make_head(kind, input_size=8, num_classes=4, **more)


@pytest.mark.parametrize("dropout", [2, 1.0, -0.1, "much", None])
def test_dropout_out_of_bounds(dropout):
    with pytest.raises(UserError, match=f"^dropout: {dropout} cannot be"):
        make_head("dense", input_size=8, num_classes=4, dropout=dropout)


def test_the_sizes_of_the_paper():
    """Pepino et al., 2.3: two layers of 128."""
    head = make_head("dense", input_size=768, num_classes=7)
    sizes = [tuple(p.shape) for p in head.parameters() if p.dim() == 2]
    assert sizes == [(128, 768), (128, 128), (7, 128)]


@pytest.mark.parametrize("kind", ["global", "speaker"])
def test_the_whole_classifier_on_padded_batches(kind):
    """Normalisation, equation 1 and head, one utterance after the other."""
    torch.manual_seed(0)
    hidden = torch.randn(4, 3, 13, 8) * 2 + 1
    for item, length in zip(hidden, LENGTHS):
        item[:, length:] = 777.0
    speakers = ["ann", "bob", "bob", "ann"]
    normalizer = make_normalizer(kind, 3, 8)
    normalizer.update(hidden, torch.tensor(LENGTHS), speakers)
    mixture = LayerMixture(3)
    mixture.alpha.data = torch.tensor([1.0, 0.3, 2.0])
    head = DenseHead(8, 4, hidden=6)
    modules = torch.nn.ModuleDict(
        {"normalizer": normalizer, "mixture": mixture, "head": head}
    ).eval()
    found = utterance_log_probs(
        modules,
        hidden={"": (hidden.clone(), torch.tensor(LENGTHS))},
        speakers=speakers,
    ).detach()
    valid = [
        item[:, :length].double().numpy()
        for item, length in zip(hidden, LENGTHS)
    ]
    for place, row in enumerate(found):
        own = [
            frames
            for frames, speaker in zip(valid, speakers)
            if kind == "global" or speaker == speakers[place]
        ]
        pool = np.concatenate(own, axis=1)
        mean, std = pool.mean(axis=1), pool.std(axis=1)
        normal = (valid[place] - mean[:, None]) / std[:, None]
        mixed = sum(a * x for a, x in zip([1.0, 0.3, 2.0], normal)) / 3.3
        logits = dense_loop(head, mixed)
        expected = logits - np.log(np.exp(logits).sum())
        np.testing.assert_allclose(row, expected, atol=1e-5)
