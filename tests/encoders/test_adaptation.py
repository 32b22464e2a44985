"""Layer-wise rates, gradual unfreezing and adapters, for every architecture."""

import copy
import re
import sys

import pytest
import torch
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.adaptation import (
    add_lora,
    parameter_groups,
    trainable_ever,
    unfreeze_top,
    unfrozen_layers,
)
from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
from tests.checkpoints import make_ssl_checkpoint
from tests.encoders.padding import (
    check_bfloat16,
    check_gradients,
    check_padding,
    collate,
    utterance,
    utterances,
)


def trained(folder, **options):
    return load_encoder(folder, freeze=False, **options)


def layer_of(name):
    """Layer that the name of a parameter speaks of; None for no layer."""
    before, found, after = name.partition(".layers.")
    return int(after.split(".")[0]) if found else None


def check_groups(encoder, decay):
    """Scales by the names of the parameters, which the code does not use."""
    scales = {
        id(parameter): group["scale"]
        for group in parameter_groups(encoder, 0.1, decay)
        for parameter in group["params"]
    }
    assert len(scales) == len(trains(encoder))
    for name, parameter in encoder.named_parameters():
        if not parameter.requires_grad:
            assert id(parameter) not in scales
            continue
        layer = layer_of(name)
        depth = 3 if layer is None else 2 - layer
        is_norm = re.fullmatch(r"model\.(encoder\.)?layer_norm\.\w+", name)
        if is_norm and encoder.final_norm is not None:
            depth = 0
        assert scales[id(parameter)] == pytest.approx(decay**depth), name


@pytest.mark.parametrize("freeze_feature_extractor", [True, False])
def test_groups_and_unfreezing(folder, freeze_feature_extractor):
    encoder = trained(folder, freeze_feature_extractor=freeze_feature_extractor)
    groups = parameter_groups(encoder, 0.1, 0.5)
    everything = [p for group in groups for p in group["params"]]
    assert len({id(p) for p in everything}) == len(everything)
    assert all(group["lr"] == 0.1 * group["scale"] for group in groups)
    scales = [group["scale"] for group in groups]
    assert scales == sorted(scales, reverse=True) and scales[0] == 1
    assert (encoder.final_norm is None) == ("base" in folder)
    check_groups(encoder, 0.5)
    check_groups(encoder, 1.0)
    everything = trains(encoder)
    for count in range(4):
        unfreeze_top(encoder, count)
        layers = {layer_of(name) for name in trains(encoder)} - {None}
        assert layers == set(range(3 - count, 3))
        if count < 3:
            others = {n for n in trains(encoder) if layer_of(n) is None}
            final = encoder.final_norm is not None and count > 0
            assert len(others) == (2 if final else 0)
        assert set(trainable_ever(encoder)) == everything
    unfreeze_top(encoder, 0)
    assert not trains(encoder)
    unfreeze_top(encoder, 99)
    assert trains(encoder) == everything


def trains(encoder):
    return {n for n, p in encoder.named_parameters() if p.requires_grad}


def test_a_run_with_unfreezing_trains_what_is_unfrozen(folder):
    """One optimizer, made beforehand, as a Brain has it."""
    encoder = trained(folder)
    optimizer = torch.optim.AdamW(parameter_groups(encoder, 1e-3, 0.9))
    batch, wav_lens = collate(utterances([8000, 3000]))
    for epoch in range(1, 6):
        unfreeze_top(encoder, unfrozen_layers(epoch, 1))
        before = copy.deepcopy(dict(encoder.named_parameters()))
        expected = trains(encoder)
        output = encoder(batch, wav_lens)
        if expected:
            (output * torch.randn_like(output)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        changed = {
            name
            for name, parameter in encoder.named_parameters()
            if not torch.equal(parameter, before[name])
        }
        assert changed <= expected
        # Keys' biases have no gradient but for rounding.
        assert all("k_proj.bias" in name for name in expected - changed)
    assert epoch == 5 and len(expected) == len(trainable_ever(encoder))


def test_layers_by_epoch_and_options_out_of_bounds(whisper):
    assert [unfrozen_layers(e, 1) for e in range(1, 5)] == [0, 1, 2, 3]
    assert [unfrozen_layers(e, 3) for e in range(1, 8)] == [0, 0, 0, 1, 1, 1, 2]
    with pytest.raises(UserError, match="^unfreeze_every: .*got 0"):
        unfrozen_layers(1, 0)
    for decay in (0, -0.5, 1.5):
        with pytest.raises(UserError, match="^layer_decay: "):
            parameter_groups(trained(whisper), 0.1, decay)


@pytest.mark.parametrize("change", [unfreeze_top, add_lora])
def test_an_encoder_that_is_frozen_or_without_layers(whisper, change):
    frozen = load_encoder(whisper)
    assert parameter_groups(frozen, 0.1, 0.5) == []
    with pytest.raises(UserError, match="freeze: False"):
        change(frozen, 1)
    encoder = ProsodyEncoder()
    (group,) = parameter_groups(encoder, 0.1, 0.5)
    assert group["scale"] == 1.0
    assert len(group["params"]) == len(list(encoder.parameters()))
    with pytest.raises(UserError, match="transformer layers"):
        change(encoder, 1)


TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]


def adapted(folder, nonzero=True, **options):
    encoder = trained(folder, lora={"rank": 3, "targets": TARGETS, **options})
    if nonzero:
        generator = torch.Generator().manual_seed(0)
        for name, parameter in encoder.named_parameters():
            if "lora_B" in name:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.data += 0.05 * noise
    return encoder


def test_adapters_are_what_their_formula_says(folder):
    """Nothing at first; then as adding ``alpha / rank * B A`` to weights."""
    encoder = adapted(folder, alpha=6).eval()
    fresh = adapted(folder, nonzero=False).eval()
    plain, merged = trained(folder).eval(), trained(folder).eval()
    modules = dict(encoder.named_modules())
    count = 0
    for name, module in merged.named_modules():
        if name.rpartition(".")[2] in TARGETS:
            a, b = modules[name].lora_A, modules[name].lora_B
            product = b["default"].weight @ a["default"].weight
            module.weight.data += 6 / 3 * product.detach()
            count += 1
    assert count == 12
    batch, wav_lens = collate(utterances([8000, 3000]))
    with torch.no_grad():
        ours, expected, at_first, plain = (
            each(batch, wav_lens, all_layers=True)
            for each in (encoder, merged, fresh, plain)
        )
    assert (ours - expected).abs().max() < 1e-4
    assert (at_first - plain).abs().max() < 1e-5
    assert (ours - plain)[:, -1].abs().max() > 1e-3


def test_adapters_alone_are_trained_and_padding_does_not_matter(folder):
    encoder = adapted(folder)
    check_padding(encoder)
    check_bfloat16(encoder)
    assert not encoder.frozen and all("lora_" in n for n in trains(encoder))
    # Two for each of four maps in three layers.
    assert len(trains(encoder)) == 24
    check_gradients(encoder)
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.abs().max() > 0, name
    check_groups(encoder, 0.5)
    groups = parameter_groups(encoder, 1.0, 0.5)
    assert [len(group["params"]) for group in groups] == [8, 8, 8]
    unfreeze_top(encoder, 1)
    assert {layer_of(name) for name in trains(encoder)} == {2}
    unfreeze_top(encoder, 3)
    assert len(trains(encoder)) == 24


def test_round_trip(folder):
    encoder = adapted(folder).eval()
    other = adapted(folder, nonzero=False).eval()
    wav = utterance(8000)
    assert not torch.allclose(encoder(wav), other(wav))
    assert other.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(wav), other(wav))
    assert encoder.fingerprint() == other.fingerprint()
    assert torch.equal(copy.deepcopy(encoder)(wav), encoder(wav))
    louder = adapted(folder, nonzero=False, alpha=32)
    louder.load_state_dict(encoder.state_dict())
    assert louder.fingerprint() != encoder.fingerprint()


def test_dropout_in_training(whisper, tmp_path):
    """Of adapters, and of WavLM's attention; other models keep theirs."""
    names = "hidden_dropout", "activation_dropout", "feat_proj_dropout"
    none = dict.fromkeys(names, 0.0)
    make_ssl_checkpoint(tmp_path, "wavlm", attention_dropout=0.5, **none)
    wav = utterance(8000)
    for encoder in adapted(whisper, dropout=0.5), adapted(tmp_path):
        assert not torch.equal(encoder(wav), encoder(wav))
        encoder.eval()
        assert torch.equal(encoder(wav), encoder(wav))
    assert type(trained(tmp_path).layers[0].attention) is WavLMAttention


def test_the_feed_forward_layers_can_be_adapted(whisper):
    encoder = trained(whisper, lora={"targets": "fc1"})
    names = trains(encoder)
    assert len(names) == 6 and all(".fc1." in name for name in names)
    assert encoder.lora["targets"] == ["fc1"]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"targets": ["q_proj", "query"]}, "out_proj.*q_proj.*'query'"),
        ({"targets": ["conv1"]}, "'conv1'"),
        ({"targets": []}, "expected some of"),
        ({"rank": 0}, "got rank 0"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"alpha": 0}, "alpha 0"),
        ({"rnak": 8}, "rank, alpha, dropout, targets.*'rnak'"),
    ],
)
def test_options_that_cannot_be(whisper, options, sentence):
    with pytest.raises(UserError, match=f"^lora: .*{sentence}"):
        trained(whisper, lora=options)


def test_adapters_exclude_convolutions_that_train(folder):
    with pytest.raises(UserError, match="excludes freeze_feature_extractor"):
        trained(folder, freeze_feature_extractor=False, lora={"rank": 2})
    # Switched off in a YAML.
    trained(folder, freeze_feature_extractor=False, lora={"rank": None})
    with pytest.raises(UserError, match="already"):
        add_lora(adapted(folder))


def test_adapters_need_peft(whisper, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"speechbrain-ext\[lora\]"):
        trained(whisper, lora={})
