"""The short command ``emotion-app``: starts the page in a browser."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.values import check_value

#: The largest recording that is taken, as a file (MB) and in time (s).
MAX_MEGABYTES = 100
MAX_SECONDS = 600
# Settings of Streamlit; the environment's own, STREAMLIT_..., come first.
_SETTINGS = {
    "STREAMLIT_SERVER_MAX_UPLOAD_SIZE": str(MAX_MEGABYTES),
    # Who wants the page to be seen from outside says so.
    "STREAMLIT_SERVER_ADDRESS": "localhost",
    "STREAMLIT_SERVER_SHOW_EMAIL_PROMPT": "false",
    "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "none",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "none",
    "STREAMLIT_CLIENT_TOOLBAR_MODE": "minimal",
}


class _Parser(argparse.ArgumentParser):
    """One whose errors can stand on the page, too."""

    def error(self, message):
        raise UserError(f"{message}; see {self.prog} --help.")


def parse(arguments):
    """Options of the page."""
    parser = _Parser(
        prog="emotion-app",
        description="Tell the emotion of recordings on a web page.",
        epilog="STREAMLIT_SERVER_PORT=8600 and the like, in the environment, "
        "change Streamlit's settings.",
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        nargs="?",
        help="run folder, model's folder, or repository on the Hugging Face "
        "Hub (default: the model of the recipe emotion_diarization's "
        "quickstart, trained on synthetic speech in minutes)",
    )
    add(
        "--diarizer",
        metavar="MODEL",
        help="beside a recognizer: a model that finds which emotion appears "
        "when",
    )
    add(
        "--transcriber",
        metavar="NAME",
        help="for a model that reads text: Whisper's folder or name (default: "
        "the model's)",
    )
    options = parser.parse_args(arguments)
    check_value("transcriber", options.transcriber, "--transcriber")
    return options


@exits_cleanly
def main(arguments=None):
    """Start the page, until it is stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # What is wrong is told here, not to whoever opens the page.
    parse(arguments)
    if find_spec("streamlit") is None:
        raise UserError(
            "emotion-app: the package streamlit is missing; install it with "
            "'pip install -e \".[app]\"'."
        )
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from streamlit.web import cli

    page = Path(__file__).with_name("page.py")
    cli.main(["run", str(page), "--", *arguments], prog_name="streamlit")
