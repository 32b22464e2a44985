"""What every encoder is held to: padding, lengths, gradients, precision."""

import pytest
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.base import ConvolvedFeatures
from speechbrain_ext.encoders.features.prosody import (
    ProsodyEncoder,
    ProsodyStatistics,
)
from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.encoders.conftest import MODELS
from tests.encoders.padding import (
    LENGTHS,
    check_bfloat16,
    check_gradients,
    check_lengths,
    check_padding,
    check_trained,
    collate,
    utterance,
    utterances,
)

PROSODY = {"prosody": ProsodyEncoder, "statistics": ProsodyStatistics}
LOCAL = "egemaps", "mel", "spectrogram", *PROSODY
# A window of the spectrogram is as good as zero at its first samples.
SHORT_TO_LONG = [length for length in LENGTHS if length > 5] + [99]
EDGES = {
    "whisper": [1, 160, 161, 320, 321, 640, 641, 479680, 479681, 480000],
    "30s": [1, 320, 321, 480000],
    "spectrogram": [1, 399, 400, 401, *range(550, 730)],
    "egemaps": [
        *range(1, 1700, 37),
        *(959, 960, 961, 1119, 1120, 1121, 1279, 1280, 1281),
        *range(15990, 16330, 10),
    ],
    "prosody": [*range(1, 4), *range(318, 323), 640, 1279, 1280, 1281, 37777],
}
EDGES["mel"] = EDGES["statistics"] = EDGES["prosody"]
EVERY = {"wavlm-base": range(700, 1045), "whisper": range(300, 650)}


@pytest.fixture(params=[*MODELS, "whisper", "30s", *LOCAL])
def kind(request):
    return request.param


@pytest.fixture
def make(kind, checkpoint):
    """A function from options to the encoder."""

    def build(**options):
        torch.manual_seed(0)
        if kind in PROSODY:
            return PROSODY[kind](**options)
        if kind in LOCAL:
            return load_encoder(kind, **options)
        name = "whisper" if kind == "30s" else kind
        padded = {"pad_to_30s": kind == "30s"}
        return load_encoder(checkpoint(name), **padded, **options)

    return build


@pytest.mark.parametrize("output_norm", [False, True])
def test_padding_never_changes_a_result(make, kind, output_norm):
    lengths = SHORT_TO_LONG if kind == "spectrogram" else LENGTHS
    if kind == "30s" or kind == "egemaps" and output_norm:
        lengths = [16000, 5, 9001]
    encoder = make(output_norm=output_norm)
    check_padding(encoder, lengths)
    if output_norm:
        encoded = encoder(utterance(8000), all_layers=True)[0]
        assert encoded.mean((1, 2)).abs().max() < 1e-4
        assert (encoded.square().mean((1, 2)) - 1).abs().max() < 1e-2


def test_lengths(make, kind):
    lengths = EDGES.get(kind, [1, 399, 400, 719, 720, 1041, 16000])
    check_lengths(make(), [*lengths, *EVERY.get(kind, [])])


@pytest.mark.parametrize("freeze_feature_extractor", [True, False])
def test_gradients(make, kind, freeze_feature_extractor):
    if kind in ("egemaps", "mel", "spectrogram", "statistics"):
        encoder = make().train()
        assert encoder.frozen and not encoder.training
        assert not encoder(utterance(8000).requires_grad_()).requires_grad
        return
    options = {"freeze_feature_extractor": freeze_feature_extractor}
    encoder = make() if kind == "prosody" else make(freeze=False, **options)
    check_gradients(encoder)
    convolutions = encoder.convolution_parameters().values()
    trained = {parameter.requires_grad for parameter in convolutions}
    assert trained == ({not freeze_feature_extractor} if trained else set())


def test_bfloat16_and_fingerprint(make, kind):
    encoder = make()
    if kind != "egemaps":
        check_bfloat16(encoder)
    assert make().fingerprint() == encoder.fingerprint()
    assert make(output_norm=True).fingerprint() != encoder.fingerprint()


def test_what_follows_the_convolutions_runs_apart(make, kind):
    if kind in LOCAL or kind == "30s":
        with pytest.raises(UserError, match="^cnn_folder: .* no convolutions"):
            ConvolvedFeatures(make())
        return
    with pytest.raises(UserError, match="^cnn_folder: .* are trained"):
        ConvolvedFeatures(make(freeze=False, freeze_feature_extractor=False))
    encoder = make(freeze=False, output_norm=True)
    convolved = ConvolvedFeatures(encoder)
    check_padding(convolved, least=1e-4)
    encoder.float().eval()
    lengths = [16000, 401, 9000]
    batch, wav_lens = collate(utterances(lengths))
    features = convolved(batch, wav_lens)
    frames = encoder.grid.num_frames(torch.tensor(lengths))
    for all_layers in (True, False):
        expected = encoder(batch, wav_lens, all_layers)
        resumed = encoder.resume(features, frames, all_layers)
        assert (resumed - expected).abs().max() < 1e-5
    # It follows from the convolutions alone, and training goes on.
    before = convolved.fingerprint()
    with torch.no_grad():
        encoder.layers[-1].final_layer_norm.bias.add_(1.0)
    encoder.train().resume(features, frames).square().sum().backward()
    assert convolved.fingerprint() == before != encoder.fingerprint()
    check_trained(encoder)
    with torch.no_grad():
        next(iter(convolved._weights().values())).add_(1.0)
    assert convolved.fingerprint() != before


WRITE = make_ssl_checkpoint, make_whisper_checkpoint


@pytest.mark.parametrize("write", WRITE)
def test_frozen_stays_frozen(write, tmp_path):
    write(tmp_path, dropout=0.5, hidden_dropout=0.5)
    wav = utterance(8000).requires_grad_(True)
    encoder = load_encoder(tmp_path).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    output = encoder(wav)
    assert not output.requires_grad
    # A model around it puts its parts into training one by one.
    torch.nn.Sequential(encoder).train()
    assert torch.equal(output, encoder(wav))
    encoder = load_encoder(tmp_path, freeze=False)
    assert not torch.equal(encoder(wav), encoder(wav))


@pytest.mark.parametrize("write", WRITE)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_loaded_in_float32(write, dtype, tmp_path):
    encoder = load_encoder(write(tmp_path, dtype=dtype))
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    check_padding(encoder)


def test_wrong_waveforms(wavlm, whisper):
    with pytest.raises(ValueError, match="batch, samples"):
        load_encoder(wavlm)(torch.zeros(100))
    with pytest.raises(UserError, match=r"of 30\.0 s .* the 30 s .* cut it"):
        load_encoder(whisper)(torch.zeros(1, 480001))
