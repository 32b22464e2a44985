"""WA, UA and what lies behind them, for one class an utterance.

WA, weighted accuracy, is the fraction of utterances that are classified
correctly; UA, unweighted accuracy, is the mean of the classes' recalls, which
Pepino et al. (2021) call average recall and others UAR. Some authors define
the two the other way round.
"""

import csv
from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import confusion_matrix

from speechbrain_ext.base.files import atomic_open


@dataclass
class RecognitionStats:
    """Classes that were recognised over a test set.

    Arguments
    ---------
    classes : list of str
        Name of every class, in the order of their indices.

    Example
    -------
    >>> stats = RecognitionStats(["sad", "angry"])
    >>> stats.append("a", "sad", np.log([0.9, 0.1]), "ann")
    >>> stats.append("b", "sad", np.log([0.2, 0.8]), "ann")
    >>> stats.append("c", "angry", np.log([0.3, 0.7]), "bob")
    >>> summary = stats.summarize()
    >>> summary["UA"], round(summary["WA"], 1), summary["confusion"]
    (75.0, 66.7, [[1, 1], [0, 1]])
    """

    classes: list
    rows: dict = field(default_factory=dict)

    def append(self, id, reference, log_probs, speaker=""):
        """Take in an utterance.

        Arguments
        ---------
        id : str
            Of the utterance.
        reference : str
            Its class.
        log_probs : array
            Log posteriors [classes].
        speaker : str
            Who speaks; ``""`` where unknown.
        """
        if id in self.rows:
            raise ValueError(f"the utterance '{id}' is there already")
        self.rows[id] = {
            "id": id,
            "speaker": speaker,
            "reference": reference,
            "predicted": self.classes[int(np.argmax(log_probs))],
            "probabilities": np.exp(np.asarray(log_probs, dtype=float)),
        }

    def confusion(self, rows=None):
        """Counts [classes, classes]: reference down, prediction across.

        Arguments
        ---------
        rows : iterable of dict, optional
            Those that count; all if absent.

        Returns
        -------
        numpy.ndarray
        """
        rows = list(self.rows.values() if rows is None else rows)
        return confusion_matrix(
            [row["reference"] for row in rows],
            [row["predicted"] for row in rows],
            labels=self.classes,
        )

    def summarize(self, bootstrap=1000, seed=0):
        """Figures in percent.

        Arguments
        ---------
        bootstrap : int
            Draws for the intervals; 0 for none.
        seed : int
            Of the draws.

        Returns
        -------
        dict
            ``UA``, ``WA``, ``recalls`` (by class; None for one that is not in
            the reference), ``confusion`` (counts), ``utterances``,
            ``speakers``; ``UA_interval`` and ``WA_interval``, 95 % percentile
            intervals over ``intervals_over`` (speakers, or utterances where
            speakers are unknown), None where there are fewer than two.
        """
        rows = list(self.rows.values())
        speakers = sorted({row["speaker"] for row in rows})
        over = "utterances" if "" in speakers else "speakers"
        key = "speaker" if over == "speakers" else "id"
        units = {}
        for row in rows:
            units.setdefault(row[key], []).append(row)
        counts = np.array([self.confusion(unit) for unit in units.values()])
        total = counts.sum(axis=0)
        ua, wa = accuracies(total)
        summary = {
            "UA": ua.item(),
            "WA": wa.item(),
            "recalls": dict(zip(self.classes, _recalls(total))),
            "confusion": total.tolist(),
            "utterances": len(rows),
            "speakers": len(set(speakers) - {""}),
            "intervals_over": over,
        }
        draws = draw_units(counts, bootstrap, seed)
        for name, figure in zip(("UA", "WA"), accuracies(draws)):
            interval = None
            if len(counts) > 1 and bootstrap > 0:
                interval = np.nanpercentile(figure, [2.5, 97.5]).tolist()
            summary[f"{name}_interval"] = interval
        return summary

    def write_csv(self, path):
        """Write one row an utterance, whole or not at all.

        Arguments
        ---------
        path : str or os.PathLike
            The file: id, speaker, reference, predicted, and the probability of
            every class.
        """
        with atomic_open(path, newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            names = ["id", "speaker", "reference", "predicted"]
            writer.writerow(names + [f"p_{name}" for name in self.classes])
            for row in self.rows.values():
                writer.writerow(
                    [row[name] for name in names]
                    + [f"{p:.6f}" for p in row["probabilities"]]
                )


def accuracies(counts):
    """UA and WA of confusion matrices."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    there = counts.sum(axis=-1)
    recalls = np.where(there > 0, right / np.maximum(there, 1), 0.0)
    present = (there > 0).sum(axis=-1)
    ua = 100 * recalls.sum(axis=-1) / np.maximum(present, 1)
    return ua, 100 * right.sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)


def draw_units(counts, draws, seed):
    """Confusion matrices of test sets drawn anew, unit by unit."""
    random = np.random.default_rng(seed)
    units = len(counts)
    times = random.multinomial(units, [1 / units] * units, size=draws)
    return np.tensordot(times, counts, axes=1)


def _recalls(counts):
    there = counts.sum(axis=1)
    return [
        100 * right / total if total else None
        for right, total in zip(np.diagonal(counts).tolist(), there.tolist())
    ]
