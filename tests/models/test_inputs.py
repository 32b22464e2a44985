"""Inputs: encoder, normalisation, mixture; padding changes nothing."""

import numpy as np
import pytest
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
from speechbrain_ext.models.heads import DenseHead, RecurrentHead
from speechbrain_ext.models.inputs import Input, check_strides, count_layers
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.models.normalization import (
    FeatureNormalizer,
    make_normalizer,
)
from speechbrain_ext.models.packing import split
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint


def test_a_batch_has_the_logits_of_its_utterances_alone(tmp_path):
    torch.manual_seed(0)
    encoders = [ProsodyEncoder()]
    for make in make_whisper_checkpoint, make_ssl_checkpoint:
        encoders.append(load_encoder(make(tmp_path / make.__name__)))
    samples = [16000, 800, 30011, 9000]
    wavs = torch.zeros(4, max(samples))
    for row, length in zip(wavs, samples):
        row[:length] = 0.1 * torch.randn(length)
    wav_lens = torch.tensor(samples) / max(samples)
    for encoder in encoders:
        source = Input(
            encoder,
            FeatureNormalizer(encoder.num_layers, encoder.output_size),
            LayerMixture(encoder.num_layers),
        ).eval()
        head = RecurrentHead(encoder.output_size, 4, 6, 5).eval()
        with torch.no_grad():
            hidden, lengths = source.hidden(wavs, wav_lens)
            source.normalizer.update(hidden, lengths)
            frames, same = source(wavs, wav_lens)
            expected = encoder.grid.num_frames(torch.tensor(samples))
            assert torch.equal(lengths, same) and torch.equal(lengths, expected)
            stored = source(normalised=(source.normalizer(hidden), lengths))
            torch.testing.assert_close(frames, stored[0])
            together = split(head(frames, lengths), lengths)
            for wav, length, found in zip(wavs, samples, together):
                alone = head(*source(wav[None, :length]))
                assert alone.shape == found.shape
                assert (found - alone).abs().max() < 2e-4, type(encoder)


@pytest.mark.parametrize("kind", ["global", "speaker"])
def test_normalisation_mixture_and_head(kind):
    """Equation 1 and a head, one utterance after the other."""
    torch.manual_seed(0)
    lengths = torch.tensor([3, 11, 1, 7])
    hidden = torch.randn(3, 22, 8) * 2 + 1
    speakers = ["ann", "bob", "bob", "ann"]
    source = Input(
        load_encoder("spectrogram"),
        make_normalizer(kind, 3, 8),
        LayerMixture(3),
    )
    source.normalizer.update(hidden, lengths, speakers)
    source.mixture.alpha.data = torch.tensor([1.0, 0.3, 2.0])
    found = split(source.frames(hidden, lengths, speakers), lengths)
    valid = [each.double().numpy() for each in split(hidden, lengths)]
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
        np.testing.assert_allclose(row.detach(), mixed, atol=1e-5)
    assert source.by_speaker == (kind == "speaker")
    assert DenseHead(8, 4)(torch.cat(found), lengths).shape == (4, 4)


@pytest.mark.parametrize(
    "layers, taken",
    [("all", [0, 1, 2, 3]), ("local", [0]), ("contextual", [3])],
)
def test_layers_and_length(layers, taken, tmp_path):
    encoder = load_encoder(make_ssl_checkpoint(tmp_path), local_encoder=True)
    count = count_layers(encoder, layers)
    assert count == len(taken)
    wav = 0.1 * torch.randn(2, 16000)
    mixture = LayerMixture(count)
    with torch.no_grad():
        every = encoder(wav, all_layers=True)
        hidden, lengths = Input(encoder, None, mixture, layers).hidden(wav)
        assert lengths.tolist() == [49, 49]
        torch.testing.assert_close(hidden[:, :49], every[0, taken])
        short = Input(encoder, None, mixture, layers, max_length=0.3)
        part, lengths = short.hidden(wav)
        assert lengths.tolist() == [15, 15]
        torch.testing.assert_close(part[:, 15:], every[1, taken, :15])
        # Without normalisation and mixture the last layer alone counts.
        last = Input(encoder, layers=layers)(wav)[0]
        torch.testing.assert_close(last[:49], every[0, taken[-1]])


INVALID = [
    ({"layers": "last"}, "layers: expected one of all, local, contextual"),
    (
        {"max_length": -3},
        "max_length: expected a number of seconds above 0, or null, got -3",
    ),
    (
        {"max_length": True},
        "max_length: expected a number of seconds above 0, or null, got Tru",
    ),
]


@pytest.mark.parametrize("options, sentence", INVALID)
def test_invalid_options(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Input(load_encoder("spectrogram"), **options)


def test_two_inputs_have_the_same_stride(tmp_path):
    speech, egemaps, spectrogram = (
        Input(load_encoder(source))
        for source in (make_ssl_checkpoint(tmp_path), "egemaps", "spectrogram")
    )
    check_strides({"speech": speech, "egemaps": egemaps})
    with pytest.raises(UserError, match="^inputs: .* 20 ms .* 10 ms"):
        check_strides({"speech": spectrogram, "egemaps": egemaps})
    check_strides({"speech": spectrogram})


def test_equation_1():
    """Of Pepino et al. 2021; gradients are orthogonal to the weights."""
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
