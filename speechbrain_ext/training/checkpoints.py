"""Checkpoints that survive being killed at any moment.

SpeechBrain's checkpointer marks a checkpoint before its files are written and
deletes them in any order. Here the mark is made last and names the files, and
what lacks one of them is no checkpoint.
"""

import contextlib
import logging
import os
import pickle
import random
import shutil

import numpy as np
import torch
import yaml
from speechbrain.utils.checkpoints import (
    METAFNAME,
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import (
    ddp_barrier,
    get_rank,
    if_main_process,
)
from speechbrain.utils.epoch_loop import EpochCounterWithStopper

from speechbrain_ext.base.errors import UserError, expected, is_number, reason
from speechbrain_ext.base.files import check_size

logger = logging.getLogger(__name__)

# SpeechBrain does not register it, so that a run that goes on has forgotten its
# best epoch, its patience, and that it has stopped.
register_checkpoint_hooks(EpochCounterWithStopper)

# What comes of files that are cut off, emptied or overwritten.
_DAMAGES = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    yaml.YAMLError,
)
_PENDING = METAFNAME + ".pending"


class SafeCheckpointer(Checkpointer):
    """SpeechBrain's ``Checkpointer``; checkpoints are complete or not there,
    and hold no encoder that is frozen.

    Example
    -------
    >>> layer = torch.nn.Linear(1, 1)
    >>> folder = getfixture("tmp_path")
    >>> checkpointer = SafeCheckpointer(folder, {"layer": layer})
    >>> saved = checkpointer.save_checkpoint(meta={"eder": 20.0})
    >>> (saved.path / "layer.ckpt").unlink()
    >>> checkpointer.find_checkpoint() is None
    True
    """

    def __init__(self, checkpoints_dir, recoverables=None, **kwargs):
        # From a folder to what is wrong with the checkpoint in it.
        self._damages = {}
        saved = {
            name: one
            for name, one in (recoverables or {}).items()
            if not getattr(one, "frozen", False)
        }
        super().__init__(checkpoints_dir, saved, **kwargs)

    def _save_checkpoint_metafile(self, fpath, *args, **kwargs):
        return super()._save_checkpoint_metafile(
            fpath.with_name(_PENDING), *args, **kwargs
        )

    def save_checkpoint(self, *args, **kwargs):
        """As ``Checkpointer.save_checkpoint``, but whole or not at all."""
        try:
            return self._save(*args, **kwargs)
        except (OSError, RuntimeError) as error:
            # torch has no error of its own for a full disk.
            with contextlib.suppress(OSError):
                self.sweep()
            raise UserError(
                f"Cannot write a checkpoint to '{self.checkpoints_dir}' "
                f"({reason(error, 100)}); free some space, and "
                "start the run again: it goes on from the one before."
            ) from error

    def _save(self, *args, **kwargs):
        checkpoint = super().save_checkpoint(*args, **kwargs)
        ddp_barrier()
        if if_main_process():
            pending = checkpoint.path / _PENDING
            files = sorted(path.name for path in checkpoint.paramfiles.values())
            with open(pending, "a", encoding="utf-8") as file:
                file.write(yaml.safe_dump({"files": files}))
            for path in checkpoint.path.iterdir():
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
            os.replace(pending, checkpoint.path / METAFNAME)
        # What is deleted next is agreed on only if all see this one.
        ddp_barrier()
        return checkpoint

    def list_checkpoints(self):
        """All complete checkpoints."""
        found = []
        for folder in self._list_checkpoint_dirs():
            if folder in self._damages:
                continue
            try:
                check_size(folder / METAFNAME)
                (one,) = self._construct_checkpoint_objects([folder])
                files = one.meta.get("files", [])
                if all((folder / name).is_file() for name in files):
                    # What is sorted and compared.
                    for key in {"unixtime", "error"} & one.meta.keys():
                        if not is_number(one.meta[key]):
                            raise expected(key, "a number", one.meta[key])
                    found.append(one)
            except (*_DAMAGES, UserError) as error:
                self._leave_out(folder, error)
        return found

    def recover_if_possible(self, *args, **kwargs):
        """As ``Checkpointer.recover_if_possible``, by the first of the
        checkpoints, from the best on, that is not damaged."""
        for checkpoint in self.find_checkpoints(*args, **kwargs):
            try:
                self.load_checkpoint(checkpoint)
                return checkpoint
            except _DAMAGES as error:
                self._leave_out(checkpoint.path, error)
        # To begin again in silence would be worse.
        if self._list_checkpoint_dirs():
            damage = next(iter(self._damages.values()), "files are missing")
            raise UserError(
                f"'{self.checkpoints_dir}': no checkpoint can be loaded "
                f"({damage}); restore one, or delete the folder to train "
                "again."
            )

    def _leave_out(self, folder, error):
        """Warn of a checkpoint, once; nothing deletes it."""
        self._damages[folder] = said = reason(error, 100)
        logger.warning(f"'{folder}' is damaged ({said}); it is left out.")

    def sweep(self):
        """Delete what a killed run has left of incomplete checkpoints."""
        if not if_main_process() or not self.checkpoints_dir.is_dir():
            return
        complete = {checkpoint.path for checkpoint in self.list_checkpoints()}
        for path in self.checkpoints_dir.glob("CKPT+*"):
            if path not in complete.union(self._damages):
                shutil.rmtree(path)


@register_checkpoint_hooks
class RandomState:
    """The state of all random numbers, as a part of a checkpoint."""

    @mark_as_saver
    def save(self, path):
        """Write the state."""
        name, keys, *rest = np.random.get_state()
        cuda = torch.cuda
        state = {
            "python": random.getstate(),
            "numpy": (name, keys.tolist(), *rest),
            "torch": torch.get_rng_state(),
            "cuda": cuda.get_rng_state_all() if cuda.is_available() else [],
        }
        torch.save(state, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Take the state up again."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        random.setstate(state["python"])
        np.random.set_state(state["numpy"])
        torch.set_rng_state(state["torch"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        if rank := get_rank():
            # Only the main process writes checkpoints. The others must not
            # draw what it draws, so they go on from a place of their own.
            torch.manual_seed(torch.randint(2**31, ()).item() + rank)
