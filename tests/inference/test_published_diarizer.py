"""The layout of speechbrain/emotion-diarization-wavlm-large, on a replica.

The oracle is SpeechBrain's own interface on the same files.
"""

import itertools

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.inference.diarization import Speech_Emotion_Diarization
from speechbrain.nnet.pooling import Pooling1d
from transformers import AutoModel

from speechbrain_ext.audio import read_audio
from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.inference.layouts import pooling_convolution
from tests.checkpoints import make_ssl_checkpoint
from tests.inference.published import OLD, write_published
from tests.inference.runs import (
    covers,
    load,
    padded,
    refused,
    sound,
    write_sound,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Encoder of the Hub (other weights than the model's) and the files."""
    folder = tmp_path_factory.mktemp("weights")
    hub = make_ssl_checkpoint(folder / "hub", "wavlm", "large", seed=1)
    tuned = make_ssl_checkpoint(folder / "tuned", "wavlm", "large", seed=2)
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
    return hub, state, head


def replica(folder, weights, old=False, **options):
    """Write the replica; an old one as SpeechBrain 0.5 wrote it."""
    hub, state, head = weights
    if old:
        # A downloaded repository still names where it came from.
        options.update(encoder=OLD, pretrained_path="someone/somewhere")
        state = {**state, "model.masked_spec_embed": torch.zeros(32)}
        prefix = "model.encoder.pos_conv_embed.conv."
        for number, letter in enumerate("gv"):
            state[f"{prefix}weight_{letter}"] = state.pop(
                f"{prefix}parametrizations.weight.original{number}"
            )
    return write_published(folder, hub, state, head, "nhsa", **options)


class Oracle(Speech_Emotion_Diarization):
    """SpeechBrain's own, without the module that it does not use."""

    MODULES_NEEDED = ["input_norm", "wav2vec2", "output_mlp"]

    def log_probs(self, path):
        # SpeechBrain resamples by another library, which is not the point.
        wav = read_audio(path)
        if soundfile.info(path).samplerate == 16000:
            torch.testing.assert_close(wav, self.load_audio(path))
        wav = wav[None]
        x = self.encode_batch(wav, torch.ones(1))
        x = self.mods.output_mlp(self.hparams.avg_pool(x))
        return self.hparams.log_softmax(x)[0]

    def labels(self, path):
        index = self.log_probs(path).argmax(-1)
        return self.hparams.label_encoder.decode_torch(index)


@pytest.mark.parametrize(
    "window, stride", [(1, 1), (5, 5), (4, 2), (1, 3), (50, 25)]
)
def test_numbers_are_those_of_speechbrain(
    tmp_path, cwd, weights, window, stride
):
    folder = replica(tmp_path / "a", weights, window=window, stride=stride)
    oracle = Oracle.from_hparams(folder, savedir=tmp_path / "savedir")
    diarizer = load(folder)
    assert diarizer.classes == ["neutral", "happy", "sad", "angry"]
    for seconds, rate in [(4.013, 16000), (2.5, 8000), (3.3, 44100)]:
        path = write_sound(tmp_path / "x.wav", seconds, rate, 2)
        found = diarizer.analyse_file(path)
        with torch.no_grad():
            expected = oracle.log_probs(path).exp().numpy()
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
        if rate != 16000:
            continue
        labels = oracle.labels(path)
        # Averages over a second hardly differ.
        assert len(set(labels)) > 1 or window == 50
        runs = itertools.groupby(range(len(labels)), labels.__getitem__)
        # SpeechBrain's segments begin where ours do; ours end with the file.
        for segment, (label, run) in zip(found.segments, runs, strict=True):
            start = 0.02 * stride * next(run)
            assert segment["emotion"][0] == label
            assert segment["start"] == pytest.approx(start)
        assert covers(found.segments, read_audio(path).shape[0] / 16000)


def test_a_repository_of_an_old_version(tmp_path, cwd, weights):
    path = write_sound(tmp_path / "x.wav", 3.0)
    today = load(replica(tmp_path / "today", weights)).analyse_file(path)
    for name in ("wav2vec2", "wav2vec"):
        old = load(replica(tmp_path / "old", weights, old=True, name=name))
        found = old.analyse_file(path).probabilities
        np.testing.assert_array_equal(found, today.probabilities)
    assert not list(cwd.iterdir())


def test_padding_does_not_matter(tmp_path, cwd, weights):
    diarizer = load(replica(tmp_path / "a", weights))
    long = torch.from_numpy(sound(3.0)[:, 0])
    short = torch.from_numpy(sound(1.3, seed=1)[:, 0])
    found = diarizer.diarize_batch(*padded([long, short]))
    assert found[0] == diarizer.diarize_batch(long[None])[0]
    assert found[1] == diarizer.diarize_batch(short[None])[0]
    assert covers(found[1], 1.3)


@pytest.mark.parametrize("stride", [1, 25])
def test_long_and_short_recordings(tmp_path, cwd, weights, stride):
    folder = replica(tmp_path / "a", weights, window=stride, stride=stride)
    diarizer = load(folder, window=3.0, overlap=1.0)
    for seconds in (0.01, 0.05, 2.99, 3.0, 3.01, 11.37):
        path = write_sound(tmp_path / "x.wav", seconds)
        segments = diarizer.diarize_file(path)
        assert covers(segments, round(seconds * 16000) / 16000)


def test_files_that_are_missing_or_do_not_fit(tmp_path, cwd, weights):
    for name in ("input_norm.ckpt", "wav2vec2.ckpt", "label_encoder.txt"):
        folder = replica(tmp_path / f"no {name}", weights, old=True)
        (folder / name).unlink()
        refused(f"{name}' does not exist", load, folder)
    folder = replica(tmp_path / "few", weights)
    state = torch.load(folder / "wav2vec2.ckpt")
    del state["model.encoder.layer_norm.weight"]
    torch.save(state, folder / "wav2vec2.ckpt")
    refused("lacks 'model.encoder.layer_norm.we", load, folder)
    folder = replica(tmp_path / "labels", weights)
    (folder / "label_encoder.txt").write_text("nonsense\n")
    refused("labels", load, folder)


def test_the_encoder_can_be_had_from_elsewhere(tmp_path, cwd, weights):
    folder = replica(tmp_path / "a", ("no such/encoder", *weights[1:]))
    refused("hyperparams.yaml' does not describe", load, folder)
    diarizer = load(folder, overrides={"wav2vec2_hub": weights[0]})
    assert diarizer.grid.stride == 320
    reason = "hyperparams.yaml' does not describe"
    refused(reason, load, folder, overrides={"wav2vec_hub": weights[0]})


@pytest.mark.parametrize("ceil_mode", [True, False])
def test_frames_of_a_pooling(ceil_mode):
    for kernel, stride in itertools.product([1, 2, 3, 7], [1, 2, 3, 7]):
        pool = Pooling1d("avg", kernel, stride=stride, ceil_mode=ceil_mode)
        grid = FrameGrid([pooling_convolution(pool)])
        for frames in range(grid.min_samples, 40):
            found = pool(torch.zeros(1, frames, 2)).shape[1]
            assert found == grid.num_frames(frames), (kernel, stride, frames)


def test_a_pooling_that_is_not_understood():
    refused("avg_pool", pooling_convolution, Pooling1d("max", 3))


def test_benchmark(weights, capsys):
    from tests.benchmarks import bench_windows

    options = ["--seconds", "0.5", "--repeats", "1"]
    bench_windows.main(["--encoder_source", weights[0], *options])
    assert "| 0.5 " in capsys.readouterr().out
