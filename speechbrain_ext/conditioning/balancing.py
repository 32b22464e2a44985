"""As many recordings of every class: a plan, from seed and ids alone."""

from collections import Counter
from dataclasses import dataclass

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.utterance import Utterance

# More copies of a recording teach a model that recording, not its class. The
# paper makes up to 12.
MAX_COPIES = 30
# Of large classes the recordings of this corpus are left out first, as in the
# tables of Sharma 2023.
_FIRST_OUT = "cremad"


@dataclass(frozen=True)
class Plan:
    """Recordings that stay, and the copies that are made of them.

    Arguments
    ---------
    kept : list of Utterance
        Sorted by id.
    copies : list of (Utterance, int)
        The recording, one of those that are kept, and the number of the copy,
        from 1.
    left_out : dict
        From a class to the number of its recordings that do not stay.
    """

    kept: list[Utterance]
    copies: list[tuple[Utterance, int]]
    left_out: dict


def balance(utterances, size, seed):
    """A ``Plan`` that brings every class to ``size`` recordings.

    The copies of a small class are spread as evenly over its recordings as
    can be. What leaves a large class is drawn at random, from CREMA-D as long
    as that lasts.
    """
    kept, copies, left_out = [], [], {}
    for name in sorted({one.emotion for one in utterances}):
        group = [one for one in utterances if one.emotion == name]
        group.sort(key=lambda one: one.id)
        order = stable_rng("balance", seed, name).permutation(len(group))
        shuffled = [group[index] for index in order]
        missing = size - len(group)
        if missing < 0:
            # Sorting keeps the order of equals.
            shuffled.sort(key=lambda one: one.corpus != _FIRST_OUT)
            shuffled, left_out[name] = shuffled[-missing:], -missing
        rounds, more = divmod(max(missing, 0), len(group))
        most = rounds + (more > 0)
        if most > MAX_COPIES:
            raise UserError(
                f"balancing: the {len(group)} recordings of '{name}' would "
                f"need {most} copies each to be {size}, more than "
                f"{MAX_COPIES}; choose a smaller number, or add a corpus."
            )
        for place, one in enumerate(shuffled):
            number = rounds + (place < more)
            copies += [(one, each) for each in range(1, number + 1)]
        kept += shuffled
    kept.sort(key=lambda one: one.id)
    copies.sort(key=lambda pair: (pair[0].id, pair[1]))
    return Plan(kept, copies, left_out)


def count_classes(utterances):
    """How many recordings of every class each corpus has."""
    found = Counter((one.corpus, one.emotion) for one in utterances)
    counts = {}
    for (corpus, name), number in sorted(found.items()):
        counts.setdefault(corpus, {})[name] = number
    return counts
