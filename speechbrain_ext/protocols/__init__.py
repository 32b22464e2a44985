"""Which labels count, and who is in which split.

A corpus keeps every label and every recording; what is merged, dropped or held
out is decided here: by a protocol of a paper (``tables``, ``named``), or by a
recipe's options (``splits``).
"""

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
