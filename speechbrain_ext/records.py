"""What every run does: begin, know what is prepared, say what it ran on."""

import resource
import sys
from importlib.metadata import version
from pathlib import Path

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml

from speechbrain_ext.errors import UserError
from speechbrain_ext.files import read_json

PACKAGES = ("speechbrain-ext", "speechbrain", "torch", "transformers", "numpy")


def begin_run(arguments, show):
    """The first steps of a recipe: its options and its run folder.

    Arguments
    ---------
    arguments : list of str
        The command line: a YAML, run options of SpeechBrain, overrides.
    show : callable
        From the folder of a finished run to the end of the run as text.

    Returns
    -------
    hparams_file : str
        The YAML.
    hparams : dict
        What is in it, constructed; None if the run is finished already, which
        is said.
    run_opts : dict
        SpeechBrain's.

    Raises
    ------
    UserError
        When the YAML is not there.
    """
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)
    sb.utils.distributed.ddp_init_group(run_opts)
    if not Path(hparams_file).is_file():
        raise UserError(f"'{hparams_file}' does not exist; give a YAML.")
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    run = Path(hparams["output_folder"])
    if (run / "results.json").exists():
        print(f"This run is finished; delete '{run}' to start it again.")
        print(show(run))
        return hparams_file, None, run_opts
    sb.create_experiment_directory(
        experiment_directory=run,
        hyperparams_to_save=hparams_file,
        overrides=overrides,
    )
    return hparams_file, hparams, run_opts


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
