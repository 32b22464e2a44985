"""The page in a real browser: an upload, a recording, a download."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.app.conftest import wav
from tests.inference.runs import load
from tests.recipes.running import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START = "from speechbrain_ext.app.command import main; main()"


@pytest.fixture
def server(small_run, tmp_path):
    """Address of the page of a diarizer, started as by its command."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    settings = {
        "STREAMLIT_SERVER_PORT": str(port),
        "STREAMLIT_SERVER_HEADLESS": "true",
        "TMPDIR": str(tmp_path / "temporary"),
        "HOME": str(tmp_path),
    }
    (tmp_path / "temporary").mkdir()
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(small_run[0])],
            env={**os.environ, **settings, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + 60
        while not _answers(f"http://localhost:{port}/_stcore/health"):
            assert process.poll() is None and time.monotonic() < end, (
                tmp_path / "log"
            ).read_text()
            time.sleep(0.2)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)
    files = (tmp_path / "temporary").rglob("*")
    assert not [path for path in files if path.is_file()]
    assert "Traceback" not in (tmp_path / "log").read_text()


def _answers(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.fixture
def browser(tmp_path):
    """Chromium, whose microphone hears a file; skipped where it is missing."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium in PATH")
    (tmp_path / "heard.wav").write_bytes(wav(6.0, 48000, seed=7))
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--use-file-for-fake-audio-capture="
                f"{tmp_path / 'heard.wav'}%noloop",
            ],
        )
        yield found
        found.close()


@pytest.mark.slow
def test_an_upload_and_a_recording(server, browser, small_run, tmp_path):
    page = browser.new_page(viewport={"width": 900, "height": 2400})
    page.set_default_timeout(90_000)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server)
    path = tmp_path / "two words.flac"
    path.write_bytes(wav(4.0, 44100, 2, kind="FLAC"))
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("It sounds").wait_for()
    page.get_by_text("4.00 s; 44100 Hz, resampled").wait_for()
    segments = load(small_run[0]).diarize_file(path)
    files = {}
    for kind in ("CSV", "RTTM"):
        with page.expect_download() as download:
            page.get_by_text(f"Download {kind}").click()
        assert download.value.suggested_filename == f"two words.{kind.lower()}"
        files[kind] = download.value.path().read_text()
    rows = files["CSV"].splitlines()[1:]
    assert [row.split(",")[3] for row in rows] == [
        x["emotion"] for x in segments
    ]
    assert len(files["RTTM"].splitlines()) == len(segments)
    # The player has a sound that the browser can play.
    player = page.locator("audio")
    length = "node => new Promise(done => node.readyState ? done(node.duration)"
    length += ": node.onloadedmetadata = () => done(node.duration))"
    assert player.evaluate(length) == pytest.approx(4.0, abs=0.01)
    # What is no sound is refused, and the page goes on.
    text = {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no sound"}
    page.locator("input[type=file]").set_input_files(text)
    page.get_by_text("'a.wav' is not readable as audio").wait_for()
    large = tmp_path / "large.wav"
    with open(large, "wb") as file:
        # Without its bytes on the disk.
        file.truncate(200_000_000)
    page.locator("input[type=file]").set_input_files(large)
    page.get_by_text(re.compile("must be 100.*MB or smaller")).wait_for()
    # The microphone.
    page.get_by_text("Record", exact=True).click()
    page.get_by_role("button", name="Record").click()
    time.sleep(3.5)
    page.get_by_role("button", name="Stop recording").click()
    page.get_by_text("It sounds").wait_for()
    caption = page.get_by_text(re.compile(r"^\d\.\d\d s; ")).inner_text()
    assert 2.0 < float(caption.split(" s")[0]) < 6.0
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.get_by_text("is silent").count() == 0
    # Nobody else is told that somebody was here.
    found = (re.match(r"(?:http|ws)s?://([^/:]+)", url) for url in asked)
    assert {match[1] for match in found if match} == {"localhost"}
