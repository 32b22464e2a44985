"""The predictions of several runs as one, and two such rows compared.

Of runs with one test set, such as seeds, each utterance has the average. Test
sets, such as folds, stay apart: a figure is the mean over them.
"""

from collections import Counter, namedtuple
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.metrics.intervals import find_units, interval, paired_test
from speechbrain_ext.metrics.predictions import (
    FILES,
    figure_of,
    read_number,
    read_predictions,
)


@dataclass
class Predictions:
    """Test utterances with what there is to sum up over any set of them."""

    ids: list
    speakers: list
    truths: list
    # For each, the share of each class; or what its EDER is.
    said: list
    tests: list  # For each, the place of its test set,
    weights: list  # which has a weight.

    def names(self):
        """Names of the metrics."""
        return ["UA", "WA"] if any(self.truths) else ["EDER"]

    def classes(self):
        """Names of all classes that are true or said somewhere."""
        said = {name for shares in self.said for name in shares}
        return sorted(said.union(self.truths))

    def units(self):
        """What a bootstrap draws."""
        return find_units(self.ids, self.speakers)

    def figure(self, metric):
        """Function from sums to a metric (%), mean over the test sets."""
        return partial(figure_of, metric, weights=self.weights)

    def interval(self, metric, draws=1000, seed=0):
        """95 % interval of a metric."""
        sums = self.sums(self.classes(), self.units()[1])
        return interval(sums, self.figure(metric), draws, seed)

    def sums(self, classes, index):
        """What adds up to a metric, for each unit and test set."""
        cell = [len(classes)] * 2 if any(self.truths) else [2]
        sums = np.zeros((max(index) + 1, len(self.weights), *cell))
        rows = zip(index, self.tests, self.truths, self.said)
        for unit, test, truth, shares in rows:
            for name, share in shares.items():
                if truth:
                    place = classes.index(truth), classes.index(name)
                    sums[unit, test, *place] += share
                else:
                    sums[unit, test] += share, 1
        return sums


def pool_predictions(folders, weights=None):
    """The predictions of runs as one; None unless all runs have them."""
    paths = [Path(folder) / FILES["test"] for folder in folders]
    if not paths or not all(path.exists() for path in paths):
        return None
    known, tests = {}, {}
    for path, weight in zip(paths, weights or [1 / len(paths)] * len(paths)):
        run = _read_run(path, known)
        tests.setdefault(frozenset(run), []).append((weight, run))
    if len({truth == "" for _, truth in known.values()}) > 1:
        raise UserError("Some runs diarize, some do not; give one kind.")
    found = Predictions([], [], [], [], [], [])
    for ids in sorted(tests, key=sorted):
        total = sum(weight for weight, _ in tests[ids])
        for id in sorted(ids):
            said = Counter()
            for weight, run in tests[ids]:
                name, share = run[id]
                said[name] += share * weight / total
            found.ids.append(id)
            found.said.append(said)
            found.tests.append(len(found.weights))
        found.weights.append(total)
    found.speakers, found.truths = zip(*map(known.get, found.ids))
    return found


def _read_run(path, known):
    """What a run said, by id; ``known`` speakers and truths are checked."""
    run = {}
    for id, (where, row) in read_predictions(path).items():
        if "eder" in row:
            truth, said = "", ("eder", read_number(row, "eder", where))
        else:
            truth, said = row["reference"], (row["predicted"], 1.0)
        own = row.get("speaker", ""), truth
        if known.setdefault(id, own) != own:
            what = f"speaker and reference of '{id}' as in other runs: "
            raise expected(where, f"{what}{known[id]}", own)
        run[id] = said
    return run


# Two rows on the same test sets; without interval and p where all is one unit.
Difference = namedtuple(
    "Difference", "metric values difference kind number low high p"
)


def compare(first, second, metric, draws=10_000, seed=0):
    """Paired bootstrap interval and sign-flip test of two ``Predictions``."""
    _check_pair(first, second)
    classes = sorted({*first.classes(), *second.classes()})
    kind, index = first.units()
    pair = [each.sums(classes, index) for each in (first, second)]
    figure = first.figure(metric)
    one, other = (float(figure(sums.sum(axis=0))) for sums in pair)
    test = paired_test(*pair, figure, draws, seed)
    values = (one, other), other - one
    return Difference(metric, *values, kind, len(pair[0]), *test)


def _check_pair(first, second):
    truths, others = (dict(zip(x.ids, x.truths)) for x in (first, second))
    alone = truths.keys() ^ others.keys()
    other = [id for id in truths if truths[id] != others.get(id)]
    same = (first.ids, first.tests) == (second.ids, second.tests)
    if first.names() != second.names():
        reason = "one predicts one emotion an utterance, the other diarizes"
    elif alone:
        some = f"{len(alone)} utterances, such as '{min(alone)}'"
        reason = f"{some}, were tested in one of them only"
    elif other:
        pair = f"'{truths[other[0]]}' and '{others[other[0]]}'"
        reason = f"the reference of '{other[0]}' is {pair}"
    elif same and np.allclose(first.weights, second.weights):
        return
    else:
        reason = (
            "their folds, or the numbers of finished runs of a fold, differ"
        )
    raise UserError(
        f"--compare: {reason}; compare rows of one kind with the same classes, "
        "test sets and folds, both finished."
    )
