"""Which labels count, and who is in which split, from a recipe's options."""

from collections import Counter, defaultdict
from dataclasses import replace

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.protocols.partition import Partition

WAYS = ("utterance", "speaker", "list")


def split_by_options(
    way, utterances, classes, seed, valid_fraction=0.1, speakers=None
):
    """Split by one of ``WAYS``; without listed speakers test is empty."""
    if way == "list":
        parts = split_by_list(utterances, speakers)
    else:
        by_speaker = way == "speaker"
        split = split_by_speaker if by_speaker else split_by_utterance
        train, valid = split(utterances, valid_fraction, seed)
        parts = {"train": train, "valid": valid}
    remedy = "choose another split or seed, or add a corpus that has it"
    for name, part in parts.items():
        check_classes(part, classes, name, remedy)
    corpus = "+".join(sorted({one.corpus for one in utterances}))
    fields = {"fold": 1, "folds": 1, "seed": seed, "classes": list(classes)}
    return Partition(**{"test": []} | parts, name=way, corpus=corpus, **fields)


def map_labels(utterances, label_map):
    """Utterances with classes for labels, and the number left out by label."""
    kept, left_out, unknown = [], Counter(), Counter()
    for utterance in utterances:
        emotion = utterance.emotion
        if emotion not in label_map:
            unknown[(emotion, utterance.corpus)] += 1
        elif label_map[emotion] is None:
            left_out[emotion] += 1
        else:
            kept.append(replace(utterance, emotion=label_map[emotion]))
    if unknown:
        (emotion, corpus), count = min(unknown.items())
        raise UserError(
            f"label_map: it does not name '{emotion}' ({count} recordings of "
            f"{corpus}); give it a class, or null to leave it out."
        )
    return kept, left_out


def split_by_speaker(utterances, fraction, seed):
    """Hold out a fraction of the speakers of every corpus, at least one."""
    held_out = set()
    by_corpus = defaultdict(set)
    for one in utterances:
        by_corpus[one.corpus].add(one.speaker)
    for corpus, speakers in by_corpus.items():
        speakers = sorted(speakers)
        count = max(round(fraction * len(speakers)), int(len(speakers) > 1))
        order = stable_rng("speakers", seed, corpus).permutation(len(speakers))
        held_out.update(speakers[i] for i in order[:count])
    return _divide(utterances, "speaker", held_out)


def split_by_utterance(utterances, fraction, seed):
    """Hold out a fraction of every speaker's recordings of every emotion."""
    held_out = set()
    # Not scikit-learn's stratified split: it refuses more strata than places
    # in the smaller part, which is the usual case here.
    strata = defaultdict(list)
    for utterance in utterances:
        strata[utterance.speaker, utterance.emotion].append(utterance.id)
    for (speaker, emotion), ids in strata.items():
        ids = sorted(ids)
        rng = stable_rng("utterances", seed, speaker, emotion)
        # Randomly rounded: strata of four still give a tenth on average.
        count = int(fraction * len(ids) + rng.random())
        held_out.update(ids[i] for i in rng.permutation(len(ids))[:count])
    return _divide(utterances, "id", held_out)


def split_by_list(utterances, speakers):
    """Parts by name from their lists of speakers."""
    place = {}
    for name, members in speakers.items():
        # A word would be taken for a list of its letters.
        if not isinstance(members, (list, tuple)) or not all(
            isinstance(speaker, str) for speaker in members
        ):
            names = "names such as [ravdess_01, ravdess_02]"
            raise expected(f"speakers: '{name}'", names, members)
        for speaker in members:
            if speaker in place:
                raise UserError(
                    f"speakers: '{speaker}' is in '{place[speaker]}' and in "
                    f"'{name}'; name it once."
                )
            place[speaker] = name
    found = sorted({utterance.speaker for utterance in utterances})
    missing = sorted(set(place) - set(found))
    if missing:
        raise UserError(
            f"speakers: '{missing[0]}' has no usable recording; the data has "
            f"{_listed(found)}."
        )
    unnamed = sorted(set(found) - set(place))
    if unnamed:
        raise UserError(
            f"speakers: '{unnamed[0]}' is in the data but in no split; add it "
            f"to one of {_listed(sorted(speakers))}."
        )
    splits = {name: [] for name in speakers}
    for utterance in utterances:
        splits[place[utterance.speaker]].append(utterance)
    return splits


def check_classes(utterances, classes, split, remedy):
    """Raise a ``UserError`` unless every class occurs."""
    found = {utterance.emotion for utterance in utterances}
    for name in classes:
        if name not in found:
            raise UserError(
                f"The {split} part has no recording of '{name}'; {remedy}."
            )


def _divide(utterances, key, chosen):
    stay = [one for one in utterances if getattr(one, key) not in chosen]
    held_out = [one for one in utterances if getattr(one, key) in chosen]
    if not stay or not held_out:
        raise UserError(
            f"valid_fraction: of {len(utterances)} recordings {len(stay)} are "
            f"left for training and {len(held_out)} for validation; change "
            "it, or add data."
        )
    return stay, held_out


def _listed(names):
    shown = ", ".join(names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
