"""Corpora -> splits -> perhaps simulated utterances: the manifests of a run."""

import itertools
import logging
import os
from dataclasses import replace
from pathlib import Path

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.files import (
    fingerprint,
    read_json,
    write_csv,
    write_json,
)
from speechbrain_ext.conditioning.files import AudioFolder
from speechbrain_ext.conditioning.preparing import Conditioning
from speechbrain_ext.corpora import find_corpus, read_corpus
from speechbrain_ext.listening.alignment import align, check_alignable
from speechbrain_ext.listening.recordings import listen
from speechbrain_ext.protocols import PROTOCOLS, partition
from speechbrain_ext.protocols.splits import map_labels, split_by_options
from speechbrain_ext.simulation import simulate
from speechbrain_ext.training.checks import (
    SPLITS,
    check_lengths,
    check_preparation,
)
from speechbrain_ext.utterance import has_audio, load_manifest, save_manifest

logger = logging.getLogger(__name__)


def prepare(
    folder,
    protocol,
    corpora=None,
    corpus=None,
    data_folder=None,
    fold=1,
    seed=1,
    label_map=None,
    classes=None,
    only=None,
    valid_fraction=0.1,
    speakers=None,
    zed_folder=None,
    simulation=None,
    max_silence=0.2,
    max_samples=None,
    jobs=1,
    cache=None,
    progress=True,
    phones=None,
    transcriber=None,
    reads=(),
    lacks=(),
    device="cpu",
    preprocessing=None,
    balancing=None,
    audio_folder=None,
    audio_gigabytes=10,
):
    """Write the manifests of a run, and return what its results say of them.

    * ``protocol``: a key of ``PROTOCOLS`` with its ``fold``; or utterance,
      speaker (``valid_fraction`` of the recordings or speakers is held out for
      validation) or list (``speakers`` has those of every split), with
      ``label_map`` (from emotion to class, or to null) and ``classes``.
    * ``corpora``: from name to folder, or to null; or ``corpus`` and
      ``data_folder``. ``only``: from a field of the records, such as language,
      to the values to keep. ``zed_folder``: ZED, as the test set.
    * ``simulation``: from split to options of ``simulate``, which joins its
      recordings; ``max_silence`` (s) is what may remain within one.
    * ``max_samples``: the longest that the encoder takes, at 16 kHz.
    * ``lacks``: functions from a record to what the inputs miss of it, or
      None; such recordings are not used.
    * ``transcriber``: a Whisper by Hub name or folder, whose transcripts take
      the place of the text that the corpus has; it runs on the ``device``, its
      cache is ``transcripts.json`` beside the other one.
    * ``jobs`` decode; ``cache`` is a file that keeps what they found.
    * ``reads``: fields of a record that the inputs read. For ``alignment``
      there are files beside the audio, or ``phones`` names an aligner, whose
      cache is ``phones.json`` beside the other one.
    * ``preprocessing``: options of a ``Cleaner``, after which recordings that
      are too short are not used, and the split is made of the others.
      ``balancing``: how many recordings of every class train, with augmented
      copies, or without some. Both keep recordings in the ``audio_folder``, of
      at most ``audio_gigabytes``. None: neither.
    """
    if corpora is None:
        corpora = {corpus: str(data_folder)}
    for name in corpora:
        find_corpus(name)
    is_named = protocol in PROTOCOLS
    classes = check_preparation(
        protocol,
        corpora,
        label_map=label_map,
        classes=classes,
        speakers=speakers,
        zed_folder=zed_folder,
        simulation=simulation,
        preprocessing=preprocessing,
        balancing=balancing,
        audio_folder=audio_folder,
        phones=phones if "alignment" in reads else None,
    )
    is_conditioned = preprocessing is not None or balancing is not None
    given = {**corpora, "test": zed_folder}
    absolute = {name: x and os.path.realpath(x) for name, x in given.items()}
    # A folder is the same however it is spelled.
    kept = [protocol, fold, seed, label_map, classes, only]
    more = [valid_fraction, speakers, simulation, max_silence]
    aligned = "alignment" in reads
    # Runs without are known by what they were known by before there was any.
    more += [phones] if aligned else []
    more += [{"transcriber": transcriber}] if transcriber else []
    conditions = {"preprocessing": preprocessing, "balancing": balancing}
    more += [conditions] if is_conditioned else []
    options = [fingerprint([x, *kept], more) for x in (given, absolute)]
    folder = Path(folder)
    if (folder / "protocol.json").exists():
        earlier = read_json(folder / "protocol.json")
        then = earlier.get("options") if isinstance(earlier, dict) else None
        if not isinstance(then, list):
            where = f"'{folder / 'protocol.json'}'"
            remedy = f"delete '{folder}' to prepare the data again"
            raise expected(where, "the record of a split", earlier, remedy)
        # Either spelling will do.
        if any(one in then for one in options):
            if is_conditioned:
                _check_audio(folder)
            return earlier
        raise UserError(
            f"output_folder: '{folder.parent}' holds a run that was prepared "
            "with other options; choose another output_folder, or delete it."
        )

    if is_conditioned:
        folders = [folder for folder in corpora.values() if folder]
        where = audio_folder, audio_gigabytes, folders, jobs, progress
        how = preprocessing, balancing, AudioFolder(*where)
        work = Conditioning(*how, protocol, fold, seed)

    def split(utterances):
        if is_named:
            return partition(protocol, utterances, fold, seed, label_map)
        how = protocol, utterances, classes, seed, valid_fraction, speakers
        return split_by_options(*how)

    listening = {"cache": cache, "jobs": jobs, "progress": progress}
    # First, because decoding all corpora takes long.
    zed, skipped = _read_zed(zed_folder, classes, listening)
    utterances, left_out = _read_corpora(corpora, only or {}, skipped)
    if not is_named:
        utterances, unmapped = map_labels(utterances, label_map)
        left_out |= unmapped
    _check_not_empty(utterances, corpora, skipped)
    hears = simulation is not None or is_conditioned
    if hears or {"audio", "alignment"} & set(reads):
        utterances, bad = _without_lacking(utterances, [_lacks_audio])
        skipped += bad
        _check_not_empty(utterances, corpora, skipped)
    # What is wrong with the split is told before anything is decoded.
    used = _ids_of(split(utterances))
    if aligned:
        check_alignable([x for x in utterances if x.id in used], phones)
    silence = None if simulation is None else max_silence
    usable, bad = listen(utterances, silence, **listening)
    skipped += bad
    _check_not_empty(usable, corpora, skipped)
    # Before recordings are left out that only some inputs lack something of:
    # models of speech and of text are to have the same folds.
    parts, found = split(usable), {}

    def hear(utterances):
        if transcriber is None:
            return utterances
        # With transformers, whose import takes seconds.
        from speechbrain_ext.listening.transcripts import transcribe

        path = cache and Path(cache).with_name("transcripts.json")
        how = transcriber, path, progress, device
        utterances, found["transcripts"] = transcribe(utterances, *how)
        return utterances

    if is_conditioned:
        work.check(parts)
        used = _ids_of(parts)
        # What is said is heard in the recordings as they are.
        chosen = hear([one for one in usable if one.id in used])
        chosen, bad = work.clean(chosen, parts)
        skipped += bad
        # The split says again how many others it leaves out.
        others = [one for one in usable if one.id not in used]
        parts = work.balance(split(chosen + others))
        found["conditioning"] = work.record
        usable = _all_of(parts)
    else:
        usable = hear(_all_of(parts))
    if aligned:
        path = cache and Path(cache).with_name("phones.json")
        usable, bad = align(usable, phones, **{**listening, "cache": path})
        skipped += bad
    usable, bad = _without_lacking(usable, lacks)
    skipped += bad
    parts = _keep(parts, usable, skipped)
    if zed is not None:
        left_out |= {"test, ZED in its place": len(parts.test)}
        parts = replace(parts, test=zed)
    skipped += _write_parts(parts, folder, simulation, zed, max_samples)
    write_csv(folder / "skipped.csv", ["file", "reason"], skipped)
    record = parts.record()
    left_out |= parts.left_out
    record["left_out"] = {name: n for name, n in left_out.items() if n}
    made = "recordings" if simulation is None else "simulated"
    record["test"] = made if zed is None else "ZED"
    record |= {"skipped": len(skipped), "options": options}
    record |= found
    _tell(record, folder)
    # Last, so that a preparation that was killed is done again.
    write_json(record, folder / "protocol.json")
    return record


def _all_of(parts):
    """All utterances that are in a split."""
    return [one for name in SPLITS for one in getattr(parts, name)]


def _ids_of(parts):
    return {one.id for one in _all_of(parts)}


def _write_parts(parts, folder, simulation, zed, max_samples):
    """Manifests of the parts; what the simulation does not use, and why."""
    skipped = []
    for name in SPLITS:
        part = getattr(parts, name)
        if simulation is None or (name == "test" and zed is not None):
            check_lengths(part, max_samples, "encoder_source")
        else:
            save_manifest(part, folder / f"recordings_{name}.json")
            # Training counts its epochs from 1, the others stay at 0.
            options = {"epoch": int(name == "train"), **simulation[name]}
            part, unused = simulate(part, parts.seed, **options)
            skipped += unused
            check_lengths(part, max_samples, f"simulation.{name}")
            hours = sum(one.duration for one in part) / 3600
            logger.info(f"{name}: {len(part)} utterances, {hours:.2f} h.")
        save_manifest(part, folder / f"{name}.json")
    return skipped


def _tell(record, folder):
    if record["skipped"]:
        file, count = folder / "skipped.csv", record["skipped"]
        logger.warning(f"{count} recordings are not usable; '{file}' says why.")
    shared = record["speakers_shared_with_train"]["test"]
    logger.info(
        f"{record['name']}, fold {record['fold']} of {record['folds']}: "
        f"recordings {record['recordings']}, speakers {record['speakers']}, "
        f"of the test {shared} in training, too; left out "
        f"{record['left_out'] or 'none'}."
    )


def load_splits(folder):
    """Utterances of train, valid and test, as ``prepare`` wrote them."""
    paths = {name: Path(folder) / f"{name}.json" for name in SPLITS}
    splits = {name: load_manifest(path) for name, path in paths.items()}
    for name, utterances in splits.items():
        if not utterances:
            raise UserError(
                f"'{paths[name]}' holds no utterance; delete '{folder}' to "
                "prepare the data again."
            )
    return splits


def _check_audio(folder):
    """Raise a ``UserError`` unless what was made of recordings is there."""
    for one in itertools.chain(*load_splits(folder).values()):
        if not os.path.isfile(one.wav):
            raise UserError(
                f"audio_folder: '{one.wav}' is not there any more; delete "
                f"'{folder}', and start again: it is made anew."
            )


def prepared_splits(folder, hparams, run_opts):
    """``prepare`` in one process, ``load_splits`` in all."""
    from speechbrain.utils.distributed import run_on_main

    encoders = [one.encoder for one in hparams["inputs"].values()]
    longest = [one.max_samples for one in encoders]
    options = {
        **hparams["preparation"],
        "max_samples": min(filter(None, longest), default=None),
        "reads": {what for one in encoders for what in one.reads},
        "progress": not run_opts["noprogressbar"],
        "lacks": [one.lacks for one in encoders],
        "device": run_opts.get("device") or "cpu",
    }
    run_on_main(prepare, [folder], options)
    return load_splits(folder)


def resimulation(folder, seed, options):
    """Epoch -> a fresh plan of the training part, as ``prepare`` made it."""
    recordings = load_manifest(Path(folder) / "recordings_train.json")
    return lambda epoch: simulate(recordings, seed, epoch=epoch, **options)[0]


def _read_corpora(corpora, only, skipped):
    def is_wanted(utterance):
        record = utterance.to_dict() if only else {}
        return all(record[key] in only[key] for key in only if key in record)

    data, unwanted = [], 0
    for name, folder in corpora.items():
        if folder is None:
            continue
        utterances, bad = read_corpus(name, folder)
        skipped += bad
        wanted = [*filter(is_wanted, utterances)]
        data += wanted
        logger.info(f"{name}: {len(wanted)} of {len(utterances)} recordings.")
        if lacking := find_corpus(name).incomplete(len(utterances), folder):
            logger.warning(lacking)
        unwanted += len(utterances) - len(wanted)
    return data, {"only": unwanted}


def _check_not_empty(utterances, corpora, skipped):
    if not utterances:
        first = "".join(f" ('{a}': {b})" for a, b in skipped[:1])
        raise UserError(
            f"corpora: no recording is left to train on{first}; give the "
            f"folder of one of {', '.join(sorted(corpora))}, and check "
            "label_map and only."
        )


def _read_zed(folder, classes, listening):
    if folder is None:
        return None, []
    utterances, skipped = read_corpus("zed", folder)
    for utterance in utterances:
        for emotion in {one["emo"] for one in utterance.emotion} - {*classes}:
            raise UserError(
                f"classes: '{emotion}' of ZED's '{utterance.id}' is not one "
                f"of {', '.join(classes)}; add it."
            )
    usable, bad = listen(utterances, **listening)
    _check_not_empty(usable, {"zed": folder}, skipped + bad)
    return usable, skipped + bad


def _without_lacking(utterances, lacks):
    """Utterances that have what the inputs read; the others, and why."""
    usable, skipped = [], []
    for one in utterances:
        reasons = (lack(one.to_dict()) for lack in lacks)
        reason = next(filter(None, reasons), None)
        if reason is None:
            usable.append(one)
        else:
            skipped.append((one.wav or one.id, reason))
    return usable, skipped


def _keep(parts, usable, skipped):
    """The parts with what is left of them, none of which may be empty."""
    known, kept = {one.id: one for one in usable}, {}
    for name in SPLITS:
        part = getattr(parts, name)
        kept[name] = [known[one.id] for one in part if one.id in known]
        if part and not kept[name]:
            file, reason = skipped[-1]
            raise UserError(
                f"preparation: no recording of the split '{name}' has what the "
                f"inputs read ('{file}': {reason}); give their texts or "
                "alignments, or choose inputs that do without."
            )
    return replace(parts, **kept)


def _lacks_audio(record):
    return None if has_audio(record) else "has no audio"
