"""Choosing the encoder, and what is said when that cannot be done."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder, loading
from speechbrain_ext.encoders.ssl import SSLEncoder
from speechbrain_ext.encoders.whisper import WhisperEncoder
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint


@pytest.fixture
def folder(tmp_path):
    return Path(make_ssl_checkpoint(tmp_path / "wavlm"))


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_chooses_by_model_type(kind, tmp_path):
    encoder = load_encoder(
        make_ssl_checkpoint(tmp_path, kind), freeze=False, output_norm=True
    )
    assert isinstance(encoder, SSLEncoder)
    assert encoder.model.config.model_type == kind
    assert encoder.output_norm and not encoder.frozen
    assert (encoder.sample_rate, encoder.max_samples) == (16000, None)


def test_chooses_whisper(tmp_path):
    encoder = load_encoder(make_whisper_checkpoint(tmp_path), pad_to_30s=True)
    assert isinstance(encoder, WhisperEncoder)
    assert encoder.pad_to_30s and encoder.frozen
    assert (encoder.sample_rate, encoder.max_samples) == (16000, 480000)


def test_a_folder_in_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    ours = load_encoder("~/wavlm").fingerprint()
    assert ours == load_encoder(folder).fingerprint()


def refused(source, *words):
    with pytest.raises(UserError) as caught:
        load_encoder(source)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    for word in words:
        assert word in message
    return message


def test_another_architecture(folder):
    edit(folder / "config.json", model_type="bert")
    refused(folder, str(folder), "'bert'", "wav2vec2, hubert, wavlm and")


def test_an_unknown_architecture(folder):
    edit(folder / "config.json", model_type="no-such-thing")
    refused(folder, "config.json' cannot be understood")


def test_a_damaged_config(folder):
    (folder / "config.json").write_text('{"model_type": "wav')
    refused(folder, "config.json' cannot be understood")


def test_no_config(folder):
    (folder / "config.json").unlink()
    refused(folder, f"'{folder / 'config.json'}' does not exist")


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, f"'{folder / 'model.safetensors'}' does not exist")


def test_no_preprocessor(folder):
    (folder / "preprocessor_config.json").unlink()
    refused(folder, str(folder), "no usable preprocessor_config.json")


def test_another_sampling_rate(folder):
    edit(folder / "preprocessor_config.json", sampling_rate=8000)
    refused(folder, "audio of 8000 Hz")


def test_damaged_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])
    refused(folder, "the weights of", "cannot be loaded")


def test_weights_of_a_smaller_model(folder):
    edit(folder / "config.json", num_hidden_layers=4)
    refused(folder, "lack", "encoder.layers.3.")


def test_weights_of_another_width(folder):
    edit(folder / "config.json", intermediate_size=128)
    refused(folder, "the weights of")


def test_missing_whisper_weights(tmp_path):
    make_whisper_checkpoint(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    del weights["model.encoder.conv1.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    refused(tmp_path, "lack 1", "'conv1.bias'")


def test_a_missing_mask_vector_is_no_matter(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["masked_spec_embed"]
    save_file(weights, path, metadata={"format": "pt"})
    assert load_encoder(folder)(torch.zeros(1, 800)).shape == (1, 2, 32)


@pytest.mark.parametrize("source", ["./no/such", "/no/such", "a/b/c", "~/no/x"])
def test_no_such_folder(source):
    refused(source, f"'{source}' is neither a folder", "check the path")


def test_no_such_model_on_the_hub(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("We couldn't connect\nto the Hub.")

    monkeypatch.setattr(loading.AutoConfig, "from_pretrained", unreachable)
    refused("someone/no-such", "'someone/no-such' is neither", "connection")


def test_downloads_are_kept_where_asked(monkeypatch, folder, tmp_path):
    """Names go to transformers as they are, with the folder for downloads."""
    asked = []
    original = loading.AutoConfig.from_pretrained

    def record(source, **kwargs):
        asked.append((source, kwargs.get("cache_dir")))
        return original(folder)

    monkeypatch.setattr(loading.AutoConfig, "from_pretrained", record)
    config = loading.load_config("microsoft/wavlm-base", tmp_path)
    assert config.model_type == "wavlm"
    assert asked == [("microsoft/wavlm-base", tmp_path)]


@pytest.mark.parametrize("source", ["egemaps", "spectrogram"])
def test_features(source):
    encoder = load_encoder(
        source, save_path=None, freeze=True, freeze_feature_extractor=False
    )
    assert encoder.frozen and encoder.num_layers == 1
    assert not list(encoder.parameters())
    assert load_encoder(source, output_norm=True).output_norm


@pytest.mark.parametrize(
    "option",
    [
        {"freeze": False},
        {"pad_to_30s": True},
        {"lora": {"rank": 4}},
    ],
    ids=lambda option: next(iter(option)),
)
@pytest.mark.parametrize("source", ["egemaps", "spectrogram"])
def test_features_have_nothing_to_choose(source, option):
    with pytest.raises(UserError, match=f"^{next(iter(option))}: .*{source}"):
        load_encoder(source, **option)


def test_egemaps_without_opensmile(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    refused("egemaps", "pip install opensmile")
