"""wav2vec 2.0, HuBERT and WavLM, against transformers' plain models."""

import shutil

import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel, Wav2Vec2ForCTC

from speechbrain_ext.encoders.ssl import SSLEncoder
from tests.checkpoints import make_ssl_checkpoint
from tests.encoders.conftest import MODELS, SIZES
from tests.encoders.padding import (
    check_gradients,
    check_lengths,
    check_local,
    collate,
    utterance,
    utterances,
)


def plain_model(folder, wav):
    """The model and its input by transformers alone."""
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(wav.numpy(), sampling_rate=16000, return_tensors="pt")
    return AutoModel.from_pretrained(folder).eval(), inputs.input_values


@torch.no_grad()
def plain_states(folder, wav):
    """Hidden states by transformers alone, the last one being the output."""
    model, inputs = plain_model(folder, wav)
    output = model(inputs, output_hidden_states=True)
    return torch.cat([*output.hidden_states[:-1], output.last_hidden_state])


def test_agrees_with_transformers(ssl):
    encoder = SSLEncoder(ssl)
    wavs = utterances([16000, 401, 23456])
    # In a batch, the masked computation of the full row is the plain one.
    together = encoder(*collate(wavs), all_layers=True)[2]
    for wav in wavs:
        ours = encoder(wav[None], all_layers=True)[0]
        plain = plain_states(ssl, wav)
        assert ours.shape == plain.shape
        assert (ours - plain).abs().max() < 1e-5
    assert (together - plain).abs().max() < 2e-5
    # So do the names of the weights.
    plain = AutoModel.from_pretrained(ssl).state_dict()
    ours = encoder.model.state_dict()
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


def test_padding_in_training(tmp_path):
    """Nothing random, nothing over the batch: training equals evaluation."""
    for name in ("mhubert", "wavlm-large"):
        options = {"layerdrop": 0.5, "mask_time_prob": 0.5}
        for part in ("hidden", "attention", "activation", "feat_proj"):
            options[f"{part}_dropout"] = 0.0
        folder = make_ssl_checkpoint(
            tmp_path / name, mask_time_length=2, **MODELS[name], **options
        )
        encoder = SSLEncoder(folder, freeze=False)
        batch, wav_lens = collate(utterances([9000, 3000]))
        trained = encoder.train()(batch, wav_lens)
        assert torch.allclose(trained, encoder.eval()(batch, wav_lens))


def test_a_head_and_an_adapter_are_left_out(tmp_path):
    make_ssl_checkpoint(tmp_path, "wav2vec2", vocab_size=12)
    Wav2Vec2ForCTC.from_pretrained(tmp_path).save_pretrained(tmp_path)
    encoder, wav = SSLEncoder(tmp_path), utterance(8000)
    plain = Wav2Vec2ForCTC.from_pretrained(tmp_path).wav2vec2.eval()
    with torch.no_grad():
        expected = plain(wav).last_hidden_state
    assert torch.allclose(encoder(wav), expected, atol=1e-5)
    make_ssl_checkpoint(tmp_path, "wav2vec2", add_adapter=True)
    check_lengths(SSLEncoder(tmp_path), [400, 16000])


def test_old_checkpoints_with_other_names_and_pickled_weights(tmp_path, wavlm):
    """Most of the Hub: pytorch_model.bin with weight_g and weight_v."""
    original = "parametrizations.weight.original"
    state = AutoModel.from_pretrained(wavlm).state_dict()
    for name in [name for name in state if original in name]:
        kind = "gv"[int(name[-1])]
        old = name.replace(original, "weight_")[:-1] + kind
        state[old] = state.pop(name)
    assert "encoder.pos_conv_embed.conv.weight_g" in state
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(f"{wavlm}/{name}", tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert SSLEncoder(tmp_path).fingerprint() == SSLEncoder(wavlm).fingerprint()


def test_fingerprint(tmp_path, wavlm):
    encoder = SSLEncoder(wavlm)
    usual = encoder.fingerprint()
    moved = make_ssl_checkpoint(tmp_path / "moved", "wavlm")
    assert SSLEncoder(moved, freeze=False).fingerprint() == usual
    prints = {usual}
    for name, value in (
        ("seed", 1),
        ("do_normalize", True),
        ("layer_norm_eps", 1e-6),
        ("kind", "hubert"),
    ):
        folder = make_ssl_checkpoint(tmp_path / name, **{name: value})
        prints.add(SSLEncoder(folder).fingerprint())
    with torch.no_grad():
        encoder.model.encoder.layer_norm.bias[3] += 1e-3
    assert len(prints | {encoder.fingerprint()}) == 6


@torch.no_grad()
def projected(folder, wav):
    """The submodules of transformers' model, one after the other."""
    model, inputs = plain_model(folder, wav)
    x = model.feature_extractor(inputs).transpose(1, 2)
    x = model.feature_projection(x)
    return (x[0] if isinstance(x, tuple) else x)[0]


@pytest.mark.parametrize("ssl", SIZES, indirect=True)
def test_the_local_encoder_is_the_feature_projection(ssl):
    wavs = utterances([16000, 4000, 9001])
    check_local(ssl, wavs, lambda wav: projected(ssl, wav))
    # Gradients reach it through hidden state 0 alone, with padding.
    encoder = SSLEncoder(ssl, freeze=False, local_encoder=True)
    check_gradients(encoder)
    encoder.zero_grad()
    batch, wav_lens = collate(utterances([8000, 3000]))
    encoder(batch, wav_lens, all_layers=True)[:, 0].square().sum().backward()
    projection = encoder.model.feature_projection.projection
    assert projection.weight.grad.abs().max() > 0
    layer = encoder.model.encoder.layers[0].attention.q_proj.weight
    assert layer.grad is None or layer.grad.abs().max() == 0
