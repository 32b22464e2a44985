"""Protocols by name: the parts of a fold, and what a run says about them.

``tables`` says what each protocol is and where it comes from. A split follows
from the seed and the ids of the recordings alone, not from their order.
"""

import importlib
from collections import Counter
from dataclasses import dataclass, field, replace

from speechbrain_ext.base.emotions import VOCABULARY
from speechbrain_ext.base.errors import UserError, is_whole
from speechbrain_ext.corpora import CORPORA
from speechbrain_ext.protocols import folds as ways
from speechbrain_ext.protocols.splits import map_labels, speakers_in_common
from speechbrain_ext.protocols.tables import PROTOCOLS
from speechbrain_ext.utterance import Utterance


@dataclass(frozen=True)
class Partition:
    """One fold of a protocol: what is trained on, chosen on and tested on.

    Arguments
    ---------
    train, valid, test : list of Utterance
        Sorted by id; ``emotion`` is the class.
    name, corpus : str
        The protocol and the corpus.
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
        """What the results of a run say about its data.

        Returns
        -------
        dict
            For JSON. ``speakers_shared_with_train`` tells how many speakers of
            the other parts were trained on; None where speakers are unknown.
        """
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        tested = {one.emotion for one in self.test}
        return {
            "name": self.name,
            "corpus": self.corpus,
            "fold": self.fold,
            "folds": self.folds,
            "seed": self.seed,
            "classes": self.classes,
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


def classes_of(protocol, corpus, label_map=None):
    """Names of the classes, in the order of their indices.

    Arguments
    ---------
    protocol : str
        A key of ``PROTOCOLS``.
    corpus : str
        Name of the corpus module.
    label_map : dict, optional
        From label to class, or to None; for protocols of any corpus.

    Returns
    -------
    list of str

    Raises
    ------
    UserError
        When there is no such protocol, or not for this corpus.

    Example
    -------
    >>> classes_of("pepino_iemocap", "iemocap")
    ['neutral', 'happy', 'sad', 'angry']
    >>> classes_of("grouped_kfold", "synthetic", {"sad": "low", "angry": "high"})
    ['high', 'low']
    >>> classes_of("pepino", "ravdess")
    Traceback (most recent call last):
        ...
    speechbrain_ext.base.errors.UserError: protocol: there is no 'pepino'; choose one of pepino_ravdess, pepino_iemocap, issa_ravdess, issa_iemocap, jafarzadeh, leave_one_speaker_out, grouped_kfold.
    """
    labels = _label_map(_find(protocol), corpus, label_map)
    names = {name for name in labels.values() if name is not None}
    known = [name for name in VOCABULARY if name in names]
    return known + sorted(names.difference(VOCABULARY))


def num_folds(protocol, utterances, label_map=None):
    """How many folds a protocol has on these recordings.

    Arguments
    ---------
    protocol : str
        A key of ``PROTOCOLS``.
    utterances : list of Utterance
        Of one corpus, with all of its labels.
    label_map : dict, optional
        As for ``partition``: a speaker of whom it leaves nothing is not
        counted.

    Returns
    -------
    int

    Example
    -------
    >>> from speechbrain_ext.utterance import Utterance
    >>> data = [Utterance(s, 1.0, s, "sad", "savee") for s in "abcd"]
    >>> num_folds("jafarzadeh", data), num_folds("grouped_kfold", data)
    (5, 4)
    """
    protocol = _find(protocol)
    corpus = _corpus_of(utterances)
    kept, _ = _select(protocol, corpus, utterances, label_map)
    return _count(protocol, kept)


def partition(protocol, utterances, fold, seed=1, label_map=None):
    """Training, validation and test part of one fold.

    Arguments
    ---------
    protocol : str
        A key of ``PROTOCOLS``.
    utterances : list of Utterance
        Of one corpus, with all of its labels, in any order.
    fold : int
        From 1 to ``num_folds(...)``.
    seed : int
        Draws what is random in the protocol.
    label_map : dict, optional
        From label to class, or to None to leave the label out; for the
        protocols of any corpus only, since the others fix their classes.

    Returns
    -------
    Partition

    Raises
    ------
    UserError
        When protocol, corpus, fold, seed or labels do not go together, a
        class is missing in training or test (with ``leave_one_speaker_out``:
        in training), or speakers must be kept apart and are not known.

    Example
    -------
    >>> from speechbrain_ext.utterance import Utterance
    >>> data = [
    ...     Utterance(f"{s}{e}{i}", 1.0, f"synthetic_{s}", e, "synthetic")
    ...     for s in "abcdef" for i in range(3)
    ...     for e in ("neutral", "happy", "sad", "angry")
    ... ]
    >>> part = partition("leave_one_speaker_out", data, fold=2)
    >>> {one.speaker for one in part.test}, len(part.train)
    ({'synthetic_b'}, 48)
    >>> part.record()["speakers_shared_with_train"]
    {'valid': 0, 'test': 0}
    """
    protocol = _find(protocol)
    corpus = _corpus_of(utterances)
    classes = classes_of(protocol.name, corpus, label_map)
    kept, left_out = _select(protocol, corpus, utterances, label_map)
    folds = _count(protocol, kept)
    if not is_whole(fold) or not 1 <= fold <= folds:
        raise UserError(
            f"fold: {fold!r} is not a fold of {protocol.name}, which has "
            f"{folds} on this data; give a number from 1 to {folds}."
        )
    if not is_whole(seed) or not 0 <= seed < 2**32:
        raise UserError(
            f"seed: {seed!r} will not do; give a whole number from 0."
        )
    parts = protocol.divide(kept, fold, folds, seed)
    train, valid, test = (
        sorted(part, key=lambda one: one.id) for part in parts
    )
    _check_classes(protocol, train, classes, "train")
    if protocol.divide is not ways.by_speaker:
        _check_classes(protocol, test, classes, "test")
    return Partition(
        train,
        valid,
        test,
        name=protocol.name,
        corpus=corpus,
        fold=fold,
        folds=folds,
        seed=seed,
        classes=classes,
        left_out=dict(sorted(left_out.items())),
        cut=_count_cut(protocol, utterances, kept),
        source=protocol.source,
        ours=protocol.ours,
    )


def _find(name):
    if name not in PROTOCOLS:
        raise UserError(
            f"protocol: there is no '{name}'; choose one of "
            f"{', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]


def _corpus_of(utterances):
    names = sorted({utterance.corpus for utterance in utterances})
    if len(names) != 1:
        raise UserError(
            f"A protocol takes recordings of one corpus, not of {len(names)} "
            f"({', '.join(names)}); give data_folder and corpus of one."
        )
    return names[0]


def _label_map(protocol, corpus, label_map):
    if label_map is not None:
        if not protocol.any_corpus:
            raise UserError(
                f"label_map: the protocol {protocol.name} fixes its classes; "
                "set label_map to null, or choose leave_one_speaker_out or "
                "grouped_kfold."
            )
        return label_map
    if protocol.any_corpus:
        if corpus not in CORPORA:
            raise UserError(
                f"protocol: the labels of '{corpus}' are not known to "
                f"{protocol.name}; set label_map."
            )
    elif corpus not in protocol.corpora:
        raise UserError(
            f"protocol: {protocol.name} is for {', '.join(protocol.corpora)}, "
            f"not for '{corpus}'; choose another protocol, such as "
            "grouped_kfold."
        )
    changes = protocol.corpora.get(corpus, {})
    return {label: changes.get(label, label) for label in _labels_of(corpus)}


def _labels_of(corpus):
    """All emotions of a corpus module."""
    emotions = importlib.import_module(CORPORA[corpus]).EMOTIONS
    # Most modules map codes to emotions; the others list emotions.
    if isinstance(emotions, dict) and all(
        isinstance(value, str) for value in emotions.values()
    ):
        return set(emotions.values())
    return set(emotions)


def _select(protocol, corpus, utterances, label_map):
    """Those that the protocol takes, sorted, and how many it leaves out."""
    labels = _label_map(protocol, corpus, label_map)
    taken, left_out = [], Counter()
    for utterance in sorted(utterances, key=lambda one: one.id):
        if not isinstance(utterance.emotion, str):
            raise UserError(
                f"'{utterance.id}' of {corpus} has several emotions; "
                "protocols of recognition take corpora with one a recording."
            )
        reason = protocol.reject(utterance)
        if reason:
            left_out[reason] += 1
        else:
            taken.append(utterance)
    kept, unused = map_labels(taken, labels)
    if not kept:
        raise UserError(
            f"{protocol.name} leaves none of the {len(utterances)} recordings "
            f"of {corpus}; check label_map and the folder."
        )
    if protocol.disjoint:
        _check_speakers(protocol, kept)
    if protocol.longest is not None:
        kept = [_cut(one, protocol.longest) for one in kept]
    return kept, left_out + unused


def _check_speakers(protocol, utterances):
    unknown = [one.id for one in utterances if not one.speaker]
    if unknown:
        raise UserError(
            f"{protocol.name} keeps speakers apart, but the speaker of "
            f"{len(unknown)} recordings is not known (the first is "
            f"'{unknown[0]}'); choose a protocol by recording."
        )


def _check_classes(protocol, part, classes, split):
    found = {utterance.emotion for utterance in part}
    for name in classes:
        if name not in found:
            remedy = (
                "choose another seed, or leave the class out with label_map"
                if protocol.any_corpus
                else "choose another protocol"
            )
            raise UserError(
                f"{protocol.name}: the {split} part has no recording of "
                f"'{name}'; give the whole corpus, {remedy}."
            )


def _cut(utterance, longest):
    if utterance.duration <= longest:
        return utterance
    stop = (utterance.start or 0.0) + longest
    return replace(utterance, stop=stop, duration=longest)


def _count_cut(protocol, utterances, kept):
    whole = {one.id: one.duration for one in utterances}
    return sum(one.duration < whole[one.id] for one in kept)


def _count(protocol, kept):
    if protocol.folds is not None:
        return protocol.folds
    speakers = len(ways.speakers_of(kept))
    if speakers < 3:
        raise UserError(
            f"{protocol.name} needs three speakers, for training, validation "
            f"and test; the usable recordings have {speakers}."
        )
    if protocol.divide is ways.by_speaker:
        return speakers
    return min(ways.FOLDS, speakers)


def _shared(train, other):
    if any(not one.speaker for one in train + other):
        return None
    return len(speakers_in_common(train, other))
