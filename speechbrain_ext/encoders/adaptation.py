"""Ways to fine-tune an encoder other than all of it at one learning rate.

Decay and unfreezing by layer are those of Howard and Ruder, "Universal language
model fine-tuning for text classification" (2018); LoRA is that of peft.
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.values import check_value


def trainable_ever(encoder):
    """The parameters that may ever train, whether they do at the moment."""
    parameters = dict(encoder.named_parameters())
    if encoder.may_train is None:
        encoder.may_train = {
            name for name, one in parameters.items() if one.requires_grad
        }
    names = () if encoder.frozen else encoder.may_train
    return {name: parameters[name] for name in parameters if name in names}


def parameter_groups(encoder, lr, decay):
    """Groups for an optimizer: each layer at ``decay`` times the rate above it.

    The final normalisation learns with the top layer, at the rate ``lr``, and
    what comes before the layers as one layer more. Parameters that are frozen
    for the moment are there. ``scale`` is a group's rate by the top layer's.
    """
    check_value("layer_decay", decay)
    depths = _depths(encoder)
    groups = {}
    for parameter in trainable_ever(encoder).values():
        groups.setdefault(depths[id(parameter)], []).append(parameter)
    return [
        {"params": groups[n], "lr": lr * decay**n, "scale": decay**n}
        for n in sorted(groups)
    ]


def unfreeze_top(encoder, num_layers):
    """Let the top transformer layers train, and nothing below them.

    What comes before the layers trains with all of them; what was frozen on
    loading stays so. With DDP, call this after the wrapping and run with
    ``--find_unused_parameters``.
    """
    _check_trained(encoder, "unfreeze_every")
    depths = _depths(encoder)
    everything = num_layers >= len(encoder.layers)
    for parameter in trainable_ever(encoder).values():
        trains = everything or depths[id(parameter)] < num_layers
        parameter.requires_grad_(trains)


def train_top(encoder, count):
    """Let so many of the top transformer layers train for good, ``"all"`` of
    what is not frozen, or, with 0, nothing at all."""
    check_value("trained_layers", count)
    if count == 0:
        encoder.freeze()
    if count in (0, "all"):
        return
    _check_trained(encoder, "trained_layers")
    if count > len(encoder.layers):
        what = f"at most {len(encoder.layers)}, the encoder's layers, or all"
        raise expected("trained_layers", what, count)
    depths = _depths(encoder)
    for parameter in trainable_ever(encoder).values():
        parameter.requires_grad_(depths[id(parameter)] < count)
    encoder.may_train = None


def unfrozen_layers(epoch, every):
    """How many of the top layers train in an epoch."""
    check_value("unfreeze_every", every)
    return (epoch - 1) // every


def add_lora(
    encoder, rank=8, alpha=16, dropout=0.0, targets=("q_proj", "v_proj")
):
    """Train low-rank adapters in the transformer layers, and nothing else.

    They (Hu et al. 2022) get ``dropout`` before them and are multiplied by
    ``alpha / rank``; ``targets`` are names of linear maps that get one, in
    every layer. Before training the encoder gives what it gave.
    """
    _check_trained(encoder, "lora")
    if encoder.lora is not None:
        raise UserError(
            "lora: the encoder has adapters already; add them once."
        )
    if any(p.requires_grad for p in encoder.convolution_parameters().values()):
        raise UserError(
            "lora: adapters are trained in place of the encoder's own weights, "
            "which excludes freeze_feature_extractor: False; set it to True, "
            "or train without adapters (lora_rank: null)."
        )
    if not rank >= 1 or not alpha > 0 or not 0 <= dropout < 1:
        raise UserError(
            "lora: expected rank of 1 or more, alpha over 0 and dropout from 0 "
            f"to below 1, got rank {rank}, alpha {alpha}, dropout {dropout}."
        )
    try:
        import peft
    except ImportError as error:
        raise UserError(
            "lora: adapters need the package peft; run "
            "'pip install speechbrain-ext[lora]'."
        ) from error
    targets = {targets} if isinstance(targets, str) else set(targets)
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=_targets(encoder, targets),
    )
    for module in encoder.modules():
        # By its name: transformers takes seconds to import.
        if type(module).__name__ == "WavLMAttention":
            module.torch_multi_head_self_attention = partial(_attend, module)
    encoder.requires_grad_(False)
    training = encoder.training
    # Unlike a PeftModel it leaves the structure as it is.
    peft.inject_adapter_in_model(config, encoder)
    encoder.train(training)
    encoder.may_train = None
    encoder.lora = dict(rank=rank, alpha=alpha, targets=sorted(targets))
    return encoder


def _attend(self, hidden_states, attention_mask, gated_position_bias):
    """WavLM's attention through its projections in place of their weights.

    In place of transformers' ``torch_multi_head_self_attention``.
    """
    batch, frames, _ = hidden_states.shape
    query, key, value = (
        project(hidden_states)
        .view(batch, frames, self.num_heads, self.head_dim)
        .transpose(1, 2)
        for project in (self.q_proj, self.k_proj, self.v_proj)
    )
    bias = gated_position_bias.view(batch, self.num_heads, frames, frames)
    if attention_mask is not None:
        padding = attention_mask.ne(1)[:, None, None]
        bias = bias.masked_fill(padding, -torch.inf)
    dropout = self.dropout if self.training else 0.0
    output = F.scaled_dot_product_attention(
        query, key, value, bias.to(query.dtype), dropout
    )
    output = output.transpose(1, 2).reshape(batch, frames, self.embed_dim)
    return self.out_proj(output), None


def _depths(encoder):
    """From the id of a parameter to its layers below the top one."""
    count = len(encoder.layers)
    depths = {id(parameter): count for parameter in encoder.parameters()}
    for index, layer in enumerate(encoder.layers):
        depths |= {id(p): count - 1 - index for p in layer.parameters()}
    if encoder.final_norm is not None:
        depths |= {id(p): 0 for p in encoder.final_norm.parameters()}
    return depths


def _check_trained(encoder, option):
    if encoder.frozen or not len(encoder.layers):
        raise UserError(
            f"{option}: the encoder is frozen or has no transformer layers; "
            f"load a pretrained one with freeze: False, or leave {option} out."
        )


def _targets(encoder, names):
    """Full names of the linear maps of these names in the layers."""
    layers = {id(m) for layer in encoder.layers for m in layer.modules()}
    linear = [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and id(module) in layers
    ]
    known = {name.rpartition(".")[2] for name in linear}
    if not names or names - known:
        maps = f"some of {', '.join(sorted(known))} (the layers' linear maps)"
        raise expected("lora: targets", maps, sorted(names))
    return [name for name in linear if name.rpartition(".")[2] in names]
