"""The layouts of two models that SpeechBrain has published.

``speechbrain/emotion-diarization-wavlm-large``: its ``hyperparams.yaml`` has
the modules ``input_norm``, ``wav2vec2`` and ``output_mlp``, the keys
``avg_pool`` (over stretches of frames), ``log_softmax``, ``label_encoder``,
``window_length`` and ``stride``, and a ``pretrainer`` for ``input_norm.ckpt``,
``wav2vec2.ckpt``, ``model.ckpt`` and ``label_encoder.txt``.

``speechbrain/emotion-recognition-wav2vec2-IEMOCAP``: the modules ``wav2vec2``,
``avg_pool`` (over the whole utterance) and ``output_mlp``, the keys
``softmax`` and ``label_encoder``, and a ``pretrainer`` for ``wav2vec2.ckpt``,
``model.ckpt`` and ``label_encoder.txt``. Its ``custom_interface.py`` is not
needed and never imported.

Both were written for SpeechBrain 0.5 and name classes that have moved since;
here the names in the text are brought up to date, and nothing in SpeechBrain
is changed.
"""

import re

from ruamel.yaml.tag import Tag
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from torch.nn import functional as F

from speechbrain_ext.base.emotions import emotion_name
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora.iemocap import EMOTIONS
from speechbrain_ext.encoders.grid import FrameGrid

#: Old class paths -> today's; where a key ends with a dot, all that begins so.
MOVED = {
    "speechbrain.lobes.models.huggingface_wav2vec.HuggingFaceWav2Vec2": (
        "speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2"
    ),
    "speechbrain.lobes.models.huggingface_transformers.": (
        "speechbrain.integrations.huggingface."
    ),
    "speechbrain.pretrained.fetching.": "speechbrain.utils.fetching.",
    "speechbrain.pretrained.": "speechbrain.inference.",
}
# WavLM and HuBERT are loaded by the very code of wav2vec 2.0.
_SSL_CLASSES = {
    f"speechbrain.integrations.huggingface.{name}"
    for name in ("wav2vec2.Wav2Vec2", "wavlm.WavLM", "hubert.HuBERT")
}
_TAG = re.compile(r"(!(?:new|name|apply|module):)(speechbrain\.[\w.]+)")


class BareWav2Vec2(Wav2Vec2):
    """A wav2vec 2.0, HuBERT or WavLM model that waits for its parameters."""

    def _from_pretrained(self, source, save_path, cache_dir, **options):
        self.model = self.auto_class.from_config(self.config)


class PublishedEncoder:
    """Waveform -> frames, as both published models do it."""

    def __init__(self, modules, pooling=()):
        # SpeechBrain's interface of diarization demands the one and uses the
        # other.
        name = "wav2vec2" if "wav2vec2" in modules else "wav2vec"
        self.encoder = modules[name]
        self.input_norm = (
            modules["input_norm"] if "input_norm" in modules else None
        )
        config = self.encoder.model.config
        self.channels = config.hidden_size
        convolutions = [
            (kernel, stride, 0)
            for kernel, stride in zip(config.conv_kernel, config.conv_stride)
        ]
        self.grid = FrameGrid([*convolutions, *pooling])

    def __call__(self, wav):
        """Encode a waveform."""
        wav = wav[None]
        if self.input_norm is not None:
            wav = self.input_norm(wav, wav.new_ones(1))
        missing = self.grid.min_samples - wav.shape[1]
        return self.encoder(F.pad(wav, (0, missing)) if missing > 0 else wav)


def modernise(text):
    """Bring the class paths in a YAML up to date."""
    return _TAG.sub(lambda match: match[1] + _moved(match[2]), text)


def _moved(path):
    for old, new in MOVED.items():
        if path == old or (old.endswith(".") and path.startswith(old)):
            return new + path[len(old) :]
    return path


def without_weights(tree):
    """Have the encoder wait for its parameters where a file brings them all."""
    loadables = tree["pretrainer"].get("loadables") or {}
    loaded = {id(node) for node in loadables.values()}
    for node in tree["modules"].values():
        tag = getattr(node, "tag", None)
        name = str(getattr(tag, "value", "") or "").removeprefix("!new:")
        if id(node) in loaded and name in _SSL_CLASSES:
            path = f"{__name__}.{BareWav2Vec2.__name__}"
            node.yaml_set_ctag(Tag(suffix=f"!new:{path}"))


def class_names(label_encoder, source):
    """Full names of the classes of a label encoder, by their indices."""
    labels = label_encoder.ind2lab
    if sorted(labels) != list(range(len(labels))) or not labels:
        raise UserError(
            f"model: the label_encoder of '{source}' has the indices "
            f"{sorted(labels)}; put back the file that came with the model."
        )
    where = f"model: the label_encoder of '{source}'"
    names = [emotion_name(labels[index], where) for index in sorted(labels)]
    return [EMOTIONS.get(name, name) for name in names]
