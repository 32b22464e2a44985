"""Parameters of a model, from the files of a run or of a repository."""

from pathlib import Path

import torch
from speechbrain.utils.checkpoints import (
    DEFAULT_TRANSFER_HOOKS,
    Checkpointer,
    get_default_hook,
    torch_parameter_transfer,
)

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.models.normalization import SpeakerNormalizer
from speechbrain_ext.training.checkpoints import SafeCheckpointer


def load_checkpoint(folder, modules, names):
    """Fill modules from the checkpoint with the lowest validation error."""
    checkpoint = _best_checkpoint(folder)
    for key, module in modules.items():
        path = checkpoint.paramfiles.get(names.get(key, key))
        if path is not None:
            load_parameters(module, path)
        elif _needs_parameters(module):
            raise UserError(
                f"model: '{checkpoint.path / key}.ckpt' does not exist; put "
                "the file back, or train again."
            )


def _needs_parameters(module):
    """Whether a checkpoint must hold something of a module."""
    if isinstance(module, Encoder):
        return not module.frozen
    return not isinstance(module, SpeakerNormalizer)


def _best_checkpoint(folder):
    marked = []
    if folder.is_dir():
        checkpointer = SafeCheckpointer(folder)
        marked = Checkpointer.list_checkpoints(checkpointer)
        marked = [c for c in marked if "error" in c.meta]
    if not marked:
        raise UserError(
            f"model: '{folder}' holds no checkpoint with a validation error; let the "
            "training finish an epoch first."
        )
    # An incomplete one is passed over by SafeCheckpointer, which would make a
    # worse model of a damaged folder without a word.
    best = min(marked, key=lambda c: c.meta["error"])
    for name in best.meta.get("files", []):
        if not (best.path / name).is_file():
            raise UserError(
                f"model: '{best.path / name}' does not exist; put the file "
                "back, or train again."
            )
    return checkpointer.find_checkpoint(min_key="error")


def load_parameters(module, path):
    """Fill a module with the parameters in a file, with all of them."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Zip, pickle and torch each have their own.
        raise UserError(
            f"model: '{path}' cannot be read (damaged or not whole); put back "
            "the file that came with the model."
        ) from error
    try:
        report = module.load_state_dict(state, strict=False)
        lacks, knows = (
            sorted(k for k in keys if not k.endswith("masked_spec_embed"))
            for keys in (report.missing_keys, report.unexpected_keys)
        )
        reason = f"it lacks '{lacks[0]}'" if lacks else ""
        if knows and not lacks:
            reason = f"it holds '{knows[0]}', which the model has not"
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
    if reason:
        raise UserError(
            f"model: '{path}' does not fit hyperparams.yaml: {reason}; use "
            "the files of one and the same model."
        )


def load_files(origin, hparams):
    """Fill modules as a SpeechBrain ``pretrainer`` says."""
    pretrainer = hparams.pop("pretrainer")
    for name, loadable in pretrainer.loadables.items():
        hook = get_default_hook(loadable, DEFAULT_TRANSFER_HOOKS)
        # SpeechBrain's own leaves what the file lacks at random values.
        if hook is torch_parameter_transfer:
            pretrainer.add_custom_hooks({name: load_parameters})
    if origin.folder is not None:
        # The files beside the YAML are the model, even where it names the
        # repository that they were downloaded from.
        for name in pretrainer.loadables:
            asked = str(pretrainer.paths.get(name, f"{name}.ckpt"))
            path = origin.folder / Path(asked).name
            if not path.is_file():
                raise UserError(
                    f"model: '{path}' does not exist; put the file back."
                )
            pretrainer.add_paths({name: str(path)})
        pretrainer.set_collect_in(None)
        pretrainer.collect_files()
    else:
        pretrainer.set_collect_in(origin.savedir)
        with from_afar(origin.source):
            pretrainer.collect_files(
                default_source=str(origin.source),
                local_strategy=origin.local_strategy,
                fetch_config=origin.fetch_config,
            )
    try:
        pretrainer.load_collected()
    except UserError:
        raise
    except Exception as error:
        # Label encoders and statistics have formats of their own.
        raise UserError(
            f"model: a file of '{origin.source}' cannot be read "
            f"({' '.join(str(error).split())[:200]}); put back the files that "
            "came with the model."
        ) from error


class from_afar:
    """Turns what goes wrong with a download into a sentence."""

    def __init__(self, source):
        self.source = source

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is not None and isinstance(error, Exception):
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"model: '{self.source}' is no folder here, and cannot be had "
                f"from the Hugging Face Hub ({reason}); check the name and "
                "the connection."
            ) from error
