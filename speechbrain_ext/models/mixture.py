"""Trainable weighted average of an encoder's layers (Pepino et al. 2021)."""

import torch
from torch import nn

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

    Example
    -------
    >>> mixture = LayerMixture(3)
    >>> mixture(torch.tensor([1.0, 2.0, 6.0]).reshape(3, 1, 1)).item()
    3.0
    >>> mixture.weights()
    [0.333..., 0.333..., 0.333...]
    """

    def __init__(self, num_layers):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(num_layers))

    def forward(self, hidden):
        """``[layers, frames, channels]`` -> ``[frames, channels]``."""
        if hidden.dim() != 3 or len(hidden) != len(self.alpha):
            raise ValueError(
                f"expected [{len(self.alpha)}, frames, channels], got "
                f"{list(hidden.shape)}"
            )
        # One product of a vector and a matrix, which copies nothing.
        mixed = self._normalised() @ hidden.reshape(len(hidden), -1)
        return mixed.reshape(hidden.shape[1:])

    def weights(self):
        """Share of each layer, a list: ``alpha_i / sum_i alpha_i``."""
        return self._normalised().detach().tolist()

    def _normalised(self):
        total = self.alpha.sum()
        guard = torch.where(total < 0, -MIN_SUM, MIN_SUM)
        return self.alpha / torch.where(total.abs() < MIN_SUM, guard, total)
