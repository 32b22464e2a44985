"""``python -m speechbrain_ext.inference recognize MODEL FILE...``."""

import csv
from pathlib import Path

from speechbrain_ext.audio import AudioStream
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import atomic_open
from speechbrain_ext.inference.commands.common import (
    add_command,
    check_writable,
    raise_problems,
    run_opts,
)
from speechbrain_ext.inference.recognizer import EmotionRecognizer

_EXAMPLE = """\
examples:
  python -m speechbrain_ext.inference recognize results/dense/1 *.wav
  python -m speechbrain_ext.inference recognize results/dense/1 \\
      Actor_*/*.wav --speaker folder --csv emotions.csv
  python -m speechbrain_ext.inference recognize \\
      speechbrain/emotion-recognition-wav2vec2-IEMOCAP talk.flac
"""


def add_recognize(commands):
    """Add the command to a parser."""
    add = add_command(
        commands,
        "recognize",
        recognize_files,
        "say which emotion is expressed, one for each file",
        _EXAMPLE,
    )
    add("--csv", metavar="OUT", help="write all results as a table")
    add(
        "--speaker",
        choices=list(SPEAKERS),
        help="for a model with speaker normalisation: whether all files are "
        "of one speaker (the default), each is of another, or the name of a "
        "file's folder is its speaker",
    )
    add(
        "--window",
        metavar="S",
        type=float,
        help="longer recordings are cut into stretches of this length at the "
        "most, and their results averaged (default: what the model says, or "
        "30)",
    )


#: How files get their speakers: option -> function of a path.
SPEAKERS = {
    "one": lambda path: "the speaker",
    "each": str,
    "folder": lambda path: str(Path(path).resolve().parent),
}


def recognize_files(options):
    """The command ``recognize``."""
    if options.csv:
        check_writable(options.csv, "csv")
    recognizer = EmotionRecognizer.from_hparams(
        options.model,
        savedir=options.savedir,
        run_opts=run_opts(options),
        window=options.window,
    )
    if options.speaker and not recognizer.by_speaker:
        raise UserError(
            f"--speaker: '{options.model}' has no speaker normalisation, so "
            "that who speaks makes no difference; leave the option out."
        )
    width = max(len("file"), *(len(path) for path in options.files))
    print(format_header(recognizer.classes, width), flush=True)
    found, problems = [], []
    try:
        for path, result in _results(recognizer, options, problems):
            out_prob, score, _, text_lab = result
            row = path, text_lab[0], score.item(), out_prob[0].tolist()
            print(format_row(*row, recognizer.classes, width), flush=True)
            found.append(row)
    finally:
        # Even when the run is interrupted: what is done is done.
        if options.csv and found:
            write_csv(options.csv, found, recognizer.classes)
    raise_problems(problems, len(options.files))


def _results(recognizer, options, problems):
    """Path and result of every file that can be used."""
    if not recognizer.by_speaker:
        for path in options.files:
            try:
                [result] = recognizer.iterate_files([path], progress=True)
            except UserError as error:
                problems.append(str(error))
            else:
                yield path, result
        return
    # A file that breaks off must not have had its share in the statistics.
    usable = []
    for path in options.files:
        try:
            for _ in AudioStream(path).blocks():
                pass
            usable.append(path)
        except UserError as error:
            problems.append(str(error))
    if usable:
        speakers = [SPEAKERS[options.speaker or "one"](path) for path in usable]
        yield from zip(
            usable, recognizer.iterate_files(usable, speakers, progress=True)
        )


def format_header(classes, width):
    """The first line of the table."""
    names = "".join(f"{name:>{_width(name)}}" for name in classes)
    return f"{'file':<{width}}  {_left('emotion', classes)}  score{names}"


def format_row(path, emotion, score, probabilities, classes, width):
    """A line of the table."""
    numbers = "".join(
        f"{p:{_width(name)}.3f}" for p, name in zip(probabilities, classes)
    )
    return f"{path:<{width}}  {_left(emotion, classes)}  {score:.3f}{numbers}"


def _left(text, classes):
    return f"{text:<{max(map(len, ['emotion', *classes]))}}"


def _width(name):
    return max(len(name), len("0.000")) + 2


def write_csv(path, rows, classes):
    """Write results, whole or not at all."""
    with atomic_open(path, newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "emotion", "score", *classes])
        for name, emotion, score, probabilities in rows:
            numbers = (f"{p:.6f}" for p in (score, *probabilities))
            table.writerow([name, emotion, *numbers])
