"""Small random checkpoints in the layout of the Hub."""

from pathlib import Path

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


#: Lines of hyperparams.yaml of SpeechBrain's models of speaker recognition.
SPEAKER_MODELS = {
    "ecapa": """ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: [16, 16, 16, 16, 48]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: 8
    res2net_scale: 4
    se_channels: 8
    lin_neurons: 12""",
    "xvector": """Xvector.Xvector
    in_channels: !ref <n_mels>
    activation: !name:torch.nn.LeakyReLU
    tdnn_blocks: 5
    tdnn_channels: [16, 16, 16, 16, 24]
    tdnn_kernel_sizes: [5, 3, 3, 1, 1]
    tdnn_dilations: [1, 2, 3, 1, 1]
    lin_neurons: 12""",
    "resnet": """ResNet.ResNet
    input_size: !ref <n_mels>
    channels: [8, 8, 16, 16]
    block_sizes: [1, 1, 1, 1]
    strides: [1, 2, 2, 2]
    lin_neurons: 12""",
}
_SPEAKER_YAML = """n_mels: 24
pretrained_path: somebody/spkrec
out_n_neurons: 5
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.{model}
classifier: !new:speechbrain.lobes.models.ECAPA_TDNN.Classifier
    input_size: 12
    out_neurons: !ref <out_n_neurons>
mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    mean_var_norm_emb: !ref <mean_var_norm_emb>
    classifier: !ref <classifier>
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
        mean_var_norm_emb: !ref <mean_var_norm_emb>
        classifier: !ref <classifier>
        label_encoder: !ref <label_encoder>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
        mean_var_norm_emb: !ref <pretrained_path>/mean_var_norm_emb.ckpt
        classifier: !ref <pretrained_path>/classifier.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""


def make_speaker_model(folder, kind="ecapa", seed=0):
    """A small random model in the layout of ``spkrec-ecapa-voxceleb``."""
    from hyperpyyaml import load_hyperpyyaml

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = _SPEAKER_YAML.replace("{model}", SPEAKER_MODELS[kind])
    text = text.replace("somebody/spkrec", str(folder))
    (folder / "hyperparams.yaml").write_text(text)
    torch.manual_seed(seed)
    hparams = load_hyperpyyaml(text)
    for name in ("embedding_model", "classifier"):
        torch.save(hparams[name].state_dict(), folder / f"{name}.ckpt")
    hparams["mean_var_norm_emb"]._save(folder / "mean_var_norm_emb.ckpt")
    labels = hparams["label_encoder"]
    labels.update_from_iterable("abcde", sequence_input=False)
    labels.save(folder / "label_encoder.txt")
    return folder
