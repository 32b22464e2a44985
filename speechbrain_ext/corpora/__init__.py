"""Corpora: the folder that was unpacked in, records of utterances out.

A corpus is one module with a ``Corpus`` named ``CORPUS`` and one line in
``CORPORA``. What all of them keep to:

* ``utterances`` is a list of ``Utterance`` sorted by id. ``wav`` is an
  absolute path, ``duration`` (s) comes from the header of the audio file, and
  the speaker's name begins with the name of the corpus.
* ``emotion`` is a full English word (for ZED a list of segments). No label is
  dropped or merged; ``extra["original_label"]`` is the corpus's own code.
* ``skipped`` lists every recording that is not usable, as (file, reason).
* The folder may be unpacked at any depth, the audio may be WAV or FLAC, and
  nothing is ever written there.
"""

import importlib

from speechbrain_ext.base.errors import expected
from speechbrain_ext.corpora.base import Corpus

__all__ = ["CORPORA", "Corpus", "find_corpus", "read_corpus"]

# The modules, which are imported when they are needed.
CORPORA = {
    name: f"speechbrain_ext.corpora.{name}"
    for name in (
        "ravdess iemocap emovdb esd jlcorpus savee emodb aesdd shemo zed "
        "synthetic"
    ).split()
}


def find_corpus(name):
    """The corpus of a name, a key of ``CORPORA``."""
    if name not in CORPORA:
        raise expected("corpus", f"one of {', '.join(CORPORA)}", name)
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
        Sorted by id.
    skipped : list of (str, str)
        File and reason of every recording that is not usable.

    Example
    -------
    >>> from speechbrain_ext.corpora import synthetic
    >>> folder = getfixture("tmp_path") / "corpus"
    >>> synthetic.generate(folder, speakers=1, sentences=1, progress=False)
    4
    >>> utterances, skipped = read_corpus("synthetic", folder)
    >>> len(utterances), skipped
    (4, [])
    """
    return find_corpus(name).read(folder)
