"""A run whose recordings are cleaned and whose classes are balanced."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.listening import transcripts
from speechbrain_ext.training.preparation import load_splits, prepare
from tests.conditioning.conftest import COUNTS, SHORT
from tests.corpora.trees import plant, savee, snapshot, tiny
from tests.text_checkpoints import make_transcriber

NAMES = ["train", "valid", "test"]
QUICK = {"reduce_noise": False}
LABELS = dict(
    a="angry", d="disgust", f="fearful", h="happy", sa="sad", su="surprised"
)
FILES = {LABELS[key]: 4 * n for key, n in COUNTS.items() if key != "n"}


@pytest.fixture(scope="module")
def audio_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audio")


@pytest.fixture
def options(savee_folder, audio_folder):
    return {
        "protocol": "sharma",
        "corpora": {"savee": str(savee_folder), "tess": None},
        "preprocessing": QUICK,
        "balancing": 30,
        "audio_folder": str(audio_folder),
        "progress": False,
        "reads": {"audio"},
    }


def classes(utterances):
    return Counter(one.emotion for one in utterances)


def is_copy(utterance):
    return "augmentation" in utterance.extra


def test_sharma(options, tmp_path, savee_folder):
    """The test first, copies next, and only then the validation part."""
    before = snapshot(savee_folder)
    record = prepare(tmp_path / "m", **options)
    assert snapshot(savee_folder) == before
    splits = load_splits(tmp_path / "m")
    assert classes(splits["train"]) == dict.fromkeys(FILES, 24)
    assert classes(splits["valid"]) == dict.fromkeys(FILES, 6)
    # A fifth of what is left after cleaning.
    left = FILES | {"angry": FILES["angry"] - 1}
    tested = classes(splits["test"])
    assert all(abs(tested[x] - n / 5) < 1 for x, n in left.items())
    assert not any(map(is_copy, splits["test"]))
    sources = {
        name: {one.extra["origin"] for one in part}
        for name, part in splits.items()
    }
    assert sources["train"] & sources["valid"]
    assert not sources["test"] & (sources["train"] | sources["valid"])
    every = [one for part in splits.values() for one in part]
    assert not any(SHORT in one.wav for one in every)
    ids = [one.id for one in every]
    assert len(set(ids)) == len(ids)
    for one in every:
        assert one.wav.startswith(options["audio_folder"])
        assert read_audio(one.wav).numel() / 16000 == one.duration
    # What is said of it.
    found = record["conditioning"]
    assert found["before"] == {"savee": dict(sorted(FILES.items()))}
    assert found["after"] == {"savee": dict(sorted(left.items()))}
    assert found["preprocessing"] == QUICK and found["balancing"] == 30
    assert found["cleaner"]["versions"].keys() == {"librosa"}
    copies = classes(one for one in every if is_copy(one))
    assert found["copies"] == {
        name: copies[name] for name in sorted(left) if copies[name]
    }
    assert found["copies"] == {
        name: 30 - (left[name] - tested[name])
        for name in sorted(left)
        if left[name] - tested[name] < 30
    }
    assert record["left_out"] == {"neutral": 8}
    assert record["recordings"] == dict(zip(NAMES, (144, 36, len(every) - 180)))
    assert json.loads((tmp_path / "m/protocol.json").read_text()) == record
    with open(tmp_path / "m/skipped.csv", newline="") as file:
        ((path, reason),) = list(csv.reader(file))[1:]
    assert path.endswith(f"{SHORT}.wav") and "min_duration of 1 s" in reason


def test_sharma_clean(options, tmp_path):
    """Training alone is balanced: no recording or speaker crosses a split."""
    options["protocol"] = "sharma_clean"
    record = prepare(tmp_path / "m", **options)
    splits = load_splits(tmp_path / "m")
    assert classes(splits["train"]) == dict.fromkeys(FILES, 30)
    assert not any(map(is_copy, splits["valid"] + splits["test"]))
    for key in ("speaker", "wav"):
        each = [{getattr(x, key) for x in part} for part in splits.values()]
        assert len(set.union(*each)) == sum(map(len, each))
    sources = [{x.extra["origin"] for x in part} for part in splits.values()]
    assert len(set.union(*sources)) == sum(map(len, sources))
    assert record["speakers_shared_with_train"] == {"valid": 0, "test": 0}
    plain = prepare(tmp_path / "n", **{**options, "balancing": None})
    assert plain["recordings"]["test"] == record["recordings"]["test"]
    parts = load_splits(tmp_path / "n")
    for name in ("valid", "test"):
        assert parts[name] == splits[name]
    assert "copies" not in plain["conditioning"]


def test_large_classes_are_reduced(options, tmp_path):
    options |= {"balancing": 14, "preprocessing": None}
    record = prepare(tmp_path / "m", **options)
    splits = load_splits(tmp_path / "m")
    counts = classes(splits["train"]) + classes(splits["valid"])
    assert counts == dict.fromkeys(FILES, 14)
    lost = record["left_out"]["happy, more than 14"]
    assert lost == 28 - classes(splits["test"])["happy"] - 14
    # Recordings as they are, and copies of some.
    copied = {is_copy(one) for one in splits["train"]}
    assert copied == {True, False}
    for one in splits["train"]:
        ours = one.wav.startswith(options["audio_folder"])
        assert ours == is_copy(one)


def test_resumed_and_told_apart(options, tmp_path, monkeypatch):
    record = prepare(tmp_path / "m", **options)
    manifests = [(tmp_path / f"m/{x}.json").read_bytes() for x in NAMES]
    (tmp_path / "m/protocol.json").unlink()
    assert prepare(tmp_path / "m", **options) == record
    assert manifests == [(tmp_path / f"m/{x}.json").read_bytes() for x in NAMES]
    for name, value in {
        "preprocessing": {},
        "balancing": 31,
        "protocol": "sharma_clean",
    }.items():
        with pytest.raises(UserError, match="prepared with other options"):
            prepare(tmp_path / "m", **{**options, name: value})
    # Where audio is kept makes no other run.
    options |= {"audio_folder": str(tmp_path / "b"), "audio_gigabytes": 2}
    assert prepare(tmp_path / "m", **options) == record
    assert not (tmp_path / "b").exists()
    # What is gone is told before training.
    gone = load_splits(tmp_path / "m")["train"][0].wav
    Path(gone).rename(f"{gone}.gone")
    sentence = f"audio_folder: '{gone}' is not there any more; delete '.*/m'"
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path / "m", **options)
    Path(f"{gone}.gone").rename(gone)
    assert prepare(tmp_path / "m", **options) == record


def test_runs_without_are_known_as_before(tmp_path, monkeypatch):
    """By the digests that they had before there was any of this."""
    plant(tmp_path / "savee", savee())
    monkeypatch.chdir(tmp_path)
    given = "sharma", {"savee": "savee", "tess": None}
    first = prepare("m", *given, progress=False)
    assert first["options"][0] == "33251d4b59ab596e84bc"
    how = {"transcriber": None, "fold": 2, "valid_fraction": 0.2}
    second = prepare("n", *given, progress=False, **how)
    assert second["options"][0] == "3f81d6ea16d0ee54239f"
    assert "conditioning" not in first


def test_transcripts_are_of_the_recordings_as_they_are(
    options, tmp_path, monkeypatch
):
    """Of each one, and copies say what it says; a model of speech has the
    same parts."""
    heard, load = [], transcripts.load_waveform
    monkeypatch.setattr(
        transcripts,
        "load_waveform",
        lambda record: heard.append(record["wav"]) or load(record),
    )
    speech = prepare(tmp_path / "speech", **options)
    assert not heard
    whisper = make_transcriber(tmp_path / "whisper")
    monkeypatch.setattr(
        transcripts.Transcriber,
        "__call__",
        lambda self, wavs, _: [f"{wav.abs().sum():.3f}" for wav in wavs],
    )
    options["transcriber"] = str(whisper)
    record = prepare(tmp_path / "text", **options)
    assert len(heard) == len(set(heard)) == sum(FILES.values())
    assert not any(x.startswith(options["audio_folder"]) for x in heard)
    assert record["transcripts"]["recordings"] == len(heard)
    assert record["recordings"] == speech["recordings"]
    one, other = (load_splits(tmp_path / x) for x in ("speech", "text"))
    texts = {}
    for name in NAMES:
        assert [x.id for x in one[name]] == [x.id for x in other[name]]
        for each in other[name]:
            origin = each.extra["origin"]
            assert texts.setdefault(origin, each.text) == each.text
    assert len(set(texts.values())) == len(texts)


def test_a_class_that_vanishes(options, tmp_path, savee_folder):
    """Others have short recordings, too."""
    corpus = shutil.copytree(savee_folder, tmp_path / "savee")
    for path in corpus.glob("*_su*.wav"):
        tiny(path, samples=8000)
    options["corpora"] = {"savee": str(corpus)}
    sentence = (
        r"preprocessing: none of the 12 recordings of 'surprised' is left "
        r"\('.*_su01.wav' lasts 0.5.*; lower min_duration, or raise top_db"
    )
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


def test_half_a_corpus(options, tmp_path, caplog):
    caplog.set_level("INFO")
    prepare(tmp_path / "m", **{**options, "preprocessing": None})
    assert "' holds 128 of the 480 recordings of SAVEE, and the" in caplog.text
    caplog.clear()
    plant(tmp_path / "savee", savee())
    corpora = {"savee": str(tmp_path / "savee")}
    prepare(tmp_path / "n", "sharma", corpora, progress=False)
    assert "480 of 480" in caplog.text and "holds" not in caplog.text


TIMES = "it changes the times of recordings, those of"


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"audio_folder": None}, "audio_folder: preprocessing keeps record"),
        ({"audio_folder": "CORPUS"}, "audio_folder: .* which is never written"),
        ({"audio_gigabytes": 1e-3}, "audio_folder: .* GB of audio_gigabytes"),
        ({"balancing": 0}, "balancing: expected a whole number from 1 to"),
        ({"balancing": 2000}, "balancing: the .* would need .* copies each"),
        ({"preprocessing": {"noise": 1}}, "there is no option 'noise'"),
        ({"zed_folder": "zed"}, f"preprocessing: {TIMES} zed_folder"),
        ({"simulation": {}}, f"preprocessing: {TIMES} simulation would"),
        (
            {"phones": "pocketsphinx", "reads": {"audio", "alignment"}},
            f"preprocessing: {TIMES} phones would be wrong; set one",
        ),
        (
            {"preprocessing": None, "simulation": {}},
            f"balancing: {TIMES} simulation would",
        ),
        (
            {"preprocessing": None, "audio_folder": None},
            "audio_folder: balancing keeps",
        ),
    ],
)
def test_options_that_do_not_fit(
    options, tmp_path, savee_folder, audio_folder, changes, sentence
):
    """They are told before a sound is written."""
    if changes.get("audio_folder") == "CORPUS":
        changes = {"audio_folder": str(savee_folder / "audio")}
    if "simulation" in changes:
        changes = {**changes, "simulation": dict.fromkeys(NAMES, {})}
    options |= {"audio_folder": str(tmp_path / "audio"), **changes}
    with pytest.raises(UserError, match=sentence):
        prepare(tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "audio").exists()


def test_no_sound_but_noise_is_skipped(options, tmp_path, savee_folder):
    """As is a file that cannot be decoded."""
    corpus = shutil.copytree(savee_folder, tmp_path / "savee")
    tiny(corpus / "DC_a02.wav", samples=100)
    (corpus / "DC_a03.wav").write_bytes(b"")
    options["corpora"] = {"savee": str(corpus)}
    record = prepare(tmp_path / "m", **options)
    assert record["skipped"] == 3
    assert record["conditioning"]["before"]["savee"]["angry"] == 19
    assert record["conditioning"]["after"]["savee"]["angry"] == 17
