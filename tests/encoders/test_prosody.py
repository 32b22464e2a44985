"""Prosody of sounds whose pitch is known, the network on it; spectrograms."""

import math

import numpy as np
import pytest
import torch

from speechbrain_ext.encoders.features.prosody import (
    CHANNELS,
    HOP,
    MIDDLE,
    N_FFT,
    PER_SPAN,
    ProsodyEncoder,
    ProsodyStatistics,
    _group,
    _local_mean,
)
from speechbrain_ext.encoders.features.spectra import (
    SpectrogramEncoder,
    power_spectrum,
)
from tests.encoders.padding import utterance, utterances


@pytest.fixture
def prosody():
    return ProsodyStatistics().double()


def voice(pitch, formant=700.0, gain=0.1):
    """Harmonics of a pitch that may change (Hz a sample), with a formant."""
    phase = 2 * math.pi * torch.cumsum(pitch.double(), 0) / 16000
    wav = torch.zeros_like(phase)
    for number in range(1, 20):
        middle = number * pitch.mean().item()
        height = 1 / number + 3 * math.exp(-(((middle - formant) / 150) ** 2))
        wav += height * torch.sin(number * phase)
    return gain * wav[None]


def measured(prosody, wav):
    frames = -(-wav.shape[1] // HOP)
    power = power_spectrum(wav, prosody.window, N_FFT, HOP, frames)
    octaves, periodicity = prosody._pitch(power)
    return MIDDLE * 2 ** octaves[0, 0], periodicity[0, 0]


@pytest.mark.parametrize("formant", [350.0, 700.0])
@pytest.mark.parametrize("pitch", [85.0, 110.0, 160.0, 220.0, 300.0, 420.0])
def test_pitch_is_found_under_a_strong_formant(prosody, pitch, formant):
    found, _ = measured(prosody, voice(torch.full((8000,), pitch), formant))
    assert abs(found[5:-5] / pitch - 1).max() < 0.05


def test_noise_is_less_periodic_than_a_voice(prosody):
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 8000)))
    _, of_noise = measured(prosody, noise)
    _, of_voice = measured(prosody, voice(torch.full((8000,), 150.0)))
    assert of_noise[3:-3].max() < of_voice[3:-3].min()


def statistics(prosody, wav):
    frames = torch.tensor([-(-wav.shape[1] // HOP)])
    x = prosody.measure(wav, frames)
    assert x.shape == (1, CHANNELS, frames)
    return x[0]


def test_a_livelier_pitch_spreads_more_at_any_height(prosody):
    time = torch.arange(32000) / 16000
    found = {}
    for height in (110.0, 220.0):
        for octaves in (0.05, 0.3):
            swing = octaves * torch.sin(2 * math.pi * 2.5 * time)
            x = statistics(prosody, voice(height * 2**swing))
            found[height, octaves] = x[PER_SPAN + 1, 20:80].mean()
    for height in (110.0, 220.0):
        assert found[height, 0.3] > found[height, 0.05] + 0.5
    assert abs(found[110.0, 0.3] - found[220.0, 0.3]) < 0.3


def test_half_an_octave_within_an_utterance_shows(prosody):
    low = torch.full((24000,), 150.0)
    x = statistics(prosody, voice(torch.cat([low, low * math.sqrt(2)])))
    step = x[0, 100:140].mean() - x[0, 10:50].mean()
    assert abs(step / 4 - 0.5) < 0.05


def test_height_of_the_voice_and_gain_fall_out(prosody):
    time = torch.arange(32000) / 16000
    swing = 2 ** (0.2 * torch.sin(2 * math.pi * 2 * time))
    one = statistics(prosody, voice(120 * swing))[:2]
    other = statistics(prosody, voice(180 * swing, gain=0.01))[:2]
    assert (one - other)[:, 10:-10].abs().max() < 0.25


def test_relative_channels_have_no_mean(prosody):
    generator = torch.Generator().manual_seed(0)
    wav = torch.randn(1, 16000, generator=generator, dtype=torch.float64)
    x = statistics(prosody, wav)
    absolute, relative = x[: CHANNELS // 2], x[CHANNELS // 2 :]
    assert relative.mean(1).abs().max() < 1e-9
    centred = absolute - absolute.mean(1, keepdim=True)
    assert torch.allclose(relative, 2 * centred)


def test_local_means_are_those_of_the_neighbourhood():
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=9), rng.uniform(0.1, 1, size=9)
    given = (torch.from_numpy(each)[None, None] for each in (x, weight))
    near = [slice(max(t - 2, 0), t + 3) for t in range(9)]
    expected = [np.average(x[part], weights=weight[part]) for part in near]
    np.testing.assert_allclose(_local_mean(*given, 5)[0, 0], expected)


def test_size_and_frames():
    encoder = ProsodyEncoder()
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert 30_000 < count < 100_000
    assert encoder.grid.stride == 1280
    # Four windows, centred at 0, 320, 640 and 960, make the first frame.
    assert list(encoder.grid.edges(3200)) == [0, 1120, 2400, 3200]


def test_a_group_is_the_mean_of_its_frames():
    x = torch.arange(1.0, 15.0).reshape(1, 2, 7)
    x[0, :, 5:] = 0.0
    grouped = _group(x, torch.tensor([5]))
    assert grouped.tolist() == [[[2.5, 5.0], [9.5, 12.0]]]


def test_fingerprint_knows_weights_and_configuration():
    prints = []
    for seed, channels in ((0, 64), (0, 64), (1, 64), (0, 32)):
        torch.manual_seed(seed)
        prints.append(ProsodyEncoder(channels).fingerprint())
    assert prints[0] == prints[1] and len(set(prints)) == 3


def test_training_is_random_by_the_global_seed_and_evaluation_is_not():
    torch.manual_seed(0)
    encoder = ProsodyEncoder(dropout=0.0)
    wav = utterance(16000)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(encoder(wav))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
    still = ProsodyEncoder(dropout=0.0, offset=0.0)
    assert torch.equal(still(wav), still(wav))
    encoder.eval()
    assert torch.equal(encoder(wav), encoder(wav))
    # Nor does the gain matter, and silence is finite.
    assert (encoder(0.1 * wav) - encoder(wav)).abs().max() < 1e-2
    assert encoder(0.0 * wav).isfinite().all()


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
        return wav * (0.02 + torch.rand(8, 1)), labels.repeat_interleave(10, 1)

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


def test_a_spectrogram_is_its_definition():
    wav = utterances([4321])[0]
    found = SpectrogramEncoder()(wav[None])[0].numpy()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    expected = [
        np.abs(np.fft.rfft(wav.double().numpy()[start : start + 400] * hann))
        for start in range(0, 4321 - 400 + 1, 160)
    ]
    assert found.shape == (25, 201) == np.shape(expected)
    np.testing.assert_allclose(found, expected, atol=1e-4)
