"""Small random checkpoints in the layout of the Hub."""

import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

SSL_CLASSES = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
}
# Of the base models.
BASE_SIZES = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "conv_dim": (512,) * 7,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}


def make_ssl_checkpoint(
    folder, kind="wavlm", size="base", dtype=torch.float32, seed=0, **options
):
    """Write a small random model of a kind of ``SSL_CLASSES``.

    A ``"base"`` one normalises in the first convolution and after each layer,
    a ``"large"`` one in all convolutions (with biases), before each layer, and
    its input. ``options`` are further settings of the configuration.
    """
    config_class, model_class = SSL_CLASSES[kind]
    large = size == "large"
    extractor = Wav2Vec2FeatureExtractor(
        do_normalize=options.pop("do_normalize", large)
    )
    settings = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "num_codevectors_per_group": 4,
        "codevector_dim": 8,
        "proj_codevector_dim": 8,
        "feat_extract_norm": "layer" if large else "group",
        "conv_bias": large,
        "do_stable_layer_norm": large,
    }
    config = config_class(**{**settings, **options})
    return write_checkpoint(folder, model_class, config, extractor, dtype, seed)


def make_whisper_checkpoint(
    folder, dtype=torch.float32, seed=0, num_mel_bins=80, **options
):
    """Write a small random Whisper model, decoder and all."""
    settings = {
        "d_model": 32,
        "encoder_layers": 3,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "vocab_size": 20,
        "max_target_positions": 8,
        "num_mel_bins": num_mel_bins,
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
    }
    for token in ("pad", "bos", "eos", "decoder_start"):
        settings[f"{token}_token_id"] = 0
    config = WhisperConfig(**{**settings, **options})
    extractor = WhisperFeatureExtractor(feature_size=num_mel_bins)
    model_class = WhisperForConditionalGeneration
    return write_checkpoint(folder, model_class, config, extractor, dtype, seed)


def write_checkpoint(
    folder, model_class, config, processor, dtype=torch.float32, seed=0
):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        # Fresh models have zeros and ones in places that trained ones do not.
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                parameter.data += 0.1 * torch.randn_like(parameter)
    model.to(dtype).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
