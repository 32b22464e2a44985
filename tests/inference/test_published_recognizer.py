"""The layout of speechbrain/emotion-recognition-wav2vec2-IEMOCAP, a replica.

The oracle is built of SpeechBrain's own modules, in the order in which the
recipe recipes/IEMOCAP/emotion_recognition calls them.
"""

import numpy as np
import pytest
import torch
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.nnet.activations import Softmax
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.pooling import StatisticsPooling
from transformers import AutoModel

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference import EmotionDiarizer
from tests.checkpoints import make_ssl_checkpoint
from tests.inference.published import (
    DIARIZER,
    OLD,
    RECOGNIZER,
    TODAY,
    write_published,
)
from tests.inference.runs import CPU, padded, refused, sound, write_sound
from tests.inference.runs import load_recognizer as load

CLASS_PATHS = [
    OLD,
    "speechbrain.lobes.models.huggingface_transformers.wav2vec2.Wav2Vec2",
    TODAY,
]
CLASSES = ["neutral", "angry", "happy", "sad"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Encoder of the Hub (other weights than the model's) and the files."""
    folder = tmp_path_factory.mktemp("weights")
    hub = make_ssl_checkpoint(folder / "hub", "wav2vec2", seed=1)
    tuned = make_ssl_checkpoint(folder / "tuned", "wav2vec2", seed=2)
    state = AutoModel.from_pretrained(tuned).state_dict()
    generator = torch.Generator().manual_seed(5)
    head = torch.randn(4, 32, generator=generator)
    return hub, tuned, {f"model.{k}": v for k, v in state.items()}, head


def replica(
    folder, weights, pool=True, labels=("neu", "ang", "hap", "sad"), **options
):
    hub, _, state, head = weights
    options = {
        "pooling": RECOGNIZER,
        "encoder": OLD,
        "modules": ["avg_pool"] if pool else [],
        "pretrained_path": "someone/somewhere",
        **options,
    }
    return write_published(folder, hub, state, head, labels, **options)


def speechbrains(weights, wav, folder):
    """Probabilities ``[1, classes]`` by SpeechBrain's own modules."""
    _, tuned, _, head = weights
    encoder = Wav2Vec2(
        tuned, save_path=str(folder), output_norm=True, freeze=True
    )
    mlp = Linear(input_size=32, n_neurons=4, bias=False)
    mlp.w.weight.data = head
    with torch.no_grad():
        lengths = torch.ones(1)
        x = StatisticsPooling(return_std=False)(encoder(wav[None]), lengths)
        return Softmax()(mlp(x.view(1, -1)))


@pytest.mark.parametrize("encoder", CLASS_PATHS)
@pytest.mark.parametrize("pool", [True, False])
def test_numbers_are_those_of_speechbrain(
    tmp_path, cwd, weights, encoder, pool
):
    folder = replica(tmp_path / "a", weights, pool, encoder=encoder)
    recognizer = load(folder)
    assert recognizer.classes == CLASSES
    results = []
    for number, seconds in enumerate((0.5, 2.013, 4.0)):
        path = write_sound(tmp_path / "x.wav", seconds, seed=number)
        out_prob, score, index, text_lab = recognizer.classify_file(path)
        expected = speechbrains(weights, read_audio(path), tmp_path / "c")
        # SpeechBrain's pooling adds noise of up to 1e-4.
        torch.testing.assert_close(out_prob, expected, rtol=0, atol=2e-4)
        assert torch.equal(score, out_prob.max(1).values)
        assert text_lab == [CLASSES[index]]
        results.append(out_prob)
        again, *_ = recognizer.classify_file(path)
        assert torch.equal(again, out_prob)
    assert (results[0] - results[2]).abs().max() > 1e-2
    assert not list(cwd.iterdir())


def test_the_random_state_is_left_alone(tmp_path, cwd, weights):
    recognizer = load(replica(tmp_path / "a", weights))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    recognizer.classify_batch(torch.from_numpy(sound(1.0).T))
    assert torch.equal(torch.rand(2), expected)


def test_padding_does_not_matter(tmp_path, cwd, weights):
    recognizer = load(replica(tmp_path / "a", weights))
    wavs = [
        torch.from_numpy(sound(s, seed=i)[:, 0])
        for i, s in enumerate([3.0, 1.3, 0.01])
    ]
    out_prob, _, _, text_lab = recognizer.classify_batch(*padded(wavs))
    assert len(text_lab) == 3
    for found, wav in zip(out_prob, wavs):
        torch.testing.assert_close(found[None], recognizer(wav)[0])


def test_long_recordings(tmp_path, cwd, weights, caplog):
    recognizer = load(replica(tmp_path / "a", weights), window=3.0)
    path = write_sound(tmp_path / "x.wav", 9.0, subtype="FLOAT")
    found, *_ = recognizer.classify_file(path)
    assert "3 stretches" in caplog.text
    parts = read_audio(path).reshape(3, -1)
    expected = torch.cat([recognizer(part)[0] for part in parts])
    np.testing.assert_allclose(found[0], expected.mean(0), atol=1e-6)


def test_labels_that_do_not_fit(tmp_path, cwd, weights):
    folder = replica(tmp_path / "three", weights, labels=["neu", "hap", "sad"])
    refused("scores 4 classes but names 3", load, folder)
    folder = replica(tmp_path / "one", weights, labels=["n", "ang", "h", "x"])
    refused("label_encoder of .*'x' is none", load, folder)


def test_the_wrong_kind_of_model(tmp_path, cwd, weights):
    folder = replica(tmp_path / "a", weights)
    with pytest.raises(UserError, match="give it to EmotionRecognizer"):
        EmotionDiarizer.from_hparams(folder, run_opts=CPU)
    folder = replica(tmp_path / "a", weights, pool=False, pooling=DIARIZER)
    refused("give it to EmotionDiarizer", load, folder)
