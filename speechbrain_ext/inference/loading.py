"""Where models come from: run folders (which have ``save/CKPT+...``), folders
and repositories (whose YAML has a ``pretrainer``). Nothing is trusted: the YAML
is data, Python files are never imported, parameters are tensors alone."""

import re
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HUB_CACHE
from safetensors.torch import load_file as load_safetensors
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.utils import checkpoints
from speechbrain.utils.fetching import fetch

from speechbrain_ext.base.errors import UserError, expected, is_number
from speechbrain_ext.base.files import read_json
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.inference import construction
from speechbrain_ext.inference.layouts import BareWav2Vec2, named_inputs
from speechbrain_ext.inference.model_yaml import Call, ModelYaml
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.normalization import SpeakerNormalizer

# Keys of a YAML that are constructed; the others are not looked at.
_KEYS = (
    "modules classes layers max_length postprocessing window overlap "
    "label_encoder avg_pool"
).split()
_REMOTE = re.compile(r"https?://.*|[\w-][\w.-]*/[\w-][\w.-]*")
# Of a file, beyond the parameters in twice their precision.
MAX_OTHER_BYTES = 10_000_000


class Place:
    """Where a model is, and how its files are had from there."""

    def __init__(self, source, savedir, **fetching):
        path = Path(source).expanduser()
        self.folder = path.resolve() if path.is_dir() else None
        self.source, self.savedir, self.fetching = source, savedir, fetching
        away = _REMOTE.fullmatch(source) and not path.exists()
        if self.folder is None and not away:
            raise UserError(
                f"model: '{source}' is neither a folder nor the name of a "
                "repository on the Hugging Face Hub; give the run folder or "
                "the folder of a model."
            )

    def file(self, name):
        """Path of a file, fetched if need be."""
        # The files beside the YAML are the model, even where it names the
        # repository that they were downloaded from.
        name = Path(name).name
        if self.folder is not None:
            return _existing(self.folder / name)
        try:
            found = fetch(name, self.source, self.savedir, **self.fetching)
            return Path(found)
        except Exception as error:
            # Of the Hub's client, the network or the file system.
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"model: '{self.source}' is no folder here, and the Hugging "
                f"Face Hub does not give its '{name}' ({reason}); check the "
                "name and the connection."
            ) from error


def _existing(path):
    if not path.is_file():
        raise UserError(
            f"model: '{path}' does not exist; restore the file, or give "
            "another folder."
        )
    return path


def load_model(place, hparams_file="hyperparams.yaml", overrides=None):
    """Modules with their parameters, and what else a model's YAML gives."""
    path = place.file(hparams_file)
    text = ModelYaml(path, overrides)
    values = {key: text.get(key) for key in _KEYS if key in text}
    run = "pretrainer" not in text
    listed = isinstance(values.get("modules"), dict)
    if not listed or (run and place.folder is None):
        key = "pretrainer" if listed else "modules"
        raise UserError(
            f"'{path}': the key '{key}' is missing; give the run folder of a "
            "recipe, or a model of that kind."
        )
    saver = text.get("checkpointer" if run else "pretrainer")
    saver = saver.kwargs if isinstance(saver, Call) else {}
    saved = saver.get("recoverables" if run else "loadables") or {}
    base = place.folder
    calls = construction.check(path, [values, {} if run else saved])
    if run:
        # Relative paths were relative to where the training was started.
        base = _training_folder(place.folder, text.get("output_folder"))
        saved = {key: call for key, call in saved.items() if call in calls}
    cache = str(place.savedir or HF_HUB_CACHE)
    filled = [] if run else list(saved.values())
    for call in calls:
        _relocate(call, base, cache)
        if call in filled and call.path in construction.SSL_CLASSES:
            # A file brings all parameters.
            call.path = f"{BareWav2Vec2.__module__}.{BareWav2Vec2.__name__}"
    built = {}
    hparams = construction.construct(path, values, built)
    saved = construction.construct(path, saved, built)
    modules = named_inputs(hparams.pop("modules"), hparams)
    if run:
        _load_checkpoint(place.folder / "save", modules, saved)
        if "postprocessing" in hparams:
            hparams["postprocessing"] = _chosen(place.folder, hparams)
    else:
        paths = saver.get("paths") or {}
        for name, module in saved.items():
            _load(module, place.file(str(paths.get(name, f"{name}.ckpt"))))
        _check_complete(place.source, modules, saved)
    return modules, hparams


def _training_folder(run, output_folder):
    """Folder in which a run was started, if it is where it was."""
    parts = Path(output_folder or "/").parts
    if parts[:1] == ("/",) or run.parts[-len(parts) :] != parts:
        return None
    return Path(*run.parts[: -len(parts)])


def _relocate(call, base, cache):
    """Make an encoder's relative paths mean the same from everywhere."""
    for key in ("source", "save_path"):
        value = call.kwargs.get(key)
        if not isinstance(value, str):
            continue
        found = base is not None and (base / value).is_dir()
        if found and not Path(value).is_dir():
            call.kwargs[key] = str(base / value)
        elif key == "save_path" and not found:
            call.kwargs[key] = cache


def _parts(modules):
    """Name in checkpoints and module of all that may have parameters."""
    inputs = [name for name, x in modules.items() if isinstance(x, Input)]
    for name, module in modules.items():
        if name not in inputs:
            yield name, module
            continue
        # The names of the first input have no prefix.
        prefix = "" if name == inputs[0] else f"{name}_"
        for part in ("encoder", "normalizer", "mixture"):
            if getattr(module, part) is not None:
                yield prefix + part, getattr(module, part)


def _is_trained(module):
    """Whether the files of a model must hold something of a module."""
    if isinstance(module, Encoder):
        return not module.frozen
    return not isinstance(module, (SpeakerNormalizer, Wav2Vec2))


def _load_checkpoint(folder, modules, saved):
    """Fill modules from the checkpoint with the lowest validation error."""
    names = {id(module): name for name, module in saved.items()}
    checkpoint = _best_checkpoint(folder)
    for label, module in _parts(modules):
        name = Path(str(names.get(id(module), label))).name
        path = checkpoint.path / f"{name}.ckpt"
        if path.is_file() or _is_trained(module):
            _load(module, _existing(path))


def _best_checkpoint(folder):
    found = []
    try:
        if folder.is_dir():
            found = checkpoints.Checkpointer(folder).list_checkpoints()
    except Exception as error:
        raise UserError(
            f"model: a CKPT.yaml in '{folder}' cannot be read ({error}); "
            "delete its folder, or train again."
        ) from error
    found = [c for c in found if is_number(c.meta.get("error"))]
    if not found:
        raise UserError(
            f"model: '{folder}' holds no checkpoint with a validation error; "
            "let the training finish an epoch first."
        )
    best = min(found, key=lambda c: c.meta["error"])
    # A worse one must not take the place of an incomplete one without a word.
    for name in best.meta.get("files", []):
        _existing(best.path / name)
    return best


def _check_complete(source, modules, saved):
    """See that no module is left with random parameters."""
    known = [x for x in saved.values() if isinstance(x, torch.nn.Module)]
    held = {id(p) for module in known for p in module.parameters()}
    for label, module in _parts(modules):
        own = set(map(id, module.parameters()))
        if _is_trained(module) and not own <= held:
            raise UserError(
                f"model: the pretrainer of '{source}' does not load '{label}'; "
                "add it to loadables in its hyperparams.yaml."
            )


def _load(module, path):
    """Fill a module, or the names of classes, from a file."""
    try:
        tensors = getattr(module, "state_dict", dict)().values()
        size = sum(x.numel() * x.element_size() for x in tensors)
        if path.stat().st_size > 4 * size + MAX_OTHER_BYTES:
            raise ValueError("it is far larger than the module")
        if not isinstance(module, torch.nn.Module):
            return module.load(path)
        hooks = checkpoints.DEFAULT_TRANSFER_HOOKS
        hook = checkpoints.get_default_hook(module, hooks)
        # SpeechBrain's own leaves what the file lacks at random values.
        if hook is not checkpoints.torch_parameter_transfer:
            return hook(module, path)
        if path.suffix == ".safetensors":
            state = load_safetensors(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Zip, pickle, torch and SpeechBrain each have their own.
        raise UserError(
            f"model: '{path}' cannot be read (damaged, incomplete, or no file "
            f"of parameters: {' '.join(str(error).split())[:100]}); restore "
            "the file that came with the model."
        ) from error
    try:
        report = module.load_state_dict(state, strict=False)
        keys = [f"it lacks '{key}'" for key in sorted(report.missing_keys)]
        more = sorted(report.unexpected_keys)
        keys += [f"it holds '{key}', which the model has not" for key in more]
        # Of training alone.
        wrong = [x for x in keys if "masked_spec_embed'" not in x]
    except (RuntimeError, TypeError, AttributeError) as error:
        wrong = [str(error).strip().splitlines()[-1].strip()]
    if wrong:
        raise UserError(
            f"model: '{path}' does not fit hyperparams.yaml: {wrong[0]}; use "
            "the files of one and the same model."
        )


def _chosen(run, hparams):
    """Post-processing: that of a finished run was chosen on validation."""
    path = run / "results.json"
    if not path.exists():
        return hparams["postprocessing"] or PostProcessing()
    options = read_json(path)
    try:
        options = options["postprocessing"]
        return PostProcessing(**options)
    except (TypeError, KeyError):
        where, what = f"'{path}', 'postprocessing'", "what a run writes"
        remedy = "restore the file or delete it"
        raise expected(where, what, options, remedy) from None
