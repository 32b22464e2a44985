"""What is found about recordings, and that it is found once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from speechbrain_ext import vad
from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.files import read_json, write_json
from speechbrain_ext.listening import recordings as listening
from speechbrain_ext.listening.recordings import listen
from speechbrain_ext.utterance import Utterance
from tests.inputs.recordings import MAKERS


def utterances(paths, **fields):
    return [
        Utterance(str(i), 1.0, "s", "sad", "demo", wav=str(path), **fields)
        for i, path in enumerate(paths)
    ]


@pytest.fixture
def good(synthetic_folder):
    return sorted(synthetic_folder.rglob("*.wav"))[:4]


@pytest.mark.parametrize("max_silence", [None, 0.2])
def test_bad_ones_are_skipped_and_nothing_is_done_twice(
    max_silence, good, write_audio, tmp_path, reads
):
    silence = write_audio("silence.wav", data=np.zeros(16000))
    broken = tmp_path / "broken.wav"
    broken.write_text("nothing")
    data = utterances([*good, silence, broken])
    cache = tmp_path / "cache" / "recordings.json"
    usable, skipped = listen(data, max_silence, cache, progress=False)
    bad = {str(broken): "is not readable as audio: Format not recognised"}
    bad[silence] = "has no sound"
    assert dict(skipped) == bad
    assert [u.wav for u in usable] == [u.wav for u in data if u.wav not in bad]
    assert len(reads) == 6
    stored = cache.read_text()
    again = listen(data, max_silence, cache, progress=False)
    assert (again, cache.read_text()) == ((usable, skipped), stored)
    assert len(reads) == 6
    # A file that changed is decoded again, and only that.
    broken.write_bytes(good[0].read_bytes())
    usable, skipped = listen(data, max_silence, cache, progress=False)
    assert len(usable) == 7 - len(bad) and len(skipped) == len(bad) - 1
    assert reads[6:] == [str(broken)]


def test_a_corpus_that_moved_is_known(good, tmp_path, reads):
    cache = tmp_path / "recordings.json"
    found, _ = listen(utterances(good), 0.2, cache, progress=False)
    moved = [tmp_path / path.name for path in good]
    for path, place in zip(good, moved):
        place.hardlink_to(path)
    again, _ = listen(utterances(moved), 0.2, cache, progress=False)
    assert [u.extra for u in again] == [u.extra for u in found]
    assert len(reads) == 4


def test_other_bounds_are_not_believed(good, tmp_path, monkeypatch, reads):
    cache = tmp_path / "recordings.json"
    data = utterances(good[:1])
    listen(data, 0.2, cache, progress=False)
    listen(data, 0.1, cache, progress=False)
    monkeypatch.setattr(listening, "KEPT_ENERGY", 0.4)
    listen(data, 0.2, cache, progress=False)
    part = utterances(good[:1], start=0.1, stop=0.9)
    listen(part, 0.2, cache, progress=False)
    assert len(reads) == len(read_json(cache)) == 4


def test_two_runs_write_the_same_cache(good, tmp_path, monkeypatch):
    cache = tmp_path / "recordings.json"
    listen_to = listening._listen_to

    def meanwhile(batch, max_silence):
        write_json({**read_json(cache), "other": {}}, cache)
        return listen_to(batch, max_silence)

    write_json({"before": {}}, cache)
    monkeypatch.setattr(listening, "_listen_to", meanwhile)
    listen(utterances(good), 0.2, cache, progress=False)
    assert {"before", "other"} < set(read_json(cache))
    assert len(read_json(cache)) == 6


def test_workers_batches_and_threads_do_not_matter(good, monkeypatch):
    data = utterances(good)
    torch.set_num_threads(2)
    try:
        expected = listen(data, 0.2, progress=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert listen(data, 0.2, jobs=2, progress=False) == expected
    monkeypatch.setattr(listening, "_BATCH", 1)
    assert listen(data, 0.2, progress=False) == expected


def test_positions_are_those_of_the_file(good):
    size = len(read_audio(good[0]))
    data = utterances(good[:1], start=0.1, stop=(size - 160) / 16000)
    ((one,), _) = listen(data, 0.2, progress=False)
    kept = one.extra["speech"]
    assert kept[0][0] >= 1600 and kept[-1][1] <= size - 160
    assert -60 < one.extra["level"] < 0


def test_a_fragment_does_not_carry_the_label(monkeypatch, write_audio):
    sign = np.where(np.arange(16000) % 2, 1.0, -1.0)
    path = write_audio("shout.wav", data=0.25 * sign)

    def heard(stop):
        monkeypatch.setattr(vad, "speech_regions", lambda _: [[(0, stop)]])
        return listen(utterances([path]), 0, progress=False)

    for stop, part in ((100, "less than 1"), (1600, 10), (7968, 49)):
        reason = f"keeps {part} % of its energy as speech"
        assert heard(stop) == ([], [(path, reason)])
    ((one,), skipped) = heard(8032)
    assert skipped == [] and one.extra["speech"] == [[0, 8032]]
    assert one.extra["level"] == pytest.approx(-12.04, abs=0.01)


@pytest.mark.parametrize("max_silence", [0.1, 0.2])
def test_real_recordings(ravdess_folder, max_silence):
    """An angry one keeps its speech; of a shout no more than a breath."""
    paths = sorted(Path(ravdess_folder).rglob("03-01-05-*-01.*"))[:1]
    paths += Path(ravdess_folder).rglob("03-01-03-02-02-01-06.*")
    data = utterances(paths)
    ((one,), skipped) = listen(data, max_silence, progress=False)
    assert one.wav == str(paths[0])
    seconds = sum(b - a for a, b in one.extra["speech"]) / 16000
    assert 0.8 < seconds < 3.0
    assert skipped[0][1] == "keeps less than 1 % of its energy as speech"


@pytest.mark.parametrize(
    "name, reason",
    [
        ("scaled_by_32768.wav", "holds samples up to"),
        ("1e25.wav", "holds samples up to"),
        ("nan.wav", "not finite"),
        ("opposite.wav", "channels that cancel each other"),
        ("half.wav", "is truncated"),
        ("half.flac", "is truncated"),
        ("half.ogg", "is truncated"),
        ("joined.mp3", "is 2 MP3 files"),
    ],
)
def test_recordings_that_would_ruin_statistics_are_skipped(
    good, tmp_path, name, reason
):
    path = tmp_path / name
    MAKERS[name](path)
    data = utterances([*good, path])
    usable, [(file, found)] = listen(data, progress=False)
    assert [one.wav for one in usable] == list(map(str, good))
    assert file == str(path) and reason in found


@pytest.mark.parametrize(
    "planted",
    [
        {},
        {"speech": [], "level": -20.0},
        {"speech": [[0, 10**9]], "level": -20.0},
        {"speech": [[-5, 100]], "level": -20.0},
        {"speech": [[0, 1.5]], "level": -20.0},
        {"speech": [[0, 100]], "level": "loud"},
        {"reason": ["a"]},
    ],
)
def test_what_a_cache_cannot_say_is_found_anew(planted, good, tmp_path):
    cache = tmp_path / "recordings.json"
    data = utterances(good[:1])
    found = listen(data, 0.2, cache, progress=False)
    said = read_json(cache)
    write_json(dict.fromkeys(said, planted), cache)
    assert listen(data, 0.2, cache, progress=False) == found
    assert read_json(cache) == said
