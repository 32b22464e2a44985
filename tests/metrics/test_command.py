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
    main([*files, "--csv", str(target)])
    assert target.exists()
    assert not (tmp_path / "system_eder.csv").exists()
    assert str(target) in capsys.readouterr().out


def failing(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    "said, sentence",
    [
        ({"x_1": []}, "lacks the utterance 'y_1' of the"),
        ({"x_1": [], "z": []}, "has the utterance 'z', which"),
        ({"x_1": [{"start": 1, "end": 0, "emotion": "n"}]}, "before its start"),
    ],
)
def test_nothing_is_written_when_something_is_wrong(
    said, sentence, files, tmp_path, capsys
):
    with open(files[3], "w") as file:
        json.dump(said, file)
    assert sentence in failing(capsys, files)
    assert {p.name for p in tmp_path.iterdir()} == {"ZED.json", "system.json"}


def test_a_missing_file(files, capsys):
    for arguments in (
        [*files[:3], "no.json"],
        ["--reference", "no.json", *files[2:]],
    ):
        assert "does not exist" in failing(capsys, arguments)


def test_never_writes_over_what_it_reads(files, capsys):
    for path in (files[1], files[3]):
        before = open(path).read()
        assert "--csv" in failing(capsys, [*files, "--csv", path])
        assert open(path).read() == before


def test_what_looks_like_a_slip(files, capsys):
    with open(files[3], "w") as file:
        segment = {"start": 0, "end": 4000, "emotion": "happy"}
        json.dump({"x_1": [segment], "y_1": [segment]}, file)
    main(files)
    found = capsys.readouterr().out
    assert "are the times in seconds?" in found
    assert "gives 'happy' to every utterance" in found
