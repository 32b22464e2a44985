"""What every run writes down: that it is prepared, and what it ran on."""

import resource
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from speechbrain_ext.errors import UserError
from speechbrain_ext.files import read_json

PACKAGES = ("speechbrain-ext", "speechbrain", "torch", "transformers", "numpy")


def earlier_preparation(folder, options):
    """What an earlier start of the same run has prepared.

    Arguments
    ---------
    folder : str or os.PathLike
        The folder ``manifests`` of the run.
    options : str
        Fingerprint of all that the preparation depends on.

    Returns
    -------
    dict or None
        ``protocol.json``, which is written last; None if it is not there.

    Raises
    ------
    UserError
        When it was prepared with other options.

    Example
    -------
    >>> earlier_preparation(getfixture("tmp_path"), "a1") is None
    True
    """
    done = Path(folder) / "protocol.json"
    if not done.exists():
        return None
    protocol = read_json(done)
    if protocol["options"] != options:
        raise UserError(
            f"output_folder: '{done.parent.parent}' holds a run that was "
            "prepared with other options; choose another output_folder, or "
            "delete it."
        )
    return protocol


def machine_record():
    """Versions, and the most memory that this process has held.

    Returns
    -------
    dict
        ``versions`` by package, and ``peak_memory_gb``: ``main``, and
        ``cuda`` where there is one.

    Example
    -------
    >>> machine_record()["peak_memory_gb"]["main"] > 0
    True
    """
    memory = {"main": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
    if torch.cuda.is_available():
        memory["cuda"] = torch.cuda.max_memory_allocated() / 1e9
    versions = {name: version(name) for name in PACKAGES}
    return {
        "peak_memory_gb": memory,
        "versions": {"python": sys.version.split()[0], **versions},
    }
