"""The two CNNs, against plain PyTorch and matplotlib."""

import itertools
import sys
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.cnn import (
    ConvClassifier,
    MobileNetHead,
    load_weights,
    weight_penalty,
)

ONES = torch.ones(3, dtype=torch.long)
PIXELS = 257 * 251


def layers(module, kind):
    return [x for x in module.modules() if isinstance(x, kind)]


def test_table_5():
    head = ConvClassifier(94, 7)
    convolutions = layers(head, nn.Conv1d)
    widths = [one.out_channels for one in convolutions]
    assert widths == [256, 256, 128, 128, 128, 128, 64, 64]
    assert {one.kernel_size for one in convolutions} == {(8,)}
    kinds = nn.Conv1d, nn.BatchNorm1d, nn.Dropout, nn.Flatten, nn.Linear
    order = [type(x) for x in head.modules() if isinstance(x, kinds)]
    conv, norm, dropout, flatten, dense = kinds
    after = [norm, dropout]
    expected = [conv] * 2 + after + [conv] * 4 + after + [conv] * 2
    expected += [flatten, dense, dense, dropout, dense]
    assert order == expected
    assert {one.p for one in layers(head, nn.Dropout)} == {0.6}


@pytest.mark.parametrize("kernel", [8, 5, 1])
def test_the_cnn_is_that_of_plain_pytorch(kernel):
    torch.manual_seed(0)
    head = ConvClassifier(20, 4, kernel_size=kernel, hidden=6)
    x = torch.randn(3, 20)
    # Statistics of batch normalisation that are none of the first.
    head(x, ONES)
    head.eval()
    convolutions = iter(layers(head, nn.Conv1d))
    norms = iter(layers(head, nn.BatchNorm1d))
    dense = layers(head, nn.Linear)
    found = x[:, None]
    for count in (2, 4, 2):
        for one in itertools.islice(convolutions, count):
            given = found, one.weight, one.bias
            found = F.conv1d(*given, padding="same").relu()
        if norm := next(norms, None):
            found = norm(found)
    found = dense[1](dense[0](found.flatten(1)).relu()).relu()
    torch.testing.assert_close(head(x, ONES), dense[2](found))


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 9))
def test_no_result_depends_on_the_batch(lengths, seed):
    torch.manual_seed(seed)
    heads = ConvClassifier(12, 3, kernel_size=4), MobileNetHead(3, gender=True)
    for head, channels in zip(heads, (12, PIXELS)):
        head.eval()
        frames, counts = (
            torch.rand(sum(lengths), channels),
            torch.tensor(lengths),
        )
        together = head(frames, counts)
        for row, part in zip(together, frames.split(lengths)):
            alone = head(part, torch.tensor([len(part)]))[0]
            torch.testing.assert_close(row, alone, atol=1e-5, rtol=1e-4)


@given(st.floats(0, 1), st.floats(0, 1))
def test_regularisation(l1, l2):
    head = ConvClassifier(3, 2, kernel_size=2, hidden=2)
    kernels = [
        one.weight.detach().double().numpy()
        for one in layers(head, nn.Conv1d | nn.Linear)
    ]
    expected = sum(l1 * np.abs(x).sum() + l2 * (x**2).sum() for x in kernels)
    found = weight_penalty(head, l1, l2)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_images_have_the_colours_of_matplotlib():
    head = MobileNetHead(7).eval()
    values = torch.rand(2, PIXELS)
    values[0, :2] = torch.tensor([0.0, 1.0])
    seen = []
    head.network.register_forward_pre_hook(lambda _, given: seen.append(given))
    head.of_blocks(values)
    for image, row in zip(seen[0][0], values):
        colours = colormaps["jet"](row.numpy().reshape(257, 251))[..., :3]
        expected = (colours - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        np.testing.assert_allclose(
            image.permute(1, 2, 0), expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("gender", [False, True])
def test_blocks_vote(gender):
    head = MobileNetHead(3, gender=gender).eval()
    frames, lengths = torch.rand(35, PIXELS), torch.tensor([1, 33, 1])
    logits = head.of_blocks(frames)
    assert logits.shape == (35, 6 if gender else 3)
    each = logits.softmax(1)
    each = each[:, ::2] + each[:, 1::2] if gender else each
    expected = [part.mean(0) for part in each.split(lengths.tolist())]
    found = head(frames, lengths)
    torch.testing.assert_close(found.exp(), torch.stack(expected))
    # What certain blocks exclude has a logarithm, too.
    head.network.classifier[1].bias.data[0] = 1e4
    assert head(frames, lengths).isfinite().all()


def test_what_is_trained():
    frames, lengths = torch.rand(4, PIXELS), torch.tensor([2, 2])
    for trained in ("all", "classifier"):
        head = MobileNetHead(3, trained=trained).train()
        before = {k: x.clone() for k, x in head.state_dict().items()}
        head.of_blocks(frames).square().sum().backward()
        for name, parameter in head.named_parameters():
            last = name.startswith("network.classifier")
            assert (parameter.grad is not None) == (last or trained == "all")
        same = [torch.equal(before[k], x) for k, x in head.state_dict().items()]
        # Statistics of batch normalisation move along, or do not.
        assert all(same) == (trained == "classifier")
        assert head(frames, lengths).shape == (2, 3)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_weights_from_a_file(tmp_path, kind):
    torch.manual_seed(1)
    state = MobileNetHead(5).network.state_dict()
    path = tmp_path / f"a.{kind}"
    if kind == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    head = MobileNetHead(7)
    last = head.network.classifier[1].weight.clone()
    load_weights(head, str(path))
    for key, tensor in head.network.state_dict().items():
        if key.startswith("features."):
            assert torch.equal(tensor, state[key]), key
    assert torch.equal(head.network.classifier[1].weight, last)


class Harm:
    """What a pickle must not do."""

    def __reduce__(self):
        return exec, ("raise AssertionError('it was run')",)


def spoilt(path, how):
    """Write a file of weights that are none."""
    from torchvision.models import mobilenet_v2

    if how == "width":
        state = mobilenet_v2(width_mult=0.5).state_dict()
    else:
        state = MobileNetHead(2).network.state_dict()
    if how == "less":
        del state["features.3.conv.2.weight"]
    elif how == "more":
        state["features.19.0.weight"] = torch.zeros(1)
    elif how == "names":
        state = {f"module.{key}": x for key, x in state.items()}
    elif how == "harm":
        state = {"features": Harm()}
    elif how == "whole":
        state = MobileNetHead(2)
    elif how == "nested":
        state = {"state_dict": state}
    torch.save(state, path)
    if how == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif how == "text":
        path.write_text("weights")
    elif how == "none":
        path.unlink()


@pytest.mark.parametrize(
    "how, sentence",
    [
        ("width", r"\[16, 3, 3, 3\] under .* of width 1.0 has \[32, 3, 3, 3\]"),
        ("less", "has nothing under 'features.3.conv.2.weight', Mobile"),
        ("more", r"has \[1\] under 'features.19.0.weight', .* has nothing"),
        ("names", "has nothing under 'features.0.0.weight'"),
        ("nested", "cannot be read .it holds more than tensors"),
        ("harm", "cannot be read"),
        ("whole", "cannot be read"),
        ("cut", "cannot be read"),
        ("text", "cannot be read"),
        ("none", "is no file; check the path"),
    ],
)
def test_weights_that_are_none(tmp_path, how, sentence):
    path = tmp_path / "a.pth"
    spoilt(path, how)
    head = MobileNetHead(2)
    before = {key: x.clone() for key, x in head.state_dict().items()}
    with pytest.raises(UserError, match=f"^weights: .*{sentence}") as caught:
        load_weights(head, path)
    assert "\n" not in str(caught.value) and str(caught.value)[-1] == "."
    for key, tensor in head.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_without_a_connection_or_torchvision_a_sentence(monkeypatch):
    from torchvision.models import MobileNet_V2_Weights

    def fail(*args, **options):
        raise URLError("Name or service not known")

    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", fail)
    head = MobileNetHead(2)
    with pytest.raises(UserError, match=r"^weights: .*\.pth' cannot be down"):
        load_weights(head, "imagenet")
    load_weights(head, None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UserError, match=r"torchvision; run 'pip .*\[images\]"):
        MobileNetHead(2)


@pytest.mark.parametrize(
    "make, given",
    [
        (ConvClassifier, {"kernel_size": 0}),
        (ConvClassifier, {"dropout": 1.0}),
        (ConvClassifier, {"hidden": 0}),
        (MobileNetHead, {"trained": "some"}),
        (MobileNetHead, {"gender": 1}),
    ],
)
def test_invalid_options(make, given):
    args = (4, 2) if make is ConvClassifier else (2,)
    with pytest.raises(UserError, match=f"^{min(given)}: expected"):
        make(*args, **given)
