"""The parts of the data, and what a run says about them."""

from dataclasses import dataclass, field

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.utterance import Utterance


@dataclass(frozen=True)
class Partition:
    """What is trained on, chosen on and tested on.

    Arguments
    ---------
    train, valid, test : list of Utterance
        ``emotion`` is the class.
    name, corpus : str
        The protocol, or the way to split; the corpora, joined by ``+``.
    fold, folds, seed : int
        Which fold, from 1, of how many, and what it was drawn with.
    classes : list of str
        In the order of their indices.
    left_out : dict
        From a reason (a label, "song", ...) to the number of recordings that
        are in no part.
    cut : int
        How many recordings were cut to the protocol's length.
    source, ours : str
        Where the protocol comes from and what the source leaves open.
    """

    train: list[Utterance]
    valid: list[Utterance]
    test: list[Utterance]
    name: str
    corpus: str
    fold: int
    folds: int
    seed: int
    classes: list[str]
    left_out: dict = field(default_factory=dict)
    cut: int = 0
    source: str = ""
    ours: str = ""

    def record(self):
        """What the results of a run say about its data, for JSON."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        names = ("name", "corpus", "fold", "folds", "seed", "classes")
        tested = set()
        for one in self.test:
            if isinstance(one.emotion, str):
                tested.add(one.emotion)
            else:
                # What no segment covers is neutral.
                tested |= {NEUTRAL, *(part["emo"] for part in one.emotion)}
        return {
            **{name: getattr(self, name) for name in names},
            "classes_not_tested": [c for c in self.classes if c not in tested],
            "recordings": {name: len(part) for name, part in parts.items()},
            "speakers": {
                name: len({one.speaker for one in part} - {""})
                for name, part in parts.items()
            },
            "speakers_shared_with_train": {
                name: _shared(self.train, parts[name])
                for name in ("valid", "test")
            },
            "left_out": self.left_out,
            "cut": self.cut,
            "source": self.source,
            "ours": self.ours,
        }


def _shared(train, other):
    train, other = ({one.speaker for one in part} for part in (train, other))
    # Unknown where somebody's speaker is unknown.
    return None if "" in train | other else len(train & other)
