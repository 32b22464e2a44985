"""Which labels count, and who is in which split.

A corpus keeps every label and every recording; what is merged, dropped or held
out is decided here: by a protocol of a paper (``tables``, ``named``), or by a
recipe's options (``splits``).
"""

from speechbrain_ext.protocols.named import classes_of, num_folds, partition
from speechbrain_ext.protocols.partition import Partition, speakers_in_common
from speechbrain_ext.protocols.splits import (
    check_classes,
    map_labels,
    split_by_list,
    split_by_options,
    split_by_speaker,
    split_by_utterance,
)
from speechbrain_ext.protocols.tables import PROTOCOLS, Protocol

__all__ = [
    "PROTOCOLS",
    "Partition",
    "Protocol",
    "check_classes",
    "classes_of",
    "map_labels",
    "num_folds",
    "partition",
    "speakers_in_common",
    "split_by_list",
    "split_by_options",
    "split_by_speaker",
    "split_by_utterance",
]
