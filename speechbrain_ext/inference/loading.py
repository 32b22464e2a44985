"""Where models come from: run folders (which have ``save/CKPT+...``), folders
and repositories (whose YAML has a ``pretrainer``). Nothing is trusted: the YAML
is data, Python files are never imported, parameters are tensors alone."""

import inspect
import os
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HUB_CACHE
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2

from speechbrain_ext.base.errors import UserError, expected, is_number
from speechbrain_ext.base.files import read_json
from speechbrain_ext.base.parameters import MAX_OTHER_BYTES
from speechbrain_ext.conditioning.cleaning import make_cleaner
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.inference.layouts import (
    BareWav2Vec2,
    SafeWav2Vec2,
    named_inputs,
)
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.normalization import BySpeaker
from speechbrain_ext.untrusted import construction
from speechbrain_ext.untrusted.model_yaml import Call, ModelYaml, mapping
from speechbrain_ext.untrusted.parameters import fill
from speechbrain_ext.untrusted.place import existing

# Keys of a YAML that are constructed; the others are not looked at.
_KEYS = (
    "modules classes layers max_length postprocessing window overlap "
    "label_encoder avg_pool transcriber preprocessing"
).split()


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
    saved = mapping(path, saver, "recoverables" if run else "loadables")
    paths = {} if run else mapping(path, saver, "paths")
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
    try:
        make_cleaner(hparams.get("preprocessing"))
    except UserError as error:
        raise UserError(f"'{path}', {error}") from None
    modules = named_inputs(hparams.pop("modules"), hparams)
    if run:
        _load_checkpoint(place.folder / "save", modules, saved)
        if "postprocessing" in hparams:
            hparams["postprocessing"] = _chosen(place.folder, hparams)
    else:
        for name, module in saved.items():
            fill(module, place.file(str(paths.get(name, f"{name}.ckpt"))))
        _check_complete(place.source, modules, saved)
    return modules, hparams


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
    return not isinstance(module, (BySpeaker, Wav2Vec2))


def _load_checkpoint(folder, modules, saved):
    """Fill modules from the checkpoint with the lowest validation error."""
    names = {id(module): name for name, module in saved.items()}
    checkpoint = _best_checkpoint(folder)
    for label, module in _parts(modules):
        name = Path(str(names.get(id(module), label))).name
        path = checkpoint / f"{name}.ckpt"
        if os.path.isfile(path) or _is_trained(module):
            fill(module, existing(path))


def _best_checkpoint(folder):
    found = {}
    for path in sorted(folder.glob("CKPT+*/CKPT.yaml")):
        meta = ModelYaml(existing(path))
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
        existing(best / Path(name).name)
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


def _chosen(run, hparams):
    """Post-processing: that of a finished run was chosen on validation."""
    path = run / "results.json"
    if not path.exists():
        return hparams["postprocessing"] or PostProcessing()
    where, remedy = f"'{path}', 'postprocessing'", "restore or delete the file"
    if existing(path).stat().st_size > MAX_OTHER_BYTES:
        raise UserError(f"'{path}' is far too large; {remedy}.")
    options = read_json(path)
    try:
        options = options["postprocessing"]
        return PostProcessing(**options)
    except (TypeError, KeyError):
        raise expected(where, "what a run writes", options, remedy) from None
    except UserError as error:
        raise UserError(f"{where}: {str(error).rstrip('.')}; {remedy}.")
