"""Files that are written whole or not at all."""

import contextlib
import csv
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from pathlib import Path

from speechbrain_ext.base.errors import UserError

# In the names of files that are not whole yet.
_PART = ".part-"
# Nobody writes so long at a file (s).
DAY = 86400.0
# No file that is read at once is longer: it would exhaust the memory.
_MAX_BYTES = 500_000_000


def sweep(folders, age=0.0):
    """Delete what killed processes have left in folders, ``age`` s ago."""
    for folder in folders:
        for path in Path(folder).glob(f".*{_PART}*"):
            # Another process may be sweeping, too.
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime >= age:
                    path.unlink()


def check_writable(option, folder):
    """Raise a ``UserError`` unless files can be made in a folder, which need
    not be there; nothing is left behind."""
    folder = Path(folder).absolute()
    there = next(x for x in (folder, *folder.parents) if os.path.lexists(x))
    try:
        if not there.is_dir():
            raise NotADirectoryError(0, f"'{there}' is no folder")
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise UserError(
            f"{option}: cannot write to '{folder}' ({error.strerror}); choose "
            "another place."
        ) from None


def check_replaceable(path):
    """Raise an ``OSError`` where there is what no file may take the place of,
    such as a folder or /dev/null."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(0, "it is no regular file")


@contextlib.contextmanager
def writing(path):
    """Tell in a sentence that a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"Cannot write '{path}': {error.strerror or error}; free some "
            "space, or choose a folder that can be written to."
        ) from error


@contextlib.contextmanager
def atomic_path(path):
    """Give a temporary path that takes the place of ``path`` at the end."""
    path = Path(path)
    part = None
    try:
        with writing(path):
            check_replaceable(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Longer names are too long for a file system.
            handle, part = tempfile.mkstemp(
                dir=path.parent,
                prefix=f".{path.stem[:100]}{_PART}",
                suffix=path.suffix,
            )
            os.close(handle)
            part = Path(part)
            yield part
            # mkstemp makes files that only their owner can read.
            umask = os.umask(0)
            os.umask(umask)
            part.chmod(0o666 & ~umask)
            os.replace(part, path)
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_open(path, newline=None):
    """Open a text file (UTF-8) that appears only when it is complete."""
    # Names of files need not be UTF-8.
    how = {"encoding": "utf-8", "errors": "backslashreplace"}
    with atomic_path(path) as part:
        with open(part, "w", newline=newline, **how) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def write_csv(path, header, rows):
    """Write a table, whole or not at all."""
    with atomic_open(path, newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def read_csv(path, remedy):
    """Names of the columns of a table, and of each row where it stands and
    what it has, by column."""
    try:
        check_size(path)
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            lines = [(reader.line_num, row) for row in reader]
            names = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(f"'{path}' does not exist; {remedy}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"'{path}' is not readable as CSV ({error}); {remedy}."
        ) from None
    if len(set(names)) < len(names):
        raise UserError(f"'{path}' has two columns of one name; {remedy}.")
    rows = [(f"'{path}', line {line}", row) for line, row in lines]
    for where, row in rows:
        if None in row or None in row.values():
            wrong = f"expected {len(names)} fields, one for each column"
            raise UserError(f"{where}: {wrong}; {remedy}.")
    return names, rows


def write_json(data, path):
    """Write JSON, whole or not at all, keys in the order given."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_open(path) as file:
        file.write(text + "\n")


def check_size(path):
    """Raise a ``UserError`` for a pipe, which never ends, and for what is too
    long for the memory."""
    state = os.stat(path)
    file, folder = stat.S_ISREG(state.st_mode), stat.S_ISDIR(state.st_mode)
    if not (file and state.st_size <= _MAX_BYTES or folder):
        raise UserError(
            f"'{path}' is no file of up to {_MAX_BYTES // 10**6} MB; mend or "
            "delete it."
        )


def read_text(path, encoding="utf-8-sig"):
    """Read a text file, with a byte order mark or without."""
    try:
        check_size(path)
        return Path(path).read_text(encoding=encoding)
    except FileNotFoundError:
        raise UserError(f"'{path}' does not exist; check the path.") from None
    except OSError as error:
        raise UserError(f"Cannot read '{path}': {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(
            f"'{path}' is not UTF-8 text; mend or delete the file."
        ) from None


def read_json(path, unique_keys=True):
    """Read a JSON file."""

    def as_object(pairs):
        found = {}
        for key, value in pairs:
            if unique_keys and key in found:
                raise UserError(
                    f"'{path}': the key {key!r} is there twice in one object; "
                    "remove or rename one of the two."
                )
            found[key] = value
        return found

    text = read_text(path)
    try:
        data = json.loads(text, object_pairs_hook=as_object)
        # Only an escape can make half of a surrogate pair.
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(data, ensure_ascii=False).encode()
        return data
    except json.JSONDecodeError as error:
        reason = f", line {error.lineno}: not valid JSON ({error.msg})"
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.end]
        reason = f" holds half of a character (a lone surrogate): {near!r}"
    except RecursionError:
        reason = " is nested too deeply"
    except ValueError as error:
        # Python refuses integers of thousands of digits.
        reason = f" holds an invalid value ({error})"
    raise UserError(f"'{path}'{reason}; mend or delete the file.")


def fingerprint(*parts):
    """Digest of JSON-able values, the same on every machine."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
