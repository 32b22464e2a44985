"""A run begins: its options, its folder, what it runs on."""

import inspect
import resource
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open, read_json, write_json
from speechbrain_ext.base.options import (
    RECORD,
    RecipeYaml,
    assignment,
    run_option_class,
)

PACKAGES = ("speechbrain-ext", "speechbrain", "torch", "transformers", "numpy")


@dataclass(frozen=True)
class CommandLine:
    """What the command line of a recipe asks for."""

    yaml: str
    # The YAML as it is run, without references.
    text: str
    run: Path
    record: dict
    finished: bool


def read_command_line(arguments, recipe):
    """Understand and check the command line of a recipe.

    Without torch and SpeechBrain, so that a wrong option ends it at once.
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
    # SpeechBrain keeps those to itself that the YAML has as well.
    both = [f"{key}: {value}" for key, value in given.items() if key in yaml]
    overrides = "\n".join([overrides, *both]).strip()
    text = yaml.resolve(overrides)
    options = yaml.parse(text)
    if "output_folder" not in options:
        raise UserError(f"'{path}' lacks the option output_folder; add it.")
    run = Path(options["output_folder"])
    yaml.check(options)
    settings = yaml.settings(overrides, given)
    counted = {k: options[k] for k in ("seed", "fold") if k in options}
    record = settings.record(recipe, **counted)
    finished = settings.is_finished(run, record)
    return CommandLine(path, text, run, record, finished)


def begin_run(arguments, show):
    """Path of the YAML, what is in it, run options; makes the run folder.

    Of a finished run (None in it) what ``show`` gives of its folder is printed.
    """
    recipe = inspect.currentframe().f_back.f_code.co_filename
    given = read_command_line(arguments, recipe)
    import speechbrain as sb
    from hyperpyyaml import load_hyperpyyaml

    _, run_opts, _ = sb.parse_arguments(arguments)
    if given.finished:
        print(f"This run is finished; delete '{given.run}' to start it again.")
        print(show(given.run))
        return given.yaml, None, run_opts
    sb.utils.distributed.ddp_init_group(run_opts)
    hparams = load_hyperpyyaml(given.text)
    # No process may write what another one still has to read.
    sb.utils.distributed.ddp_barrier()
    sb.utils.distributed.run_on_main(_open_folder, [given, recipe, run_opts])
    return given.yaml, hparams, run_opts


def _open_folder(given, recipe, run_opts):
    # As SpeechBrain's create_experiment_directory, which writes in place,
    # copies the file that calls it, and lists what the first pip has.
    import speechbrain as sb
    from speechbrain.core import DEFAULT_LOG_CONFIG

    run, recipe = given.run, Path(recipe)
    for name, text in (
        ("hyperparams.yaml", given.text),
        ("train.py", recipe.read_text(encoding="utf-8")),
        ("env.log", _environment(recipe.parent)),
    ):
        with atomic_open(run / name) as file:
            file.write(text)
    write_json(given.record, run / RECORD)
    changes = {
        "handlers": {"file_handler": {"filename": str(run / "log.txt")}},
        # Of other libraries no debug lines.
        "root": {"level": "INFO"},
        "loggers": {"speechbrain_ext": {"level": "DEBUG"}},
    }
    config = run_opts["log_config"] or DEFAULT_LOG_CONFIG
    sb.utils.logger.setup_logging(config, changes)
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


def earlier_preparation(folder, options):
    """What an earlier start of the same run, by any of its digests, made."""
    done = Path(folder) / "protocol.json"
    if not done.exists():
        return None
    protocol = read_json(done)
    if not {*options} & {*protocol["options"]}:
        raise UserError(
            f"output_folder: '{done.parent.parent}' holds a run that was "
            "prepared with other options; choose another output_folder, or "
            "delete it."
        )
    return protocol


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
