"""Preparing the data of the diarization recipe: bad input loses nothing."""

import csv
import importlib.util
import os
import sys

import numpy as np
import pytest
import soundfile
from ruamel.yaml import YAML
from scipy.signal import resample_poly

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.utterance import load_manifest
from tests.recipes.running import CODES, DIARIZATION, ravdess_tree, zed_tree


@pytest.fixture(scope="module")
def recipe():
    sys.path.insert(0, str(DIARIZATION))
    spec = importlib.util.spec_from_file_location(
        "recipe_prepare", DIARIZATION / "prepare.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(DIARIZATION))
    return module


@pytest.fixture
def prepare(recipe):
    return recipe.prepare


@pytest.fixture
def ravdess(tmp_path, synthetic_folder):
    return ravdess_tree(tmp_path / "ravdess", synthetic_folder)


def named(first, last):
    return [f"ravdess_{actor:02d}" for actor in range(first, last + 1)]


SPEAKERS = {
    "train": named(1, 16),
    "valid": named(17, 20),
    "test": named(21, 24),
}
ONCE = {"train": {}, "valid": {}, "test": {}}


def options(folder, **changes):
    return {
        "corpora": {"ravdess": str(folder)},
        "label_map": {name: name for name in CODES},
        "classes": list(CODES),
        "seed": 1,
        "split": "list",
        "speakers": SPEAKERS,
        "simulation": ONCE,
        "progress": False,
        **changes,
    }


def snapshot(folder):
    return {
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def skipped(folder):
    with open(folder / "skipped.csv", newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def test_bad_recordings_are_listed_and_nothing_else_is_lost(
    prepare, ravdess, tmp_path
):
    bad = {}
    wavs = sorted(ravdess.rglob("03-01-05-*.wav"))
    wavs[0].write_bytes(b"")
    bad[wavs[0]] = "empty file"
    wavs[1].write_bytes(wavs[1].read_bytes()[:5000])
    bad[wavs[1]] = "truncated"
    data, _ = soundfile.read(wavs[2], dtype="float32")
    data[100] = np.nan
    soundfile.write(wavs[2], data, 16000, subtype="FLOAT")
    bad[wavs[2]] = "not finite"
    data, _ = soundfile.read(wavs[3])
    flac = wavs[3].with_suffix(".flac")
    soundfile.write(flac, data, 16000)
    wavs[3].unlink()
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    bad[flac] = "truncated"
    soundfile.write(wavs[4], data[:800], 16000)
    bad[wavs[4]] = "no speech"
    # These are unusual, but good.
    fine = resample_poly(data, 441, 160)
    soundfile.write(wavs[5], np.stack([fine, fine], 1), 44100)
    soundfile.write(wavs[6], resample_poly(data, 1, 2), 8000)
    before = snapshot(ravdess)

    folder = tmp_path / "manifests"
    prepare(folder, **options(ravdess))

    found = skipped(folder)
    assert {path: True for path in map(str, bad)} == {
        path: True for path in found
    }
    for path, reason in bad.items():
        assert reason in found[str(path)]
    used = {
        utterance.wav
        for name in ("train", "valid", "test")
        for utterance in load_manifest(folder / f"recordings_{name}.json")
    }
    assert used == {
        str(path) for path in ravdess.rglob("03-*") if path not in bad
    }
    assert snapshot(ravdess) == before, "the corpus was written to"


def test_sources_never_cross_the_split(
    prepare, ravdess, tmp_path, synthetic_folder
):
    zed = zed_tree(tmp_path / "zed", synthetic_folder)
    for split in ("speaker", "utterance"):
        folder = tmp_path / split
        try:
            protocol = prepare(
                folder,
                **options(
                    ravdess,
                    split=split,
                    valid_fraction=0.4,
                    zed_folder=str(zed),
                    simulation={"train": {}, "valid": {}},
                ),
            )
        except UserError as error:
            pytest.fail(str(error))
        used = [
            {
                piece["wav"]
                for utterance in load_manifest(folder / f"{name}.json")
                for piece in utterance.pieces
            }
            for name in ("train", "valid")
        ]
        assert used[0] and used[1] and not used[0] & used[1]
        shared = protocol["speakers_shared_with_train"]["valid"]
        assert (shared == 0) == (split == "speaker")


def test_the_same_preparation_is_not_done_twice(prepare, ravdess, tmp_path):
    folder = tmp_path / "manifests"
    first = prepare(folder, **options(ravdess))
    before = snapshot(folder)
    assert prepare(folder, **options(ravdess)) == first
    assert snapshot(folder) == before
    with pytest.raises(UserError, match="prepared with other options"):
        prepare(folder, **options(ravdess, seed=2))
    # One that was killed before its last file is done again, the same.
    manifest = (folder / "train.json").read_bytes()
    (folder / "protocol.json").unlink()
    (folder / "train.json").write_text("half")
    prepare(folder, **options(ravdess))
    assert (folder / "train.json").read_bytes() == manifest


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"label_map": {"sad": "sad"}}, "label_map: it does not name"),
        ({"split": "session"}, "split: there is no 'session'"),
        ({"corpora": {"ravdess": None}}, "no recording is left"),
        ({"corpora": {"ravdess": "/no/such"}}, "/no/such"),
        ({"corpora": {"ravdes": "/no/such"}}, "There is no corpus 'ravdes'"),
        ({"only": {"language": ["de"]}}, "no recording is left"),
        ({"zed_folder": "/no/such"}, "/no/such"),
        ({"classes": [*CODES, "bored"]}, "no recording of 'bored'"),
        (
            {"speakers": {**SPEAKERS, "test": [*named(21, 24), "ravdess_25"]}},
            "'ravdess_25' has no usable recording",
        ),
    ],
)
def test_options_that_cannot_be(prepare, ravdess, tmp_path, change, sentence):
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path / "manifests", **options(ravdess, **change))
    assert not (tmp_path / "manifests" / "protocol.json").exists()


@pytest.mark.parametrize(
    "change, sentence",
    [
        (
            {"label_map": {"happy": "sad", "bored": "glad"}},
            "label_map: 'bored' becomes 'glad', which is none of the classes "
            "neutral, happy, sad, angry; give one of them, or null.",
        ),
        ({"label_map": None}, "label_map: None is no mapping"),
        (
            {"simulation": None},
            "simulation: None is no mapping; give the options of every split",
        ),
        (
            {"simulation": {"train": {}, "valid": {}}},
            "simulation: 'test' is missing; give its options",
        ),
        ({"simulation": {"test": {}}}, "simulation: 'train' is missing"),
        (
            {"simulation": {**ONCE, "dev": {}}},
            "simulation: there is no split 'dev'; give train, valid, test.",
        ),
        (
            {"simulation": {**ONCE, "train": {"pases": 2}}},
            "simulation.train: there is no option 'pases'; choose from "
            "passes, utterances, hours, crossfade, max_duration.",
        ),
        ({"simulation": {**ONCE, "test": None}}, "simulation.test: None is"),
        (
            {"simulation": {**ONCE, "valid": {"passes": 0}}},
            "simulation.valid: passes is 0; give a whole number from 1.",
        ),
        ({"speakers": None}, "speakers: split is 'list', but the speakers"),
        (
            {"speakers": {"train": ["a"], "valid": ["b"]}},
            "speakers: 'test' is missing; give its list of speakers.",
        ),
        (
            {"speakers": {"test": ["a"], "valid": ["b"]}, "zed_folder": "/no"},
            "speakers: 'train' is missing; give its list of speakers.",
        ),
        (
            {"speakers": {**SPEAKERS, "dev": ["x"]}},
            "speakers: there is no split 'dev'; name train, valid and test.",
        ),
        ({"split": "speaker"}, "split: 'speaker' leaves nothing to test on"),
        ({"split": "session"}, "split: there is no 'session'"),
        # ZED is read before the corpora.
        ({"zed_folder": "/no/such/zed"}, "/no/such/zed"),
    ],
)
def test_wrong_options_are_noticed_before_the_corpora_are_read(
    recipe, tmp_path, monkeypatch, change, sentence
):
    read = recipe.read_corpus

    def only_zed(name, folder):
        assert name == "zed", "a corpus was read first"
        return read(name, folder)

    monkeypatch.setattr(recipe, "read_corpus", only_zed)
    with pytest.raises(UserError) as error:
        recipe.prepare(tmp_path / "run", **options("/no/such", **change))
    assert sentence in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_test_beside_zed_is_left_over(
    prepare, ravdess, tmp_path, synthetic_folder
):
    zed = zed_tree(tmp_path / "zed", synthetic_folder)
    folder = tmp_path / "manifests"
    protocol = prepare(
        folder,
        **options(ravdess, split="speaker", speakers=None, zed_folder=str(zed)),
    )
    assert protocol["test"] == "ZED"
    assert not (folder / "recordings_test.json").exists()
    assert {u.corpus for u in load_manifest(folder / "test.json")} == {"zed"}


def test_the_yaml_of_ravdess_leaves_songs_out(prepare, ravdess, tmp_path):
    # The songs lie beside the speech, by the same actors.
    for path in sorted(ravdess.rglob("03-01-*.wav")):
        song = path.with_name(path.name.replace("03-01-", "03-02-"))
        song.write_bytes(path.read_bytes())
    loaded = YAML(typ="rt").load(DIARIZATION / "hparams/ravdess_frozen.yaml")
    asked = {"only": loaded["preparation"]["only"], "jobs": 1}
    folder = tmp_path / "manifests"
    prepare(folder, **options(ravdess, **asked))
    used = {
        utterance.wav
        for name in ("train", "valid", "test")
        for utterance in load_manifest(folder / f"recordings_{name}.json")
    }
    assert used == {str(path) for path in ravdess.rglob("03-01-*.wav")}


def test_no_yaml_counts_the_classes_itself():
    yamls = sorted((DIARIZATION / "hparams").glob("*.yaml"))
    assert len(yamls) == 5
    for path in yamls:
        lines = path.read_text().splitlines()
        counts = [one.strip() for one in lines if "num_classes:" in one]
        wanted = "num_classes: !apply:builtins.len [!ref <classes>]"
        assert counts and set(counts) == {wanted}, path.name


def test_the_wrong_folder(prepare, tmp_path):
    (tmp_path / "other").mkdir()
    soundfile.write(tmp_path / "other" / "song.wav", np.zeros(10), 16000)
    with pytest.raises(UserError, match="holds no RAVDESS recordings"):
        prepare(tmp_path / "manifests", **options(tmp_path / "other"))


def test_zed_with_a_bad_recording(prepare, ravdess, tmp_path, synthetic_folder):
    zed = zed_tree(tmp_path / "zed", synthetic_folder)
    wavs = sorted(zed.rglob("*.wav"))
    data, _ = soundfile.read(wavs[0], dtype="float32")
    data[5] = np.inf
    soundfile.write(wavs[0], data, 16000, subtype="FLOAT")
    os.remove(wavs[1])
    folder = tmp_path / "manifests"
    prepare(folder, **options(ravdess, zed_folder=str(zed)))
    assert len(load_manifest(folder / "test.json")) == 1
    assert len(skipped(folder)) == 2


def test_zed_with_an_emotion_that_is_no_class(
    prepare, ravdess, tmp_path, synthetic_folder
):
    zed = zed_tree(tmp_path / "zed", synthetic_folder)
    text = (zed / "ZED.json").read_text().replace('"sad"', '"angry"')
    (zed / "ZED.json").write_text(text)
    labels = {name: name for name in CODES} | {"angry": None}
    with pytest.raises(UserError, match="classes: 'angry' of ZED"):
        prepare(
            tmp_path / "manifests",
            **options(
                ravdess,
                zed_folder=str(zed),
                label_map=labels,
                classes=["neutral", "happy", "sad"],
            ),
        )
