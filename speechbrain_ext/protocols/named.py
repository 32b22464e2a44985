"""The parts of a fold: they follow from seed and ids, not from the order."""

from collections import Counter
from dataclasses import replace

from speechbrain_ext.base.emotions import VOCABULARY
from speechbrain_ext.base.errors import UserError, expected, is_whole
from speechbrain_ext.base.values import check_value
from speechbrain_ext.corpora import CORPORA, find_corpus
from speechbrain_ext.protocols import folds as ways
from speechbrain_ext.protocols.partition import Partition
from speechbrain_ext.protocols.splits import check_classes, map_labels
from speechbrain_ext.protocols.tables import PROTOCOLS


def classes_of(protocol, corpus, label_map=None):
    """Names of the classes, in the order of their indices.

    Arguments
    ---------
    protocol : str
        A key of ``PROTOCOLS``.
    corpus : str, list of str or dict
        The corpus, or several; of a dict from corpus to folder those that
        have one.
    label_map : dict, optional
        From label to class, or to None; for protocols of any corpus.

    Returns
    -------
    list of str

    Example
    -------
    >>> classes_of("grouped_kfold", "savee", {"sad": "low", "angry": "high"})
    ['high', 'low']
    """
    if isinstance(corpus, dict):
        corpus = those_given(corpus)
    corpora = [corpus] if isinstance(corpus, str) else list(corpus)
    maps = _label_maps(_find(protocol), corpora, label_map)
    names = {name for labels in maps.values() for name in labels.values()}
    names.discard(None)
    known = [name for name in VOCABULARY if name in names]
    return known + sorted(names.difference(VOCABULARY))


def those_given(corpora):
    """Names of the corpora that have a folder, at least one."""
    given = [name for name, folder in corpora.items() if folder]
    if not given:
        raise UserError(
            "corpora: no folder is given; give that of one of "
            f"{', '.join(sorted(corpora))}."
        )
    return given


def num_folds(protocol, utterances, label_map=None):
    """How many folds a protocol has; arguments as for ``partition``."""
    protocol = _find(protocol)
    return _count(protocol, _select(protocol, utterances, label_map)[0])


def partition(protocol, utterances, fold, seed=1, label_map=None):
    """Training, validation and test part of one fold.

    Arguments
    ---------
    protocol : str
        A key of ``PROTOCOLS``.
    utterances : list of Utterance
        With all of their labels, in any order, of one corpus or several.
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

    Example
    -------
    >>> from speechbrain_ext.utterance import Utterance
    >>> data = [
    ...     Utterance(f"{s}{e}", 1.0, f"synthetic_{s}", e, "synthetic")
    ...     for s in "abcdef" for e in ("neutral", "happy", "sad", "angry")
    ... ]
    >>> part = partition("leave_one_speaker_out", data, fold=2)
    >>> {one.speaker for one in part.test}, len(part.train)
    ({'synthetic_b'}, 16)
    """
    protocol = _find(protocol)
    corpora = sorted({one.corpus for one in utterances})
    classes = classes_of(protocol.name, corpora, label_map)
    kept, left_out = _select(protocol, utterances, label_map)
    folds = _count(protocol, kept)
    whole = {one.id: one.duration for one in utterances}
    if not is_whole(fold) or not 1 <= fold <= folds:
        what = f"from 1 to {folds}, the folds of {protocol.name} on this data"
        raise expected("fold", f"a number {what}", fold)
    check_value("seed", seed)
    parts = protocol.divide(kept, fold, folds, seed)
    train, valid, test = (sorted(part, key=_id) for part in parts)
    remedy = "give the whole corpus, or choose another protocol"
    if protocol.any_corpus:
        remedy += ", another seed, or leave the class out with label_map"
    check_classes(train, classes, "train", remedy)
    if protocol.divide is not ways.by_speaker:
        check_classes(test, classes, "test", remedy)
    return Partition(
        train,
        valid,
        test,
        name=protocol.name,
        corpus="+".join(corpora),
        fold=fold,
        folds=folds,
        seed=seed,
        classes=classes,
        left_out=dict(sorted(left_out.items())),
        cut=sum(one.duration < whole[one.id] for one in kept),
        source=protocol.source,
        ours=protocol.ours,
    )


def _id(utterance):
    return utterance.id


def _find(name):
    if name not in PROTOCOLS:
        raise expected("protocol", f"one of {', '.join(PROTOCOLS)}", name)
    return PROTOCOLS[name]


def _label_maps(protocol, corpora, label_map):
    """From corpus to the classes of its labels."""
    if protocol.any_corpus:
        known = CORPORA if label_map is None else corpora
        unknown = [corpus for corpus in corpora if corpus not in known]
        if unknown:
            raise UserError(
                f"protocol: the labels of '{unknown[0]}' are not known to "
                f"{protocol.name}; set label_map."
            )
    elif label_map is not None:
        raise UserError(
            f"label_map: the protocol {protocol.name} fixes its classes; set "
            "it to null, or choose leave_one_speaker_out or grouped_kfold."
        )
    elif len(corpora) != 1 and not protocol.several:
        raise UserError(
            f"protocol: {protocol.name} takes recordings of one corpus, got "
            f"{len(corpora)} ({', '.join(corpora)}); choose grouped_kfold."
        )
    elif foreign := [one for one in corpora if one not in protocol.corpora]:
        raise UserError(
            f"protocol: {protocol.name} is for {', '.join(protocol.corpora)}, "
            f"not for '{foreign[0]}'; choose another, such as grouped_kfold."
        )
    if label_map is not None:
        return dict.fromkeys(corpora, label_map)
    maps = {}
    for corpus in corpora:
        changes = protocol.corpora.get(corpus, {})
        labels = find_corpus(corpus).emotions.values()
        maps[corpus] = {label: changes.get(label, label) for label in labels}
    return maps


def _select(protocol, utterances, label_map):
    """Those that the protocol takes, sorted, and how many it leaves out."""
    corpora = sorted({one.corpus for one in utterances})
    maps = _label_maps(protocol, corpora, label_map)
    taken, left_out = {corpus: [] for corpus in corpora}, Counter()
    for utterance in sorted(utterances, key=_id):
        if not isinstance(utterance.emotion, str):
            raise UserError(
                f"'{utterance.id}' of {utterance.corpus} has several emotions; "
                f"{protocol.name} takes recordings with one."
            )
        reason = protocol.reject(utterance)
        if reason:
            left_out[reason] += 1
        else:
            taken[utterance.corpus].append(utterance)
    kept = []
    for corpus, labels in maps.items():
        some, unused = map_labels(taken[corpus], labels)
        kept += some
        left_out += unused
    if not kept:
        raise UserError(
            f"{protocol.name} leaves none of the {len(utterances)} recordings "
            f"of {', '.join(corpora)}; check label_map and the folder."
        )
    unknown = [one.id for one in kept if not one.speaker]
    if protocol.disjoint and unknown:
        raise UserError(
            f"{protocol.name} keeps speakers apart, but the speaker of "
            f"{len(unknown)} recordings is not known (such as "
            f"'{min(unknown)}'); choose a protocol by recording."
        )
    if protocol.longest is not None:
        kept = [_cut(one, protocol.longest) for one in kept]
    return sorted(kept, key=_id), left_out


def _cut(utterance, longest):
    if utterance.duration <= longest:
        return utterance
    stop = (utterance.start or 0.0) + longest
    return replace(utterance, stop=stop, duration=longest)


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
