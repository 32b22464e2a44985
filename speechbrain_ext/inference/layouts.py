"""This project's layouts of models and two of SpeechBrain's, with one face:
what ``encode`` makes of a batch goes to ``log_probs``, and of ``by_speaker``
models, after ``forget``, to ``learn`` first. Padding never changes a result."""

from functools import partial

import torch
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from torch.nn import functional as F
from transformers import AutoModel

from speechbrain_ext.base.emotions import emotion_name
from speechbrain_ext.base.errors import UserError, expected, reason
from speechbrain_ext.encoders import loading
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.encoders.grid import FrameGrid
from speechbrain_ext.models.inputs import Input, check_strides

# Frames closer than 5 ms, or of more than a minute, exhaust memory.
_LEAST_STRIDE = 80
_MOST_SAMPLES = 60 * 16000
# What parts that do not fit may raise.
_MISFITS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)

_GIVE_TO = {
    True: "finds which emotion appears when; give it to EmotionDiarizer (the "
    "command diarize)",
    False: "finds one emotion for a whole recording; give it to "
    "EmotionRecognizer (the command recognize)",
}


class OtherKind(UserError):
    """A model that finds something else than what it was loaded for."""


def named_inputs(modules, hparams):
    """Modules with ``Input`` for the encoders of older models."""
    for name, module in modules.items():
        kind, what = torch.nn.Module, "a module"
        if name.endswith("encoder"):
            kind, what = Encoder, "an encoder"
        if not isinstance(module, kind):
            remedy = "correct its hyperparams.yaml"
            raise expected(f"model: modules: {name}", what, module, remedy)
    if "encoder" not in modules or "head" not in modules:
        return dict(modules)
    mixed = "all" if "mixture" in modules else "contextual"
    layers, inputs = hparams.get("layers", mixed), {}
    for name, prefix in (("speech", ""), ("fusion", "fusion_")):
        parts = {
            part: modules[prefix + part]
            for part in ("encoder", "normalizer", "mixture")
            if prefix + part in modules
        }
        if parts:
            cut = hparams.get("max_length")
            inputs[name] = Input(**parts, layers=layers, max_length=cut)
        layers = "all"
    return {**inputs, "head": modules["head"]}


class NamedInputs:
    """This project's models: inputs by name, and a head."""

    def __init__(self, modules):
        self.head = modules["head"]
        self.inputs = {k: m for k, m in modules.items() if isinstance(m, Input)}
        check_strides(self.inputs)
        framed = [x for x in self.inputs.values() if x.has_frames]
        # Without any, it is a model of texts.
        first, *_ = framed or self.inputs.values()
        self.grid = first.grid
        self.max_length, self.limit = first.max_length, first.limit
        self.texts = [x for x in self.inputs.values() if _reads(x) == "text"]
        self.reads_text = bool(self.texts)
        limits = {x.encoder.max_samples for x in self.inputs.values()} - {None}
        self.max_samples = min(limits, default=None)
        self.by_speaker = any(x.by_speaker for x in self.inputs.values())
        found = self._trial()
        if found.dim() != 2:
            raise ValueError(f"the head gives {found.dim()} dimensions")
        self.by_frame = len(found) == 2
        self.num_classes = found.shape[-1]

    def _trial(self):
        """What the head makes of an utterance of two frames."""
        given = []
        weight = next(self.head.parameters(), torch.empty(0))
        for one in self.inputs.values():
            # Some make one vector of an utterance.
            count = 2 if one.has_frames or one in self.texts else 1
            zeros = weight.new_zeros(count, one.encoder.output_size)
            given += zeros, torch.tensor([count], device=weight.device)
        with torch.inference_mode():
            return self.head(*given)

    def encode(self, wavs, lengths, texts=None, by_speaker=False):
        """Hidden states of a batch, by input; without texts, not of those;
        perhaps of those alone that ``learn`` takes."""
        wav_lens, found = lengths.double() / wavs.shape[1], {}
        for name, one in self.inputs.items():
            if by_speaker and not one.by_speaker:
                continue
            if one not in self.texts:
                found[name] = one.hidden(wavs, wav_lens)
            elif texts is not None:
                found[name] = one.hidden_of_texts(texts)
        return found

    def lacks(self, text):
        """Why a text is none that the model can read, or None."""
        reasons = (x.encoder.lacks({"text": text}) for x in self.texts)
        return next(filter(None, reasons), None)

    def forget(self):
        """Forget the statistics of all speakers."""
        for one in self.inputs.values():
            if one.by_speaker:
                one.normalizer.reset()

    @torch.inference_mode()
    def learn(self, encoded, speakers):
        """Take a batch into the statistics of its speakers."""
        for name, one in self.inputs.items():
            if one.by_speaker:
                one.normalizer.update(*encoded[name], speakers)

    def log_probs(self, encoded, speakers=None):
        """Classify frames or utterances."""
        given = []
        for name, one in self.inputs.items():
            hidden, lengths = encoded[name]
            given += one.frames(hidden, lengths, speakers), lengths
        found = torch.log_softmax(self.head(*given).float(), dim=-1)
        return found.split(given[1].tolist()) if self.by_frame else found


def _reads(source):
    """What the encoder of an input reads: audio or text."""
    (what,) = source.encoder.reads
    if what not in ("audio", "text"):
        raise ValueError(f"it reads the {what} of recordings, which have none")
    return what


class Published:
    """The layouts of the two models that SpeechBrain has published."""

    max_samples = max_length = limit = None
    by_speaker = reads_text = False

    def __init__(self, modules, hparams):
        modules = {**hparams, **modules}
        # SpeechBrain's diarizer demands the one name and uses the other.
        self.encoder = modules.get("wav2vec2") or modules["wav2vec"]
        self.input_norm = modules.get("input_norm")
        self.pool = modules.get("avg_pool")
        self.output_mlp = modules["output_mlp"]
        self.num_classes = self.output_mlp.w.out_features
        self.by_frame = not hasattr(self.pool, "return_mean")
        config = self.encoder.model.config
        layers = [(*x, 0) for x in zip(config.conv_kernel, config.conv_stride)]
        if self.by_frame and self.pool is not None:
            layers.append(pooling_convolution(self.pool))
        self.grid = FrameGrid(layers)

    def encode(self, wavs, lengths, texts=None):
        """Pooled frames of every waveform, ``[frames, channels]``."""
        pairs = zip(wavs, lengths.tolist())
        return [self._alone(wav[None, :length]) for wav, length in pairs]

    def log_probs(self, encoded, speakers=None):
        """Classify frames or utterances."""
        found = [self.output_mlp(frames[None])[0] for frames in encoded]
        found = [x.float().log_softmax(-1) for x in found]
        return found if self.by_frame else torch.cat(found)

    def _alone(self, wav):
        if self.input_norm is not None:
            wav = self.input_norm(wav, wav.new_ones(1))
        missing = max(0, self.grid.min_samples - wav.shape[1])
        frames = self.encoder(F.pad(wav, (0, missing)))
        if self.by_frame:
            return frames[0] if self.pool is None else self.pool(frames)[0]
        devices = [frames.device] if frames.is_cuda else []
        with torch.random.fork_rng(devices):
            # It adds noise.
            torch.manual_seed(0)
            return self.pool(frames, frames.new_ones(1))[0]


def pooling_convolution(avg_pool):
    """Kernel, stride and padding that make as many frames as a pooling does."""
    layer = getattr(avg_pool, "pool_layer", None)
    if not isinstance(layer, torch.nn.AvgPool1d):
        what = "speechbrain.nnet.pooling.Pooling1d with pool_type avg"
        raise expected("avg_pool", what, avg_pool, "correct the YAML")
    sizes = layer.kernel_size, layer.stride, layer.padding
    (kernel,), (stride,), (padding,) = sizes
    if layer.ceil_mode:
        # A last, shorter pool is allowed where it begins within the frames.
        kernel = max(kernel - stride + 1, 1)
    return kernel, stride, padding


class SafeWav2Vec2(Wav2Vec2):
    """SpeechBrain's wav2vec 2.0, HuBERT or WavLM model from a checkpoint that
    is not trusted."""

    filled = False

    def __init__(self, source, save_path, *args, **options):
        # It refuses settings that no model has.
        loading.load_config(source, save_path, weights=not self.filled)
        super().__init__(source, save_path, *args, **options)

    def override_config(self, config):
        """Choose the usual attention: a name may stand for code on the Hub."""
        config._attn_implementation = None
        return config

    def load_feature_extractor(self, source, cache_dir, **options):
        """Read how waveforms are normalised."""
        found = loading.load_feature_extractor(source, cache_dir)
        self.feature_extractor = found

    def _from_pretrained(self, source, save_path, cache_dir, **options):
        found = loading.load_weights(AutoModel, source, self.config, save_path)
        self.model = found


class BareWav2Vec2(SafeWav2Vec2):
    """One that takes no memory until it is given its parameters."""

    filled = True

    def _from_pretrained(self, source, save_path, cache_dir, **options):
        with torch.device("meta"):
            self.model = AutoModel.from_config(self.config)


def make_classifier(modules, hparams, source, by_frame):
    """The classifier that a model's modules make; it must be of that kind."""
    inputs = any(isinstance(module, Input) for module in modules.values())
    ours = "head" in modules and inputs
    published = {"wav2vec", "wav2vec2"} & set(modules)
    if not ours and not (published and "output_mlp" in modules):
        raise UserError(
            f"model: '{source}' has the modules {', '.join(modules)}; expected "
            "inputs and head, encoder and head, or wav2vec2 and output_mlp."
        )
    try:
        make = NamedInputs if ours else partial(Published, hparams=hparams)
        classifier = make(modules)
        if classifier.by_frame != by_frame:
            kind = _GIVE_TO[classifier.by_frame]
            raise OtherKind(f"model: '{source}' {kind}.")
        _try(classifier, next(modules.parameters(), torch.empty(0)).device)
    except _MISFITS as error:
        raise UserError(
            f"model: the parts of '{source}' do not fit together "
            f"({reason(error)}); correct its hyperparams.yaml."
        ) from error
    return classifier


def _try(classifier, device):
    """Judge a moment, so that what does not fit is found before recordings."""
    grid, count = classifier.grid, 16000
    if grid is not None and grid.stride is not None:
        count = grid.min_samples + grid.stride
        if grid.stride < _LEAST_STRIDE or count > _MOST_SAMPLES:
            raise ValueError(f"its frames are {grid.stride / 16:g} ms apart")
    wav = torch.linspace(-1, 1, count, device=device)[None]
    with torch.inference_mode():
        lengths = wav.new_tensor([count]).long()
        encoded = classifier.encode(wav, lengths, ["well"])
        if classifier.by_speaker:
            classifier.forget()
            classifier.learn(encoded, ["someone"])
        found = classifier.log_probs(encoded, ["someone"])[0]
        if classifier.by_speaker:
            classifier.forget()
    if found.dim() != 1 + classifier.by_frame:
        raise ValueError(f"the result has {found.dim()} dimensions")


def classes_of(hparams, source, count):
    """Names of a model's classes, as many as the model scores."""
    from speechbrain_ext.corpora.iemocap import EMOTIONS

    remedy, names = "correct its hyperparams.yaml", hparams.get("classes")
    if "classes" not in hparams and "label_encoder" in hparams:
        where = f"model: the label_encoder of '{source}'"
        labels = hparams["label_encoder"].ind2lab
        labels = [labels.get(index) for index in range(len(labels))]
        names = [emotion_name(label, where) for label in labels]
        names = [EMOTIONS.get(name, name) for name in names]
    listed = isinstance(names, (list, tuple))
    if not listed or not all(isinstance(name, str) for name in names):
        what = "a list of words, or a 'label_encoder'"
        raise expected(f"model: 'classes' of '{source}'", what, names, remedy)
    if len(names) != count:
        raise UserError(
            f"model: '{source}' scores {count} classes but names {len(names)} "
            f"({', '.join(names)}); {remedy}."
        )
    return list(names)
