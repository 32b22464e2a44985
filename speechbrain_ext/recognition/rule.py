"""How the posteriors of several models become one: weights, or stacking.

Equation 4 of Makiuchi et al. (2021): p_f = w_1 p_s + w_2 p_t, here over any
number of models, divided by the sum of the weights.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, expected, is_number
from speechbrain_ext.base.files import check_size, read_json, write_json
from speechbrain_ext.base.values import check_value

#: What a folder of fused models has in place of hyperparams.yaml.
FILE = "fusion.json"
#: More models than anybody fuses would exhaust the memory.
MAX_MEMBERS = 16
# Runs write six digits: logarithms of less would be those of rounding.
_LEAST = 1e-4
_MAX_BYTES = 1_000_000


@dataclass
class Fusion:
    """The members of a fusion by where they are, and the rule.

    ``stacking`` is a pair: coefficients ``[classes, members * classes]`` of
    the log posteriors, and intercepts ``[classes]``. Where a member is missing,
    ``weights`` hold in its place.
    """

    classes: list
    members: list
    weights: list
    stacking: tuple | None = None

    def __call__(self, rows, there):
        """Fused posteriors ``[utterances, classes]``.

        ``rows`` are ``[members, utterances, classes]``; ``there``, ``[members,
        utterances]``, says which of them there are.
        """
        rows = np.where(there[:, :, None], rows, 0.0)
        shares = np.asarray(self.weights, dtype=float)[:, None] * there
        # Where only models of weight 0 are there, they stand for the others.
        shares = np.where(shares.sum(0) > 0, shares, there)
        fused = np.einsum("mu,muc->uc", shares, rows)
        if self.stacking is not None:
            coefficients, intercepts = map(np.asarray, self.stacking)
            logits = stack(rows) @ coefficients.T + intercepts
            likely = np.exp(logits - logits.max(axis=1, keepdims=True))
            fused = np.where(there.all(0)[:, None], likely, fused)
        return fused / fused.sum(axis=1, keepdims=True)

    def describe(self):
        """The rule in words."""
        if self.stacking is not None:
            return "logistic regression on log posteriors"
        return "weights " + " ".join(f"{each:g}" for each in self.weights)

    def write(self, folder, members):
        """Write what inference reads; ``members`` are its paths."""
        coefficients, intercepts = self.stacking or (None, None)
        record = {
            "classes": self.classes,
            "members": members,
            "weights": self.weights,
            "coefficients": coefficients,
            "intercepts": intercepts,
        }
        write_json(record, Path(folder) / FILE)


def stack(rows):
    """Log posteriors ``[utterances, members * classes]``."""
    logs = np.log(np.maximum(rows, _LEAST)).transpose(1, 0, 2)
    return logs.reshape(len(logs), -1)


def read_fusion(path):
    """The ``Fusion`` of a file, which is not trusted."""
    check_size(path)
    if Path(path).stat().st_size > _MAX_BYTES:
        raise UserError(f"'{path}' is far too large; restore the file.")
    record = read_json(path)
    remedy = "restore what the fusion wrote"
    if not isinstance(record, dict):
        raise expected(f"'{path}'", "an object", record, remedy)
    classes, members = record.get("classes"), record.get("members")
    check_value("classes", classes, f"'{path}', classes")
    listed = isinstance(members, list) and 2 <= len(members) <= MAX_MEMBERS
    named = listed and all(isinstance(x, str) and x for x in members)
    if not named or len(set(members)) < len(members):
        what = f"2 to {MAX_MEMBERS} different folders or names of models"
        raise expected(f"'{path}', members", what, members, remedy)
    check_weights(record.get("weights"), len(members), f"'{path}', weights")
    given = record.get("coefficients"), record.get("intercepts")
    if given != (None, None):
        size = len(classes), len(members) * len(classes)
        for name, value, shape in zip(
            ("coefficients", "intercepts"), given, (size, size[:1])
        ):
            if not _has_shape(value, shape):
                what = f"finite numbers {list(shape)}"
                raise expected(f"'{path}', {name}", what, value, remedy)
    stacking = None if given == (None, None) else given
    return Fusion(classes, members, record["weights"], stacking)


def _has_shape(value, shape):
    if not shape:
        # What is larger makes a sum that is no number.
        return is_number(value) and abs(value) < 1e6
    listed = isinstance(value, list) and len(value) == shape[0]
    return listed and all(_has_shape(each, shape[1:]) for each in value)


def check_weights(weights, count, where):
    """Raise a ``UserError`` unless there is a weight for each member."""
    listed = isinstance(weights, list) and len(weights) == count
    fits = listed and all(is_number(w) and 0 <= w <= 1e6 for w in weights)
    if not fits or not any(weights):
        what = f"{count} numbers from 0, not all of them 0"
        raise expected(where, what, weights)
