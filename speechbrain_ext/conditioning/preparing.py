"""Cleaning and balancing of the data of a run, between corpora and splits."""

import logging
from collections import Counter
from dataclasses import replace

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.values import check_value
from speechbrain_ext.conditioning.balancing import balance, count_classes
from speechbrain_ext.conditioning.cleaning import check_installed, make_cleaner
from speechbrain_ext.conditioning.copies import LONGEST
from speechbrain_ext.protocols import PROTOCOLS
from speechbrain_ext.protocols.folds import hold_out_ratio

logger = logging.getLogger(__name__)


def check_conditioning(
    preprocessing, balancing, audio_folder, simulation, zed_folder, phones
):
    """Raise a ``UserError`` unless these options of ``prepare`` fit."""
    cleaner = make_cleaner(preprocessing)
    check_value("balancing", balancing)
    if balancing is not None:
        check_installed("balancing", ["audiomentations"])
    if cleaner is None and balancing is None:
        return
    option = "balancing" if cleaner is None else "preprocessing"
    others = {
        "simulation": simulation is not None,
        "zed_folder": zed_folder is not None and cleaner is not None,
        "phones": phones,
    }
    for other in (name for name, is_given in others.items() if is_given):
        raise UserError(
            f"{option}: it changes the times of recordings, those of "
            f"{other} would be wrong; set one of the two to null."
        )
    if audio_folder is None:
        raise UserError(
            f"audio_folder: {option} keeps recordings in it; give the path of "
            "a folder, or set that to null."
        )


class Conditioning:
    """What is done to the data of a run.

    Arguments
    ---------
    preprocessing : dict or None
        Options of the ``Cleaner``.
    balancing : int or None
        How many recordings every class is to have.
    folder : AudioFolder
        Where recordings and copies go.
    protocol, fold, seed : str and int
        Those of the split; the protocol may be a way to split.
    """

    def __init__(self, preprocessing, balancing, folder, protocol, fold, seed):
        self.cleaner, self.size = make_cleaner(preprocessing), balancing
        self.folder, self.fold, self.seed = folder, fold, seed
        named = PROTOCOLS.get(protocol)
        self.one_in = named.one_in if named else None
        self.record = {
            "preprocessing": preprocessing,
            "cleaner": self.cleaner and self.cleaner.describe(),
            "balancing": balancing,
        }

    def check(self, parts):
        """Raise a ``UserError`` unless all can be made of the parts, as they
        are before cleaning."""
        seconds = 0.0
        if self.cleaner is not None:
            every = [*parts.train, *parts.valid, *parts.test]
            seconds += sum(one.duration for one in every)
        if self.size is not None:
            copies = balance(self._pool(parts), self.size, self.seed).copies
            seconds += LONGEST * sum(one.duration for one, _ in copies)
        self.folder.check_room(seconds)

    def clean(self, utterances, parts):
        """Cleaned utterances, and file and reason of those that are lost;
        ``parts`` are what the utterances were found in."""
        every = [*parts.train, *parts.valid, *parts.test]
        self.record["before"] = count_classes(every)
        if self.cleaner is None:
            return utterances, []
        cleaned, skipped = self.folder.clean(utterances, self.cleaner)
        left = {one.id for one in cleaned}
        lost = Counter(one.emotion for one in every if one.id not in left)
        found = {one.emotion for one in every if one.id in left}
        for name in lost.keys() - found:
            files = {one.wav for one in every if one.emotion == name}
            file, reason = next(x for x in skipped if x[0] in files)
            raise UserError(
                f"preprocessing: none of the {lost[name]} recordings of "
                f"'{name}' is left ('{file}' {reason}); lower min_duration, or "
                "raise top_db."
            )
        logger.info(f"Cleaning: {len(cleaned)} of {len(utterances)} are left.")
        return cleaned, skipped

    def balance(self, parts):
        """The parts of a protocol, with copies in those that train."""
        every = [*parts.train, *parts.valid, *parts.test]
        self.record["after"] = count_classes(every)
        if self.size is None:
            return parts
        plan = balance(self._pool(parts), self.size, self.seed)
        copies = self.folder.copy(plan.copies, self.seed)
        train, valid = plan.kept + copies, parts.valid
        train.sort(key=lambda one: one.id)
        if self.one_in is not None:
            how = self.fold, self.seed, self.one_in
            train, valid = hold_out_ratio(train, *how)
        counts = Counter(one.emotion for one in copies)
        self.record["copies"] = dict(sorted(counts.items()))
        reduced = {
            f"{name}, more than {self.size}": number
            for name, number in plan.left_out.items()
        }
        left_out = parts.left_out | reduced
        by_id = {"key": lambda one: one.id}
        train, valid = sorted(train, **by_id), sorted(valid, **by_id)
        return replace(parts, train=train, valid=valid, left_out=left_out)

    def _pool(self, parts):
        """The utterances that are balanced together."""
        return [*parts.train, *(parts.valid if self.one_in else [])]
