"""What the commands of ``speechbrain_ext.inference`` have in common."""

import argparse
import tempfile
from pathlib import Path

from speechbrain_ext.base.errors import UserError


def add_command(commands, name, run, summary, example):
    """Add a command that takes a model and files."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    add = command.add_argument
    add(
        "model",
        metavar="MODEL",
        help="run folder, folder of a model, or repository on the Hugging "
        "Face Hub; it must be trusted",
    )
    add("files", metavar="FILE", nargs="+", help="recordings of any kind")
    add("--device", help="such as cuda or cpu (default: cuda if there is one)")
    add("--savedir", metavar="DIR", help="where downloads are put")
    return add


def run_opts(options):
    """SpeechBrain's ``run_opts`` of a command."""
    return {"device": options.device} if options.device else None


def check_writable(path, option):
    """Find out before hours of work whether a file can be written."""
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(
            f"--{option}: cannot write '{path}' ({error.strerror}); choose "
            "another place."
        ) from None


def raise_problems(problems, count):
    """End with the files that could not be used, if there are any."""
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        raise UserError(
            f"{len(problems)} of {count} files:\n  " + "\n  ".join(problems)
        )
