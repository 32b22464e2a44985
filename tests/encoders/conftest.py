"""Small random checkpoints of every architecture, made once."""

import functools

import pytest

from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint

SIZES = {
    f"{kind}-{size}": {"kind": kind, "size": size}
    for kind in ("wav2vec2", "hubert", "wavlm")
    for size in ("base", "large")
}
# What real checkpoints have besides: normalised input to a base model, biases
# with group normalisation and none without, batch normalisation of positions
# (mHuBERT), no normalised projection (HuBERT).
MODELS = SIZES | {
    "wav2vec2-base-960h": {"kind": "wav2vec2", "do_normalize": True},
    "wavlm-base-bias": {"kind": "wavlm", "conv_bias": True},
    "wav2vec2-large-no-bias": SIZES["wav2vec2-large"] | {"conv_bias": False},
    "hubert-large-raw": SIZES["hubert-large"]
    | {"do_normalize": False, "feat_proj_layer_norm": False},
    "mhubert": SIZES["hubert-base"]
    | {"do_normalize": True, "conv_pos_batch_norm": True},
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A function from the name of a model to its folder."""

    @functools.cache
    def make(name):
        path = tmp_path_factory.mktemp(name)
        if name == "whisper":
            return make_whisper_checkpoint(path)
        return make_ssl_checkpoint(path, **MODELS[name])

    return make


@pytest.fixture(params=MODELS)
def ssl(request, checkpoint):
    """Every kind of SSL model."""
    return checkpoint(request.param)


@pytest.fixture(params=[*SIZES, "whisper"])
def folder(request, checkpoint):
    """Every architecture."""
    return checkpoint(request.param)


@pytest.fixture
def wavlm(checkpoint):
    return checkpoint("wavlm-base")


@pytest.fixture
def whisper(checkpoint):
    return checkpoint("whisper")
