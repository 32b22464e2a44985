"""The protocols of the papers: which recordings, which classes, which folds.

* Pepino: L. Pepino, P. Riera and L. Ferrer, "Emotion Recognition from Speech
  Using wav2vec 2.0 Embeddings", Interspeech 2021.
* Issa: D. Issa, M. F. Demirci and A. Yazici, "Speech emotion recognition with
  deep convolutional neural networks", Biomedical Signal Processing and Control
  59, 2020; as Pepino imitates it in section 3.
* Jafarzadeh: P. Jafarzadeh, A. M. Rostami and P. Choobdar, "Speaker Emotion
  Recognition: Leveraging Self-Supervised Models for Feature Extraction Using
  Wav2Vec2 and HuBERT", 2024.
* Makiuchi: M. R. Makiuchi, K. Uto and K. Shinoda, "Multimodal Emotion
  Recognition with High-Level Speech and Text Features", ASRU 2021.
* Sharma: V. Sharma, "Speech and Text-Based Emotion Recognizer", 2023.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from speechbrain_ext.protocols import folds as ways

# Only the usual four classes, with excited as happy (Pepino, section 2.4).
FOUR_CLASSES = {
    "excited": "happy",
    **dict.fromkeys(
        "disgust fearful frustrated other surprised no_agreement".split()
    ),
}
# What each paper's corpora change in the labels of their modules.
JAFARZADEH = {name: {} for name in ("ravdess", "savee", "emodb", "aesdd")}
JAFARZADEH["shemo"] = {"fearful": None}
DEFAULT = {**JAFARZADEH, "iemocap": FOUR_CLASSES}
OTHERS = dict.fromkeys("calm disgust fearful surprised".split())
MAKIUCHI = {"ravdess": OTHERS, "synthetic": {}}
SHARMA = {
    **{x: {"neutral": None} for x in ("cremad", "savee", "tess", "ravdess")},
    "iemocap": dict.fromkeys(
        "neutral excited frustrated other no_agreement".split()
    ),
}


@dataclass(frozen=True)
class Protocol:
    """One way of the literature to evaluate on a corpus.

    Arguments
    ---------
    name, source, ours : str
        Its name in YAML files and records, paper and section, what the paper
        leaves open.
    corpora : dict
        From a corpus to the labels that change: ``{"calm": "neutral"}``
        merges, ``{"fearful": None}`` leaves out.
    divide : callable
        One of the functions of the module ``folds``.
    folds : int or None
        How many; None where it depends on the speakers.
    any_corpus, several, disjoint : bool
        Whether any corpora and a ``label_map`` will do too; whether those of
        the ``corpora`` that are there make one set of data; whether no speaker
        is in two parts.
    reject : callable
        Takes an utterance; returns why the protocol leaves it out, or None.
    longest : float or None
        Recordings are cut after so many seconds.
    one_in : int or None
        Where classes are balanced: how many recordings of training and
        validation have one for validation, if they are divided only after
        copies were made, so that copies of one are in both parts. Without it
        the training part alone is balanced.
    """

    name: str
    source: str
    ours: str
    corpora: dict
    divide: Callable
    folds: int | None = 5
    any_corpus: bool = False
    several: bool = False
    disjoint: bool = False
    reject: Callable = lambda utterance: None
    longest: float | None = None
    one_in: int | None = None


def _sung(utterance):
    sung = utterance.extra.get("vocal_channel") == "song"
    return "song" if sung else None


def _acted_or_disputed(utterance):
    if utterance.extra["style"] != "improvised":
        return utterance.extra["style"]
    return None if utterance.extra["agreement"] == 1 else "partial agreement"


OF_ANY_CORPUS = {
    "corpora": DEFAULT,
    "folds": None,
    "any_corpus": True,
    "disjoint": True,
    "reject": _sung,
}
OF_SHARMA = {"corpora": SHARMA, "several": True, "reject": _sung}
OF_IEMOCAP = {
    "corpora": {"iemocap": FOUR_CLASSES},
    "divide": ways.by_session,
    "disjoint": True,
    "longest": 15.0,
}
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "pepino_ravdess",
            source="Pepino et al. 2021, section 2.4: speech and song, neutral "
            "and calm merged; the first 20 actors train.",
            ours="Nothing. The paper's ranges of actors overlap at their "
            "edges; actors 21-22 validate and 23-24 test as in the authors' "
            "code.",
            corpora={"ravdess": {"calm": "neutral"}},
            divide=ways.by_actor,
            folds=1,
            disjoint=True,
        ),
        Protocol(
            "pepino_iemocap",
            source="Pepino et al. 2021, section 2.4: four classes, excited as "
            "happy, no turn without a majority; one session of five tests, "
            "one of the four others stops the training early; waveforms cut "
            "at 15 s.",
            ours="The session after the test session stops the training.",
            **OF_IEMOCAP,
        ),
        Protocol(
            "issa_ravdess",
            source="Pepino et al. 2021, section 3, after Issa et al. 2020: "
            "eight classes of speech, five random folds; speakers are in "
            "training and test alike.",
            ours="A random tenth of the training part stops the training; "
            "the folds follow from split_seed, and not from the seed.",
            corpora={"ravdess": {}},
            divide=ways.at_random,
            reject=_sung,
        ),
        Protocol(
            "issa_iemocap",
            source="Pepino et al. 2021, section 3, after Issa et al. 2020: "
            "only improvised turns on which all annotators agree.",
            ours="All else is as in pepino_iemocap, the five sessions too: "
            "the paper names no other difference. Annotators agree where "
            "each of the evaluators has the majority's label among theirs.",
            reject=_acted_or_disputed,
            **OF_IEMOCAP,
        ),
        Protocol(
            "jafarzadeh",
            source="Jafarzadeh et al. 2024, sections 4.1 and 4.2: each corpus "
            "by itself, 80 to 20 percent, ratios of the classes kept, five "
            "folds, ShEMO without fear; speakers are in training and test "
            "alike.",
            ours="A tenth of the training part, ratios kept, stops the "
            "training; the test parts of the five folds do not overlap.",
            corpora=JAFARZADEH,
            divide=ways.with_class_ratios,
            reject=_sung,
        ),
        Protocol(
            "makiuchi_iemocap",
            source="Makiuchi et al. 2021, sections 4 and 5: four classes, "
            "excited as happy, no turn without a majority; one session of "
            "five tests.",
            ours="The session after the test session chooses the checkpoint: "
            "the paper trains on all four for a million iterations, and "
            "takes the last one.",
            **OF_IEMOCAP | {"longest": None},
        ),
        Protocol(
            "makiuchi_grouped",
            source="The four classes of Makiuchi et al. 2021 on corpora "
            "without sessions.",
            ours="All: neutral, happy, sad and angry, without calm; five "
            "groups of speakers, classes as even as whole speakers allow; the "
            "group after the tested one chooses the checkpoint.",
            divide=ways.by_group_in_turn,
            **OF_ANY_CORPUS | {"corpora": MAKIUCHI, "any_corpus": False},
        ),
        Protocol(
            "goemotions",
            source="Demszky et al. 2020: the split that comes with the data.",
            ours="Four classes: comments whose labels all lie in one of the "
            "groups neutral, joy (as happy), sadness and anger; all others "
            "are left out.",
            corpora={"goemotions": FOUR_CLASSES},
            divide=ways.as_published,
            folds=1,
        ),
        Protocol(
            "sharma",
            source="Sharma 2023, section III.A: seven classes of CREMA-D, "
            "SAVEE, TESS, RAVDESS and IEMOCAP, none of them neutral; 80 to 20 "
            "percent for the test, and of the rest for validation, ratios of "
            "the classes kept; speakers are in all parts.",
            ours="No turn of IEMOCAP that is labelled excited: the tables "
            "count none. Five folds, of which the paper has one. Whichever of "
            "the corpora are there make the data.",
            divide=partial(ways.with_class_ratios, one_in=5),
            one_in=5,
            **OF_SHARMA,
        ),
        Protocol(
            "sharma_clean",
            source="The recordings and classes of Sharma 2023.",
            ours="The parts: of every corpus about a fifth of the speakers "
            "(of IEMOCAP a session, of TESS one) tests and of the others "
            "validates, if two or more are left; classes as even as whole "
            "speakers allow.",
            divide=ways.by_speakers_of_every_corpus,
            folds=1,
            disjoint=True,
            **OF_SHARMA,
        ),
        Protocol(
            "sharma_cross",
            source="The recordings and classes of Sharma 2023.",
            ours="The parts: one corpus tests, in alphabetical order; of each "
            "of the others about a fifth of the speakers (of IEMOCAP a "
            "session) validates, if there are two or more. Classes that "
            "training lacks (calm without RAVDESS) are not tested.",
            divide=ways.by_corpus,
            folds=None,
            disjoint=True,
            **OF_SHARMA,
        ),
        Protocol(
            "leave_one_speaker_out",
            source="Common practice: every speaker is tested once.",
            ours="All. About a tenth of the other speakers, at least one, "
            "stops the training. A speaker who lacks a class is tested "
            "without it. RAVDESS without song.",
            divide=ways.by_speaker,
            **OF_ANY_CORPUS,
        ),
        Protocol(
            "grouped_kfold",
            source="Common practice: folds of whole speakers.",
            ours="All. Five folds, or one a speaker where there are fewer; "
            "classes as even as whole speakers allow; about a tenth of the "
            "other speakers, at least one, stops the training. RAVDESS "
            "without song.",
            divide=ways.by_group_of_speakers,
            **OF_ANY_CORPUS,
        ),
    )
}
