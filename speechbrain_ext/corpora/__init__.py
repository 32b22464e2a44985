"""Corpora: the folder that was unpacked in, records of utterances out.

A corpus is a module with a ``Corpus`` named ``CORPUS``. It keeps every label
(its own code as ``extra["original_label"]``), says why it skips a recording,
reads WAV or FLAC at any depth, and never writes into its folder.
"""

import importlib

from speechbrain_ext.base.errors import UserError, did_you_mean
from speechbrain_ext.corpora.base import Corpus

__all__ = ["CORPORA", "Corpus", "find_corpus", "read_corpus"]

_NAMES = "ravdess iemocap emovdb esd jlcorpus savee emodb aesdd shemo cremad "
_NAMES += "tess zed synthetic goemotions"
# The modules, which are imported when they are needed.
CORPORA = {x: f"speechbrain_ext.corpora.{x}" for x in _NAMES.split()}


def find_corpus(name):
    """The corpus of a name, a key of ``CORPORA``."""
    if name not in CORPORA:
        raise UserError(
            f"corpus: there is no corpus '{name}' among {', '.join(CORPORA)}"
            f"{did_you_mean(str(name), CORPORA)}"
        )
    return importlib.import_module(CORPORA[name]).CORPUS


def read_corpus(name, folder):
    """Read a corpus by its name.

    Arguments
    ---------
    name : str
        One of the keys of ``CORPORA``.
    folder : str or os.PathLike
        The folder that was unpacked; the recordings may lie deeper in it.

    Returns
    -------
    utterances : list of Utterance
        Sorted by id, with absolute paths and durations from the headers.
    skipped : list of (str, str)
        File and reason of every recording that is not usable.

    Example
    -------
    >>> from speechbrain_ext.corpora import synthetic
    >>> folder = getfixture("tmp_path") / "corpus"
    >>> _ = synthetic.generate(folder, 0, 1, 1, progress=False)
    >>> [len(part) for part in read_corpus("synthetic", folder)]
    [4, 0]
    """
    return find_corpus(name).read(folder)
