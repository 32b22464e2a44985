"""Phones: where espeak-ng says that it spoke them, and in files of others."""

import json
import re

import numpy as np
import pytest
import soundfile
import soxr

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders.phones import ARPABET
from speechbrain_ext.listening import alignment
from speechbrain_ext.listening.alignment import align, read_textgrid
from speechbrain_ext.utterance import Utterance, load_manifest, save_manifest

pytest.importorskip("pocketsphinx")
# With half a second of silence at either end.
PAUSE = 0.5


@pytest.fixture(scope="module")
def say(tmp_path_factory):
    """A function from texts (said, and as it is written down) to an utterance
    and the phones that espeak-ng says it has spoken."""
    espeak = pytest.importorskip("speechbrain_ext.corpora.espeak")
    folder = tmp_path_factory.mktemp("spoken")

    def speak(said, text=None):
        with espeak.Espeak() as voice:
            samples, rate, phones = voice.say(said, "en-us")
        wav = soxr.resample(samples.astype("float32") / 32768, rate, 16000)
        wav = np.pad(wav, round(PAUSE * 16000))
        path = folder / f"{len(list(folder.iterdir()))}.wav"
        soundfile.write(path, wav, 16000)
        fields = {"wav": str(path), "language": "en", "text": text or said}
        spoken = [
            (x["start"] / rate + PAUSE, x["end"] / rate + PAUSE)
            for x in phones
            if x["phone"] != espeak.SILENCE
        ]
        seconds = len(wav) / 16000
        return Utterance(path.stem, seconds, "s", "sad", "x", **fields), spoken

    return speak


def aligned(utterance, aligner="pocketsphinx", **options):
    (found,), skipped = align([utterance], aligner, progress=False, **options)
    assert not skipped
    return [(x["phone"], x["start"], x["end"]) for x in found.alignment]


def test_phones_are_where_they_are_spoken(say):
    utterance, spoken = say("The man has seen it.")
    found = aligned(utterance)
    names = "DH AH M AE N HH A. Z S IY N IH T"
    assert re.fullmatch(names, " ".join(name for name, *_ in found))
    assert len(found) == len(spoken)
    times = np.array([x[1:] for x in found]) - np.array(spoken)
    assert np.abs(times).max() < 0.08 and np.abs(times).mean() < 0.03
    # It does not depend on what was aligned before.
    aligned(say("Dogs are sitting by the door.")[0])
    assert aligned(utterance) == found


def test_words_in_no_dictionary_and_special_tokens(say):
    text = "[laughter] The man said “blorfing” was good 😀 [Breathing]"
    utterance, spoken = say("The man said blorfing was good.", text)
    found = aligned(utterance)
    names = [name for name, *_ in found]
    assert names[0] == "[LAUGHTER]" and names[-1] == "[BREATHING]"
    assert set(names[1:-1]) < {*ARPABET, "unknown"}
    # Of espeak's phones blorfing is the ninth to the fourteenth.
    (word,) = [x for x in found if x[0] == "unknown"]
    assert abs(word[1] - spoken[8][0]) < 0.1
    assert abs(word[2] - spoken[13][1]) < 0.1
    assert found[0][1:] == (0.0, found[1][1])
    assert found[-1][1] == found[-2][2]
    assert found[-1][2] == pytest.approx(utterance.duration, abs=1e-3)
    # A numeral is read digit by digit, for how long it lasts.
    ((name, start, end),) = aligned(say("seven", "7")[0])
    assert name == "unknown" and 0.4 < start < end < 1.3
    whole = aligned(say("ha ha", "[LAUGHTER]")[0])
    assert whole[0][:2] == ("[LAUGHTER]", 0.0) and len(whole) == 1


def test_what_narrow_beams_lose_is_searched_again(say, monkeypatch):
    utterance, _ = say("The man has seen it.")
    found = aligned(utterance)
    narrow = {"beam": 0.9, "pbeam": 0.9, "wbeam": 0.9}
    for beams, lost in [((narrow,), 1), ((narrow, {}), 0)]:
        monkeypatch.setattr(alignment, "_BEAMS", beams)
        alignment._decoder.cache_clear()
        usable, skipped = align([utterance], "pocketsphinx", progress=False)
        assert len(skipped) == lost
    alignment._decoder.cache_clear()
    assert aligned(utterance) == [
        (x["phone"], x["start"], x["end"]) for x in usable[0].alignment
    ]
    assert len(usable[0].alignment) == len(found)


def test_a_cache_is_believed_as_far_as_it_fits(say, tmp_path, monkeypatch):
    utterance, _ = say("The man has seen it.")
    wrong, _ = say("Dogs", "Completely different words, and very many")
    cache, data = tmp_path / "phones.json", [utterance, wrong]
    how = {"cache": cache, "progress": False}
    found = align(data, "pocketsphinx", jobs=2, **how)
    assert [one.id for one in found[0]] == [utterance.id]
    assert found[1] == [(wrong.wav, "cannot be aligned with its text")]
    stored = json.loads(cache.read_text())
    with monkeypatch.context() as patch:
        patch.setattr(alignment, "_align", lambda one: 1 / 0)
        assert align(data, "pocketsphinx", **how) == found
    for value in ({"alignment": [{"phone": "AA"}]}, [], {"reason": 3}):
        cache.write_text(json.dumps(dict.fromkeys(stored, value)))
        assert align(data, "pocketsphinx", **how) == found
        assert json.loads(cache.read_text()) == stored


SPANS = [("AH0", 0.25, 0.5), ("spn", 0.5, 0.75), ("", 0.75, 1.0)]
CTM = ";; aligned\n" + "".join(
    f"a 1 {start} {end - start} {name or 'sil'}\n" for name, start, end in SPANS
)


def write_textgrid(path, how, encoding):
    tgt = pytest.importorskip("tgt")
    grid = tgt.TextGrid()
    # A tier of points, and words in quotes that look like tiers, come first.
    grid.add_tier(tgt.PointTier(0, 1, "events", [tgt.Point(0.3, "x")]))
    words = tgt.IntervalTier(0, 1, "words")
    words.add_interval(tgt.Interval(0.25, 0.75, 'a "phones" 3 ü'))
    grid.add_tier(words)
    phones = tgt.IntervalTier(0, 1, "phones")
    for name, start, end in SPANS:
        phones.add_interval(tgt.Interval(start, end, name))
    grid.add_tier(phones)
    tgt.write_to_file(grid, str(path), format=how, encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("how", ["short", "long"])
def test_textgrids_of_another_program(how, encoding, write_audio, tmp_path):
    wav = write_audio("a.wav")
    write_textgrid(tmp_path / "a.TextGrid", how, encoding)
    read = read_textgrid(tmp_path / "a.TextGrid")
    assert [x for x in read if x[0]] == SPANS[:2]
    fields = {"wav": wav, "language": "de"}
    one = Utterance("a", 1.0, "s", "sad", "x", **fields)
    for aligner in (None, "pocketsphinx"):
        assert aligned(one, aligner) == SPANS[:2]
    # Of a part of the file the times begin with the part.
    part = {**fields, "start": 0.25, "stop": 0.75}
    one = Utterance("a", 0.5, "s", "sad", "x", **part)
    assert aligned(one)[0] == ("AH0", 0.0, 0.25)


def test_files_beside_some(write_audio, tmp_path):
    names = ["a", "b"]
    paths = [write_audio(f"{name}.wav") for name in names]
    data = [
        Utterance(name, 1.0, "s", "sad", "x", wav=path)
        for name, path in zip(names, paths)
    ]
    with pytest.raises(UserError, match="^preparation.phones: .* none of the"):
        align(data, progress=False)
    (tmp_path / "a.ctm").write_text(CTM)
    (found,), skipped = align(data, progress=False)
    assert skipped == [(paths[1], "has no TextGrid or CTM beside it")]
    spans = [(x["phone"], x["start"], x["end"]) for x in found.alignment]
    assert spans == SPANS[:2]
    save_manifest([found], tmp_path / "m.json")
    assert load_manifest(tmp_path / "m.json") == [found]
