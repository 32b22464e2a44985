"""Small models with random parameters, as runs and repositories have them."""

import json
import logging
import sys

import numpy as np
import soundfile
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_ext.training.checkpoints import SafeCheckpointer

CLASSES = ["neutral", "happy", "sad", "angry"]

# What inference must neither need nor execute would raise here.
RUN = """
seed: 1
output_folder: !PLACEHOLDER
save_folder: !ref <output_folder>/save
data_folder: /no/such/corpus
__set_seed: !apply:tests.run_folders.never []
make_data: !apply:tests.run_folders.never [!ref <data_folder>]
classes: [neutral, happy, sad, angry]
preparation:
    folder: !ref <data_folder>
    classes: !ref <classes>
{encoder}
head: !new:speechbrain_ext.models.heads.{head}
    input_size: !apply:builtins.getattr [!ref <encoder>, output_size]
    num_classes: 4
modules:
    encoder: !ref <encoder>
    head: !ref <head>
{mixture}
postprocessing: !new:speechbrain_ext.decoding.PostProcessing
    median: 0.1
opt_class: !name:no.such.Optimizer
train_logger: !apply:tests.run_folders.never []
checkpointer: !new:speechbrain_ext.training.checkpoints.SafeCheckpointer
    checkpoints_dir: !ref <save_folder>
    recoverables:
        saved_head: !ref <head>
{recoverables}
"""
LOGMEL = "encoder: !new:speechbrain_ext.encoders.prosody.ProsodyEncoder"
LOADED = """
encoder: !apply:speechbrain_ext.encoders.load_encoder
    source: {source}
    save_path: results/downloads
"""
MIXTURE = """
    normalizer: !new:speechbrain_ext.models.normalization.FeatureNormalizer
        num_layers: !apply:builtins.getattr [!ref <encoder>, num_layers]
        channels: !apply:builtins.getattr [!ref <encoder>, output_size]
    mixture: !new:speechbrain_ext.models.mixture.LayerMixture
        num_layers: !apply:builtins.getattr [!ref <encoder>, num_layers]
"""


def never(*args, **kwargs):
    """What must not be called."""
    raise AssertionError("inference has executed what it does not need")


def make_run(
    folder, output_folder=None, source=None, head="LinearHead", scale=8.0
):
    """Write a run folder with a trained (that is, random) model.

    Arguments
    ---------
    folder : pathlib.Path
        The run folder.
    output_folder : str, optional
        What its YAML calls it; ``folder`` if absent.
    source : str, optional
        Checkpoint of a frozen encoder, of which a mixture is used; a trained
        log-mel encoder if absent.
    head : str
        Class of the head.
    scale : float
        Makes the posteriors of a random head clear.

    Returns
    -------
    dict
        The modules as they are in the best checkpoint.
    """
    text = RUN.format(
        encoder=LOGMEL if source is None else LOADED.format(source=source),
        head=head,
        mixture="" if source is None else MIXTURE,
        recoverables="        encoder: !ref <encoder>"
        if source is None
        else "        mixture: !ref <modules[mixture]>\n"
        "        normalizer: !ref <modules[normalizer]>",
    )
    _experiment(folder, text, output_folder)
    return save_checkpoints(folder, scale)


def _experiment(folder, text, output_folder=None, **overrides):
    """Begin a run as SpeechBrain does."""
    recipe = folder.parent / "recipe.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(text)
    hook, handlers = sys.excepthook, list(logging.root.handlers)
    sb.create_experiment_directory(
        folder,
        str(recipe),
        {**overrides, "output_folder": str(output_folder or folder)},
        save_env_desc=False,
    )
    # It takes over the logging and the tracebacks of the process.
    sys.excepthook, logging.root.handlers = hook, handlers
    recipe.unlink()


def save_checkpoints(folder, scale=8.0):
    """Two checkpoints, of which the first has the lower error."""
    modules = _modules(folder, ("encoder", "head", "modules"))
    modules["head"].linear.weight.data *= scale
    if "mixture" in modules:
        layers = len(modules["mixture"].alpha)
        modules["mixture"].alpha.data += torch.randn(layers)
        channels = modules["encoder"].output_size
        hidden = 0.5 * torch.randn(1, layers, 50, channels) + 0.1
        modules["normalizer"].update(hidden, torch.tensor([50]))
    recoverables = {"saved_head": modules["head"]}
    for name in ("normalizer", "mixture"):
        if name in modules:
            recoverables[name] = modules[name]
    if "mixture" not in modules:
        recoverables["encoder"] = modules["encoder"]
    checkpointer = SafeCheckpointer(folder / "save", recoverables)
    checkpointer.save_checkpoint(meta={"error": 20.0}, name="best")
    kept = modules["head"].linear.weight.data.clone()
    modules["head"].linear.weight.data.zero_()
    checkpointer.save_checkpoint(meta={"error": 30.0}, name="latest")
    modules["head"].linear.weight.data = kept
    for module in modules.values():
        module.eval()
    return modules


def _modules(folder, keys):
    """Construct the modules of a run, and nothing else of its YAML."""
    lines = (folder / "hyperparams.yaml").read_text().split("\n")
    keep, text = False, []
    for line in lines:
        if line and not line.startswith((" ", "#", "-")):
            keep = line.split(":")[0] in keys
        if keep:
            text.append(line)
    torch.manual_seed(3)
    return load_hyperpyyaml("\n".join(text))["modules"]


RECOGNIZER = """
seed: 1
output_folder: !PLACEHOLDER
save_folder: !ref <output_folder>/save
data_folder: /no/such/corpus
__set_seed: !apply:tests.run_folders.never []
make_data: !apply:tests.run_folders.never [!ref <data_folder>]
protocol: pepino_ravdess
classes: [{classes}]
layers: {layers}
{max_length}
{encoder}
num_layers: !apply:speechbrain_ext.models.inputs.count_layers
    - !ref <encoder>
    - !ref <layers>
channels: !apply:builtins.getattr [!ref <encoder>, output_size]
{extras}
head: !new:speechbrain_ext.models.heads.{head}
    input_size: !ref <channels>
    num_classes: {num_classes}
{fusion_size}
modules:
    encoder: !ref <encoder>
    head: !ref <head>
{modules}
opt_class: !name:no.such.Optimizer
checkpointer: !new:speechbrain_ext.training.checkpoints.SafeCheckpointer
    checkpoints_dir: !ref <save_folder>
    recoverables:
        head: !ref <head>
{recoverables}
"""
TUNED = """
encoder: !apply:speechbrain_ext.encoders.load_encoder
    source: {source}
    freeze: False
"""
NORMALIZER = """
normalizer: !apply:speechbrain_ext.models.normalization.make_normalizer
    kind: {kind}
    num_layers: !ref <num_layers>
    channels: !ref <channels>
"""
FUSION = """
fusion_encoder: !new:speechbrain_ext.encoders.egemaps.EgemapsEncoder
fusion_normalizer: !apply:speechbrain_ext.models.normalization.make_normalizer
    kind: {kind}
    num_layers: 1
    channels: 25
"""
LAYER_MIXTURE = """
mixture: !new:speechbrain_ext.models.mixture.LayerMixture
    num_layers: !ref <num_layers>
"""


def make_recognizer(
    folder,
    source=None,
    frozen=True,
    layers="all",
    normalization=None,
    fusion=False,
    head="DenseHead",
    max_length=None,
    classes=CLASSES,
    num_classes=None,
):
    """Write the run folder of a recognizer, with random parameters.

    Arguments
    ---------
    folder : pathlib.Path
        The run folder.
    source : str, optional
        Checkpoint of the encoder; log-mel if absent.
    frozen : bool
        Whether it is left as it is (as in the recipe ssl_embeddings) or
        fine-tuned (as in ssl_finetuning).
    layers, normalization, max_length
        As in the recipes' YAMLs; a mixture comes with ``"all"``.
    fusion : bool
        Whether eGeMAPS are a second input.
    head : str
        Class of the head.
    classes : list of str
        Names of the classes.
    num_classes : int, optional
        What the head scores, if it is not as many.

    Returns
    -------
    dict
        The modules as they are in the best checkpoint.
    """
    encoder = LOGMEL
    if source is not None:
        encoder = (LOADED if frozen else TUNED).format(source=source)
    extras, names = [], []
    if normalization:
        extras.append(NORMALIZER.format(kind=normalization))
        names.append("normalizer")
    if layers == "all" and source is not None and frozen:
        extras.append(LAYER_MIXTURE)
        names.append("mixture")
    if fusion:
        extras.append(FUSION.format(kind=normalization))
        names += ["fusion_encoder", "fusion_normalizer"]
    saved = [name for name in names if name != "fusion_encoder"]
    if source is None or not frozen:
        saved.append("encoder")
    text = RECOGNIZER.format(
        classes=", ".join(classes),
        num_classes=num_classes or len(classes),
        layers=layers,
        max_length="" if max_length is None else f"max_length: {max_length}",
        encoder=encoder,
        extras="".join(extras),
        head=head,
        fusion_size="    fusion_size: 25" if fusion else "",
        modules="\n".join(f"    {name}: !ref <{name}>" for name in names),
        recoverables="\n".join(f"        {n}: !ref <{n}>" for n in saved),
    )
    _experiment(folder, text)
    keys = ("layers", "encoder", "num_layers", "channels", "head", "modules")
    modules = _modules(folder, (*keys, *names))
    for name, module in modules.items():
        module.eval()
        if name == "mixture":
            module.alpha.data += torch.randn(len(module.alpha))
        if name.endswith("normalizer") and not module.by_speaker:
            layers, _, channels = module.mean.shape
            hidden = 0.5 * torch.randn(1, layers, 50, channels) + 0.1
            if name == "fusion_normalizer":
                # Descriptors that are hundreds, and some that are 1e-3.
                wav = torch.from_numpy(sound(1.06).T)
                hidden = modules["fusion_encoder"](wav, all_layers=True)
            module.update(hidden, torch.tensor([hidden.shape[2]]))
    # So that probabilities differ clearly.
    last = [m for m in modules["head"].modules() if hasattr(m, "weight")][-1]
    last.weight.data *= 8.0
    recoverables = {name: modules[name] for name in ["head", *saved]}
    checkpointer = SafeCheckpointer(folder / "save", recoverables)
    checkpointer.save_checkpoint(meta={"error": 20.0}, name="best")
    kept = last.weight.data.clone()
    last.weight.data.zero_()
    checkpointer.save_checkpoint(meta={"error": 30.0}, name="latest")
    last.weight.data = kept
    (folder / "results.json").write_text('{"metrics": {"UA": 57.1}}')
    return modules


def make_recipe_run(folder, recipe, **overrides):
    """Write the run folder of a recipe's own YAML, without training.

    Arguments
    ---------
    folder : pathlib.Path
        The run folder.
    recipe : pathlib.Path
        The YAML.
    **overrides
        Changes to it.

    Returns
    -------
    dict
        All that the YAML makes.
    """
    text = recipe.read_text()
    _experiment(folder, text, **overrides)
    hparams = load_hyperpyyaml(
        text, {**overrides, "output_folder": str(folder)}
    )
    for module in hparams["modules"].values():
        module.eval()
    hparams["checkpointer"].save_checkpoint(meta={"error": 1.0})
    return hparams


def finish(folder, **options):
    """Make the run a finished one, with these options chosen."""
    chosen = {
        "threshold": None,
        "median": None,
        "min_duration": None,
        "one_event": False,
        **options,
    }
    (folder / "results.json").write_text(json.dumps({"postprocessing": chosen}))


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


def covers(segments, duration):
    """Whether segments follow each other from 0 to the very duration."""
    bounds = [s["start"] for s in segments] + [segments[-1]["end"]]
    return (
        bounds[0] == 0.0
        and bounds[-1] == duration
        and all(a["end"] == b["start"] for a, b in zip(segments, segments[1:]))
        and all(a < b for a, b in zip(bounds, bounds[1:]))
    )
