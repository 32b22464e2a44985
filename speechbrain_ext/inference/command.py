"""``python -m speechbrain_ext.inference COMMAND MODEL FILE...``."""

import argparse
import logging

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.inference.commands.diarize import add_diarize
from speechbrain_ext.inference.commands.recognize import add_recognize


def parse(arguments=None):
    """Understand the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ext.inference", description=__doc__
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_diarize(commands)
    add_recognize(commands)
    return parser.parse_args(arguments)


@exits_cleanly
def main(arguments=None):
    """Run the command line."""
    options = parse(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("speechbrain_ext.inference").setLevel(logging.INFO)
    options.run(options)
