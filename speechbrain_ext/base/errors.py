"""The one kind of error that a user can mend: a wrong path, option or file."""

import difflib
import errno
import functools
import math
import numbers
import os
import sys

# States of a disk, no mistakes of the code.
_OF_DISKS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
}
# Longer values are cut.
_LONG = 200


class UserError(Exception):
    """One sentence: what is wrong with which file or option, and the remedy.

    Command lines show it without a traceback.
    """


def exits_cleanly(main):
    """Make a command line end with the sentence of a ``UserError``, status 2;
    a full disk or a file that cannot be opened is one, too.

    Example
    -------
    >>> exits_cleanly(lambda: 3)()
    3
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        # Names of files may have what a console cannot show.
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return main(*args, **kwargs)
        except BrokenPipeError:
            # Whoever read what is printed, such as head, is gone.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except UserError as error:
            sentence = error
        except OSError as error:
            if error.errno not in _OF_DISKS:
                raise
            sentence = unusable(error.filename or "a file", error)
        print(f"error: {sentence}", file=sys.stderr)
        raise SystemExit(2)

    return wrapped


def unusable(path, error):
    """The error of a file or folder that the system does not let us use."""
    return UserError(
        f"Cannot use '{path}': {error.strerror or error}; free some space, or "
        "choose a folder that can be written to."
    )


def expected(option, what, value, remedy=None):
    """The error of an option or file whose value is not what it takes."""
    end = f"; {remedy}." if remedy else "."
    got = " ".join(line.strip() for line in repr(value).splitlines())
    got = got if len(got) <= _LONG else f"{got[: _LONG - 3]}..."
    return UserError(f"{option}: expected {what}, got {got}{end}")


def reason(error, most=200):
    """What an error of another library says, in one line of whole words."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} ..."


def is_number(value, kind=numbers.Real):
    """Whether a value is a finite number; true and false are none."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        # An integer beyond every float.
        return False


def is_whole(value):
    """Whether a value is an integer; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def did_you_mean(name, known):
    """End of a sentence about a name that is not known."""
    near = difflib.get_close_matches(name, [str(one) for one in known], 1)
    return f"; did you mean '{near[0]}'?" if near else "."
