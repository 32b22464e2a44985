"""What starts the page, and where it can be published."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib

import pytest
from hyperpyyaml import load_hyperpyyaml

from speechbrain_ext.app import command
from speechbrain_ext.conditioning.recordings import LONGEST
from tests.recipes.running import ROOT

FOLDER = ROOT / "recipes" / "speech_text_fusion"
SPACE = FOLDER / "space"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def started(monkeypatch):
    """What Streamlit is started with."""
    from streamlit.web import cli

    calls = []
    monkeypatch.setattr(cli, "main", lambda *a, **options: calls.append(*a))
    for name in command._SETTINGS:
        # So that what the command sets is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return calls


def test_the_page_is_started_with_bounds_and_without_statistics(started):
    os.environ["STREAMLIT_SERVER_ADDRESS"] = "0.0.0.0"
    command.main(["some/run", "--transcriber=openai/whisper-base"])
    [words] = started
    page = ROOT / "speechbrain_ext" / "app" / "page.py"
    assert words[:2] == ["run", str(page)]
    assert words[2:] == ["--", "some/run", "--transcriber=openai/whisper-base"]
    assert os.environ["STREAMLIT_SERVER_MAX_UPLOAD_SIZE"] == "100"
    assert os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] == "false"
    # What the user has set stays.
    assert os.environ["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"


def test_streamlit_knows_the_settings(started):
    """Those of the command and of the recipe's folder, which are the same."""
    from streamlit import config

    text = (FOLDER / ".streamlit" / "config.toml").read_text()
    given = {}
    for section, options in tomllib.loads(text).items():
        for key, value in options.items():
            name = f"{section}.{key}"
            words = re.sub(r"([A-Z])", r"_\1", name.replace(".", "_"))
            given[f"STREAMLIT_{words.upper()}"] = str(value)
            assert name in config.get_config_options()
    given = {
        k: v.lower() if v in ("True", "False") else v for k, v in given.items()
    }
    assert given == command._SETTINGS


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["a", "b"], "unrecognized arguments: b; see emotion-app --help"),
        (["--transcriber", ""], "--transcriber: expected"),
    ],
)
def test_bad_words(started, capsys, words, sentence):
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2 and started == []
    error = capsys.readouterr().err
    assert error.startswith(f"error: {sentence}") and error.count("\n") == 1


def test_without_streamlit(monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        command.main(["some/run"])
    assert 'pip install -e ".[app]"' in capsys.readouterr().err


def test_nothing_but_the_page_imports_streamlit():
    code = (
        "import sys, speechbrain_ext.app.state, speechbrain_ext.app.command; "
        "sys.exit('streamlit' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
    )


def test_what_the_page_takes_a_model_cleans():
    assert command.MAX_SECONDS <= LONGEST


def test_the_space_is_of_one_piece():
    header, text = (SPACE / "README.md").read_text().split("---\n")[1:3]
    header = load_hyperpyyaml(header)
    docker = (SPACE / "Dockerfile").read_text()
    assert header["sdk"] == "docker"
    assert len(header["short_description"]) <= 60
    port = header["app_port"]
    assert f"EXPOSE {port}\n" in docker
    assert re.search(rf"STREAMLIT_SERVER_PORT={port}\b", docker)
    assert "STREAMLIT_SERVER_ADDRESS=0.0.0.0" in docker
    # The entry point and the extras are there.
    [name] = re.findall(r"CMD exec (\S+)", docker)
    assert PROJECT["scripts"][name] == "speechbrain_ext.app.command:main"
    [extras] = re.findall(r"project\[(.+)\]", docker)
    assert {"app", "quickstart"} <= {*extras.split(",")}
    assert {*extras.split(",")} <= PROJECT["optional-dependencies"].keys()
    # What the image copies is what the README makes, and in no commit.
    [archive] = re.findall(r"COPY --chown=user (\S+)", docker)
    assert f"space/{archive}" in text
    assert f"space/{archive}" in (ROOT / ".gitignore").read_text()
    assert {path.name for path in SPACE.iterdir()} - {archive} == {
        "Dockerfile",
        "README.md",
    }
    for name in re.findall(r"\b(MODEL|DIARIZER|TRANSCRIBER)\b", docker):
        assert f"`{name}`" in text


def test_the_archive_of_the_space_has_what_it_starts(tmp_path):
    archive = tmp_path / "project.tar.gz"
    done = subprocess.run(
        ["git", "archive", "--format=tar.gz", f"--output={archive}", "HEAD"],
        cwd=ROOT,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("this is no checkout")
    with tarfile.open(archive) as tar:
        names = {*tar.getnames()}
    assert {
        "pyproject.toml",
        "speechbrain_ext/app/page.py",
        "recipes/emotion_diarization/train.py",
        "recipes/emotion_diarization/hparams/quickstart.yaml",
    } <= names


@pytest.mark.parametrize("given", [{}, {"MODEL": "a b", "DIARIZER": "c d"}])
def test_the_command_line_of_the_space(given, tmp_path):
    """Its shell gives the words that the variables say."""
    docker = (SPACE / "Dockerfile").read_text()
    shell = docker.partition("CMD exec ")[2]
    (tmp_path / "emotion-app").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (tmp_path / "emotion-app").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", shell],
        env={"PATH": path, **given},
        capture_output=True,
        text=True,
    )
    words = ["a b", "--diarizer", "c d"] if given else [""]
    assert done.stdout == "".join(f"{word}|" for word in words)
