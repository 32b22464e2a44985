"""WA, UA and what lies behind them, for one class an utterance.

WA is the fraction of utterances that are right; UA the mean of the classes'
recalls, which Pepino et al. (2021) call average recall and others UAR. Some
authors define the two the other way round.
"""

from dataclasses import dataclass, field

import numpy as np

from speechbrain_ext.metrics.intervals import describe_test_set
from speechbrain_ext.metrics.predictions import (
    check_posteriors,
    measure,
    write_predictions,
)


@dataclass
class RecognitionStats:
    """Classes that were recognised over a test set."""

    classes: list
    rows: dict = field(default_factory=dict)

    @classmethod
    def of(cls, classes, utterances, outputs):
        """Those of utterances, from whose ids ``outputs`` leads to log
        posteriors [classes]."""
        stats = cls(classes)
        for one in utterances:
            stats.append(one.id, one.emotion, outputs[one.id], one.speaker)
        return stats

    def append(self, id, reference, log_probs, speaker=""):
        """Take in an utterance: its class, and log posteriors [classes]."""
        if id in self.rows:
            raise ValueError(f"the utterance '{id}' is there already")
        check_posteriors(log_probs, f"utterance '{id}'")
        probabilities = np.exp(np.asarray(log_probs, dtype=float)).tolist()
        self.rows[id] = {
            "id": id,
            "speaker": speaker,
            "reference": reference,
            "predicted": self.classes[int(np.argmax(log_probs))],
            **{f"p_{n}": p for n, p in zip(self.classes, probabilities)},
        }

    def summarize(self, bootstrap=1000, seed=0):
        """Figures in percent, confusion (reference down), intervals.

        ``only_class`` is what every utterance is taken for although the
        reference has others; ``macro_F1`` is over classes in either.
        """
        rows = self.rows.values()
        speakers = [row["speaker"] for row in rows]
        index, sizes = describe_test_set(list(self.rows), speakers)
        truths, said = (
            [self.classes.index(row[key]) for row in rows]
            for key in ("reference", "predicted")
        )
        counts = np.zeros((max(index) + 1, 1, *[len(self.classes)] * 2))
        np.add.at(counts, (index, 0, truths, said), 1)
        (confusion,) = counts.sum(axis=0).astype(int)
        right, there = np.diagonal(confusion), confusion.sum(axis=1)
        either = there + confusion.sum(axis=0)
        recalls = [
            100 * r / n if n else None
            for r, n in zip(right.tolist(), there.tolist())
        ]
        f1 = 200 * right[either > 0] / either[either > 0]
        one = len(set(said)) == 1 and set(said) != set(truths)
        return {
            **measure("UA", "UA", counts, bootstrap, seed),
            **measure("WA", "WA", counts, bootstrap, seed),
            "macro_F1": float(f1.mean()),
            "recalls": dict(zip(self.classes, recalls)),
            "confusion": confusion.tolist(),
            "only_class": self.classes[said[0]] if one else None,
            **sizes,
        }

    def metrics(self, summary):
        """The main figures of a summary."""
        return {name: summary[name] for name in ("UA", "WA")}

    def write_csv(self, path):
        """Write predictions.csv, with the probability of every class."""
        rows = [
            {k: f"{v:.6f}" if k[:2] == "p_" else v for k, v in row.items()}
            for row in self.rows.values()
        ]
        write_predictions(path, rows)
