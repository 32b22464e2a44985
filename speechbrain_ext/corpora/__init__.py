"""Corpora: the folder that was unpacked in, records of utterances out.

A corpus is one module with ``read(folder) -> (utterances, skipped)`` and one
line in ``CORPORA``. What all of them keep to:

* ``utterances`` is a list of ``Utterance`` sorted by id. ``wav`` is an
  absolute path, ``duration`` (s) comes from the header of the audio file, and
  the speaker's name begins with the name of the corpus.
* ``emotion`` is a full English word (for ZED a list of segments). No label is
  dropped or merged; ``extra["original_label"]`` is the corpus's own code.
* ``skipped`` lists every recording that could not be used, as (file, reason).
* The folder may be unpacked at any depth, the audio may be WAV or FLAC, and
  nothing is ever written there.
"""

import importlib

from speechbrain_ext.base.errors import UserError

CORPORA = {
    "ravdess": "speechbrain_ext.corpora.ravdess",
    "iemocap": "speechbrain_ext.corpora.iemocap",
    "emovdb": "speechbrain_ext.corpora.emovdb",
    "esd": "speechbrain_ext.corpora.esd",
    "jlcorpus": "speechbrain_ext.corpora.jlcorpus",
    "savee": "speechbrain_ext.corpora.savee",
    "emodb": "speechbrain_ext.corpora.emodb",
    "aesdd": "speechbrain_ext.corpora.aesdd",
    "shemo": "speechbrain_ext.corpora.shemo",
    "zed": "speechbrain_ext.corpora.zed",
    "synthetic": "speechbrain_ext.corpora.synthetic",
}


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
        File and reason of every recording that could not be used.

    Raises
    ------
    UserError
        When no corpus has the name, or the folder does not hold the corpus.

    Example
    -------
    >>> read_corpus("enterface", "/data")
    Traceback (most recent call last):
        ...
    speechbrain_ext.base.errors.UserError: There is no corpus 'enterface'; choose one of: ravdess, iemocap, emovdb, esd, jlcorpus, savee, emodb, aesdd, shemo, zed, synthetic.
    """
    if name not in CORPORA:
        raise UserError(
            f"There is no corpus '{name}'; choose one of: {', '.join(CORPORA)}."
        )
    return importlib.import_module(CORPORA[name]).read(folder)
