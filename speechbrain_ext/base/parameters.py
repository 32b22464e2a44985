"""Files of parameters from strangers, looked at before torch reads them: torch
runs no code of them, but would give them any amount of memory."""

import pickletools
import re
import zipfile
from pathlib import Path

# Of what is no tensor in a file, and of the pickle that says what there is.
MAX_OTHER_BYTES = 10_000_000
MAX_PICKLE = 2_000_000
# What tensors are made of; torch lets a pickle call bytearray(10**10), too.
_NAMES = re.compile(
    r"collections OrderedDict|torch (\w+Storage|Size)"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
)
# A file of torch before 1.6: three pickles that describe it, then two of it.
_LEGACY_PICKLES = 5


def check_parameters(path):
    """Raise a ``ValueError`` unless a file of torch holds tensors alone, and
    unpacks to about its size."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            for _ in range(_LEGACY_PICKLES):
                _check_pickle(file)
        return
    with zipfile.ZipFile(path) as file:
        entries = file.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        # torch never compresses.
        if unpacked > Path(path).stat().st_size:
            raise ValueError(f"it unpacks to {unpacked} bytes")
        for entry in entries:
            if not entry.filename.endswith(".pkl"):
                continue
            if entry.file_size > MAX_PICKLE:
                raise ValueError("its pickle is far too large")
            with file.open(entry) as pickle:
                _check_pickle(pickle)


def _check_pickle(file):
    for code, given, place in pickletools.genops(file):
        if place is not None and place > MAX_PICKLE:
            raise ValueError("its pickle is far too large")
        if code.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
            if not _NAMES.fullmatch(str(given)):
                what = str(given or "objects of other kinds")[:60]
                raise ValueError(f"it asks for '{what}'")
