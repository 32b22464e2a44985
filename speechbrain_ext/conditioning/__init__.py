"""Recordings are cleaned, and classes are made equally large with copies.

Nothing is written into the folder of a corpus: what is made of a recording is
kept in a folder of its own.
"""

from speechbrain_ext.conditioning.cleaning import Cleaner

__all__ = ["Cleaner"]
