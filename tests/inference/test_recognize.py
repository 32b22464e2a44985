"""python -m speechbrain_ext.inference recognize."""

import csv
import logging
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from speechbrain_ext.inference import EmotionRecognizer
from speechbrain_ext.inference.command import main
from tests.checkpoints import make_ssl_checkpoint
from tests.run_folders import CLASSES, make_recognizer, make_run, write_sound


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "run"
    make_recognizer(folder)
    return str(folder)


@pytest.fixture(scope="module")
def speaker_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speaker")
    source = make_ssl_checkpoint(folder / "encoder")
    make_recognizer(folder / "run", source=source, normalization="speaker")
    return str(folder / "run")


@pytest.fixture
def files(tmp_path):
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
    return [
        write_sound(tmp_path / "ann" / "one.wav", 1.3, seed=1),
        write_sound(tmp_path / "bob" / "two.flac", 0.7, 44100, 2, seed=2),
        write_sound(tmp_path / "ann" / "three.wav", 1.1, seed=3),
    ]


def call(*arguments):
    """Status of a call."""
    try:
        main(["recognize", *map(str, arguments), "--device", "cpu"])
    except SystemExit as end:
        return end.code
    return 0


def load(model):
    return EmotionRecognizer.from_hparams(model, run_opts={"device": "cpu"})


def rows_of(result, files):
    """What a table says of a result."""
    out_prob, score, _, text_lab = result
    return [
        [path, name, *map(float, (best, *probabilities))]
        for path, name, best, probabilities in zip(
            files, text_lab, score, out_prob
        )
    ]


def read_csv(path):
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "emotion", "score", *CLASSES]
    return [[name, emotion, *map(float, rest)] for name, emotion, *rest in rows]


def same(found, expected, tolerance=1e-6):
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    np.testing.assert_allclose(
        [row[2:] for row in found],
        [row[2:] for row in expected],
        atol=tolerance,
    )


def test_table_and_csv(model, files, tmp_path, capsys):
    out = tmp_path / "deep" / "out.csv"
    assert call(model, *files, "--csv", out) == 0
    expected = rows_of(load(model).classify_files(files), files)
    same(read_csv(out), expected)
    header, *lines = capsys.readouterr().out.strip().split("\n")
    assert header.split() == ["file", "emotion", "score", *CLASSES]
    found = [line.split() for line in lines]
    same([[*r[:2], *map(float, r[2:])] for r in found], expected, 6e-4)
    assert [path.name for path in out.parent.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("speaker", [None, "one", "each", "folder"])
def test_speakers(speaker_model, files, tmp_path, caplog, speaker):
    names = {
        "each": ["a", "b", "c"],
        "folder": ["ann", "bob", "ann"],
    }.get(speaker)
    option = ["--speaker", speaker] if speaker else []
    out = tmp_path / "out.csv"
    with caplog.at_level(logging.INFO, "speechbrain_ext.inference"):
        assert call(speaker_model, *files, "--csv", out, *option) == 0
    [record] = [r for r in caplog.records if "speechbrain_ext" in r.name]
    assert "Speaker normalisation" in record.getMessage()
    assert (record.levelno == logging.WARNING) == (names is not None)
    recognizer = load(speaker_model)
    expected = rows_of(recognizer.classify_files(files, names), files)
    same(read_csv(out), expected)


def test_a_speaker_for_a_model_without(model, files, capsys):
    assert call(model, *files, "--speaker", "each") == 2
    err = capsys.readouterr().err
    assert "--speaker: " in err and "no speaker normalisation" in err


@pytest.mark.parametrize("by_speaker", [False, True])
def test_bad_files_do_not_lose_the_others(
    model, speaker_model, files, tmp_path, capsys, by_speaker
):
    used = speaker_model if by_speaker else model
    (tmp_path / "empty.wav").touch()
    nan = np.zeros(70000, np.float32)
    nan[-1] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, 16000, "FLOAT")
    bad = [tmp_path / f"{name}.wav" for name in ("none", "empty", "nan")]
    out = tmp_path / "out.csv"
    asked = [bad[0], files[0], *bad[1:], files[1]]
    assert call(used, *asked, "--csv", out) == 2
    # What cannot be used has no share in the speaker's statistics either.
    good = files[:2]
    same(read_csv(out), rows_of(load(used).classify_files(good), good))
    err = capsys.readouterr().err
    assert "3 of 5 files" in err and "Traceback" not in err
    for path, reason in zip(bad, ("does not exist", "0 bytes", "not finite")):
        line = next(line for line in err.split("\n") if str(path) in line)
        assert reason in line


def test_no_file_can_be_used(model, speaker_model, tmp_path, capsys):
    for used in (model, speaker_model):
        out = tmp_path / "out.csv"
        assert call(used, tmp_path / "none.wav", "--csv", out) == 2
        assert "none.wav' does not exist" in capsys.readouterr().err
        assert not out.exists()


def test_interrupted_work_is_kept(model, files, tmp_path, monkeypatch):
    iterate = EmotionRecognizer.iterate_files

    def interrupted(self, paths, *arguments, **options):
        if paths == [files[1]]:
            raise KeyboardInterrupt
        return iterate(self, paths, *arguments, **options)

    monkeypatch.setattr(EmotionRecognizer, "iterate_files", interrupted)
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        call(model, *files, "--csv", out)
    assert [row[0] for row in read_csv(out)] == files[:1]


def test_mistakes_are_found_before_any_work(
    model, files, tmp_path, capsys, monkeypatch
):
    def never(*arguments, **options):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(EmotionRecognizer, "from_hparams", never)
    assert call(model, *files, "--csv", tmp_path) == 2
    assert "--csv: cannot write" in capsys.readouterr().err
    assert call(model, *files, "--speaker", "two") == 2
    assert "invalid choice: 'two'" in capsys.readouterr().err


def test_a_diarizer_is_refused(files, tmp_path, capsys):
    make_run(tmp_path / "run")
    assert call(tmp_path / "run", *files) == 2
    assert "the command diarize" in capsys.readouterr().err


def test_as_a_module(speaker_model, files, tmp_path):
    """In a process of its own: what is logged is seen, and no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "speechbrain_ext.inference", "recognize"]
        + [speaker_model, *files, "--csv", "out.csv", "--window", "1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0
    sentence = "the statistics of the speaker are those of 3 recordings, 3.1 s"
    assert sentence in done.stderr
    assert "one.wav' lasts 1.3 s" in done.stderr
    assert "Traceback" not in done.stderr and "runpy" not in done.stderr
    assert len(done.stdout.strip().split("\n")) == 4
    assert len(read_csv(tmp_path / "out.csv")) == 3
