"""The two CNNs of Sharma (2023), section III.C: over features, over images.

Their heads take packed frames and lengths, as those of ``heads`` do.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file as load_safetensors
from torch import nn

from speechbrain_ext.base.errors import UserError, reason
from speechbrain_ext.base.parameters import check_parameters
from speechbrain_ext.base.values import check_value
from speechbrain_ext.encoders.features.images import FREQUENCIES, TIMES
from speechbrain_ext.models import packing

# Table 5, after the first two convolutions and after the next four.
_BLOCKS = (256, 256), (128, 128, 128, 128), (64, 64)
# Of ImageNet, as all of torchvision's models take it.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_COLOURS = 256
# Images that are looked at together where nothing is trained.
_IMAGES = 32


class ConvClassifier(nn.Module):
    """Eight convolutions over the features of an utterance (table 5).

    The features are a sequence of one channel. Sizes of the dense layers are
    not given in the paper: ``hidden`` is ours.

    Arguments
    ---------
    input_size : int
        Features of an utterance.
    num_classes : int
        Number of classes.
    kernel_size : int
        Features that a convolution sees.
    hidden : int
        Width of the two dense layers before the last one.
    dropout : float
        Probability with which a value is dropped in training: after either
        batch normalisation, and before the last layer.

    Example
    -------
    >>> head = ConvClassifier(94, 7)
    >>> head(torch.randn(3, 94), torch.tensor([1, 1, 1])).shape
    torch.Size([3, 7])
    """

    def __init__(
        self, input_size, num_classes, kernel_size=8, hidden=128, dropout=0.6
    ):
        super().__init__()
        given = {"kernel_size": kernel_size, "hidden": hidden}
        for name, value in {**given, "dropout": dropout}.items():
            check_value(name, value)
        # As many values come out as go in, though the kernel is even.
        same = (kernel_size - 1) // 2, kernel_size // 2
        layers, channels = [], 1
        for number, widths in enumerate(_BLOCKS):
            for width in widths:
                conv = nn.Conv1d(channels, width, kernel_size)
                layers += [nn.ConstantPad1d(same, 0.0), conv, nn.ReLU()]
                channels = width
            if number < len(_BLOCKS) - 1:
                layers += [nn.BatchNorm1d(channels), nn.Dropout(dropout)]
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * input_size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, frames, lengths):
        x = packing.mean_over_frames(frames, lengths)[:, None]
        return self.dense(self.convolutions(x))


def weight_penalty(module, l1, l2):
    """What L1 and L2 regularisation add to a loss: the sums of the absolute
    values and of the squares of all kernels, biases left out."""
    kernels = [p for p in module.parameters() if p.dim() > 1]
    first = sum(kernel.abs().sum() for kernel in kernels)
    return l1 * first + l2 * sum(kernel.square().sum() for kernel in kernels)


class MobileNetHead(nn.Module):
    """MobileNetV2 on images of an utterance's blocks, which vote on it.

    A frame is the spectrogram of a block (``BlockEncoder``); images are made of
    it in the colours that matplotlib calls jet. The posteriors of all blocks
    are averaged, and with ``gender`` those of either gender added up.

    Arguments
    ---------
    num_classes : int
        Number of classes.
    gender : bool
        Whether each class is two, of women's and of men's voices.
    trained : str
        ``"all"``, or ``"classifier"``: the last layer alone.

    Raises
    ------
    UserError
        When an option is invalid, or torchvision is not installed.

    Example
    -------
    >>> head = MobileNetHead(7, gender=True).eval()
    >>> blocks = torch.rand(3, 257 * 251)
    >>> head(blocks, torch.tensor([1, 2])).exp().sum(dim=1)
    tensor([1.0000, 1.0000], grad_fn=<SumBackward1>)
    >>> head.of_blocks(blocks).shape
    torch.Size([3, 14])
    """

    def __init__(self, num_classes, gender=False, trained="all"):
        super().__init__()
        check_value("gender", gender)
        check_value("trained", trained)
        models = _torchvision()
        self.genders = 2 if gender else 1
        self.network = models.mobilenet_v2(
            num_classes=num_classes * self.genders
        )
        self.frozen_features = trained == "classifier"
        if self.frozen_features:
            self.network.features.requires_grad_(False)
        self.register_buffer("colours", _jet(), persistent=False)

    def train(self, mode=True):
        """As of every module; what is frozen keeps its statistics."""
        super().train(mode)
        if self.frozen_features:
            self.network.features.eval()
        return self

    def of_blocks(self, frames):
        """Logits of each block ``[blocks, classes * genders]``: the two
        genders of a class lie side by side."""
        numbers = (frames.float() * _COLOURS).long().clamp(0, _COLOURS - 1)
        # [blocks, frequencies, times, 3]: the order that convolutions like.
        images = self.colours[numbers.unflatten(1, (FREQUENCIES, TIMES))]
        return self.network(images.permute(0, 3, 1, 2))

    def forward(self, frames, lengths):
        """Log posteriors ``[batch, classes]``."""
        size = len(frames) if self.training else _IMAGES
        parts = [self.of_blocks(part) for part in frames.split(size)]
        found = torch.log_softmax(torch.cat(parts).float(), dim=1)
        found = found.unflatten(1, (-1, self.genders)).logsumexp(2)
        each = packing.split(found.exp(), lengths)
        # Beyond float32 there is no smaller one.
        least = torch.finfo(torch.float32).tiny
        return torch.stack([x.mean(0).clamp(min=least).log() for x in each])


def load_weights(head, weights):
    """Give a ``MobileNetHead`` pretrained weights for all but its last layer.

    Arguments
    ---------
    head : MobileNetHead
    weights : str or os.PathLike or None
        ``"imagenet"``: torchvision's, which it downloads once; or a file with
        torchvision's names (``.pth``, ``.safetensors``); None: random ones.

    Raises
    ------
    UserError
        When there are no such weights, or those of another network.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.pth"
    >>> torch.save(MobileNetHead(5).network.state_dict(), path)
    >>> load_weights(MobileNetHead(7), path)
    """
    if weights is None:
        return
    features = head.network.features
    prefix, own = "features.", features.state_dict()
    given = {
        key.removeprefix(prefix): tensor
        for key, tensor in _read_weights(weights).items()
        if key.startswith(prefix)
    }
    counts = [key for key in own if key.endswith("num_batches_tracked")]
    for key in sorted({*own, *given}.difference(counts)):
        found = "nothing" if key not in given else list(given[key].shape)
        needed = "nothing" if key not in own else list(own[key].shape)
        if found != needed:
            raise UserError(
                f"weights: '{weights}' has {found} under '{prefix}{key}', "
                f"MobileNetV2 of width 1.0 has {needed}; give weights of that "
                "network with torchvision's names, or null."
            )
    features.load_state_dict({**{key: own[key] for key in counts}, **given})


def _read_weights(weights):
    """Tensors by name."""
    if str(weights) == "imagenet":
        known = _torchvision().MobileNet_V2_Weights.IMAGENET1K_V1
        try:
            return known.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"weights: '{known.url}' cannot be downloaded "
                f"({reason(error)}); check the connection, or give a file."
            ) from error
    path = Path(weights)
    if not path.is_file():
        raise UserError(
            f"weights: '{path}' is no file; check the path, or give imagenet "
            "or null."
        )
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path)
        check_parameters(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not all(isinstance(x, torch.Tensor) for x in state.values()):
            raise ValueError("it holds more than tensors by their names")
        return state
    except Exception as error:
        # Zip, pickle, torch and safetensors each have their own.
        raise UserError(
            f"weights: '{path}' cannot be read ({reason(error)}); give a file "
            "of tensors that torchvision names so (.pth, .safetensors)."
        ) from error


def _torchvision():
    try:
        from torchvision import models
    except ImportError as error:
        raise UserError(
            "head: images need the package torchvision; run 'pip install -e "
            '".[images]"\'.'
        ) from error
    return models


def _jet():
    """Colours ``[256, 3]``, normalised as ImageNet's are."""
    from matplotlib import colormaps

    colours = colormaps["jet"](np.arange(_COLOURS))[:, :3]
    return torch.tensor((colours - _MEAN) / _STD, dtype=torch.float32)
