"""Heads, normalisation and the whole classifier: padding changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.prosody import ProsodyEncoder
from speechbrain_ext.models.heads import ConvHead, LinearHead, RecurrentHead
from speechbrain_ext.models.inputs import check_strides, frame_log_probs
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.models.normalization import FeatureNormalizer
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint

HEADS = {
    "linear": lambda size: LinearHead(size, 4, 0.3),
    "conv": lambda size: ConvHead(size, 4, 6, 5, 3, 0.3),
    "recurrent": lambda size: RecurrentHead(size, 4, 6, 5, 2, 0.3),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_gives_a_batch_what_it_gives_each_alone(name):
    torch.manual_seed(0)
    head = HEADS[name](8).eval()
    lengths = torch.tensor([3, 11, 1, 7])
    frames = torch.randn(4, 11, 8)
    for item, length in zip(frames, lengths):
        item[length:] = 1e3  # whatever the padding holds
    together = head(frames, lengths)
    for item, length, logits in zip(frames, lengths, together):
        alone = head(item[None, :length], length[None])[0]
        torch.testing.assert_close(logits[:length], alone)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_statistics_are_those_of_all_valid_frames(lengths, size):
    rng = np.random.default_rng(sum(lengths))
    items = [rng.normal(3, 2, (2, n, 5)).astype("float32") for n in lengths]
    normalizer = FeatureNormalizer(2, 5)
    for begin in range(0, len(items), size):
        part = items[begin : begin + size]
        longest = max(item.shape[1] for item in part)
        hidden = torch.full((len(part), 2, longest, 5), 77.0)
        for row, item in zip(hidden, part):
            row[:, : item.shape[1]] = torch.from_numpy(item)
        normalizer.update(
            hidden, torch.tensor([item.shape[1] for item in part])
        )
    frames = np.concatenate(items, axis=1).astype("float64")
    np.testing.assert_allclose(normalizer.mean[:, 0], frames.mean(axis=1))
    if frames.shape[1] > 1:
        np.testing.assert_allclose(
            (normalizer.squares / normalizer.count).sqrt()[:, 0],
            frames.std(axis=1),
        )


def test_statistics_are_saved_with_the_model():
    normalizer = FeatureNormalizer(1, 2)
    assert not normalizer.is_fitted()
    normalizer.update(torch.randn(2, 1, 9, 2), torch.tensor([9, 4]))
    other = FeatureNormalizer(1, 2)
    other.load_state_dict(normalizer.state_dict())
    hidden = torch.randn(1, 1, 3, 2)
    assert other.is_fitted()
    torch.testing.assert_close(other(hidden), normalizer(hidden))


def test_a_channel_that_never_varies():
    normalizer = FeatureNormalizer(1, 1)
    normalizer.update(torch.ones(1, 1, 9, 1), torch.tensor([9]))
    assert torch.isfinite(normalizer(torch.ones(1, 1, 2, 1))).all()


def encoders(folder):
    yield ProsodyEncoder()
    yield load_encoder(make_whisper_checkpoint(folder / "whisper"))
    for kind in ("wav2vec2", "hubert", "wavlm"):
        for size in ("base", "large"):
            path = folder / f"{kind}-{size}"
            yield load_encoder(make_ssl_checkpoint(path, kind=kind, size=size))


def test_a_batch_has_the_logits_of_its_utterances_alone(tmp_path):
    torch.manual_seed(0)
    samples = [16000, 800, 30011, 9000]
    wavs = torch.zeros(4, max(samples))
    for row, length in zip(wavs, samples):
        row[:length] = 0.1 * torch.randn(length)
    wav_lens = torch.tensor(samples) / max(samples)
    for encoder in encoders(tmp_path):
        normalizer = FeatureNormalizer(encoder.num_layers, encoder.output_size)
        frames = encoder.grid.num_frames(torch.tensor(samples))
        modules = torch.nn.ModuleDict(
            {
                "encoder": encoder,
                "normalizer": normalizer,
                "mixture": LayerMixture(encoder.num_layers),
                "head": RecurrentHead(encoder.output_size, 4, 6, 5),
            }
        ).eval()
        with torch.no_grad():
            hidden = encoder(wavs, wav_lens, all_layers=True)
            normalizer.update(hidden, frames)
            together = frame_log_probs(modules, frames, wavs, wav_lens)
            stored = frame_log_probs(modules, frames, hidden=hidden)
            torch.testing.assert_close(together, stored)
            for wav, length, count, found in zip(
                wavs, samples, frames, together
            ):
                alone = frame_log_probs(
                    modules, count[None], wav[None, :length]
                )
                assert alone.shape[1] == count
                torch.testing.assert_close(
                    found[:count],
                    alone[0],
                    atol=2e-4,
                    rtol=0,
                    msg=lambda text: f"{type(encoder).__name__}: {text}",
                )


def test_two_inputs_have_the_same_stride(tmp_path):
    egemaps = load_encoder("egemaps")
    for path in (
        make_whisper_checkpoint(tmp_path / "whisper"),
        make_ssl_checkpoint(tmp_path / "wavlm", kind="wavlm"),
    ):
        encoder = load_encoder(path)
        check_strides({"encoder": encoder, "fusion_encoder": egemaps})
    spectrogram = load_encoder("spectrogram")
    modules = {"encoder": spectrogram, "fusion_encoder": egemaps}
    with pytest.raises(UserError, match="^fusion_encoder: .* 20 ms .* 10 ms"):
        check_strides(modules)
    check_strides({"encoder": spectrogram})
