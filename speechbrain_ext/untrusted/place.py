"""Where a model is, and how its files are had from there."""

import os
import re
from pathlib import Path

from huggingface_hub import errors
from speechbrain.utils.fetching import LocalStrategy, fetch

from speechbrain_ext.base.errors import UserError, reason

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
            return existing(self.folder / name)
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


def existing(path):
    if not os.path.isfile(path):
        raise UserError(
            f"model: '{path}' does not exist; restore the file, or give "
            "another folder."
        )
    return path
