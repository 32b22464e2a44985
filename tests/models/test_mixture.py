"""Equation 1 of Pepino et al. 2021."""

import pytest
import torch

from speechbrain_ext.models.mixture import LayerMixture


def test_equation_1():
    """Gradients are orthogonal to the weights, as the docstring says."""
    mixture = LayerMixture(3)
    x = torch.randn(3, 5, 4)
    assert torch.allclose(mixture(x), x.mean(0), atol=1e-6)
    assert mixture.weights() == pytest.approx([1 / 3] * 3)
    mixture.alpha.data = torch.tensor([1.0, -0.5, 3.0])
    expected = (1.0 * x[0] - 0.5 * x[1] + 3.0 * x[2]) / 3.5
    assert torch.allclose(mixture(x), expected, atol=1e-6)
    assert mixture.weights() == pytest.approx([1 / 3.5, -0.5 / 3.5, 3 / 3.5])
    mixture(x).square().sum().backward()
    gradient = mixture.alpha.grad
    assert gradient.norm() > 0.1
    assert abs(gradient @ mixture.alpha) < 1e-4 * gradient.norm()
    with pytest.raises(ValueError, match=r"\[3, frames, channels\]"):
        mixture(torch.zeros(4, 5, 6))


@pytest.mark.parametrize("alpha", [[1.0, -1.0], [1.0, -1.001], [0.0, 0.0]])
def test_a_vanishing_sum_is_bounded(alpha):
    mixture = LayerMixture(2)
    mixture.alpha.data = torch.tensor(alpha)
    output = mixture(torch.ones(2, 3, 4))
    output.sum().backward()
    assert output.abs().max() <= 1.0
    assert max(map(abs, mixture.weights())) <= 100.2
    assert mixture.alpha.grad.isfinite().all()
    mixture.alpha.data = torch.tensor([-1.0, -3.0])
    assert mixture.weights() == pytest.approx([0.25, 0.75])
