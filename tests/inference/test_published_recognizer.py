"""The layout of speechbrain/emotion-recognition-wav2vec2-IEMOCAP, a replica.

The oracle is built of SpeechBrain's own modules, in the order in which the
recipe recipes/IEMOCAP/emotion_recognition calls them.
"""

import numpy as np
import pytest
import torch
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.nnet.activations import Softmax
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.pooling import StatisticsPooling
from transformers import AutoModel

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference import EmotionDiarizer, EmotionRecognizer
from tests.checkpoints import make_ssl_checkpoint
from tests.inference.runs import CPU, padded, sound, write_sound

CLASS_PATHS = [
    "speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2",
    "speechbrain.lobes.models.huggingface_transformers.wav2vec2.Wav2Vec2",
    "speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2",
]
CLASSES = ["neutral", "angry", "happy", "sad"]
YAML = """
HPARAMS_NEEDED: [encoder_dim, out_n_neurons, label_encoder, softmax]
MODULES_NEEDED: [wav2vec2, avg_pool, output_mlp]
pretrained_path: someone/somewhere
wav2vec2_hub: {hub}
encoder_dim: 32
out_n_neurons: 4
wav2vec2: !new:{encoder}
    source: !ref <wav2vec2_hub>
    output_norm: True
    freeze: True
    save_path: wav2vec2_checkpoints
avg_pool: !new:speechbrain.nnet.pooling.StatisticsPooling
    return_std: False
output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <encoder_dim>
    n_neurons: !ref <out_n_neurons>
    bias: False
model: !new:torch.nn.ModuleList
    - [!ref <output_mlp>]
modules:
    wav2vec2: !ref <wav2vec2>
    output_mlp: !ref <output_mlp>
{pool}
softmax: !new:speechbrain.nnet.activations.Softmax
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
unneeded: !apply:tests.inference.runs.never [abc]
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        wav2vec2: !ref <wav2vec2>
        model: !ref <model>
        label_encoder: !ref <label_encoder>
    paths:
        wav2vec2: !ref <pretrained_path>/wav2vec2.ckpt
        model: !ref <pretrained_path>/model.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""
INTERFACE = """
import pathlib
pathlib.Path({witness!r}).touch()
raise AssertionError("imported")

class CustomEncoderWav2vec2Classifier:
    pass
"""


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


def replica(folder, weights, encoder=CLASS_PATHS[0], labels=None, pool=True):
    """Write the replica and a Python file that must not be imported."""
    hub, _, state, head = weights
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(
        YAML.format(
            hub=hub,
            encoder=encoder,
            pool="    avg_pool: !ref <avg_pool>" if pool else "",
        )
    )
    witness = str(folder.parent / "imported")
    text = INTERFACE.format(witness=witness)
    (folder / "custom_interface.py").write_text(text)
    torch.save(state, folder / "wav2vec2.ckpt")
    torch.save({"0.w.weight": head}, folder / "model.ckpt")
    encoder = CategoricalEncoder()
    encoder.update_from_iterable(labels or ["neu", "ang", "hap", "sad"])
    encoder.save(folder / "label_encoder.txt")
    return folder


def load(folder, **options):
    return EmotionRecognizer.from_hparams(folder, run_opts=CPU, **options)


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
    recognizer = load(replica(tmp_path / "a", weights, encoder, pool=pool))
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
    assert not (tmp_path / "imported").exists()


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


def test_any_length_rate_and_channels(tmp_path, cwd, weights, caplog):
    recognizer = load(replica(tmp_path / "a", weights), window=3.0)
    for seconds, rate in ((0.01, 16000), (1.0, 8000), (2.5, 44100)):
        path = write_sound(tmp_path / "x.wav", seconds, rate, 2)
        assert recognizer.classify_file(path)[0].shape == (1, 4)
    assert "stretches" not in caplog.text
    path = write_sound(tmp_path / "x.wav", 9.0, subtype="FLOAT")
    found, *_ = recognizer.classify_file(path)
    assert "3 stretches" in caplog.text
    parts = read_audio(path).reshape(3, -1)
    expected = torch.cat([recognizer(part)[0] for part in parts])
    np.testing.assert_allclose(found[0], expected.mean(0), atol=1e-6)


def test_files_that_are_missing_or_do_not_fit(tmp_path, cwd, weights):
    for name in ("model.ckpt", "wav2vec2.ckpt", "label_encoder.txt"):
        folder = replica(tmp_path / f"no {name}", weights)
        (folder / name).unlink()
        with pytest.raises(UserError, match=f"{name}' does not exist"):
            load(folder)
    folder = replica(tmp_path / "three", weights, labels=["neu", "hap", "sad"])
    with pytest.raises(UserError, match="scores 4 classes but names 3"):
        load(folder)
    folder = replica(tmp_path / "one", weights, labels=["n", "ang", "h", "x"])
    with pytest.raises(UserError, match="label_encoder of .*'x' is none"):
        load(folder)


def test_a_diarizer_does_not_take_it(tmp_path, cwd, weights):
    folder = replica(tmp_path / "a", weights)
    with pytest.raises(UserError, match="give it to EmotionRecognizer"):
        EmotionDiarizer.from_hparams(folder, run_opts=CPU)


def test_a_published_diarizer_is_none(tmp_path, cwd, weights):
    folder = replica(tmp_path / "a", weights, pool=False)
    path = folder / "hyperparams.yaml"
    text = path.read_text().replace(
        "!new:speechbrain.nnet.pooling.StatisticsPooling\n"
        "    return_std: False",
        "!new:speechbrain.nnet.pooling.Pooling1d\n"
        '    pool_type: "avg"\n    kernel_size: 2',
    )
    assert "Pooling1d" in text
    path.write_text(text)
    with pytest.raises(UserError, match="give it to EmotionDiarizer"):
        load(folder)
