"""Ways to divide utterances, sorted by id, into the parts of a fold."""

import warnings
from collections import Counter

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.random import stable_rng

SESSIONS = ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"]
ACTORS = [f"ravdess_{number}" for number in (21, 22, 23, 24)]
FOLDS = 5


def by_actor(utterances, fold, folds, seed):
    """Actors 21 and 22 validate, 23 and 24 test, the others train."""
    return _by_key(utterances, "speaker", ACTORS[:2], ACTORS[2:], ACTORS)


def by_session(utterances, fold, folds, seed):
    """One session tests, the next one (after the fifth the first) validates."""
    test, valid = SESSIONS[fold - 1], SESSIONS[fold % len(SESSIONS)]
    return _by_key(utterances, "session", [valid], [test], SESSIONS)


def as_published(utterances, fold, folds, seed):
    """The parts that the corpus says."""
    splits = ("train", "dev", "test")
    return [[u for u in utterances if u.extra["split"] == x] for x in splits]


def at_random(utterances, fold, folds, seed):
    """Recordings drawn at random; a tenth of the training part validates."""
    if len(utterances) < 2 * folds:
        raise UserError(
            f"{len(utterances)} usable recordings are too few for {folds} "
            "folds; give the whole corpus."
        )
    from sklearn.model_selection import KFold, train_test_split

    splitter = KFold(folds, shuffle=True, random_state=seed)
    rest, test = _fold(splitter, fold, utterances)
    train, valid = train_test_split(rest, test_size=0.1, random_state=seed)
    return train, valid, test


def with_class_ratios(utterances, fold, folds, seed, one_in=10):
    """Recordings drawn at random from every class alike, for validation one in
    so many of those that do not test."""
    from sklearn.model_selection import StratifiedKFold

    _check_sizes(utterances, folds)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    rest, test = _fold(splitter, fold, utterances, _classes(utterances))
    return *hold_out_ratio(rest, fold, seed, one_in), test


def hold_out_ratio(utterances, fold, seed, one_in):
    """Training and validation parts with the same ratios of the classes."""
    # Not scikit-learn's stratified split: it refuses more classes than places
    # in the smaller part. Every tenth of the recordings in the order of their
    # classes is a tenth of each class, give or take one (every fifth a fifth).
    rng = stable_rng("valid", seed, fold)
    order = rng.permutation(len(utterances))
    rest = [utterances[index] for index in order]
    rest.sort(key=lambda one: one.emotion)
    held_out = slice(rng.integers(min(one_in, len(rest))), None, one_in)
    valid = rest[held_out]
    del rest[held_out]
    return rest, valid


def by_speaker(utterances, fold, folds, seed):
    """One speaker tests; about a tenth of the others validates."""
    tested = speakers_of(utterances)[fold - 1]
    rest = [one for one in utterances if one.speaker != tested]
    test = [one for one in utterances if one.speaker == tested]
    return *_hold_out_speakers(rest, seed), test


def by_group_of_speakers(utterances, fold, folds, seed):
    """Whole speakers test and validate, the classes as even as they allow."""
    _check_sizes(utterances, folds)
    rest, test = _speaker_fold(utterances, fold, folds, seed)
    return *_hold_out_speakers(rest, seed), test


def by_group_in_turn(utterances, fold, folds, seed):
    """One group of speakers tests, the next one (as in ``by_session``)
    validates."""
    _check_sizes(utterances, folds)
    rest, test = _speaker_fold(utterances, fold, folds, seed)
    _, valid = _speaker_fold(utterances, fold % folds + 1, folds, seed)
    held_out = {one.id for one in valid}
    return [one for one in rest if one.id not in held_out], valid, test


def by_speakers_of_every_corpus(utterances, fold, folds, seed):
    """About a fifth of the speakers of each corpus tests, of the others
    validates, the classes as even as they allow."""
    parts = [], [], []
    for corpus in corpora_of(utterances):
        rest = [one for one in utterances if one.corpus == corpus]
        rest, test = _hold_out_fifth(rest, "test", seed, corpus)
        train, valid = _hold_out_fifth(rest, "valid", seed, corpus)
        for part, some in zip(parts, (train, valid, test)):
            part.extend(some)
    _check_validation(parts[1], utterances, "for validation and for test")
    return parts


def by_corpus(utterances, fold, folds, seed):
    """One corpus tests; about a fifth of the speakers of each of the others
    validates. Of the test, classes that training lacks are left out."""
    tested = corpora_of(utterances)[fold - 1]
    others = [one for one in utterances if one.corpus != tested]
    train, valid = [], []
    for corpus in corpora_of(others):
        rest = [one for one in others if one.corpus == corpus]
        rest, some = _hold_out_fifth(rest, "valid", seed, corpus)
        train += rest
        valid += some
    _check_validation(valid, others, "for validation")
    known = set(_classes(train))
    test = [one for one in utterances if one.corpus == tested]
    return train, valid, [one for one in test if one.emotion in known]


def corpora_of(utterances):
    """Names of the corpora, sorted."""
    return sorted({one.corpus for one in utterances})


def speakers_of(utterances):
    """Names of the speakers, sorted."""
    return sorted({one.speaker for one in utterances})


def _check_validation(valid, utterances, purpose):
    if not valid:
        raise UserError(
            f"{len(utterances)} recordings of {len(speakers_of(utterances))} "
            f"speakers are too few to hold out speakers {purpose}; give "
            "another corpus."
        )


def _by_key(utterances, key, valid, test, needed):
    found = {getattr(one, key) for one in utterances}
    for name in needed:
        if name not in found:
            raise UserError(
                f"The data has no usable recording of the {key} {name}, which "
                "the protocol needs; unpack the whole corpus, or choose the "
                "protocol grouped_kfold."
            )
    parts = [], [], []
    for one in utterances:
        name = getattr(one, key)
        parts[2 if name in test else 1 if name in valid else 0].append(one)
    return parts


def _hold_out_speakers(utterances, seed):
    """Training and validation parts without a speaker in common."""
    speakers = len(speakers_of(utterances))
    parts = min([10, speakers, *Counter(_classes(utterances)).values()])
    if parts < 2:
        raise UserError(
            f"{len(utterances)} recordings of {speakers} speakers are left, "
            "too few to hold out a speaker for validation; give more data."
        )
    # The seed shuffles only speakers of equal weight; it is to choose between
    # uneven ones as well.
    part = int(stable_rng("valid", seed).integers(parts)) + 1
    return _speaker_fold(utterances, part, parts, seed)


def _hold_out_fifth(utterances, part, seed, corpus):
    """The rest, and whole speakers of a corpus; none where there is one."""
    # Those of a session talk to each other.
    groups = [one.session or one.speaker for one in utterances]
    classes = _classes(utterances)
    # One class at least is to have a recording for every fold.
    most = max(Counter(classes).values())
    folds = min(FOLDS, len(set(groups)), most)
    if folds < 2:
        return utterances, []
    from sklearn.model_selection import StratifiedGroupKFold

    fold = int(stable_rng(part, seed, corpus).integers(folds)) + 1
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # IEMOCAP has two recordings of disgust: not one for each fold.
        warnings.filterwarnings("ignore", "The least populated class")
        return _fold(splitter, fold, utterances, classes, groups)


def _speaker_fold(utterances, fold, folds, seed):
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    speakers = [one.speaker for one in utterances]
    return _fold(splitter, fold, utterances, _classes(utterances), speakers)


def _fold(splitter, fold, utterances, classes=None, groups=None):
    parts = list(splitter.split(utterances, classes, groups))
    rest, test = parts[fold - 1]
    return [utterances[i] for i in rest], [utterances[i] for i in test]


def _classes(utterances):
    return [one.emotion for one in utterances]


def _check_sizes(utterances, folds):
    for name, count in sorted(Counter(_classes(utterances)).items()):
        if count < folds:
            raise UserError(
                f"The class '{name}' has {count} recordings, too few for "
                f"{folds} folds; give the whole corpus, or leave the class "
                "out with label_map."
            )
