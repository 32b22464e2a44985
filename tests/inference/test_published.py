"""The layouts of the two models that SpeechBrain has published, on replicas.

The oracles are SpeechBrain's own interface for the diarizer; for the recognizer
its modules, in the order of recipes/IEMOCAP/emotion_recognition.
"""

import itertools

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.inference.diarization import Speech_Emotion_Diarization
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.nnet.pooling import Pooling1d, StatisticsPooling
from transformers import AutoModel

from speechbrain_ext.audio import read_audio
from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.inference.layouts import pooling_convolution
from tests.checkpoints import make_ssl_checkpoint
from tests.inference.published import OLD, RECOGNIZER, TODAY, write_published
from tests.inference.runs import (
    CLASSES,
    covers,
    load,
    load_recognizer,
    padded,
    refused,
    sound,
    write_sound,
)

IEMOCAP = ["neutral", "angry", "happy", "sad"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """By kind: the Hub's encoder, whose weights are others than the model's, a
    checkpoint of the model's, and the parameters of its two files."""
    found = {}
    for kind, size in (("wavlm", "large"), ("wav2vec2", "base")):
        folder = tmp_path_factory.mktemp(kind)
        hub = make_ssl_checkpoint(folder / "hub", kind, size, seed=1)
        tuned = make_ssl_checkpoint(folder / "tuned", kind, size, seed=2)
        model = AutoModel.from_pretrained(tuned).eval()
        state = {f"model.{k}": v for k, v in model.state_dict().items()}
        # A head that looks at how frames differ, so that labels change.
        with torch.no_grad():
            frames = model(torch.from_numpy(sound(4.0).T)).last_hidden_state[0]
        mean = frames.mean(0)
        directions = torch.linalg.svd(frames - mean)[2][:2]
        generator = torch.Generator().manual_seed(5)
        head = 5.0 * torch.randn(4, 2, generator=generator) @ directions
        head -= torch.outer(head @ mean, mean) / mean.square().sum()
        found[kind] = hub, tuned, state, head
    return found


@pytest.fixture
def diarizer(tmp_path, cwd, weights):
    """A function that writes the diarizer, perhaps as SpeechBrain 0.5 did."""

    def write(folder="diarizer", old=False, **options):
        hub, _, state, head = weights["wavlm"]
        if old:
            # A downloaded repository still names where it came from.
            options.update(encoder=OLD, pretrained_path="someone/somewhere")
            state = {**state, "model.masked_spec_embed": torch.zeros(32)}
            prefix = "model.encoder.pos_conv_embed.conv."
            for number, letter in enumerate("gv"):
                state[f"{prefix}weight_{letter}"] = state.pop(
                    f"{prefix}parametrizations.weight.original{number}"
                )
        options = {"hub": hub, "state": state, "labels": "nhsa", **options}
        return write_published(tmp_path / folder, head=head, **options)

    return write


@pytest.fixture
def recognizer(tmp_path, cwd, weights):
    """A function that writes the recognizer."""

    def write(pool=True, **options):
        hub, _, state, head = weights["wav2vec2"]
        options = {
            "labels": ["neu", "ang", "hap", "sad"],
            "pooling": RECOGNIZER,
            "encoder": OLD,
            "modules": ["avg_pool"] if pool else [],
            "pretrained_path": "someone/somewhere",
            **options,
        }
        return write_published(tmp_path / "a", hub, state, head, **options)

    return write


class Oracle(Speech_Emotion_Diarization):
    """SpeechBrain's own, without the module that it does not use."""

    MODULES_NEEDED = ["input_norm", "wav2vec2", "output_mlp"]

    @torch.no_grad()
    def log_probs(self, path):
        # SpeechBrain resamples by another library, which is not the point.
        wav = read_audio(path)
        if soundfile.info(path).samplerate == 16000:
            torch.testing.assert_close(wav, self.load_audio(path))
        x = self.encode_batch(wav[None], torch.ones(1))
        x = self.mods.output_mlp(self.hparams.avg_pool(x))
        return self.hparams.log_softmax(x)[0]


@pytest.mark.parametrize(
    "window, stride", [(1, 1), (5, 5), (4, 2), (1, 3), (50, 25)]
)
def test_the_diarizer_says_what_speechbrains_does(
    tmp_path, diarizer, window, stride
):
    folder = diarizer(window=window, stride=stride)
    oracle = Oracle.from_hparams(folder, savedir=tmp_path / "savedir")
    model = load(folder)
    assert model.classes == CLASSES
    for seconds, rate in [(4.013, 16000), (2.5, 8000), (3.3, 44100)]:
        path = write_sound(tmp_path / "x.wav", seconds, rate, 2)
        found, expected = model.analyse_file(path), oracle.log_probs(path)
        np.testing.assert_allclose(
            found.probabilities, expected.exp(), atol=1e-6
        )
        if rate != 16000:
            continue
        index = expected.argmax(-1)
        labels = oracle.hparams.label_encoder.decode_torch(index)
        # Averages over a second hardly differ.
        assert len(set(labels)) > 1 or window == 50
        runs = itertools.groupby(range(len(labels)), labels.__getitem__)
        # SpeechBrain's segments begin where ours do; ours end with the file.
        for segment, (label, run) in zip(found.segments, runs, strict=True):
            start = 0.02 * stride * next(run)
            assert segment["emotion"][0] == label
            assert segment["start"] == pytest.approx(start)
        assert covers(found.segments, found.duration)


@pytest.mark.parametrize(
    "encoder",
    [
        OLD,
        "speechbrain.lobes.models.huggingface_transformers.wav2vec2.Wav2Vec2",
        TODAY,
    ],
)
@pytest.mark.parametrize("pool", [True, False])
def test_the_recognizer_says_what_speechbrains_modules_do(
    tmp_path, recognizer, weights, encoder, pool, cwd
):
    model = load_recognizer(recognizer(pool, encoder=encoder))
    assert model.classes == IEMOCAP
    _, tuned, _, head = weights["wav2vec2"]
    place = str(tmp_path / "c")
    theirs = Wav2Vec2(tuned, save_path=place, output_norm=True, freeze=True)
    results = []
    for number, seconds in enumerate((0.5, 2.013, 4.0)):
        path = write_sound(tmp_path / "x.wav", seconds, seed=number)
        out_prob, score, index, text_lab = model.classify_file(path)
        with torch.no_grad():
            x = theirs(read_audio(path)[None])
            x = StatisticsPooling(return_std=False)(x, torch.ones(1))
        expected = (x[0] @ head.T).softmax(-1)
        # SpeechBrain's pooling adds noise of up to 1e-4.
        torch.testing.assert_close(out_prob, expected, rtol=0, atol=2e-4)
        assert torch.equal(score, out_prob.max(1).values)
        assert text_lab == [IEMOCAP[index]]
        results.append(out_prob)
        assert torch.equal(model.classify_file(path)[0], out_prob)
    assert (results[0] - results[2]).abs().max() > 1e-2
    assert not list(cwd.iterdir())


def test_a_repository_of_an_old_version(tmp_path, diarizer, cwd):
    path = write_sound(tmp_path / "x.wav", 3.0)
    today = load(diarizer()).analyse_file(path)
    for name in ("wav2vec2", "wav2vec"):
        old = load(diarizer("old", old=True, name=name)).analyse_file(path)
        np.testing.assert_array_equal(old.probabilities, today.probabilities)
    assert not list(cwd.iterdir())


def test_the_random_state_is_left_alone(recognizer):
    model = load_recognizer(recognizer())
    before = torch.get_rng_state()
    model.classify_batch(torch.from_numpy(sound(1.0).T))
    assert torch.equal(torch.get_rng_state(), before)


def test_padding_does_not_matter(diarizer, recognizer):
    wavs = [
        torch.from_numpy(sound(s, seed=i)[:, 0])
        for i, s in enumerate([3.0, 1.3, 0.01])
    ]
    model = load(diarizer())
    found = model.diarize_batch(*padded(wavs))
    assert found == [model.diarize_batch(wav[None])[0] for wav in wavs]
    assert covers(found[1], 1.3)
    model = load_recognizer(recognizer())
    found = model.classify_batch(*padded(wavs))[0]
    expected = torch.cat([model(wav)[0] for wav in wavs])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("stride", [1, 25])
def test_long_and_short_recordings(tmp_path, diarizer, stride):
    model = load(diarizer(window=stride, stride=stride), window=3.0, overlap=1)
    for seconds in (0.01, 0.05, 2.99, 3.0, 3.01, 11.37):
        path = write_sound(tmp_path / "x.wav", seconds)
        segments = model.diarize_file(path)
        assert covers(segments, round(seconds * 16000) / 16000)


def test_files_that_are_missing_or_do_not_fit(diarizer, recognizer):
    for name in ("input_norm.ckpt", "wav2vec2.ckpt", "label_encoder.txt"):
        folder = diarizer(f"no {name}", old=True)
        (folder / name).unlink()
        refused(f"{name}' does not exist", load, folder)
    folder = diarizer("few")
    state = torch.load(folder / "wav2vec2.ckpt")
    del state["model.encoder.layer_norm.weight"]
    torch.save(state, folder / "wav2vec2.ckpt")
    refused("lacks 'model.encoder.layer_norm.we", load, folder)
    folder = diarizer("labels")
    (folder / "label_encoder.txt").write_text("nonsense\n")
    refused("labels", load, folder)
    folder = recognizer(labels=["n", "ang", "h", "x"])
    refused("label_encoder of .*'x' is none", load_recognizer, folder)


def test_the_wrong_kind_of_model(diarizer, recognizer):
    refused("give it to EmotionRecognizer", load, recognizer())
    refused("give it to EmotionDiarizer", load_recognizer, diarizer())


def test_the_encoder_can_be_had_from_elsewhere(diarizer, weights):
    folder, hub = diarizer(hub="no such/encoder"), weights["wavlm"][0]
    refused("encoder source: 'no such/encoder' is neither", load, folder)
    reason = "hyperparams.yaml' does not describe"
    assert load(folder, overrides={"wav2vec2_hub": hub}).grid.stride == 320
    refused(reason, load, folder, overrides={"wav2vec_hub": hub})


@pytest.mark.parametrize("ceil_mode", [True, False])
def test_frames_of_a_pooling(ceil_mode):
    for kernel, stride in itertools.product([1, 2, 3, 7], [1, 2, 3, 7]):
        pool = Pooling1d("avg", kernel, stride=stride, ceil_mode=ceil_mode)
        grid = FrameGrid([pooling_convolution(pool)])
        for frames in range(grid.min_samples, 40):
            found = pool(torch.zeros(1, frames, 2)).shape[1]
            assert found == grid.num_frames(frames), (kernel, stride, frames)
    refused("avg_pool", pooling_convolution, Pooling1d("max", 3))


def test_benchmark(weights, capsys):
    from tests.benchmarks import bench_windows

    options = ["--seconds", "0.5", "--repeats", "1"]
    bench_windows.main(["--encoder_source", weights["wavlm"][0], *options])
    assert "| 0.5 " in capsys.readouterr().out
