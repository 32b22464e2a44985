"""Trainable weighted average of an encoder's layers (Pepino et al. 2021)."""

import torch
from torch import nn
from torch.nn import functional as F

# Below this the sum of the weights is not divided by any more.
MIN_SUM = 0.01


class LayerMixture(nn.Module):
    """Weighted average of all layers, equation 1 of Pepino et al. 2021.

    ``f = sum_i alpha_i f_i / sum_i alpha_i``, every ``alpha_i`` beginning at
    1. The weights are free, as in the paper: they may become negative. The
    result does not depend on their scale, so that gradients are orthogonal to
    them and do not pull their sum towards 0; should it get there all the same,
    0.01 (or -0.01) is divided by in its place, which bounds the result.

    Arguments
    ---------
    num_layers : int
        Layers to mix, ``num_layers`` of the encoder.
    normalize : bool
        Whether each frame of each layer is first normalised over its channels.
        Layers differ in scale, and without this (as in the paper) the weights
        tell how a layer is used only together with that scale.

    Example
    -------
    >>> mixture = LayerMixture(3)
    >>> mixture(torch.tensor([1.0, 2.0, 6.0]).reshape(3, 1, 1)).item()
    3.0
    >>> mixture.weights()
    [0.333..., 0.333..., 0.333...]
    """

    def __init__(self, num_layers, normalize=False):
        super().__init__()
        self.normalize = normalize
        self.alpha = nn.Parameter(torch.ones(num_layers))

    def forward(self, hidden):
        """Mix the layers.

        Arguments
        ---------
        hidden : torch.Tensor
            ``[layers, frames, channels]``

        Returns
        -------
        torch.Tensor
            ``[frames, channels]``; frames that are zero in all layers stay
            zero.
        """
        if hidden.dim() != 3 or len(hidden) != len(self.alpha):
            raise ValueError(
                f"expected [{len(self.alpha)}, frames, channels], got "
                f"{list(hidden.shape)}"
            )
        if self.normalize:
            hidden = F.layer_norm(hidden, hidden.shape[-1:])
        # One product of a vector and a matrix, which copies nothing.
        mixed = self._normalised() @ hidden.reshape(len(hidden), -1)
        return mixed.reshape(hidden.shape[1:])

    def weights(self):
        """Share of each layer.

        Returns
        -------
        list of float
            ``alpha_i / sum_i alpha_i``; they sum to 1.
        """
        return self._normalised().detach().tolist()

    def _normalised(self):
        total = self.alpha.sum()
        guard = torch.where(total < 0, -MIN_SUM, MIN_SUM)
        return self.alpha / torch.where(total.abs() < MIN_SUM, guard, total)
