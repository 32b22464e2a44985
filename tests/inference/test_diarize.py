"""The command line of speechbrain_ext.inference."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image
from speechbrain_ext.inference.commands.diarize import outline

from speechbrain_ext.audio import AudioStream
from speechbrain_ext.inference import EmotionDiarizer
from speechbrain_ext.inference.command import main
from speechbrain_ext.metrics.hypotheses import read_rttm
from tests.run_folders import finish, make_run, write_sound


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "run"
    make_run(folder)
    return str(folder)


@pytest.fixture
def files(tmp_path):
    return [
        write_sound(tmp_path / "one.wav", 2.3),
        write_sound(tmp_path / "two.flac", 1.7, 44100, 2),
    ]


def call(*arguments):
    """Status of a call."""
    try:
        main(["diarize", *map(str, arguments), "--device", "cpu"])
    except SystemExit as end:
        return end.code
    return 0


def test_tables(model, files, capsys):
    assert call(model, *files) == 0
    out = capsys.readouterr().out
    diarizer = EmotionDiarizer.from_hparams(model, run_opts={"device": "cpu"})
    lines = out.split("\n")
    at = lines.index(files[1])
    assert lines[at + 1].split() == ["start", "end", "emotion"]
    expected = [
        [f"{s['start']:.3f}", f"{s['end']:.3f}", s["emotion"]]
        for s in diarizer.diarize_file(files[1])
    ]
    assert [line.split() for line in lines[at + 2 : -1]] == expected


def test_rttm_and_pictures(model, files, tmp_path):
    rttm, plot = tmp_path / "out" / "all.rttm", tmp_path / "out" / "p.png"
    assert call(model, *files, "--rttm", rttm, "--plot", plot) == 0
    diarizer = EmotionDiarizer.from_hparams(model, run_opts={"device": "cpu"})
    found = read_rttm(rttm)
    assert list(found) == ["one", "two"]
    for name, path in zip(found, files):
        for mine, theirs in zip(
            found[name], diarizer.diarize_file(path), strict=True
        ):
            assert mine["emotion"] == theirs["emotion"]
            assert mine["end"] == pytest.approx(theirs["end"], abs=1e-6)
    assert sorted(path.name for path in plot.parent.iterdir()) == [
        "all.rttm",
        "p_one.png",
        "p_two.png",
    ]
    assert call(model, files[0], "--plot", plot) == 0
    assert np.asarray(Image.open(plot).convert("L")).std() > 10


def test_bad_files_do_not_lose_the_others(model, files, tmp_path, capsys):
    (tmp_path / "empty.wav").touch()
    nan = np.full(16000, np.nan, np.float32)
    soundfile.write(tmp_path / "nan.wav", nan, 16000, "FLOAT")
    data = (tmp_path / "one.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[:-9999])
    bad = [tmp_path / f"{name}.wav" for name in ("none", "empty", "nan", "cut")]
    rttm = tmp_path / "all.rttm"
    asked = [bad[0], files[0], *bad[1:], files[1]]
    assert call(model, *asked, "--rttm", rttm) == 2
    assert list(read_rttm(rttm)) == ["one", "two"]
    out, err = capsys.readouterr()
    assert files[0] in out and files[1] in out
    assert "4 of 6 files" in err and "Traceback" not in err
    for path, reason in zip(
        bad, ("does not exist", "0 bytes", "not finite", "truncated")
    ):
        line = next(line for line in err.split("\n") if str(path) in line)
        assert reason in line
        assert str(path) not in out


def test_interrupted_work_is_kept(model, files, tmp_path, monkeypatch):
    analyse = EmotionDiarizer.analyse_file

    def interrupted(self, path, *arguments):
        if path == files[1]:
            raise KeyboardInterrupt
        return analyse(self, path, *arguments)

    monkeypatch.setattr(EmotionDiarizer, "analyse_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(model, *files, "--rttm", tmp_path / "all.rttm")
    assert list(read_rttm(tmp_path / "all.rttm")) == ["one"]


def test_mistakes_are_found_before_any_work(
    model, files, tmp_path, capsys, monkeypatch
):
    def never(*arguments, **options):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(EmotionDiarizer, "from_hparams", never)
    (tmp_path / "deep").mkdir()
    twin = write_sound(tmp_path / "deep" / "one.flac", 0.1)
    space = write_sound(tmp_path / "a b.wav", 0.1)
    for arguments, reason in [
        ((*files, twin, "--rttm", "x"), "2 files are called 'one'"),
        ((*files, twin, "--plot", "x.png"), "2 files are called 'one'"),
        ((space, "--rttm", "x"), "RTTM cannot hold the name 'a b'"),
        ((*files, "--plot", "x.jpeg2"), "does not end in one of .png"),
        ((*files, "--rttm", tmp_path), "--rttm: cannot write"),
        ((*files, "--rttm", f"{twin}/x.rttm"), "--rttm: cannot write"),
        ((*files, "--postprocessing", "mean=1"), "no option 'mean'"),
        ((*files, "--postprocessing", "median"), "is not KEY=VALUE"),
        ((*files, "--postprocessing", "median=x"), "median is a number"),
        ((*files, "--postprocessing", "one_event=1"), "true or false"),
    ]:
        assert call(model, *arguments) == 2
        assert reason in capsys.readouterr().err


def test_mistakes_in_the_model(files, tmp_path, capsys):
    assert call(tmp_path / "none", *files) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: model: ") and "Traceback" not in err


def test_options(model, files, capsys):
    options = ("--postprocessing", "threshold=1", "median=null")
    assert call(model, files[0], *options) == 0
    lines = capsys.readouterr().out.strip().split("\n")
    assert [line.split() for line in lines[2:]] == [
        ["0.000", "2.300", "neutral"]
    ]
    assert call(model, files[0], "--postprocessing", "threshold=2") == 2
    assert "threshold: 2.0 is no probability" in capsys.readouterr().err


def test_progress_of_long_recordings(model, files, capsys):
    assert call(model, files[0]) == 0
    assert "window" not in capsys.readouterr().err
    assert call(model, files[0], "--window", "1", "--overlap", "0.2") == 0
    assert "one.wav: 100%" in capsys.readouterr().err


def test_outline_of_a_long_recording(tmp_path):
    samples = np.zeros(16000 * 60, np.float32)
    samples[500_003] = 0.5
    samples[800_001] = -0.75
    soundfile.write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    found = outline(AudioStream(tmp_path / "a.wav"))
    assert len(found) < 21_000
    assert found.max() == 0.5 and found.min() == -0.75
    place = found.argmax() / len(found)
    assert place == pytest.approx(500_003 / 960_000, abs=1e-3)


def test_as_a_module(tmp_path):
    """In a process of its own: no traceback, no warning, one sentence."""
    make_run(tmp_path / "run")
    finish(tmp_path / "run", one_event=True)
    good = write_sound(tmp_path / "good.wav", 3.0)
    done = subprocess.run(
        [sys.executable, "-m", "speechbrain_ext.inference", "diarize"]
        + [str(tmp_path / "run"), good, str(tmp_path / "bad.wav")]
        + ["--rttm", "all.rttm", "--window", "2", "--overlap", "1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "bad.wav' does not exist" in done.stderr
    assert "one_event" in done.stderr
    assert "Traceback" not in done.stderr and "runpy" not in done.stderr
    assert good in done.stdout
    assert list(read_rttm(tmp_path / "all.rttm")) == ["good"]


def test_a_reference_that_lacks_the_file(tmp_path, capsys):
    reference = tmp_path / "ref.json"
    reference.write_text('{"b": {"duration": 1.0, "emotion": []}}')
    arguments = ["diarize", "model", "a.wav", f"--reference={reference}"]
    for more, sentence in (
        ([], "give --plot too"),
        ([f"--plot={tmp_path / 'x.png'}"], "has no 'a'"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *more])
        assert ended.value.code == 2
        assert sentence in capsys.readouterr().err
