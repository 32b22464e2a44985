"""The small encoder that is trained from scratch."""

import pytest
import torch

from speechbrain_ext.encoders.prosody import ProsodyEncoder, _group
from tests.encoders.padding import (
    check_bfloat16,
    check_gradients,
    check_lengths,
    check_padding,
    utterances,
)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ProsodyEncoder()


def test_size(encoder):
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert 30_000 < count < 100_000
    assert encoder.num_layers == 1
    assert encoder.grid.stride == 1280


@pytest.mark.parametrize("output_norm", [False, True])
def test_padding_never_changes_a_result(output_norm):
    torch.manual_seed(0)
    check_padding(ProsodyEncoder(output_norm=output_norm))


def test_lengths(encoder):
    check_lengths(encoder, [*range(1, 4), *range(318, 323)])
    check_lengths(encoder, [640, 1279, 1280, 1281, 16000, 37777])


def test_a_tile_is_centred_on_what_its_frames_see(encoder):
    """Four windows, centred at 0, 320, 640 and 960, make the first frame."""
    assert list(encoder.grid.edges(3200)) == [0, 1120, 2400, 3200]


def test_gradients(encoder):
    check_gradients(encoder)


def test_bfloat16(encoder):
    check_bfloat16(encoder)


def test_gain_does_not_matter(encoder):
    encoder.eval()
    wav = utterances([16000])[0][None]
    with torch.no_grad():
        difference = encoder(0.1 * wav) - encoder(wav)
    assert difference.abs().max() < 1e-2


def test_a_group_is_the_mean_of_its_frames():
    x = torch.arange(1.0, 15.0).reshape(1, 2, 7)
    x[0, :, 5:] = 0.0
    grouped = _group(x, torch.tensor([5]))
    assert grouped.tolist() == [[[2.5, 5.0], [9.5, 12.0]]]


def test_silence_is_finite(encoder):
    assert encoder(torch.zeros(2, 8000)).isfinite().all()


def test_same_seed_same_encoder():
    wav = utterances([8000])[0][None]
    outputs, prints = [], []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        encoder = ProsodyEncoder().eval()
        outputs.append(encoder(wav))
        prints.append(encoder.fingerprint())
    assert torch.equal(outputs[0], outputs[1])
    assert prints[0] == prints[1] != prints[2]


def test_fingerprint_knows_the_configuration():
    prints = set()
    for channels in (32, 64):
        torch.manual_seed(0)
        encoder = ProsodyEncoder(channels=channels)
        prints.add(encoder.fingerprint())
    encoder.output_norm = True
    prints.add(encoder.fingerprint())
    assert len(prints) == 3


def test_training_is_random_by_the_global_seed_and_evaluation_is_not():
    torch.manual_seed(0)
    encoder = ProsodyEncoder(dropout=0.0)
    wav = utterances([16000])[0][None]
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(encoder(wav))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
    encoder.eval()
    assert torch.equal(encoder(wav), encoder(wav))
    still = ProsodyEncoder(dropout=0.0, offset=0.0)
    assert torch.equal(still(wav), still(wav))


def test_it_learns_to_tell_tones_within_an_utterance():
    """A high tone from a low one, frame by frame, at any level."""
    torch.manual_seed(0)
    encoder = ProsodyEncoder()
    head = torch.nn.Linear(encoder.output_size, 2)
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    time = torch.arange(12800) / 16000

    def batch():
        first = torch.randint(0, 2, (8, 1))
        labels = torch.cat([first, 1 - first], dim=1)
        pitch = (150.0 + 100.0 * labels).repeat_interleave(12800, 1)
        wav = torch.sin(2 * torch.pi * pitch * torch.cat([time, time]))
        gain = 0.02 + torch.rand(8, 1)
        return wav * gain, labels.repeat_interleave(10, 1)

    for _ in range(25):
        wav, labels = batch()
        loss = torch.nn.functional.cross_entropy(
            head(encoder(wav)).transpose(1, 2), labels
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    encoder.eval()
    wav, labels = batch()
    assert (head(encoder(wav)).argmax(-1) == labels).float().mean() > 0.9
