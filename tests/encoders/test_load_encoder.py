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


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "whisper"])
def test_chooses_by_model_type(kind, checkpoint):
    is_whisper = kind == "whisper"
    source = checkpoint(kind if is_whisper else f"{kind}-base")
    encoder = load_encoder(source, freeze=False, output_norm=True)
    assert type(encoder) is (WhisperEncoder if is_whisper else SSLEncoder)
    assert encoder.model.config.model_type == kind
    assert encoder.output_norm and not encoder.frozen
    assert encoder.max_samples == (480000 if is_whisper else None)
    assert load_encoder(source, pad_to_30s=True).frozen


def refused(source, *words):
    with pytest.raises(UserError) as caught:
        load_encoder(source)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    assert all(word in message for word in words), message


def without(path, name):
    weights = load_file(path)
    del weights[name]
    save_file(weights, path, metadata={"format": "pt"})


CONFIG, WEIGHTS = "config.json", "model.safetensors"
PREPROCESSOR = "preprocessor_config.json"
# A file, what is done to it (settings that change, "cut" or "gone"), and words.
DAMAGES = [
    (CONFIG, {"model_type": "bert"}, "'bert'", "wav2vec2, hubert, wavlm, "),
    (CONFIG, {"model_type": "no-such-thing"}, "config.json' is invalid"),
    (CONFIG, "cut", "config.json' is invalid"),
    (CONFIG, "gone", "config.json' does not exist"),
    (WEIGHTS, "gone", "model.safetensors' does not exist"),
    (PREPROCESSOR, "gone", "no valid preprocessor_config.json"),
    (PREPROCESSOR, {"sampling_rate": 8000}, "audio of 8000 Hz"),
    (WEIGHTS, "cut", "are invalid"),
    (CONFIG, {"num_hidden_layers": 4}, "lack", "encoder.layers.3."),
    (CONFIG, {"intermediate_size": 128}, "the weights of"),
]


@pytest.mark.parametrize("damaged", DAMAGES)
def test_invalid_folders(damaged, folder):
    name, damage, *words = damaged
    path = folder / name
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])
    else:
        settings = json.loads(path.read_text())
        path.write_text(json.dumps(settings | damage))
    refused(folder, str(folder), *words)


def test_missing_weights(folder, tmp_path):
    make_whisper_checkpoint(tmp_path)
    without(tmp_path / WEIGHTS, "model.encoder.conv1.bias")
    refused(tmp_path, "lack 1", "'conv1.bias'")
    # What masks stand for does not matter.
    without(folder / WEIGHTS, "masked_spec_embed")
    assert load_encoder(folder)(torch.zeros(1, 800)).shape == (1, 2, 32)


@pytest.mark.parametrize("source", ["./no/such", "/no/such", "a/b/c", "~/no/x"])
def test_no_such_folder(source):
    refused(source, f"'{source}' is neither a folder", "check the path")


def test_names_go_to_transformers_as_they_are(monkeypatch, folder, tmp_path):
    """With the folder for downloads; one in the home folder is found."""
    monkeypatch.setenv("HOME", str(folder.parent))
    asked = []
    original = loading.AutoConfig.from_pretrained

    def record(source, **kwargs):
        asked.append((source, kwargs.get("cache_dir")))
        if source == "someone/no-such":
            raise OSError("We couldn't connect\nto the Hub.")
        return original(folder)

    expected = load_encoder(folder).fingerprint()
    assert load_encoder("~/wavlm").fingerprint() == expected
    monkeypatch.setattr(loading.AutoConfig, "from_pretrained", record)
    config = loading.load_config("microsoft/wavlm-base", tmp_path)
    assert config.model_type == "wavlm"
    assert asked == [("microsoft/wavlm-base", tmp_path)]
    refused("someone/no-such", "'someone/no-such' is neither", "connection")


OPTIONS = {"freeze": False, "pad_to_30s": True, "lora": {"rank": 4}}


@pytest.mark.parametrize("source", ["egemaps", "spectrogram"])
def test_features_have_nothing_to_train(source):
    encoder = load_encoder(
        source, output_norm=True, freeze_feature_extractor=False
    )
    assert encoder.frozen and encoder.num_layers == 1 and encoder.output_norm
    assert not list(encoder.parameters())
    for option, value in OPTIONS.items():
        with pytest.raises(UserError, match=f"^{option}: .*{source}"):
            load_encoder(source, **{option: value})


def test_egemaps_without_opensmile(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    refused("egemaps", "pip install opensmile")
