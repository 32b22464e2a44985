"""A corpus and a protocol -> the manifests of a run."""

import logging
from pathlib import Path

from speechbrain.utils.distributed import run_on_main
from tqdm import tqdm

from speechbrain_ext.audio import AudioError
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import fingerprint, write_json
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.data import load_waveform
from speechbrain_ext.protocols import partition
from speechbrain_ext.training.run import earlier_preparation
from speechbrain_ext.utterance import (
    load_manifest,
    save_manifest,
    write_skipped,
)

logger = logging.getLogger("speechbrain_ext.recognition")

SPLITS = ("train", "valid", "test")


def prepare(
    folder,
    corpus,
    data_folder,
    protocol,
    fold=1,
    split_seed=1,
    label_map=None,
    max_samples=None,
    progress=True,
):
    """Write the manifests of a run."""
    folder = Path(folder)
    options = fingerprint(
        [corpus, str(data_folder), protocol, fold, split_seed, label_map]
    )
    earlier = earlier_preparation(folder, options)
    if earlier is not None:
        return earlier
    utterances, skipped = read_corpus(corpus, data_folder)
    usable = []
    for utterance in tqdm(
        utterances, f"Reading {corpus}", disable=not progress
    ):
        try:
            load_waveform(utterance.to_dict())
            usable.append(utterance)
        except AudioError as error:
            skipped.append((utterance.wav, str(error)))
    split = partition(protocol, usable, fold, split_seed, label_map)
    for name in SPLITS:
        _check_lengths(getattr(split, name), max_samples)
        save_manifest(getattr(split, name), folder / f"{name}.json")
    write_skipped(skipped, folder / "skipped.csv")
    if skipped:
        logger.warning(
            f"{len(skipped)} recordings could not be used; "
            f"'{folder / 'skipped.csv'}' says why."
        )
    record = {**split.record(), "skipped": len(skipped), "options": options}
    shared = record["speakers_shared_with_train"]["test"]
    logger.info(
        f"{protocol}, fold {fold} of {record['folds']}: recordings "
        f"{record['recordings']}, speakers {record['speakers']}, of the test "
        f"{shared} in training, too; left out {record['left_out'] or 'none'}."
    )
    # Last, so that a preparation that was killed is done again.
    write_json(record, folder / "protocol.json")
    return record


def load_splits(folder):
    """Utterances of train, valid and test, as ``prepare`` wrote them."""
    return {
        name: load_manifest(Path(folder) / f"{name}.json") for name in SPLITS
    }


def prepared_splits(folder, hparams, run_opts):
    """``prepare`` in one process, ``load_splits`` in all."""
    options = {
        **hparams["preparation"],
        "max_samples": hparams["encoder"].max_samples,
        "progress": not run_opts["noprogressbar"],
    }
    run_on_main(prepare, [folder], options)
    return load_splits(folder)


def _check_lengths(utterances, max_samples):
    for utterance in utterances:
        if max_samples and utterance.duration * 16000 > max_samples:
            raise UserError(
                f"encoder_source: '{utterance.wav}' has "
                f"{utterance.duration:.1f} s, the encoder takes "
                f"{max_samples / 16000:g} s; choose another encoder."
            )
