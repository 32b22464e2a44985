"""``local_encoder``: hidden state 0 without positions, all else the same."""

import pytest
import torch
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    WhisperFeatureExtractor,
    WhisperModel,
)

from speechbrain_ext.encoders import load_encoder
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.encoders.padding import (
    check_bfloat16,
    check_gradients,
    check_padding,
    collate,
    utterances,
)

MODELS = [
    (kind, size)
    for kind in ("wav2vec2", "hubert", "wavlm")
    for size in ("base", "large")
]


@pytest.fixture(scope="module", params=MODELS, ids="-".join)
def ssl_folder(request, tmp_path_factory):
    kind, size = request.param
    path = tmp_path_factory.mktemp(f"{kind}-{size}")
    return make_ssl_checkpoint(path, kind, size)


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory):
    return make_whisper_checkpoint(tmp_path_factory.mktemp("whisper"))


def projected_by_transformers(folder, wav):
    """The submodules of transformers' model, one after the other."""
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(wav.numpy(), sampling_rate=16000, return_tensors="pt")
    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        x = model.feature_extractor(inputs.input_values).transpose(1, 2)
        x = model.feature_projection(x)
    return (x[0] if isinstance(x, tuple) else x)[0]


def check_states(folder, wavs, expected, **options):
    """State 0 is as expected, the others as they were, in a batch and alone."""
    usual = load_encoder(folder, **options)
    local = load_encoder(folder, local_encoder=True, **options)
    batch, wav_lens = collate(wavs)
    states = local(batch, wav_lens, all_layers=True)
    before = usual(batch, wav_lens, all_layers=True)
    assert torch.equal(states[:, 1:], before[:, 1:])
    assert torch.equal(local(batch, wav_lens), usual(batch, wav_lens))
    for wav, encoded, other in zip(wavs, states, before):
        target = expected(wav)
        frames = len(target)
        assert (encoded[0, :frames] - target).abs().max() < 1e-5
        assert (other[0, :frames] - target).abs().max() > 0.1
        alone = local(wav[None], all_layers=True)[0, 0]
        assert (alone - target).abs().max() < 1e-5


def test_ssl_gives_the_feature_projection(ssl_folder):
    wavs = utterances([16000, 4000, 9001])
    check_states(
        ssl_folder, wavs, lambda wav: projected_by_transformers(ssl_folder, wav)
    )


@pytest.mark.parametrize("pad_to_30s", [False, True])
def test_whisper_gives_the_convolutions(whisper_folder, pad_to_30s):
    extractor = WhisperFeatureExtractor.from_pretrained(whisper_folder)
    model = WhisperModel.from_pretrained(whisper_folder).encoder.eval()
    wavs = utterances([16000, 4000, 9001])

    def convolved(wav):
        spectra = extractor(
            wav.numpy(), sampling_rate=16000, return_tensors="pt"
        ).input_features
        with torch.no_grad():
            x = torch.nn.functional.gelu(model.conv1(spectra))
            x = torch.nn.functional.gelu(model.conv2(x))
        return x[0].T[: -(-len(wav) // 320)]

    check_states(whisper_folder, wavs, convolved, pad_to_30s=pad_to_30s)


def test_padding_never_changes_a_result(ssl_folder):
    check_padding(load_encoder(ssl_folder, local_encoder=True))


def test_padding_never_changes_a_result_of_whisper(whisper_folder):
    check_padding(load_encoder(whisper_folder, local_encoder=True))


def test_gradients_reach_the_projection(ssl_folder):
    """Through hidden state 0 alone; the batch holds padding."""
    encoder = load_encoder(ssl_folder, freeze=False, local_encoder=True)
    check_gradients(encoder)
    encoder.zero_grad()
    batch, wav_lens = collate(utterances([8000, 3000]))
    encoder(batch, wav_lens, all_layers=True)[:, 0].square().sum().backward()
    projection = encoder.model.feature_projection.projection
    assert projection.weight.grad.abs().max() > 0
    layer = encoder.model.encoder.layers[0].attention.q_proj.weight
    assert layer.grad is None or layer.grad.abs().max() == 0


def test_bfloat16(ssl_folder):
    check_bfloat16(load_encoder(ssl_folder, local_encoder=True))


def test_it_belongs_to_the_fingerprint(ssl_folder, whisper_folder):
    for folder in (ssl_folder, whisper_folder):
        local = load_encoder(folder, local_encoder=True).fingerprint()
        assert local != load_encoder(folder).fingerprint()
