"""A run begins: its options, its folder, what it runs on."""

import fcntl
import inspect
import logging
import os
import resource
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

from speechbrain_ext.base.errors import UserError, reason
from speechbrain_ext.base.files import (
    atomic_open,
    check_writable,
    sweep,
    write_json,
    writing,
)
from speechbrain_ext.base.options import (
    RECORD,
    RecipeYaml,
    assignment,
    run_option_class,
)
from speechbrain_ext.base.values import OPTIONS, check_value

# What every recipe takes from its YAML; each has more.
NEEDED = (
    "output_folder seed classes preparation inputs modules opt_class "
    "epoch_counter checkpointer train_logger num_workers feature_memory "
    "feature_dtype"
).split()
# Run folders of this process.
_LOCKS = {}
PACKAGES = ("speechbrain-ext", "speechbrain", "torch", "transformers", "numpy")


def read_command_line(arguments, recipe, needed=("output_folder",)):
    """Understand and check the command line of a recipe, whose YAML must have
    the options that are ``needed``, a list or a function of what it has.

    Path of the YAML, what is in it without references, run folder, the record
    of the options, whether the run is finished; without torch and SpeechBrain,
    so that a wrong option ends it at once.
    """
    path, run_opts, overrides = run_option_class().from_command_line_args(
        arguments
    )
    yaml = RecipeYaml(path)
    for word in arguments:
        key, equals, _ = word.removeprefix("--").partition("=")
        if not word.startswith("--") or key not in yaml:
            continue
        if equals:
            assignment(word[2:], word)
        names = [n for n in vars(run_opts) if n.startswith(key)]
        if names and key not in names:
            raise UserError(
                f"{word}: SpeechBrain takes '--{key}' for its own option "
                f"'--{names[0]}'; change '{key}' in '{path}'."
            )
    given = {name: run_opts[name] for name in run_opts.overridden_args}
    for name in given.keys() & OPTIONS.keys():
        check_value(name, given[name])
    # SpeechBrain keeps those to itself that the YAML has as well.
    both = [f"{key}: {value}" for key, value in given.items() if key in yaml]
    overrides = "\n".join([overrides, *both]).strip()
    text = yaml.resolve(overrides)
    options = yaml.parse(text)
    for name in needed(options) if callable(needed) else needed:
        if name not in options:
            raise UserError(
                f"'{path}' lacks the option '{name}'; add it, or give a YAML "
                "of this recipe."
            )
    run = Path(options["output_folder"])
    check_writable("output_folder", run)
    settings = yaml.settings(overrides, given)
    counted = {k: options[k] for k in ("seed", "fold") if k in options}
    record = settings.record(recipe, **counted)
    return path, text, run, record, settings.is_finished(run, record)


def begin_run(arguments, show, needed=("output_folder",)):
    """Path of the YAML, what is in it, run options; makes the run folder.

    Of a finished run (None in it) what ``show`` gives of its folder is printed.
    """
    recipe = inspect.currentframe().f_back.f_code.co_filename
    found = read_command_line(arguments, recipe, needed)
    yaml, text, run, record, finished = found
    import speechbrain as sb

    _, run_opts, _ = sb.parse_arguments(arguments)
    if finished:
        print(f"This run is finished; delete '{run}' to start it again.")
        print(show(run))
        return yaml, None, run_opts
    check_device(run_opts["device"], run_opts["precision"])
    sb.utils.distributed.ddp_init_group(run_opts)
    hparams = _construct(yaml, text)
    # No process may write what another one still has to read.
    sb.utils.distributed.ddp_barrier()
    given = [run, text, record, Path(recipe), run_opts["log_config"]]
    sb.utils.distributed.run_on_main(_open_folder, given)
    return yaml, hparams, run_opts


def check_device(device, precision="fp32"):
    """Raise a ``UserError`` unless this machine can compute so."""
    import torch

    # SpeechBrain takes what is there.
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(
            f"device: '{device}' is not available on this machine; choose cpu."
        ) from None
    if precision == "fp16" and kind == "cpu":
        raise UserError("precision: fp16 needs a GPU; choose bf16 or fp32.")


def _construct(path, text):
    """What a recipe's YAML, which is the user's own code, makes."""
    from hyperpyyaml import load_hyperpyyaml
    from ruamel.yaml.error import YAMLError

    try:
        return load_hyperpyyaml(text)
    except (ImportError, AttributeError, TypeError, YAMLError) as error:
        raise UserError(
            f"'{path}' names what is not there, or what takes other arguments "
            f"({reason(error, 300)}); check its tags and their arguments."
        ) from error


def lock(run):
    """Keep other processes out of a run folder, as long as this one lives."""
    run.mkdir(parents=True, exist_ok=True)
    path = run.resolve()
    if path in _LOCKS:
        return
    handle = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UserError(
            f"output_folder: another process trains in '{run}'; wait for its "
            "end, or choose another folder."
        ) from None
    except OSError:
        # A file system without locks.
        os.close(handle)
        return
    _LOCKS[path] = handle


def _open_folder(run, text, record, recipe, log_config):
    # As SpeechBrain's create_experiment_directory, which writes in place,
    # copies the file that calls it, and lists what the first pip has.
    import speechbrain as sb
    from speechbrain.core import DEFAULT_LOG_CONFIG

    lock(run)
    sweep([run, run / "manifests", run / "figures"])
    files = {
        "hyperparams.yaml": text,
        "train.py": recipe.read_text(encoding="utf-8"),
        "env.log": _environment(recipe.parent),
    }
    for name, content in files.items():
        with atomic_open(run / name) as file:
            file.write(content)
    write_json(record, run / RECORD)
    changes = {
        "handlers": {"file_handler": {"filename": str(run / "log.txt")}},
        # Of other libraries no debug lines.
        "root": {"level": "INFO"},
        "loggers": {"speechbrain_ext": {"level": "DEBUG"}},
    }
    with writing(run / "log.txt"):
        open(run / "log.txt", "ab").close()
    # A full disk is told of where results are written.
    logging.raiseExceptions = False
    sb.utils.logger.setup_logging(log_config or DEFAULT_LOG_CONFIG, changes)
    logger = sb.utils.logger.get_logger("speechbrain_ext.run")
    sys.excepthook = lambda *error: logger.error("Exception:", exc_info=error)
    sb.utils.quirks.log_applied_quirks()
    logger.info(f"Run folder: {run}")


def _environment(folder):
    """Interpreter, packages, revision and accelerator of this process."""
    import torch

    packages = {f"{x.name}=={x.version}" for x in distributions()}
    git = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(git, capture_output=True, text=True)
        revision = done.stdout.strip() or "none"
    except OSError:
        revision = "no git"
    cuda = torch.version.cuda or torch.version.hip
    return f"""\
Python: {sys.version}
Interpreter: {sys.executable}
Git revision of the recipe: {revision}
CUDA: {cuda if torch.cuda.is_available() else "not available"}
Packages:
""" + "".join(f"{each}\n" for each in sorted(packages, key=str.lower))


def machine_record():
    """Versions, and the most memory that this process has held."""
    import torch

    memory = {"main": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
    if torch.cuda.is_available():
        memory["cuda"] = torch.cuda.max_memory_allocated() / 1e9
    versions = {name: version(name) for name in PACKAGES}
    return {
        "peak_memory_gb": memory,
        "versions": {"python": sys.version.split()[0], **versions},
    }
