"""The command line that scores any system."""

import csv
import json
import subprocess
import sys

import pytest

from speechbrain_ext.metrics.eder import main
from tests.metrics.segments import is_so, says

HAPPY, SAD = is_so(("happy", 1, 4)), is_so(("sad", 0, 2))
REFERENCE = {
    "x_1": {"duration": 4.0, "speaker": "x", "emotion": HAPPY},
    "y_1": {"duration": 2.0, "speaker": "y", "emotion": SAD},
}
HYPOTHESIS = {
    "/data/x_1.wav": says(("n", 0, 2), ("h", 2, 4)),
    "/data/y_1.wav": says(("a", 0, 2)),
}


@pytest.fixture
def files(tmp_path):
    reference = tmp_path / "ZED.json"
    reference.write_text(json.dumps(REFERENCE))
    hypothesis = tmp_path / "system.json"
    hypothesis.write_text(json.dumps(HYPOTHESIS))
    return ["--reference", str(reference), "--hypothesis", str(hypothesis)]


def python(*arguments):
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


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


@pytest.mark.parametrize(
    "name", ["metrics.eder", "recognition.fuse", "experiment.command"]
)
def test_is_light(name):
    heavy = "torch speechbrain sklearn pandas matplotlib scipy submitit".split()
    code = (
        f"import sys, speechbrain_ext.{name};"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert python("-c", code).stdout.strip() == "[]"


def test_csv_goes_where_it_is_told(files, tmp_path, capsys):
    target = tmp_path / "out" / "rows.csv"
    said = dict.fromkeys(REFERENCE, says(("happy", 0, 4000)))
    (tmp_path / "system.json").write_text(json.dumps(said))
    main([*files, "--csv", str(target)])
    assert target.exists()
    assert not (tmp_path / "system_eder.csv").exists()
    found = capsys.readouterr().out
    assert str(target) in found
    # What looks like a slip is said.
    assert "are the times in seconds?" in found
    assert "gives 'happy' to every utterance" in found


def failing(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    assert end.value.code == 2 and captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_what_is_read_is_not_written_over(files, capsys):
    for place in (1, 3):
        before = open(files[place]).read()
        assert "--csv" in failing(capsys, [*files, "--csv", files[place]])
        assert open(files[place]).read() == before
