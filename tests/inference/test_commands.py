"""The command lines of speechbrain_ext.inference."""

import csv
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from speechbrain_ext.audio import AudioStream
from speechbrain_ext.inference import (
    EmotionDiarizer,
    EmotionRecognizer,
    command,
)
from speechbrain_ext.metrics.hypotheses import read_rttm
from tests.inference.runs import CLASSES, CPU, finish, never, write_sound


def call(*arguments):
    """Status of a call."""
    try:
        command.main([*map(str, arguments), "--device", "cpu"])
    except SystemExit as end:
        return end.code
    return 0


def as_module(*arguments, cwd):
    """A process of its own, without traceback and warnings of Python's."""
    command = [sys.executable, "-m", "speechbrain_ext.inference", *arguments]
    pipes = {"capture_output": True, "text": True}
    done = subprocess.run([*map(str, command)], cwd=cwd, **pipes)
    assert "Traceback" not in done.stderr and "runpy" not in done.stderr
    return done


def rows_of(model, files, speakers=None):
    """What a table says of files."""
    loaded = EmotionRecognizer.from_hparams(model, run_opts=CPU)
    out_prob, score, _, names = loaded.classify_files(files, speakers)
    numbers = torch.cat([score[:, None], out_prob], 1).tolist()
    rows = zip(files, names, numbers, strict=True)
    return [[path, name, *row] for path, name, row in rows]


def read_csv(path):
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "emotion", "score", *CLASSES, "warning"]
    return rows


def same(found, expected, tolerance=1e-6):
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for row, other in zip(found, expected):
        numbers = list(map(float, row[2 : 3 + len(CLASSES)]))
        assert numbers == pytest.approx(other[2:], abs=tolerance)


def test_segments(small_run, files, tmp_path, capsys):
    model, folder = small_run[0], tmp_path / "out"
    rttm, plot = folder / "all.rttm", folder / "p.png"
    assert call("diarize", model, *files, "--rttm", rttm, "--plot", plot) == 0
    lines = capsys.readouterr().out.split("\n")
    diarizer = EmotionDiarizer.from_hparams(model, run_opts=CPU)
    written = read_rttm(rttm)
    assert list(written) == ["one", "two", "three"]
    for path, found in zip(files, written.values()):
        segments = diarizer.diarize_file(path)
        at = lines.index(path)
        assert lines[at + 1].split() == ["start", "end", "emotion"]
        for s, line in zip(segments, lines[at + 2 :]):
            row = [f"{s['start']:.3f}", f"{s['end']:.3f}", s["emotion"]]
            assert line.split() == row
        for mine, theirs in zip(found, segments, strict=True):
            assert mine["emotion"] == theirs["emotion"]
            assert mine["end"] == pytest.approx(theirs["end"], abs=1e-6)
    pictures = {f"p_{name}.png" for name in written}
    assert {x.name for x in folder.iterdir()} == {"all.rttm", *pictures}
    assert call("diarize", model, files[0], "--plot", plot) == 0
    assert np.asarray(Image.open(plot).convert("L")).std() > 10


def test_table_and_csv(small_recognizer, files, tmp_path, capsys):
    recognizer, _ = small_recognizer
    out = tmp_path / "deep" / "out.csv"
    assert call("recognize", recognizer, *files, "--csv", out) == 0
    expected = rows_of(recognizer, files)
    same(read_csv(out), expected)
    header, *lines = capsys.readouterr().out.strip().split("\n")
    assert header.split() == ["file", "emotion", "score", *CLASSES]
    same([line.split() for line in lines], expected, 6e-4)
    assert [path.name for path in out.parent.iterdir()] == ["out.csv"]


def test_column_of_warnings(speaker_run, small_recognizer, tmp_path):
    long = write_sound(tmp_path / "long.wav", 2.5)
    soundfile.write(tmp_path / "a.wav", np.zeros(1000), 16000)
    asked = [write_sound(tmp_path / "b.wav", 1.0), tmp_path / "a.wav", long]
    for model in (speaker_run[0], small_recognizer[0]):
        options = ("--csv", tmp_path / "out.csv", "--window", 2)
        assert call("recognize", model, *asked, *options) == 0
        none, short, averaged = [row[-1] for row in read_csv(options[1])]
        assert none == ""
        assert "hardly a sound; is silent, so that" in short
        assert "the posteriors of 2 stretches are averaged" in averaged


@pytest.mark.parametrize("speaker", [None, "one", "each", "folder"])
def test_speakers(speaker_run, files, tmp_path, caplog, speaker):
    model, _ = speaker_run
    names = {"each": ["a", "b", "c"], "folder": ["ann", "bob", "ann"]}
    option = ["--speaker", speaker] if speaker else []
    out = tmp_path / "out.csv"
    with caplog.at_level(logging.INFO, "speechbrain_ext.inference"):
        assert call("recognize", model, *files, "--csv", out, *option) == 0
    [record] = [r for r in caplog.records if "speechbrain_ext" in r.name]
    assert "Speaker normalisation" in record.getMessage()
    assert (record.levelno == logging.WARNING) == (speaker in names)
    same(read_csv(out), rows_of(model, files, names.get(speaker)))


@pytest.mark.parametrize(
    "kind", ["small_run", "small_recognizer", "speaker_run"]
)
def test_bad_files_do_not_lose_the_others(
    request, files, tmp_path, capsys, kind
):
    model, _ = request.getfixturevalue(kind)
    (tmp_path / "empty.wav").touch()
    nan = np.append(np.zeros(70000), np.nan)
    soundfile.write(tmp_path / "nan.wav", nan, 16000, "FLOAT")
    data = Path(files[0]).read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[:-9999])
    bad = [tmp_path / f"{name}.wav" for name in ("none", "empty", "nan", "cut")]
    asked = [bad[0], files[0], *bad[1:], files[1]]
    good, out = files[:2], tmp_path / "out"
    if kind == "small_run":
        assert call("diarize", model, *asked, "--rttm", out) == 2
        assert list(read_rttm(out)) == ["one", "two"]
    else:
        assert call("recognize", model, *asked, "--csv", out) == 2
        # What cannot be used has no share in the speaker's statistics either.
        same(read_csv(out), rows_of(model, good))
    printed, err = capsys.readouterr()
    assert files[0] in printed and files[1] in printed
    assert "4 of 6 files" in err and "Traceback" not in err
    reasons = ("does not exist", "0 bytes", "not finite", "truncated")
    for path, reason in zip(bad, reasons):
        line = next(line for line in err.split("\n") if str(path) in line)
        assert reason in line and str(path) not in printed
    if kind != "small_run":
        out.unlink()
        assert call("recognize", model, bad[0], "--csv", out) == 2
        assert "none.wav' does not exist" in capsys.readouterr().err
        assert not out.exists()


@pytest.mark.parametrize("name", ["diarize", "recognize"])
def test_interrupted_work_is_kept(request, files, tmp_path, monkeypatch, name):
    fixture, cls, method, option = {
        "diarize": ("run", EmotionDiarizer, "analyse_file", "--rttm"),
        "recognize": (
            "recognizer",
            EmotionRecognizer,
            "iterate_files",
            "--csv",
        ),
    }[name]
    model, _ = request.getfixturevalue(f"small_{fixture}")
    original = getattr(cls, method)

    def interrupted(self, paths, *arguments, **options):
        if files[1] in (paths, getattr(paths[0], "path", None)):
            raise KeyboardInterrupt
        return original(self, paths, *arguments, **options)

    monkeypatch.setattr(cls, method, interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(name, model, *files, option, tmp_path / "out")
    text = (tmp_path / "out").read_text()
    assert "one" in text and "two" not in text


def test_mistakes_are_found_before_any_work(
    files, tmp_path, capsys, monkeypatch
):
    for cls in (EmotionDiarizer, EmotionRecognizer):
        monkeypatch.setattr(cls, "from_hparams", never)
    (tmp_path / "deep").mkdir()
    twin = write_sound(tmp_path / "deep" / "one.flac", 0.1)
    space = write_sound(tmp_path / "a b.wav", 0.1)
    reference = tmp_path / "ref.json"
    reference.write_text('{"b": {"duration": 1.0, "emotion": []}}')
    for arguments, reason in [
        ((twin, "--rttm", "x"), "2 files are called 'one'"),
        ((twin, "--plot", "x.png"), "2 files are called 'one'"),
        ((space, "--rttm", "x"), "RTTM cannot hold the name 'a b'"),
        (("--plot", "x.jpeg2"), "does not end in one of .png"),
        (("--rttm", tmp_path), "--rttm: cannot write"),
        (("--rttm", f"{twin}/x.rttm"), "--rttm: cannot write"),
        (("--postprocessing", "mean=1"), "no option 'mean'; did you mean 'med"),
        (("--postprocessing", "median=x"), "median: expected a number of"),
        (("--window", "x"), "--window: expected a number"),
        (("--reference", reference), "give --plot too"),
        (("--reference", reference, "--plot=x.png"), "has no 'one'"),
    ]:
        ended_with(reason, capsys, "diarize", "model", *files, *arguments)
    for option, value, reason in [
        ("--csv", tmp_path, "--csv: cannot write"),
        ("--speaker", "two", "invalid choice: 'two'"),
    ]:
        ended_with(reason, capsys, "recognize", "model", *files, option, value)


def ended_with(reason, capsys, *arguments):
    assert call(*arguments) == 2
    err = capsys.readouterr().err
    assert reason in err and "Traceback" not in err


def test_mistakes_in_the_model(
    small_run, small_recognizer, files, tmp_path, capsys
):
    for name, model, reason, *option in [
        ("diarize", tmp_path / "none", "error: model: "),
        ("recognize", small_run[0], "the command diarize"),
        ("diarize", small_recognizer[0], "the command recognize"),
        ("recognize", small_recognizer[0], "no speaker norm", "--speaker=each"),
    ]:
        ended_with(reason, capsys, name, model, *files, *option)


def test_options_and_progress(small_run, files, capsys):
    model, _ = small_run
    options = ("--postprocessing", "threshold=1", "median=null")
    assert call("diarize", model, files[0], *options) == 0
    out, err = capsys.readouterr()
    [*_, line] = out.strip().split("\n")
    assert line.split() == ["0.000", "2.300", "neutral"]
    assert "window" not in err
    assert call("diarize", model, files[0], "--window=1", "--overlap=0.2") == 0
    assert "one.wav: 100%" in capsys.readouterr().err


def test_outline_of_a_long_recording(tmp_path):
    samples = np.zeros(16000 * 60, np.float32)
    samples[500_003] = 0.5
    samples[800_001] = -0.75
    soundfile.write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    found = command.outline(AudioStream(tmp_path / "a.wav"))
    assert len(found) < 21_000
    assert found.max() == 0.5 and found.min() == -0.75
    place = found.argmax() / len(found)
    assert place == pytest.approx(500_003 / 960_000, abs=1e-3)


def test_diarize_as_a_module(run, tmp_path):
    finish(run, one_event=True)
    # The folder of a model is no place for modules.
    for name in ("torch", "ruamel"):
        text = "import pathlib; pathlib.Path('imported').touch()\n"
        (run / f"{name}.py").write_text(text)
    good = write_sound(tmp_path / "good.wav", 3.0)
    options = ("--rttm", "all.rttm", "--window", 2, "--overlap", 1)
    done = as_module("diarize", ".", good, "bad.wav", *options, cwd=run)
    assert done.returncode == 2
    assert "'bad.wav' does not exist" in done.stderr
    assert "one_event" in done.stderr and good in done.stdout
    assert list(read_rttm(run / "all.rttm")) == ["good"]
    assert not (run / "imported").exists()


def test_recognize_as_a_module(speaker_run, files, tmp_path):
    asked = (speaker_run[0], *files, "--csv", "out.csv", "--window", 1)
    done = as_module("recognize", *asked, cwd=tmp_path)
    assert done.returncode == 0
    sentence = "the statistics of the speaker are those of 3 recordings, 5.1 s"
    assert sentence in done.stderr
    assert "one.wav' lasts 2.30 s" in done.stderr
    assert len(done.stdout.strip().split("\n")) == 4
    assert len(read_csv(tmp_path / "out.csv")) == 3


@pytest.mark.parametrize("command", [[], ["diarize"], ["recognize"]])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; from speechbrain_ext.inference.command import main\n"
        f"try: main({[*command, '--help']})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'speechbrain', 'transformers', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
