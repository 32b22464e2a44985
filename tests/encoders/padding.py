"""What all encoders are held to: a batch gives what each utterance gives."""

import torch

from speechbrain_ext.encoders import load_encoder

# Less than a receptive field, exactly one, one sample more, ... 3 s.
LENGTHS = [48000, 800, 16000, 5, 400, 401, 37777, 719, 720, 161]


def utterances(lengths=LENGTHS, seed=0):
    """Noise with an offset, of the given lengths."""
    generator = torch.Generator().manual_seed(seed)
    return [0.1 * torch.randn(n, generator=generator) + 0.02 for n in lengths]


def utterance(length):
    """One of them, as a batch."""
    return utterances([length])[0][None]


def collate(wavs, filling=0.0):
    """Padded batch ``[batch, samples]`` and relative lengths ``[batch]``."""
    longest = max(len(wav) for wav in wavs)
    batch = torch.full((len(wavs), longest), filling, dtype=wavs[0].dtype)
    for row, wav in zip(batch, wavs):
        row[: len(wav)] = wav
    return batch, torch.tensor([len(wav) / longest for wav in wavs])


def worst_difference(encoder, wavs, filling=0.0, least=0.1):
    """Largest difference of any hidden state between a batch and alone.

    Checks on the way that lengths are those of the grid, that frames of padding
    are zero, and that the largest value of an utterance is more than ``least``.
    """
    batch, wav_lens = collate(wavs, filling)
    together = encoder(batch, wav_lens, all_layers=True)
    frames = encoder.grid.num_frames(batch.shape[1])
    shape = len(wavs), encoder.num_layers, frames, encoder.output_size
    assert together.shape == shape
    assert torch.equal(together[:, -1], encoder(batch, wav_lens))
    worst = 0.0
    for wav, encoded in zip(wavs, together):
        alone = encoder(wav[None], all_layers=True)[0]
        frames = encoder.grid.num_frames(len(wav))
        assert alone.shape[1] == frames
        assert torch.count_nonzero(encoded[:, frames:]) == 0
        assert alone.abs().amax() > least
        worst = max(worst, (encoded[:, :frames] - alone).abs().amax().item())
    return worst


def check_padding(encoder, lengths=LENGTHS, least=0.1):
    """The promise, in float32 and, free of rounding, in float64."""
    encoder.eval()
    wavs = utterances(lengths)
    with torch.no_grad():
        assert worst_difference(encoder, wavs, 0.0, least) < 1e-5
        # Whatever stands in the padding, and in any order.
        difference = worst_difference(encoder, wavs[::-1], torch.nan, least)
        assert difference < 1e-5
        encoder.double()
        wavs = [wav.double() for wav in wavs]
        assert worst_difference(encoder, wavs, 1.0, least) < 1e-10
    encoder.float()


def check_lengths(encoder, lengths):
    """Frames out are those of the grid, for every length."""
    encoder.eval()
    with torch.no_grad():
        for length in lengths:
            frames = encoder(torch.randn(1, length)).shape[1]
            assert frames == encoder.grid.num_frames(length)
            assert len(encoder.grid.edges(length)) == frames + 1


def check_gradients(encoder):
    """Gradients reach every trained parameter and no sample of padding."""
    batch, wav_lens = collate(utterances([8000, 3000]))
    batch.requires_grad_(True)
    output = encoder.train()(batch, wav_lens)
    (output * torch.randn_like(output)).sum().backward()
    check_trained(encoder)
    assert torch.count_nonzero(batch.grad[1, 3000:]) == 0
    assert torch.count_nonzero(batch.grad[1, :3000]) > 1000


def check_trained(encoder):
    for name, parameter in encoder.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
        assert not parameter.requires_grad or parameter.grad.isfinite().all()


def check_bfloat16(encoder):
    """Autocast works, and padding does not matter there either."""
    encoder.eval()
    wavs = utterances([8000, 3000])
    batch, wav_lens = collate(wavs)
    with torch.no_grad():
        exact = encoder(batch, wav_lens)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = encoder(batch, wav_lens).float()
            alone = encoder(wavs[1][None]).float()[0]
    assert output.isfinite().all()
    assert (output - exact).abs().mean() < 0.05 * exact.abs().mean()
    difference = (output[1, : len(alone)] - alone).abs().mean()
    assert difference < 0.05 * alone.abs().mean()


def check_local(folder, wavs, expected, **options):
    """``local_encoder``: state 0 is as expected, the others as they were."""
    usual = load_encoder(folder, **options)
    local = load_encoder(folder, local_encoder=True, **options)
    assert local.fingerprint() != usual.fingerprint()
    batch, wav_lens = collate(wavs)
    states = local(batch, wav_lens, all_layers=True)
    before = usual(batch, wav_lens, all_layers=True)
    assert torch.equal(states[:, 1:], before[:, 1:])
    assert torch.equal(local(batch, wav_lens), usual(batch, wav_lens))
    for wav, encoded, other in zip(wavs, states, before):
        target = expected(wav)
        frames = len(target)
        assert (encoded[0, :frames] - target).abs().max() < 1e-5
        assert (other[0, :frames] - target).abs().max() > 0.1
    check_bfloat16(local)
    if not options.get("pad_to_30s"):
        check_padding(local)
