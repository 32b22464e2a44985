"""Data of the recipe: corpora -> recordings -> simulated utterances.

Section 5.1 of Wang et al. (2023). Everything is written to the folder
``manifests`` of the run; corpus folders are only read.
"""

import logging
from pathlib import Path

from tqdm import tqdm

from speechbrain_ext.audio import AudioError, read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import fingerprint, write_json
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.protocols import (
    check_classes,
    map_labels,
    speakers_in_common,
    split_by_list,
    split_by_speaker,
    split_by_utterance,
)
from speechbrain_ext.simulation import check_options, simulate
from speechbrain_ext.simulation import prepare as find_speech
from speechbrain_ext.training.run import earlier_preparation
from speechbrain_ext.utterance import (
    load_manifest,
    save_manifest,
    write_skipped,
)

logger = logging.getLogger("speechbrain_ext.recipe")


def prepare(
    folder,
    corpora,
    label_map,
    classes,
    seed,
    split,
    simulation,
    valid_fraction=0.1,
    speakers=None,
    zed_folder=None,
    max_silence=0.2,
    only=None,
    jobs=1,
    cache=None,
    progress=True,
):
    """Write the manifests of a run.

    Arguments
    ---------
    folder : str
        The folder ``manifests`` of the run.
    corpora : dict
        From the name of a corpus to its folder; ``None`` leaves it out.
    label_map : dict
        From emotion to class; ``None`` leaves an emotion out.
    classes : list of str
        The classes of the task.
    seed : int
        For splits and simulation.
    split : str
        ``"utterance"`` (the paper's), ``"speaker"``, or ``"list"`` (the
        speakers of every split, the test included, are named).
    simulation : dict
        For each of ``"train"``, ``"valid"`` and, unless ZED is the test set,
        ``"test"``: the options of ``speechbrain_ext.simulation.simulate``.
    valid_fraction : float
        Held out for validation by ``"utterance"`` and ``"speaker"``.
    speakers : dict, optional
        From split to speakers, for ``"list"``.
    zed_folder : str, optional
        ZED, the test set of the paper.
    max_silence : float
        Longest silence that may remain in a recording (s).
    only : dict, optional
        From a field of the records (``language``, ``vocal_channel``, ...) to
        the values to keep; records without the field stay.
    jobs : int
        Processes that look for speech.
    cache : str, optional
        File that keeps what was found about recordings, for other runs.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    dict
        The protocol of the run, as it goes into its results.

    Raises
    ------
    UserError
        When a folder, a label, a split or an option of the simulation is not
        as it should be.
    """
    _check_label_map(label_map, classes)
    _check_splits(split, speakers, zed_folder)
    _check_simulation(simulation, split, speakers, zed_folder)
    asked = fingerprint(
        [corpora, label_map, classes, seed, split, simulation, valid_fraction],
        [speakers, zed_folder, max_silence, only],
    )
    folder = Path(folder)
    earlier = earlier_preparation(folder, asked)
    if earlier is not None:
        return earlier
    skipped = []
    # First, because looking for the speech of all corpora takes long.
    if zed_folder is not None:
        zed = _read_zed(zed_folder, classes, skipped, progress)
    data = _read_corpora(corpora, label_map, only or {}, skipped)
    parts = _split(data, split, valid_fraction, speakers, seed)
    for name in parts:
        check_classes(parts[name], classes, name)
        parts[name], bad = find_speech(
            parts[name], max_silence, cache, jobs, progress
        )
        skipped += bad
        check_classes(parts[name], classes, name)
        skipped += _simulate(parts[name], name, folder, seed, simulation)
    if zed_folder is not None:
        parts["test"] = zed
        save_manifest(zed, folder / "test.json")
    write_skipped(skipped, folder / "skipped.csv")
    if skipped:
        logger.warning(
            f"{len(skipped)} recordings could not be used; "
            f"'{folder / 'skipped.csv'}' says why."
        )
    protocol = {
        "split": split,
        "test": "simulated" if zed_folder is None else "ZED",
        "recordings": {name: len(part) for name, part in parts.items()},
        "speakers": {
            name: len({u.speaker for u in part} - {""})
            for name, part in parts.items()
        },
        "speakers_shared_with_train": {
            name: len(speakers_in_common(parts["train"], parts[name]))
            for name in parts
            if name != "train"
        },
        "skipped": len(skipped),
        "options": asked,
    }
    # Last, so that a preparation that was killed is done again.
    write_json(protocol, folder / "protocol.json")
    return protocol


def _check_label_map(label_map, classes):
    if not isinstance(label_map, dict):
        raise UserError(
            f"label_map: {label_map!r} is no mapping; give a class, or null, "
            "for every emotion of the corpora."
        )
    for label, name in label_map.items():
        if name is not None and name not in classes:
            raise UserError(
                f"label_map: '{label}' becomes '{name}', which is none of the "
                f"classes {', '.join(classes)}; give one of them, or null."
            )


def _check_splits(split, speakers, zed_folder):
    if split not in ("list", "speaker", "utterance"):
        raise UserError(
            f"split: there is no '{split}'; choose utterance, speaker or list."
        )
    if split != "list":
        if zed_folder is None:
            raise UserError(
                f"split: '{split}' leaves nothing to test on; give "
                "zed_folder, or name the speakers of the test with list."
            )
        return
    if not isinstance(speakers, dict):
        raise UserError(
            "speakers: split is 'list', but the speakers of the splits are "
            "not named; give a list for each of train, valid and test."
        )
    needed = ["train", "valid"] + ["test"] * (zed_folder is None)
    for name in needed:
        if name not in speakers:
            raise UserError(
                f"speakers: '{name}' is missing; give its list of speakers."
            )
    for name in speakers:
        if name not in ("train", "valid", "test"):
            raise UserError(
                f"speakers: there is no split '{name}'; name train, valid "
                "and test."
            )


def _check_simulation(simulation, split, speakers, zed_folder):
    if not isinstance(simulation, dict):
        raise UserError(
            f"simulation: {simulation!r} is no mapping; give the options of "
            "every split, such as {train: {passes: 1}, valid: {passes: 1}}."
        )
    needed = ["train", "valid"]
    # Speakers that are listed for a test are simulated even beside ZED.
    if zed_folder is None or (split == "list" and "test" in speakers):
        needed.append("test")
    for name in needed:
        if name not in simulation:
            raise UserError(
                f"simulation: '{name}' is missing; give its options, such as "
                "{passes: 1}."
            )
    for name, options in simulation.items():
        if name not in ("train", "valid", "test"):
            raise UserError(
                f"simulation: there is no split '{name}'; give "
                f"{', '.join(needed)}."
            )
        check_options(options, f"simulation.{name}")


def _read_corpora(corpora, label_map, only, skipped):
    data = []
    for name, folder in corpora.items():
        if folder is None:
            continue
        utterances, bad = read_corpus(name, folder)
        skipped += bad
        wanted = [u for u in utterances if _is_wanted(u.to_dict(), only)]
        kept, left_out = map_labels(wanted, label_map)
        data += kept
        logger.info(
            f"{name}: {len(kept)} recordings; left out by 'only': "
            f"{len(utterances) - len(wanted)}, by label_map: "
            f"{dict(sorted(left_out.items())) or 'none'}."
        )
    if not data:
        raise UserError(
            "corpora: no recording is left to train on; give the folder of "
            f"at least one of {', '.join(sorted(corpora))}."
        )
    return data


def _is_wanted(record, only):
    return all(
        field not in record or record[field] in values
        for field, values in only.items()
    )


def _split(data, split, valid_fraction, speakers, seed):
    if split == "list":
        return split_by_list(data, speakers)
    ways = {"speaker": split_by_speaker, "utterance": split_by_utterance}
    train, valid = ways[split](data, valid_fraction, seed)
    return {"train": train, "valid": valid}


def _simulate(recordings, name, folder, seed, simulation):
    save_manifest(recordings, folder / f"recordings_{name}.json")
    plan, unused = simulate(
        recordings, seed, epoch=first_epoch(name), **simulation[name]
    )
    save_manifest(plan, folder / f"{name}.json")
    hours = sum(utterance.duration for utterance in plan) / 3600
    logger.info(
        f"{name}: {len(recordings)} recordings of "
        f"{len({u.speaker for u in recordings})} speakers make {len(plan)} "
        f"utterances, {hours:.2f} h."
    )
    return unused


def first_epoch(name):
    """Epoch of a split's plan: training counts from 1, the others stay at 0."""
    return int(name == "train")


def _read_zed(folder, classes, skipped, progress):
    utterances, bad = read_corpus("zed", folder)
    skipped += bad
    usable = []
    for utterance in tqdm(utterances, desc="ZED", disable=not progress):
        for segment in utterance.emotion:
            if segment["emo"] not in classes:
                raise UserError(
                    f"classes: '{segment['emo']}' of ZED's '{utterance.id}' "
                    f"is none of {', '.join(classes)}; add it."
                )
        try:
            read_audio(utterance.wav)
            usable.append(utterance)
        except AudioError as error:
            skipped.append((utterance.wav, str(error)))
    return usable


def resimulation(folder, seed, options):
    """A fresh plan for every epoch of training.

    Arguments
    ---------
    folder : str
        The folder ``manifests`` of the run.
    seed : int
        As for ``prepare``.
    options : dict
        As ``simulation["train"]`` of ``prepare``.

    Returns
    -------
    callable
        Epoch -> list of Utterance.
    """
    recordings = load_manifest(Path(folder) / "recordings_train.json")
    return lambda epoch: simulate(recordings, seed, epoch=epoch, **options)[0]
