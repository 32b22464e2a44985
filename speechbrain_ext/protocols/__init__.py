"""Which labels count, and who is in which split: by a paper or by options."""

from speechbrain_ext.protocols.named import classes_of, num_folds, partition
from speechbrain_ext.protocols.partition import Partition
from speechbrain_ext.protocols.tables import PROTOCOLS, Protocol

__all__ = [
    "PROTOCOLS",
    "Partition",
    "Protocol",
    "classes_of",
    "num_folds",
    "partition",
]
