"""Manifests of a run: complete, written once, and made of good recordings."""

import csv
import json

import numpy as np
import pytest
import soundfile
from ruamel.yaml import YAML

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.corpora import emodb
from speechbrain_ext.training import preparation
from speechbrain_ext.training.preparation import load_splits, prepare
from speechbrain_ext.utterance import load_manifest
from tests.corpora.trees import plant, savee, snapshot, tiny
from tests.recipes.running import CODES, DIARIZATION, ravdess_tree, zed_tree

NAMES = ["train", "valid", "test"]
ACTORS = [f"ravdess_{actor:02d}" for actor in range(1, 25)]
SPEAKERS = dict(zip(NAMES, [ACTORS[:16], ACTORS[16:20], ACTORS[20:]]))
ONCE = {name: {} for name in NAMES}


@pytest.fixture
def data(tmp_path):
    """EmoDB: ten speakers in seven emotions, one recording each."""
    for speaker in emodb.GENDERS:
        for emotion in emodb.CORPUS.emotions:
            tiny(tmp_path / "emodb" / f"{speaker}a01{emotion}a.wav")
    return tmp_path / "emodb"


@pytest.fixture
def ravdess(tmp_path, synthetic_folder):
    return ravdess_tree(tmp_path / "ravdess", synthetic_folder)


@pytest.fixture
def zed(tmp_path, synthetic_folder):
    return zed_tree(tmp_path / "zed", synthetic_folder)


def recognition(data, **changes):
    return {
        "corpus": "emodb",
        "data_folder": str(data),
        "protocol": "grouped_kfold",
        "progress": False,
        **changes,
    }


def diarization(folder, **changes):
    return {
        "corpora": {"ravdess": str(folder)},
        "label_map": {name: name for name in CODES},
        "classes": list(CODES),
        "protocol": "list",
        "speakers": SPEAKERS,
        "simulation": ONCE,
        "progress": False,
        **changes,
    }


def skipped(folder):
    with open(folder / "skipped.csv", newline="") as file:
        return {row["file"]: row["reason"] for row in csv.DictReader(file)}


def recordings(folder):
    parts = (load_manifest(folder / f"recordings_{n}.json") for n in NAMES)
    return {utterance.wav for part in parts for utterance in part}


def test_what_is_written(data, tmp_path):
    folder = tmp_path / "manifests"
    before = snapshot(data)
    record = prepare(folder, **recognition(data, fold=2))
    assert snapshot(data) == before
    files = {"protocol.json", "skipped.csv", *(f"{one}.json" for one in NAMES)}
    assert {path.name for path in folder.iterdir()} == files
    assert json.loads((folder / "protocol.json").read_text()) == record
    splits = load_splits(folder)
    assert list(splits) == NAMES
    ids = [u.id for split in splits.values() for u in split]
    assert len(ids) == len(set(ids)) == 70
    speakers = [{u.speaker for u in split} for split in splits.values()]
    assert len(set.union(*speakers)) == sum(map(len, speakers)) == 10
    assert record["fold"] == 2 and record["skipped"] == 0
    assert record["recordings"] == {n: len(s) for n, s in splits.items()}
    assert (record["corpus"], record["test"]) == ("emodb", "recordings")


def test_one_record_for_all_recipes(data, ravdess, tmp_path):
    one = prepare(tmp_path / "a", **recognition(data))
    other = prepare(tmp_path / "b", **diarization(ravdess))
    assert list(one) == list(other)
    assert (other["name"], other["corpus"]) == ("list", "ravdess")
    assert other["classes"] == list(CODES) and other["test"] == "simulated"
    assert other["speakers"] == {"train": 16, "valid": 4, "test": 4}
    assert other["speakers_shared_with_train"] == {"valid": 0, "test": 0}


@pytest.fixture(params=[recognition, diarization])
def options(request, data, ravdess):
    return request.param(data if request.param is recognition else ravdess)


def test_it_is_done_once(options, tmp_path, monkeypatch):
    folder = tmp_path / "manifests"
    record = prepare(folder, **options)
    train = (folder / "train.json").read_bytes()
    # One that was killed before its last file is done again, the same.
    (folder / "protocol.json").unlink()
    (folder / "train.json").write_text("half")
    (folder / "test.json").unlink()
    assert prepare(folder, **options) == record
    assert (folder / "train.json").read_bytes() == train
    before = snapshot(folder)
    # A complete one is left alone.
    monkeypatch.setattr(preparation, "read_corpus", None)
    assert prepare(folder, **options) == record
    changes = {
        "fold": 2,
        "seed": 2,
        "protocol": "leave_one_speaker_out",
        "only": {"language": ["de"]},
    }
    if "corpus" in options:
        changes["label_map"] = {"sad": "sad", "angry": "angry"}
    for name, value in changes.items():
        with pytest.raises(UserError, match="prepared with other options"):
            prepare(folder, **{**options, name: value})
    assert snapshot(folder) == before


def test_folds_and_seeds_decode_nothing_again(options, tmp_path, reads):
    options["cache"] = str(tmp_path / "cache" / "recordings.json")
    once = prepare(tmp_path / "1", **options)
    decoded = len(reads)
    assert decoded == sum(once["recordings"].values()) + once["skipped"]
    again = prepare(tmp_path / "2", **{**options, "seed": 2})
    if "corpus" in options:
        prepare(tmp_path / "3", **{**options, "fold": 3})
    assert len(reads) == decoded
    assert again["skipped"] == once["skipped"]


def test_several_corpora(data, tmp_path):
    """Each brings its own labels, and a class is there if one has it."""
    folders = {"emodb": str(data), "savee": str(plant(tmp_path / "s", savee()))}
    options = {"corpora": folders, "progress": False}
    record = prepare(tmp_path / "m", "grouped_kfold", **options)
    assert record["corpus"] == "emodb+savee"
    assert sum(record["recordings"].values()) == 550
    assert {"bored", "surprised"} < set(record["classes"])
    splits = load_splits(tmp_path / "m")
    assert {u.corpus for u in splits["train"]} == {"emodb", "savee"}
    with pytest.raises(UserError, match="takes recordings of one corpus, got "):
        prepare(tmp_path / "n", "jafarzadeh", **options)


def test_corpora_of_a_paper_that_are_there(tmp_path):
    """Any of them; a recording without sound is seen when it is decoded."""
    names = [
        f"AudioWAV/{actor}_DFA_{emotion}_XX.wav"
        for actor in range(1001, 1006)
        for emotion in ("ANG", "NEU", "SAD")
    ]
    folders = {
        "savee": str(plant(tmp_path / "savee", savee())),
        "cremad": str(plant(tmp_path / "cremad", names)),
        **dict.fromkeys(("tess", "iemocap")),
    }
    silent = tmp_path / "cremad" / "AudioWAV" / "1076_MTI_SAD_XX.wav"
    soundfile.write(silent, np.zeros(1600), 16000)
    for protocol in ("sharma", "sharma_clean"):
        options = {"corpora": folders, "progress": False}
        record = prepare(tmp_path / protocol, protocol, **options)
        assert record["corpus"] == "cremad+savee"
        assert sum(record["recordings"].values()) == 360 + 10
        assert record["left_out"] == {"neutral": 125}
        assert skipped(tmp_path / protocol) == {str(silent): "has no sound"}
    with pytest.raises(UserError, match="no folder is given; .* of cremad, ie"):
        prepare(tmp_path / "m", "sharma", corpora=dict.fromkeys(folders))


def test_what_inputs_lack_changes_no_split(data, tmp_path):
    # As folds have even numbers of recordings, the others would move.
    speaker = min(emodb.GENDERS)

    def lacks(record):
        return "has no text" if record["speaker"].endswith(speaker) else None

    prepare(tmp_path / "all", **recognition(data))
    prepare(tmp_path / "some", **recognition(data), lacks=[lacks])
    every, some = (load_splits(tmp_path / name) for name in ("all", "some"))
    for name in NAMES:
        kept = [one for one in every[name] if lacks(one.to_dict()) is None]
        assert some[name] == kept
    assert len(skipped(tmp_path / "some")) == 7
    record = json.loads((tmp_path / "some" / "protocol.json").read_text())
    assert sum(record["recordings"].values()) == 63
    tested = {one.speaker for one in every["test"]}
    with pytest.raises(UserError, match="no recording of the split 'test'"):
        prepare(
            tmp_path / "none",
            **recognition(data),
            lacks=[lambda x: "no" if x["speaker"] in tested else None],
        )


def test_longer_than_the_encoder_takes(data, tmp_path):
    tiny(data / "16a01Wa.wav", samples=3000)
    with pytest.raises(UserError, match="16a01Wa.wav.* has 0.2 s, the encoder"):
        prepare(tmp_path / "m", **recognition(data, max_samples=2999))
    assert not (tmp_path / "m" / "protocol.json").exists()
    prepare(tmp_path / "m", **recognition(data, max_samples=3000))


def test_bad_recordings_are_listed_and_nothing_else_is_lost(ravdess, tmp_path):
    empty, broken, click = sorted(ravdess.rglob("03-01-05-*.wav"))[:3]
    empty.write_bytes(b"")
    data, _ = soundfile.read(broken, dtype="float32")
    soundfile.write(click, data[:800], 16000)
    data[100] = np.nan
    soundfile.write(broken, data, 16000, subtype="FLOAT")
    bad = {empty: "empty file", broken: "not finite", click: "no speech"}
    before = snapshot(ravdess)
    folder = tmp_path / "manifests"
    assert prepare(folder, **diarization(ravdess))["skipped"] == len(bad)
    found = skipped(folder)
    assert set(found) == set(map(str, bad))
    for path, reason in bad.items():
        assert reason in found[str(path)]
    good = {str(path) for path in ravdess.rglob("03-*") if path not in bad}
    assert recordings(folder) == good
    assert snapshot(ravdess) == before, "the corpus was written to"


@pytest.mark.parametrize("protocol", ["speaker", "utterance"])
def test_sources_never_cross_the_split(ravdess, zed, tmp_path, protocol):
    folder = tmp_path / "manifests"
    changes = {"protocol": protocol, "valid_fraction": 0.4, "speakers": None}
    options = diarization(ravdess, zed_folder=str(zed), **changes)
    record = prepare(folder, **options)
    plans = [load_manifest(folder / f"{name}.json") for name in NAMES[:2]]
    train, valid = ({p["wav"] for u in x for p in u.pieces} for x in plans)
    assert train and valid and not train & valid
    shared = record["speakers_shared_with_train"]
    assert (shared["valid"] == 0) == (protocol == "speaker")
    # ZED does not say who speaks.
    assert (record["test"], shared["test"]) == ("ZED", None)
    assert not (folder / "recordings_test.json").exists()
    assert {u.corpus for u in load_manifest(folder / "test.json")} == {"zed"}


def test_zed_with_bad_recordings(ravdess, zed, tmp_path):
    wavs = sorted(zed.rglob("*.wav"))
    data, _ = soundfile.read(wavs[0], dtype="float32")
    data[5] = np.inf
    soundfile.write(wavs[0], data, 16000, subtype="FLOAT")
    wavs[1].unlink()
    folder = tmp_path / "manifests"
    # The speakers of a test beside ZED are counted.
    record = prepare(folder, **diarization(ravdess, zed_folder=str(zed)))
    assert record["left_out"] == {"test, ZED in its place": 16}
    assert len(load_manifest(folder / "test.json")) == 1
    assert len(skipped(folder)) == 2
    text = (zed / "ZED.json").read_text().replace('"sad"', '"angry"')
    (zed / "ZED.json").write_text(text)
    options = diarization(ravdess, zed_folder=str(zed), classes=["neutral"])
    options["label_map"] = {**dict.fromkeys(CODES), "neutral": "neutral"}
    with pytest.raises(UserError, match="classes: 'angry' of ZED"):
        prepare(tmp_path / "other", **options)


def test_the_yaml_of_ravdess_leaves_songs_out(ravdess, tmp_path):
    # The songs lie beside the speech, by the same actors.
    for path in sorted(ravdess.rglob("03-01-*.wav")):
        song = path.with_name(path.name.replace("03-01-", "03-02-"))
        song.write_bytes(path.read_bytes())
    loaded = YAML(typ="rt").load(DIARIZATION / "hparams/ravdess_frozen.yaml")
    options = diarization(ravdess, only=loaded["preparation"]["only"])
    record = prepare(tmp_path / "manifests", **options)
    speech = {str(path) for path in ravdess.rglob("03-01-*.wav")}
    assert recordings(tmp_path / "manifests") == speech
    assert record["left_out"] == {"only": len(speech)}


ODD = {**SPEAKERS, "test": [*ACTORS[20:], "ravdess_25"]}
SHORT = {**ONCE, "test": {"max_duration": 0.1}}


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"label_map": {"sad": "sad"}}, "label_map: it does not name"),
        ({"corpora": {"ravdess": None}}, "no recording is left"),
        ({"corpora": {"ravdess": "/no/such"}}, "/no/such"),
        ({"corpora": {"ravdes": "/no/such"}}, "did you mean 'ravdess'"),
        ({"only": {"language": ["de"]}}, "no recording is left"),
        ({"classes": [*CODES, "bored"]}, "no recording of 'bored'"),
        ({"speakers": ODD}, "'ravdess_25' has no usable recording"),
        ({"simulation": SHORT}, "of at most 0.1 s"),
    ],
)
def test_options_that_do_not_fit_the_data(
    ravdess, tmp_path, change, sentence, reads
):
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path / "manifests", **diarization(ravdess, **change))
    assert not (tmp_path / "manifests" / "protocol.json").exists()
    assert not reads or "simulation" in change


LABELS = {"happy": "sad", "bored": "glad"}
GLAD = "bored: expected one of the classes neutral, .*, or null, got 'glad'"
PARTS = "expected the splits train, valid, test, got 'dev'."
NO_TEST = {"train": ["a"], "valid": ["b"]}
ZERO = {**ONCE, "valid": {"passes": 0}}


@pytest.mark.parametrize(
    "option, value, sentence",
    [
        ("label_map", LABELS, f"label_map: {GLAD}"),
        ("label_map", None, "label_map: expected one of the classes"),
        ("simulation", [], "simulation: expected options for each of train, "),
        ("simulation", {"test": {}}, "simulation: 'train' is missing; give op"),
        ("simulation", {**ONCE, "dev": {}}, f"simulation: {PARTS}"),
        ("simulation", ZERO, "simulation.valid.passes: expected a whole num"),
        ("speakers", None, "speakers: expected a list of speakers for each of"),
        ("speakers", NO_TEST, "speakers: 'test' is missing; give a list of"),
        ("speakers", {**SPEAKERS, "dev": ["x"]}, f"speakers: {PARTS}"),
        ("protocol", "speaker", "'speaker' leaves nothing to test on; give"),
        ("protocol", "session", "protocol: expected one of utterance, speaker"),
        ("protocol", "pepino_iemocap", "is for iemocap, not for 'ravdess'"),
        # ZED is read before the corpora.
        ("zed_folder", "/no/such/zed", "/no/such/zed"),
    ],
)
def test_wrong_options_are_noticed_before_the_corpora_are_read(
    tmp_path, monkeypatch, option, value, sentence
):
    read = preparation.read_corpus

    def only_zed(name, folder):
        assert name == "zed", "a corpus was read first"
        return read(name, folder)

    monkeypatch.setattr(preparation, "read_corpus", only_zed)
    options = diarization("/no/such", **{option: value})
    if value == "pepino_iemocap":
        options["label_map"] = None
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_no_yaml_counts_the_classes_itself():
    wanted = "num_classes: !apply:builtins.len [!ref <classes>]"
    for path in (DIARIZATION / "hparams").glob("*.yaml"):
        lines = path.read_text().splitlines()
        counts = {one.strip() for one in lines if "num_classes:" in one}
        assert counts == {wanted}, path.name


def test_phones_where_an_input_reads_them(data, tmp_path):
    options = recognition(data)
    reads = {"audio", "alignment"}
    sentence = "^preparation.phones: .* none of the 70 recordings has a"
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path / "none", **options, reads=reads)
    assert not (tmp_path / "none").exists()
    paths = sorted(data.glob("*.wav"))
    for path in paths[1:]:
        path.with_suffix(".ctm").write_text("a 1 0 0.01 AA\n")
    record = prepare(tmp_path / "some", **options, reads=reads)
    reason = "has no TextGrid or CTM beside it"
    assert skipped(tmp_path / "some") == {str(paths[0]): reason}
    assert record["skipped"] == 1
    splits = load_splits(tmp_path / "some")
    found = [u.alignment for split in splits.values() for u in split]
    assert found == [[{"phone": "AA", "start": 0.0, "end": 0.01}]] * 69
    # Of what no input reads nothing is said; German is no matter then.
    record = prepare(tmp_path / "all", **options, phones="pocketsphinx")
    assert record["skipped"] == 0
    sentence = "^preparation.phones: pocketsphinx aligns English alone"
    with pytest.raises(UserError, match=sentence):
        how = {**options, "phones": "pocketsphinx", "reads": reads}
        prepare(tmp_path / "german", **how)
