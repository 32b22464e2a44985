"""The two models that SpeechBrain has published, with other weights."""

import torch
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.processing.features import InputNormalization

TODAY = "speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2"
OLD = "speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2"
YAML = """
HPARAMS_NEEDED: [encoder_dim, out_n_neurons, label_encoder, softmax]
pretrained_path: {pretrained_path}
wav2vec2_hub: {hub}
window_length: {window}
stride: {stride}
encoder_dim: {channels}
out_n_neurons: 4
{input_norm}
wav2vec2: !new:{encoder}
    source: !ref <wav2vec2_hub>
    output_norm: True
    freeze: True
    save_path: wav2vec2_checkpoints
avg_pool: !new:speechbrain.nnet.pooling.{pooling}
output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <encoder_dim>
    n_neurons: !ref <out_n_neurons>
    bias: False
model: !new:torch.nn.ModuleList
    - [!ref <output_mlp>]
modules:
    {name}: !ref <wav2vec2>
    output_mlp: !ref <output_mlp>
{modules}
log_softmax: !new:speechbrain.nnet.activations.Softmax
    apply_log: True
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
unneeded: !apply:{unneeded} [abc]
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
{loadables}
    paths:
{paths}
"""
INPUT_NORM = """
input_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False"""
DIARIZER = """Pooling1d
    pool_type: "avg"
    kernel_size: !ref <window_length>
    stride: !ref <stride>
    ceil_mode: True"""
RECOGNIZER = """StatisticsPooling
    return_std: False"""


def write_published(
    folder,
    hub,
    state,
    head,
    labels,
    pooling=DIARIZER,
    encoder=TODAY,
    name="wav2vec2",
    modules=("input_norm",),
    pretrained_path=None,
    window=1,
    stride=1,
):
    """Write a model; without a state, the encoder's weights are the hub's."""
    folder.mkdir(exist_ok=True)
    files = {"model": "model.ckpt", "label_encoder": "label_encoder.txt"}
    torch.save({"0.w.weight": head}, folder / "model.ckpt")
    if state is not None:
        files["wav2vec2"] = "wav2vec2.ckpt"
        torch.save(state, folder / "wav2vec2.ckpt")
    if "input_norm" in modules:
        files["input_norm"] = "input_norm.ckpt"
        norm = InputNormalization("sentence", std_norm=False)
        norm._save(folder / "input_norm.ckpt")
    encoder_of_labels = CategoricalEncoder()
    encoder_of_labels.update_from_iterable(labels)
    encoder_of_labels.save(folder / "label_encoder.txt")
    # What is made by SpeechBrain itself must be possible.
    hostile = "tests.inference.runs.never"
    places = {x: f"<pretrained_path>/{path}" for x, path in files.items()}
    text = YAML.format(
        pretrained_path=pretrained_path or folder,
        hub=hub,
        window=window,
        stride=stride,
        channels=head.shape[1],
        encoder=encoder,
        pooling=pooling,
        name=name,
        input_norm=INPUT_NORM if "input_norm" in modules else "",
        modules="\n".join(f"    {one}: !ref <{one}>" for one in modules),
        unneeded="builtins.len" if encoder == TODAY else hostile,
        loadables="\n".join(f"        {x}: !ref <{x}>" for x in files),
        paths="\n".join(f"        {x}: !ref {p}" for x, p in places.items()),
    )
    (folder / "hyperparams.yaml").write_text(text)
    (folder / "custom_interface.py").write_text("raise AssertionError()\n")
    return folder
