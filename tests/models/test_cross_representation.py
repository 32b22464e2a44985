"""The speech model across representations: segments, codes, reconstruction."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.cross_representation import (
    CrossRepresentation,
    reconstruction_loss,
)

SIZES = {"encoder_width": 12, "decoder_width": 10, "num_phones": 7}


def make(**options):
    torch.manual_seed(0)
    return CrossRepresentation(6, 5, 3, **SIZES | options).eval()


def a_batch(lengths, seed=0):
    torch.manual_seed(seed)
    total, speakers = sum(lengths), len(lengths)
    speech = torch.randn(total, 6), torch.tensor(lengths)
    speaker = torch.randn(speakers, 5), torch.ones(speakers, dtype=torch.long)
    phones = torch.randint(7, (total, 1)).float(), speech[1]
    return speech, speaker, phones


@given(st.lists(st.integers(1, 400), min_size=1, max_size=4), st.booleans())
def test_segments_hold_every_frame_and_zeros(lengths, drop):
    model = make(drop_remainder=drop)
    frames = torch.arange(1.0, sum(lengths) + 1)[:, None]
    found, counts = model.segments(frames, torch.tensor(lengths))
    found = iter(found[..., 0].flatten().split([96 * n for n in counts]))
    for frames, length in zip(frames[:, 0].split(lengths), lengths):
        if drop and length > 1 and length % 96 == 1:
            frames = frames[:-1]
        segments = next(found)
        assert len(segments) - len(frames) in range(96)
        assert torch.equal(segments[: len(frames)], frames)
        assert not segments[len(frames) :].any()


@pytest.mark.parametrize("bottleneck, every", [(8, 48), (3, 2), (2, 96)])
def test_a_code_is_what_either_direction_knows_of_its_frames(bottleneck, every):
    model = make(bottleneck=bottleneck, downsampling=every)
    speech, speaker, _ = a_batch([96])
    codes, _ = model.codes(*speech, *speaker)
    given = [speech[0], speaker[0].expand(96, 5)]
    convolutions, lstm = model.encoder
    states = lstm(convolutions(torch.cat(given, dim=1)[None]))[0][0]
    assert codes.shape == (1, 96 // every, 2 * bottleneck)
    for at, code in enumerate(codes[0]):
        first, last = at * every, (at + 1) * every - 1
        forward, backward = states[last], states[first]
        expected = [forward[:bottleneck], backward[bottleneck:]]
        assert torch.allclose(code, torch.cat(expected), atol=1e-6)


def test_an_utterance_has_the_mean_of_its_segments_whatever_is_beside_it():
    model = make()
    lengths = [200, 1, 96, 97]
    speech, speaker, _ = a_batch(lengths)
    together = model(*speech, *speaker)
    for at, frames in enumerate(speech[0].split(lengths)):
        vector = speaker[0][at : at + 1]
        posteriors = []
        for segment in frames.split(96):
            segment = torch.cat([segment, torch.zeros(96 - len(segment), 6)])
            given = segment, torch.tensor([96]), vector, torch.tensor([1])
            posteriors.append(model(*given).exp()[0].detach().numpy())
        found = together[at].exp().detach().numpy()
        assert np.abs(found - np.mean(posteriors, axis=0)).max() < 1e-6


@pytest.mark.parametrize("use_speaker", [True, False])
@pytest.mark.parametrize("use_phones", [True, False])
def test_what_is_left_out_makes_no_difference(use_speaker, use_phones):
    model = make(use_speaker=use_speaker, use_phones=use_phones)
    speech, speaker, phones = a_batch([96, 96])

    def made(speaker, phones):
        codes = model.codes(*speech, *speaker)
        return model.reconstruct(*codes, speaker, phones)[1]

    one = made(speaker, phones)
    assert one.shape == (2, 96, 80)
    other_speaker = torch.flip(speaker[0], [0]), speaker[1]
    other_phones = (phones[0] + 1) % 7, phones[1]
    assert torch.equal(one, made(other_speaker, phones)) != use_speaker
    assert torch.equal(one, made(speaker, other_phones)) != use_phones
    assert ("phones" in model.unused) != use_phones


def test_losses_of_the_spectra():
    model = make().train()
    speech, speaker, phones = a_batch([96, 96])
    codes = model.codes(*speech, *speaker)
    made = model.reconstruct(*codes, speaker, phones)
    mel = torch.rand(2, 96, 80)
    both = [float(((x - mel) ** 2).detach().numpy().mean()) for x in made]
    losses = [reconstruction_loss(made, mel, x) for x in ("decoder", "postnet")]
    assert np.allclose([x.item() for x in losses], both)
    assert np.isclose(reconstruction_loss(made, mel).item(), sum(both))
    losses[0].backward(retain_graph=True)
    # The first loss knows nothing of the postnet, but of the encoder.
    assert all(p.grad is None for p in model.postnet.parameters())
    assert all(p.grad is not None for p in model.encoder.parameters())
    assert make(decoder=False).unused == ["phones", "mel"]


def test_codes_fill_the_segment():
    with pytest.raises(UserError, match="^downsampling: 7 does not divide"):
        make(downsampling=7)
