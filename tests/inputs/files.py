"""Files of references, hypotheses, manifests and predictions.

Rows give what is in the file: a name of ``CONTENTS``, or the text itself.
"""

import functools

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.listening.alignment import align
from speechbrain_ext.metrics import eder
from speechbrain_ext.metrics.predictions import read_number, read_predictions
from speechbrain_ext.utterance import Utterance, load_manifest
from tests.inputs.recordings import MAKERS

REFERENCE = '{"x": {"duration": 2, "emotion": []}}'
HYPOTHESIS = "SPEAKER x 1 0.5 1.5 <NA> <NA> sad <NA> <NA>\n"
_TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n'
    '0 2 <exists> 1\n"IntervalTier" "phones" '
)
# None: there is no file; a list: a folder.
CONTENTS = {
    "missing": None,
    "a folder": [],
    "empty": b"",
    "binary": bytes(range(256)),
    "UTF-16": REFERENCE.encode("utf-16"),
    "Latin-1": '{"ü": []}'.encode("latin-1"),
    "byte order mark": b"\xef\xbb\xbf" + REFERENCE.encode(),
    "5000 deep": b"[" * 5000 + b"]" * 5000,
    "ten thousand digits": b'{"x": ' + b"1" * 10_000 + b"}",
    "huge duration": f'{{"x": {{"duration": {10**400}, "emotion": []}}}}',
    "huge end": f"""{{"x": [
        {{"start": 0, "end": {10**400}, "emotion": "sad"}}
    ]}}""",
    "RTTM with byte order mark": b"\xef\xbb\xbf" + HYPOTHESIS.encode(),
    "RTTM in UTF-16": HYPOTHESIS.encode("utf-16"),
    "CSV with byte order mark": b"\xef\xbb\xbfid,eder\na,5\n",
    "CSV in UTF-16": "id,eder\na,5\n".encode("utf-16"),
    "phones beyond the end": _TEXTGRID + '0 9 2 0 1 "AA" 1 9 "B"',
    "phones that are missing": _TEXTGRID + '0 2 3 0 1 "AA"',
    "a billion phones": _TEXTGRID + "0 2 1000000000",
    "less than no phone": _TEXTGRID + '0 2 -5 0 1 "AA" 1 2 "B"',
    "infinitely many phones": _TEXTGRID + '0 2 1e999 0 1 "AA"',
    "words alone": _TEXTGRID.replace("phones", "words") + '0 2 1 0 2 "x"',
    "CSV with an open quote": b'id,eder\n"a,5\n',
}


def _write(path, given):
    data = CONTENTS.get(given, given.replace(r"\n", "\n"))
    if isinstance(data, list):
        path.mkdir()
    elif data is not None:
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def score(reference, hypothesis, place, suffix="json"):
    """What the command line of EDER makes of a reference and a hypothesis."""
    read = [
        _write(place.folder / "ZED.json", reference),
        _write(place.folder / f"system.{suffix}", hypothesis),
    ]
    before = {*place.folder.iterdir()}
    try:
        eder.main([f"--reference={read[0]}", f"--hypothesis={read[1]}"])
    except SystemExit:
        assert {*place.folder.iterdir()} == before
        raise


def _line(given, place):
    """LINE: the third line of an RTTM."""
    score(REFERENCE, f"{HYPOTHESIS}\n{given}\n", place, "rttm")


@exits_cleanly
def manifest(given, place):
    """CONTENTS: a manifest."""
    load_manifest(_write(place.folder / "a.json", given))


@exits_cleanly
def zed(given, place):
    """CONTENTS: ZED.json; its recording of 2 s is there."""
    MAKERS["good.wav"](place.folder / "good.wav")
    _write(place.folder / "ZED.json", given)
    read_corpus("zed", place.folder)


@exits_cleanly
def predictions(given, place):
    """CONTENTS: predictions.csv."""
    rows = read_predictions(_write(place.folder / "predictions.csv", given))
    for where, row in rows.values():
        read_number(row, "eder", where)


@exits_cleanly
def alignment(given, place):
    """KIND CONTENTS: the language or the text of a recording of 2 s, or a file
    beside it by its suffix; it says why there is no alignment."""
    kind, _, given = given.partition(" ")
    MAKERS["good.wav"](place.folder / "good.wav")
    fields = {"text": "hello", "wav": str(place.folder / "good.wav")}
    if kind in ("language", "text"):
        fields[kind] = given.replace("TOO LONG", "ten words " * 100)
        fields[kind] = fields[kind].replace("ONE WORD", "x" * 5000)
    else:
        _write(place.folder / f"good.{kind}", given)
    one = Utterance("good", 2.0, "s", "sad", "demo", **fields)
    found, skipped = align([one], "pocketsphinx", progress=False)
    print(found, skipped)


ENTRIES = {
    "reference": lambda given, place: score(given, HYPOTHESIS, place, "rttm"),
    "hypothesis": functools.partial(score, REFERENCE),
    "rttm": lambda given, place: score(REFERENCE, given, place, "rttm"),
    "rttm line": _line,
    "channels": lambda given, place: score(
        given, f"{HYPOTHESIS}{HYPOTHESIS.replace(' 1 ', ' 2 ')}", place, "rttm"
    ),
    "hypothesis.csv": lambda given, place: score(
        REFERENCE, given, place, "csv"
    ),
    "manifest": manifest,
    "zed": zed,
    "predictions": predictions,
    "alignment": alignment,
}
