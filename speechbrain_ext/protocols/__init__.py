"""Which labels count, and who is in which split.

A corpus module keeps every label and every recording; what is merged, dropped
or held out is decided here. ``splits`` has the pieces that a recipe puts
together by its YAML; ``named`` has whole protocols, ``tables`` what they are.
"""

from speechbrain_ext.protocols.named import (
    Partition,
    classes_of,
    num_folds,
    partition,
)
from speechbrain_ext.protocols.splits import (
    check_classes,
    map_labels,
    speakers_in_common,
    split_by_list,
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
    "split_by_speaker",
    "split_by_utterance",
]
