"""Small models with random parameters, as runs and repositories have them."""

import json
from functools import partial

import numpy as np
import pytest
import soundfile
import torch
from hyperpyyaml import resolve_references

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.inference import EmotionDiarizer, EmotionRecognizer
from speechbrain_ext.training.checkpoints import SafeCheckpointer
from speechbrain_ext.untrusted.construction import construct
from speechbrain_ext.untrusted.model_yaml import ModelYaml

CPU = {"device": "cpu"}
TEXT = "so it is"
CLASSES = ["neutral", "happy", "sad", "angry"]

# What inference must neither need nor execute would raise here.
RUN = """
seed: 1
output_folder: !PLACEHOLDER
save_folder: !ref <output_folder>/save
data_folder: /no/such/corpus
__set_seed: !apply:tests.inference.runs.never []
make_data: !apply:tests.inference.runs.never [!ref <data_folder>]
preparation:
    folder: !ref <data_folder>
    classes: !ref <classes>
classes: [{classes}]
layers: {layers}
max_length: {max_length}
encoder: {encoder}
num_layers: !apply:speechbrain_ext.models.inputs.count_layers
    - !ref <encoder>
    - !ref <layers>
channels: !apply:builtins.getattr [!ref <encoder>, output_size]
normalizer: !apply:speechbrain_ext.models.normalization.make_normalizer
    kind: {normalization}
    num_layers: !ref <num_layers>
    channels: !ref <channels>
mixture: !new:speechbrain_ext.models.mixture.LayerMixture
    num_layers: !ref <num_layers>
egemaps: !new:speechbrain_ext.encoders.features.egemaps.EgemapsEncoder
egemaps_normalizer: !apply:speechbrain_ext.models.normalization.make_normalizer
    kind: {normalization}
    num_layers: 1
    channels: 25
head: !new:speechbrain_ext.models.heads.{head}
    input_size: !ref <channels>
    num_classes: {num_classes}
{fusion_size}
{postprocessing}
inputs: {inputs}
modules: {modules}
opt_class: !name:no.such.Optimizer
train_logger: !apply:tests.inference.runs.never []
checkpointer: !new:speechbrain_ext.training.checkpoints.SafeCheckpointer
    checkpoints_dir: !ref <save_folder>
    recoverables: {saved}
"""
PROSODY = "!new:speechbrain_ext.encoders.features.prosody.ProsodyEncoder"
LOADED = """!apply:speechbrain_ext.encoders.load_encoder
    source: {source}
    save_path: results/downloads
    freeze: {frozen}"""
POSTPROCESSING = """postprocessing: !new:speechbrain_ext.decoding.PostProcessing
    median: 0.1"""
INPUT = "!new:speechbrain_ext.models.inputs.Input"


def never(*args, **kwargs):
    """What must not be called."""
    raise AssertionError("inference has executed what it does not need")


def references(names, depth=1):
    """The lines of a mapping in YAML, such as "a: !ref <b>"."""
    start = "\n" + "    " * depth
    return "".join(f"{start}{k}: !ref <{name}>" for k, name in names.items())


def make_run(
    folder,
    head="LinearHead",
    source=None,
    frozen=True,
    layers="all",
    normalization=None,
    fusion=False,
    max_length=None,
    classes=CLASSES,
    output_folder=None,
    postprocessing=True,
    scale=8.0,
):
    """Write a run folder with a random model; give its best modules.

    Without a ``source`` the encoder is the prosody network, trained. ``scale``
    makes the posteriors of a random head clear.
    """
    saved = [] if source and frozen else ["encoder"]
    saved += ["normalizer"] if normalization else []
    saved += ["mixture"] if layers == "all" and source and frozen else []
    parts = ["encoder", "layers", "max_length", *saved]
    inputs = {"speech": dict(zip(parts, parts))}
    if fusion:
        inputs["egemaps"] = {
            "encoder": "egemaps",
            "normalizer": "egemaps_normalizer",
            "max_length": "max_length",
        }
        saved.append("egemaps_normalizer")
    texts = [
        f"\n    {name}: {INPUT}{references(parts, depth=2)}"
        for name, parts in inputs.items()
    ]
    modules = {"head": "head", **{name: f"inputs[{name}]" for name in inputs}}
    recoverables = {"saved_head": "head", **dict(zip(saved, saved))}
    loaded = LOADED.format(source=source, frozen=frozen)
    text = RUN.format(
        classes=", ".join(classes),
        layers=layers,
        max_length=max_length or "null",
        encoder=loaded if source else PROSODY,
        normalization=normalization,
        head=head,
        num_classes=len(classes),
        fusion_size="    fusion_size: 25" if fusion else "",
        postprocessing=POSTPROCESSING if postprocessing else "",
        inputs="".join(texts),
        modules=references(modules),
        saved=references(recoverables, depth=2),
    )
    write_run(folder, text, output_folder)
    path = folder / "hyperparams.yaml"
    yaml, built = ModelYaml(path), {}
    torch.manual_seed(3)
    modules = construct(path, yaml.get("modules"), built)
    recoverables = {n: construct(path, yaml.get(n), built) for n in saved}
    recoverables["saved_head"] = modules["head"]
    for module in [modules[name] for name in inputs]:
        if module.mixture is not None:
            module.mixture.alpha.data += torch.randn(len(module.mixture.alpha))
        if module.normalizer is not None and not module.by_speaker:
            # eGeMAPS: descriptors that are hundreds, and some that are 1e-3.
            wav = torch.from_numpy(sound(1.06).T)
            module.normalizer.update(*module.hidden(wav))
    # So that probabilities differ clearly.
    last = [m for m in modules["head"].modules() if hasattr(m, "weight")][-1]
    last.weight.data *= scale
    checkpointer = SafeCheckpointer(folder / "save", recoverables)
    checkpointer.save_checkpoint(meta={"error": 20.0}, name="best")
    kept = last.weight.data.clone()
    last.weight.data.zero_()
    checkpointer.save_checkpoint(meta={"error": 30.0}, name="latest")
    last.weight.data = kept
    for module in modules.values():
        module.eval()
    return modules


def make_recognizer(folder, head="DenseHead", **options):
    """``make_run`` for a model of whole recordings, which is finished."""
    modules = make_run(folder, head, postprocessing=False, **options)
    (folder / "results.json").write_text('{"metrics": {"UA": 57.1}}')
    return modules


def write_run(folder, text, output_folder=None, **overrides):
    """Begin a run as SpeechBrain does: its YAML has references resolved."""
    overrides["output_folder"] = str(output_folder or folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = resolve_references(text, overrides).getvalue()
    (folder / "hyperparams.yaml").write_text(text)


def load(folder, cls=EmotionDiarizer, **options):
    """A model on the CPU."""
    return cls.from_hparams(folder, run_opts=CPU, **options)


load_recognizer = partial(load, cls=EmotionRecognizer)


def finish(folder, **options):
    """Make the run a finished one, with these options chosen."""
    chosen = vars(PostProcessing(**options))
    (folder / "results.json").write_text(json.dumps({"postprocessing": chosen}))


def log_probs(modules, wav):
    """Log posteriors by the training's own function."""
    given = []
    with torch.no_grad():
        for name, module in modules.items():
            given += states(module, wav) if name != "head" else ()
        logits = modules["head"](*given)
    return torch.log_softmax(logits.float(), dim=-1)


def states(module, wav, **speakers):
    """What an input gives of a waveform, or of ``TEXT``."""
    if module.encoder.reads != ("text",):
        return module(wav[None], **speakers)
    hidden, lengths = module.hidden_of_texts([TEXT])
    return module.frames(hidden, lengths), lengths


def sound(seconds, rate=16000, channels=1, seed=0):
    """Noise whose level and colour change, ``[samples, channels]``."""
    generator = np.random.default_rng(seed)
    count = round(seconds * rate)
    time = np.arange(count)[:, None] / rate
    noise = generator.standard_normal((count, channels))
    tone = np.sin(2 * np.pi * (200 + 150 * np.sin(time)) * time)
    level = 0.05 + 0.2 * np.sin(0.7 * time) ** 2
    return (level * (0.3 * noise + tone) / 2).astype(np.float32)


def write_sound(path, seconds, rate=16000, channels=1, seed=0, **options):
    """Write ``sound`` to a file and return its path as a string."""
    soundfile.write(path, sound(seconds, rate, channels, seed), rate, **options)
    return str(path)


def padded(wavs):
    """A batch with nonsense beyond the lengths, and the lengths."""
    batch = torch.nn.utils.rnn.pad_sequence(wavs, True, 7.0)
    return batch, torch.tensor([len(wav) for wav in wavs]) / batch.shape[1]


def covers(segments, duration):
    """Whether segments follow each other from 0 to the very duration."""
    bounds = [0.0] + [s["end"] for s in segments]
    return (
        [s["start"] for s in segments] == bounds[:-1]
        and bounds[-1] == duration
        and sorted(set(bounds)) == bounds
    )


def refused(reason, function, *arguments, **options):
    """See that a call ends with a sentence about what is wrong."""
    with pytest.raises(UserError, match=reason):
        function(*arguments, **options)
