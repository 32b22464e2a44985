"""Whisper's encoder, against transformers' with its 30 s of input."""

from pathlib import Path

import pytest
import soundfile
import torch
from transformers import WhisperFeatureExtractor, WhisperModel

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.whisper import WhisperEncoder
from tests.checkpoints import make_whisper_checkpoint
from tests.encoders.padding import (
    check_local,
    collate,
    utterance,
    utterances,
    worst_difference,
)

MODELS = {
    "80-bands": {},
    "128-bands": {"num_mel_bins": 128},
    "float16": {"dtype": torch.float16},
}


@pytest.fixture(scope="module", params=MODELS)
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    return make_whisper_checkpoint(path, **MODELS[request.param])


def features(folder, wav):
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    inputs = extractor(wav.numpy(), sampling_rate=16000, return_tensors="pt")
    return inputs.input_features


def plain_states(folder, wav):
    """All 1500 frames of all hidden states by transformers alone."""
    model = WhisperModel.from_pretrained(folder, dtype="float32").encoder.eval()
    with torch.no_grad():
        output = model(features(folder, wav), output_hidden_states=True)
    return torch.cat(output.hidden_states)


# At the end of the 30 s transformers mirrors the waveform.
LENGTHS = [1, 161, 4800, 37777, 479700, 480000]


@pytest.mark.parametrize("length", LENGTHS)
def test_padded_is_what_transformers_computes(folder, length):
    wav = utterances([length])[0]
    encoder = WhisperEncoder(folder, pad_to_30s=True)
    ours = encoder(wav[None], all_layers=True)[0]
    expected = plain_states(folder, wav)[:, : ours.shape[1]]
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() < 1e-5


@pytest.mark.parametrize("length", LENGTHS)
def test_cut_has_the_spectra_and_first_frames_of_transformers(whisper, length):
    wav = utterances([length])[0]
    encoder = WhisperEncoder(whisper)
    frames = encoder.grid.num_frames(length)
    ours = encoder._spectra(wav[None], frames)
    expected = features(whisper, wav)[:, :, : ours.shape[-1]]
    assert ours.shape[-1] == min(2 * frames + 1, 3000)
    assert (ours - expected).abs().max() < 1e-5
    ours = encoder(wav[None], all_layers=True)[0]
    expected = plain_states(whisper, wav)[:, :frames]
    # Beyond the first state only where there is nothing to cut.
    same = slice(None if length == 480000 else 1)
    assert (ours - expected)[same].abs().max() < 1e-5


def test_cut_is_transformers_with_few_positions(whisper):
    """An independent oracle for the cut: a model of that many positions."""
    wav = utterances([32000])[0]
    ours = WhisperEncoder(whisper)(wav[None], all_layers=True)[0]
    model = WhisperModel.from_pretrained(whisper).encoder.eval()
    positions = model.embed_positions.weight[:101]
    model.embed_positions = torch.nn.Embedding.from_pretrained(positions)
    model.config.max_source_positions = 101
    with torch.no_grad():
        spectra = features(whisper, wav)[:, :, :202]
        # The 101st frame is silence; nobody may attend to it.
        for layer in model.layers:
            attention = layer.self_attn
            attention.forward = _without_last_key(attention.forward)
        output = model(spectra, output_hidden_states=True)
    expected = torch.cat(output.hidden_states)[:, :100]
    assert (ours - expected).abs().max() < 1e-5


def _without_last_key(forward):
    def wrapped(hidden_states, attention_mask=None, **kwargs):
        size = hidden_states.shape[1]
        mask = torch.zeros(1, 1, size, size)
        mask[..., -1] = -1e30
        return forward(hidden_states=hidden_states, attention_mask=mask)

    return wrapped


def test_padding_beside_30_s_and_in_eager_attention(whisper):
    encoder = WhisperEncoder(whisper)
    assert worst_difference(encoder, utterances([480000, 4000])) < 1e-5
    batch = collate(utterances([16000, 5000]))
    usual = encoder(*batch)
    encoder.model.set_attn_implementation("eager")
    assert (encoder(*batch) - usual).abs().max() < 1e-5


def test_the_decoder_and_a_missing_head_do_not_matter(tmp_path, whisper):
    """``WhisperModel`` saves other names than the whole model."""
    plain = WhisperModel.from_pretrained(whisper)
    plain.save_pretrained(tmp_path)
    WhisperFeatureExtractor().save_pretrained(tmp_path)
    saved, usual = (WhisperEncoder(each) for each in (tmp_path, whisper))
    assert saved.fingerprint() == usual.fingerprint()
    ours, expected = usual.model.state_dict(), plain.encoder.state_dict()
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in expected)


def test_layerdrop_is_off_and_files_belong_together(tmp_path):
    make_whisper_checkpoint(tmp_path, encoder_layerdrop=0.9)
    encoder = WhisperEncoder(tmp_path, freeze=False).train()
    wav = utterance(8000)
    assert torch.equal(encoder(wav), encoder(wav))
    WhisperFeatureExtractor(feature_size=128).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="128 mel bands .* 80 in its config"):
        WhisperEncoder(tmp_path)


@pytest.mark.parametrize("pad_to_30s", [False, True])
def test_the_local_encoder_is_the_convolutions(whisper, pad_to_30s):
    model = WhisperModel.from_pretrained(whisper).encoder.eval()
    gelu = torch.nn.functional.gelu

    @torch.no_grad()
    def convolved(wav):
        x = gelu(model.conv2(gelu(model.conv1(features(whisper, wav)))))
        return x[0].T[: -(-len(wav) // 320)]

    wavs = utterances([16000, 4000, 9001])
    check_local(whisper, wavs, convolved, pad_to_30s=pad_to_30s)


def test_fingerprint(tmp_path, whisper):
    other = make_whisper_checkpoint(tmp_path / "weights", seed=1)
    window = make_whisper_checkpoint(tmp_path / "window")
    WhisperFeatureExtractor(n_fft=320).save_pretrained(window)
    encoders = [WhisperEncoder(each) for each in (whisper, other, window)]
    encoders.append(WhisperEncoder(whisper, pad_to_30s=True))
    assert len({encoder.fingerprint() for encoder in encoders}) == 4


def test_real_speech(speech_encoder, ravdess_folder):
    """Padding does not matter; what the cut gives up for speed is bounded."""
    if '"whisper"' not in (Path(speech_encoder) / "config.json").read_text():
        pytest.skip("SPEECH_ENCODER is no Whisper model")
    files = sorted(Path(ravdess_folder).glob("Actor_*/*.flac"))[::360]
    wavs = [soundfile.read(file, dtype="float32")[0] for file in files]
    wavs = [torch.from_numpy(wav) for wav in wavs]
    cut = WhisperEncoder(speech_encoder)
    padded = WhisperEncoder(speech_encoder, pad_to_30s=True)
    ours = padded(wavs[0][None], all_layers=True)[0]
    expected = plain_states(speech_encoder, wavs[0])[:, : ours.shape[1]]
    assert (ours - expected).abs().max() < 1e-4
    for wav in wavs:
        a, b = cut(wav[None])[0], padded(wav[None])[0]
        assert torch.cosine_similarity(a, b, dim=-1).mean() > 0.9
    with torch.no_grad():
        # The last normalisation multiplies rounding errors by large gains.
        assert worst_difference(cut, wavs) < 1e-3
        wavs = [wav.double() for wav in wavs]
        assert worst_difference(cut.double(), wavs) < 1e-9
