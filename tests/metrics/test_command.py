"""The command line that scores any system."""

import csv
import json
import subprocess
import sys

import pytest

from speechbrain_ext.metrics.eder import main

REFERENCE = {
    "x_1": {
        "duration": 4.0,
        "speaker": "x",
        "emotion": [{"emo": "happy", "start": 1.0, "end": 4.0}],
    },
    "y_1": {
        "duration": 2.0,
        "speaker": "y",
        "emotion": [{"emo": "sad", "start": 0.0, "end": 2.0}],
    },
}
HYPOTHESIS = {
    "/data/x_1.wav": [
        {"start": 0.0, "end": 2.0, "emotion": "n"},
        {"start": 2.0, "end": 4.0, "emotion": "h"},
    ],
    "/data/y_1.wav": [{"start": 0.0, "end": 2.0, "emotion": "a"}],
}


@pytest.fixture
def files(tmp_path):
    reference = tmp_path / "ZED.json"
    reference.write_text(json.dumps(REFERENCE))
    hypothesis = tmp_path / "system.json"
    hypothesis.write_text(json.dumps(HYPOTHESIS))
    return ["--reference", str(reference), "--hypothesis", str(hypothesis)]


def python(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
    )


def test_as_a_process(files, tmp_path):
    done = python("-m", "speechbrain_ext.metrics.eder", *files)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    # EDER: a quarter of x_1 is missed, all of y_1 is confused.
    assert lines[1][:2] == ["system", "62.5"]
    assert ["null-happy", "1", "1", "100.0%"] in lines
    assert ["sad", "1", "0", "0.0%"] in lines
    assert ["total", "2", "1", "50.0%"] in lines
    assert "note: the reference never has 'angry'" in done.stdout
    with open(tmp_path / "system_eder.csv", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows["x_1"]["missed_emotion"] == "1.0"
    assert rows["y_1"]["confusion"] == "2.0"


@pytest.mark.parametrize("name", ["metrics.eder", "recognition.average"])
def test_is_light(name):
    heavy = ("torch", "speechbrain", "sklearn", "pandas", "matplotlib", "scipy")
    code = (
        f"import sys, speechbrain_ext.{name};"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert python("-c", code).stdout.strip() == "[]"


def test_csv_goes_where_it_is_told(files, tmp_path, capsys):
    target = tmp_path / "out" / "rows.csv"
    with open(files[3], "w") as file:
        segment = {"start": 0, "end": 4000, "emotion": "happy"}
        json.dump({"x_1": [segment], "y_1": [segment]}, file)
    main([*files, "--csv", str(target)])
    assert target.exists()
    assert not (tmp_path / "system_eder.csv").exists()
    found = capsys.readouterr().out
    assert str(target) in found
    # What looks like a slip is said.
    assert "are the times in seconds?" in found
    assert "gives 'happy' to every utterance" in found


DEEP = "[" * 500 + "]" * 500
SEGMENT = '{"x": [{"start": %s, "end": %s, "emotion": "%s"}]}'
RECORD = '{"x": {"duration": %s, "emotion": %s}}'
BIG = "1" + "0" * 400


@pytest.mark.parametrize(
    "which, text, sentence",
    [
        ("hypothesis", '{"x_1": []}', "lacks the utterance 'y_1' of the"),
        ("hypothesis", '{"x_1": [], "z": []}', "has the utterance 'z', which"),
        ("hypothesis", SEGMENT % (1, 0, "n"), "before its start"),
        ("hypothesis", '{"x": [], "x": [{}]}', "the key 'x' is there twice"),
        ("reference", '{"x": {}, "x": {}}', "the key 'x' is there twice"),
        ("hypothesis", SEGMENT % (0, BIG, "sad"), "the field 'end' is 1000"),
        ("reference", RECORD % (BIG, "[]"), "field 'duration' is 1000"),
        (
            "reference",
            RECORD % (1, f'[{{"emo": "sad", "start": 0, "end": {BIG}}}]'),
            "segment 1 runs from 0 to 1000",
        ),
        ("hypothesis", SEGMENT % (0, 1, "\\ud800"), "half of a character"),
        ("hypothesis", '{"\\udfff": []}', "half of a character"),
        ("hypothesis", "[" * 100_000, "nested too deeply"),
        ("hypothesis", f'{{"x": [{DEEP}]}}', "is not an object"),
        ("hypothesis", SEGMENT % (DEEP, 1, "n"), "not a time in seconds"),
        ("reference", RECORD % (DEEP, "[]"), "not a length in seconds"),
    ],
)
def test_nothing_is_written_when_something_is_wrong(
    which, text, sentence, files, tmp_path, capsys
):
    path = files[{"reference": 1, "hypothesis": 3}[which]]
    with open(path, "w") as file:
        file.write(text)
    error = failing(capsys, files)
    assert sentence in error and len(error) < 500
    assert {p.name for p in tmp_path.iterdir()} == {"ZED.json", "system.json"}


def failing(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    assert end.value.code == 2 and captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_files_that_do_not_fit(files, capsys):
    """What is missing, and what is read and would be written over."""
    for place in (1, 3):
        arguments = [*files[:place], "no.json", *files[place + 1 :]]
        assert "does not exist" in failing(capsys, arguments)
        before = open(files[place]).read()
        assert "--csv" in failing(capsys, [*files, "--csv", files[place]])
        assert open(files[place]).read() == before
