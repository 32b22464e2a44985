"""What the commands of ``speechbrain_ext.inference`` have in common."""

import argparse
import tempfile
from pathlib import Path

from speechbrain_ext.errors import UserError


def add_command(commands, name, run, summary, example):
    """Add a command that takes a model and files.

    Arguments
    ---------
    commands : argparse action
        From ``ArgumentParser.add_subparsers``.
    name : str
        Of the command.
    run : callable
        What it does; called with the parsed options.
    summary : str
        Its help, which begins in lower case.
    example : str
        What stands below its help.

    Returns
    -------
    callable
        Adds further options.
    """
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
    """SpeechBrain's ``run_opts`` of a command.

    Example
    -------
    >>> run_opts(argparse.Namespace(device="cpu"))
    {'device': 'cpu'}
    """
    return {"device": options.device} if options.device else None


def check_writable(path, option):
    """Find out before hours of work whether a file can be written.

    Arguments
    ---------
    path : str or os.PathLike
        The file.
    option : str
        The option that names it, without hyphens.

    Raises
    ------
    UserError
        When it cannot.

    Example
    -------
    >>> check_writable(getfixture("tmp_path") / "a.csv", "csv")
    """
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
    """End with the files that could not be used, if there are any.

    Arguments
    ---------
    problems : list of str
        A sentence for each.
    count : int
        How many files there were in all.

    Raises
    ------
    UserError
        When there are any.

    Example
    -------
    >>> raise_problems([], 3)
    >>> raise_problems(["'a.wav' is empty."], 3)
    Traceback (most recent call last):
        ...
    speechbrain_ext.errors.UserError: 'a.wav' is empty.
    """
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        raise UserError(
            f"{len(problems)} of {count} files:\n  " + "\n  ".join(problems)
        )
