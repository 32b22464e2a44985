"""Where models come from: run folders (which have ``save/CKPT+...``), folders
and repositories (whose YAML has a ``pretrainer``). Nothing is trusted: the YAML
is data, Python files are never imported, parameters are tensors alone."""

import inspect
import os
import re
from pathlib import Path

import torch
from huggingface_hub import errors
from huggingface_hub.constants import HF_HUB_CACHE
from safetensors.torch import load_file as load_safetensors
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.utils import checkpoints
from speechbrain.utils.fetching import LocalStrategy, fetch

from speechbrain_ext.base.errors import UserError, expected, is_number, reason
from speechbrain_ext.base.files import read_json
from speechbrain_ext.base.parameters import MAX_OTHER_BYTES, check_parameters
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.inference import construction
from speechbrain_ext.inference.layouts import (
    BareWav2Vec2,
    SafeWav2Vec2,
    named_inputs,
)
from speechbrain_ext.inference.model_yaml import Call, ModelYaml
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.normalization import SpeakerNormalizer

# Keys of a YAML that are constructed; the others are not looked at.
_KEYS = (
    "modules classes layers max_length postprocessing window overlap "
    "label_encoder avg_pool transcriber"
).split()
_REMOTE = re.compile(r"https?://.*|[\w-][\w.-]*/[\w-][\w.-]*")
# Why the Hub does not give a file, the first that fits.
_HUB_REASONS = {
    errors.HFValidationError: "the Hub has no such names",
    errors.GatedRepoError: "access must be asked for on its page",
    errors.RepositoryNotFoundError: "there is no such repository, or it is "
    "private",
    errors.RevisionNotFoundError: "there is no such revision",
    errors.LocalEntryNotFoundError: "it is not among the downloads, and the "
    "Hub cannot be reached",
    errors.EntryNotFoundError: "the repository has no such file",
    errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE is set",
}
# What a system says that allows no links.
_NO_LINK = (OSError, PermissionError, NotImplementedError)
MAX_LABEL_BYTES = 100_000


class Place:
    """Where a model is, and how its files are had from there."""

    def __init__(self, source, savedir, **fetching):
        path = os.path.expanduser(source)
        self.folder = Path(path).resolve() if os.path.isdir(path) else None
        self.source, self.savedir, self.fetching = source, savedir, fetching
        away = _REMOTE.fullmatch(source) and not os.path.exists(path)
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
            return self._fetch(name)
        except Exception as error:
            # Of the Hub's client, the network or the file system.
            kinds = (x for x in _HUB_REASONS if isinstance(error, x))
            why = _HUB_REASONS.get(next(kinds, None)) or reason(error)
            raise UserError(
                f"model: '{self.source}' is no folder here, and the Hugging "
                f"Face Hub does not give its '{name}' ({why}); check the "
                "name and the connection."
            ) from error

    def _fetch(self, name):
        given = name, self.source, self.savedir
        try:
            return Path(fetch(*given, **self.fetching))
        except Exception as error:
            if type(error) not in _NO_LINK:
                raise
        copied = {**self.fetching, "local_strategy": LocalStrategy.COPY}
        return Path(fetch(*given, **copied))


def _existing(path):
    if not os.path.isfile(path):
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
    listed = isinstance(values.get("modules"), dict) and values["modules"]
    if not listed or (run and place.folder is None):
        key = "pretrainer" if listed else "modules"
        raise UserError(
            f"'{path}': the key '{key}' is missing; give the run folder of a "
            "recipe, or a model of that kind."
        )
    saver = text.get("checkpointer" if run else "pretrainer")
    saver = saver.kwargs if isinstance(saver, Call) else {}
    saved = _mapping(path, saver, "recoverables" if run else "loadables")
    paths = {} if run else _mapping(path, saver, "paths")
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
        if call.path in construction.SSL_CLASSES:
            # To the one a file brings all parameters.
            ours = BareWav2Vec2 if call in filled else SafeWav2Vec2
            call.path = f"{ours.__module__}.{ours.__name__}"
    built = {}
    hparams = construction.construct(path, values, built)
    saved = construction.construct(path, saved, built)
    given = hparams.get("postprocessing")
    if not isinstance(given, (PostProcessing, type(None))):
        what, remedy = "a PostProcessing", "correct the YAML"
        raise expected(f"'{path}', 'postprocessing'", what, given, remedy)
    modules = named_inputs(hparams.pop("modules"), hparams)
    if run:
        _load_checkpoint(place.folder / "save", modules, saved)
        if "postprocessing" in hparams:
            hparams["postprocessing"] = _chosen(place.folder, hparams)
    else:
        for name, module in saved.items():
            _load(module, place.file(str(paths.get(name, f"{name}.ckpt"))))
        _check_complete(place.source, modules, saved)
    return modules, hparams


def _mapping(path, saver, key):
    """A mapping that a pretrainer or a checkpointer is given."""
    found = saver.get(key) or {}
    if not isinstance(found, dict):
        remedy = "restore the file that came with the model"
        raise expected(f"'{path}', '{key}'", "a mapping", found, remedy)
    return found


def _training_folder(run, output_folder):
    """Folder in which a run was started, if it is where it was."""
    known = isinstance(output_folder, str)
    parts = Path(output_folder if known else "/").parts
    if parts[:1] == ("/",) or run.parts[-len(parts) :] != parts:
        return None
    return Path(*run.parts[: -len(parts)])


def _relocate(call, base, cache):
    """Make an encoder's relative paths mean the same from everywhere."""
    if call.path.startswith("builtins."):
        return
    names = [*inspect.signature(construction.function(call.path)).parameters]
    if names[:1] != ["source"]:
        return
    call.kwargs.update(zip(names, call.args))
    call.args = []
    for key in ("source", "save_path"):
        value = call.kwargs.get(key)
        if not isinstance(value, str):
            continue
        found = base is not None and os.path.isdir(base / value)
        if found and not os.path.isdir(value):
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
        path = checkpoint / f"{name}.ckpt"
        if os.path.isfile(path) or _is_trained(module):
            _load(module, _existing(path))


def _best_checkpoint(folder):
    found = {}
    for path in sorted(folder.glob("CKPT+*/CKPT.yaml")):
        meta = ModelYaml(_existing(path))
        error, files = meta.get("error"), meta.get("files") or []
        if not isinstance(error, (float, int, type(None))) or not isinstance(
            files, list
        ):
            what, remedy = "an error and files", "delete its folder"
            raise expected(f"'{path}'", what, [error, files], remedy)
        if is_number(error):
            found[path.parent] = error, files
    if not found:
        raise UserError(
            f"model: '{folder}' holds no checkpoint with a validation error; "
            "let the training finish an epoch first."
        )
    best = min(found, key=lambda path: found[path][0])
    # A worse one must not take the place of an incomplete one without a word.
    for name in map(str, found[best][1]):
        _existing(best / Path(name).name)
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
        labels = not isinstance(module, torch.nn.Module)
        most = MAX_LABEL_BYTES if labels else 4 * _bytes(module.state_dict())
        most += 0 if labels else MAX_OTHER_BYTES
        if path.stat().st_size > most:
            raise ValueError("it is far larger than the module")
        if labels:
            return module.load(path)
        if path.suffix != ".safetensors":
            check_parameters(path)
        hooks = checkpoints.DEFAULT_TRANSFER_HOOKS
        hook = checkpoints.get_default_hook(module, hooks)
        # SpeechBrain's own leaves what the file lacks at random values.
        if hook is not checkpoints.torch_parameter_transfer:
            return hook(module, path)
        if path.suffix == ".safetensors":
            state = load_safetensors(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
        if _bytes(state) > most:
            raise ValueError("its shapes are far larger than the module")
    except Exception as error:
        # Zip, pickle, torch and SpeechBrain each have their own.
        raise UserError(
            f"model: '{path}' cannot be read (damaged, incomplete, or no file "
            f"of parameters: {reason(error)}); restore "
            "the file that came with the model."
        ) from error
    bare = isinstance(module, BareWav2Vec2)
    if bare:
        # Its parameters have no memory of their own.
        state = {key: tensor.float() for key, tensor in state.items()}
        if hasattr(module.model, "masked_spec_embed"):
            size = module.model.config.hidden_size
            state.setdefault("model.masked_spec_embed", torch.zeros(size))
    try:
        report = module.load_state_dict(state, strict=False, assign=bare)
        keys = [f"it lacks '{key}'" for key in sorted(report.missing_keys)]
        more = sorted(report.unexpected_keys)
        keys += [f"it holds '{key}', which the model has not" for key in more]
        # Of training alone.
        wrong = [x for x in keys if "masked_spec_embed'" not in x]
    except (RuntimeError, TypeError, AttributeError) as error:
        wrong = [str(error).strip().splitlines()[-1].strip(" .\t")]
    if wrong:
        raise UserError(
            f"model: '{path}' does not fit hyperparams.yaml: {wrong[0]}; use "
            "the files of one and the same model."
        )


def _bytes(state):
    """Size of tensors, were each of their values kept."""
    return sum(x.numel() * x.element_size() for x in state.values())


def _chosen(run, hparams):
    """Post-processing: that of a finished run was chosen on validation."""
    path = run / "results.json"
    if not path.exists():
        return hparams["postprocessing"] or PostProcessing()
    where, remedy = f"'{path}', 'postprocessing'", "restore or delete the file"
    if _existing(path).stat().st_size > MAX_OTHER_BYTES:
        raise UserError(f"'{path}' is far too large; {remedy}.")
    options = read_json(path)
    try:
        options = options["postprocessing"]
        return PostProcessing(**options)
    except (TypeError, KeyError):
        raise expected(where, "what a run writes", options, remedy) from None
    except UserError as error:
        raise UserError(f"{where}: {str(error).rstrip('.')}; {remedy}.")
