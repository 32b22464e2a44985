"""``python -m speechbrain_ext.inference COMMAND MODEL FILE...``."""

import argparse
import csv
import logging
import tempfile
from collections import Counter
from pathlib import Path

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import atomic_open

# What a model needs takes seconds to import: the functions that use it do.

_PROG = "python -m speechbrain_ext.inference"
_DIARIZE = f"""\
examples:
  {_PROG} diarize results/quickstart/1 talk.flac
  {_PROG} diarize \\
      speechbrain/emotion-diarization-wavlm-large *.wav --rttm emotions.rttm
"""
_RECOGNIZE = f"""\
examples:
  {_PROG} recognize results/dense/1 *.wav
  {_PROG} recognize results/dense/1 \\
      Actor_*/*.wav --speaker folder --csv emotions.csv
  {_PROG} recognize \\
      speechbrain/emotion-recognition-wav2vec2-IEMOCAP talk.flac
"""
# More columns than a picture has; up to this many samples are drawn as they
# are.
_COLUMNS = 20_000
_PICTURES = (".png", ".svg", ".pdf")
#: How files get their speakers: option -> function of a path.
SPEAKERS = {
    "one": lambda path: "the speaker",
    "each": str,
    "folder": lambda path: str(Path(path).resolve().parent),
}


@exits_cleanly
def main(arguments=None, prog=_PROG):
    """Run the command line."""
    options = _parser(prog).parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("speechbrain_ext.inference").setLevel(logging.INFO)
    options.run(options)


def diarize():
    """The short command ``emotion-diarize``."""
    _short("diarize")


def recognize():
    """The short command ``emotion-recognize``."""
    _short("recognize")


def _short(command):
    import sys

    main([command, *sys.argv[1:]])


def _parser(prog):
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_diarize(commands)
    _add_recognize(commands)
    return parser


def _add_command(commands, name, run, summary, example):
    """Add a command that takes a model and files."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    add = command.add_argument
    add(
        "model",
        metavar="MODEL",
        help="run folder, folder of a model, or repository on the Hugging "
        "Face Hub",
    )
    add("files", metavar="FILE", nargs="+", help="recordings of any kind")
    add("--device", help="such as cuda or cpu (default: cuda if there is one)")
    add("--savedir", metavar="DIR", help="where downloads are put")
    return add


def _add_diarize(commands):
    add = _add_command(
        commands,
        "diarize",
        diarize_files,
        "find which emotion appears when",
        _DIARIZE,
    )
    add("--rttm", metavar="OUT", help="write all segments as RTTM")
    add(
        "--plot",
        metavar="OUT.png",
        help="draw a timeline; of several files, OUT_<name>.png each",
    )
    add(
        "--reference",
        metavar="REF.json",
        help="true emotions to draw beside it, in the layout of ZED.json, by "
        "the names of the files",
    )
    add(
        "--postprocessing",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="in place of the model's own: threshold (0 to 1), median (s), "
        "min_duration (s), one_event (true or false); a value null turns an "
        "option off. A model's own one_event is for recordings of one window",
    )
    add(
        "--window",
        metavar="S",
        type=float,
        help="longer recordings are cut into windows of at most this length "
        "(default: what the model says, or 30)",
    )
    add(
        "--overlap",
        metavar="S",
        type=float,
        help="what windows share (default: what the model says, or 5)",
    )


def _add_recognize(commands):
    add = _add_command(
        commands,
        "recognize",
        recognize_files,
        "find the emotion of each file",
        _RECOGNIZE,
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
        help="longer recordings are cut into stretches of at most this length, "
        "and their results averaged (default: what the model says, or 30)",
    )


def _load(name, options, **more):
    from transformers.utils.logging import disable_progress_bar

    from speechbrain_ext import inference

    # The one bar to be seen is that of a long recording.
    disable_progress_bar()
    return getattr(inference, name).from_hparams(
        options.model,
        savedir=options.savedir,
        run_opts={"device": options.device} if options.device else None,
        window=options.window,
        **more,
    )


def diarize_files(options):
    """The command ``diarize``."""
    from speechbrain_ext.metrics.hypotheses import write_rttm

    postprocessing = parse_options(options.postprocessing)
    _check_outputs(options)
    references = _references(options)
    diarizer = _load("EmotionDiarizer", options, overlap=options.overlap)
    found, problems = {}, []
    try:
        for path in options.files:
            try:
                analysis = diarizer.analyse_file(path, postprocessing, True)
                found[Path(path).stem] = analysis.segments
                print(format_segments(path, analysis.segments), flush=True)
                if options.plot:
                    reference = references.get(Path(path).stem)
                    _draw(path, options, analysis, diarizer, reference)
            except UserError as error:
                problems.append(str(error))
    finally:
        # Even when the run is interrupted: what is done is done.
        if options.rttm and found:
            write_rttm(options.rttm, found)
    raise_problems(problems, len(options.files))


def recognize_files(options):
    """The command ``recognize``."""
    if options.csv:
        check_writable(options.csv, "csv")
    recognizer = _load("EmotionRecognizer", options)
    if options.speaker and not recognizer.by_speaker:
        raise UserError(
            f"--speaker: '{options.model}' has no speaker normalisation, so "
            "speakers make no difference; leave the option out."
        )
    classes = recognizer.classes
    widths = [max(map(len, ["file", *options.files]))]
    widths += [max(map(len, ["emotion", *classes])), len("score")]
    widths += [max(len(name), len("0.000")) for name in classes]
    print(_row(["file", "emotion", "score", *classes], widths), flush=True)
    found, problems = [], []
    try:
        for path, result in _results(recognizer, options, problems):
            out_prob, score, _, [name] = result
            numbers = [score.item(), *out_prob[0].tolist()]
            row = [path, name, *(f"{x:.3f}" for x in numbers)]
            print(_row(row, widths), flush=True)
            found.append([path, name, *(f"{x:.6f}" for x in numbers)])
    finally:
        # Even when the run is interrupted: what is done is done.
        if options.csv and found:
            with atomic_open(options.csv, newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(["file", "emotion", "score", *classes])
                table.writerows(found)
    raise_problems(problems, len(options.files))


def _results(recognizer, options, problems):
    """Path and result of every file that can be used."""
    from speechbrain_ext.audio import AudioStream

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


def _row(cells, widths):
    return "  ".join(
        f"{cell:{'<' if at < 2 else '>'}{width}}"
        for at, (cell, width) in enumerate(zip(cells, widths))
    )


def format_segments(path, segments):
    """A recording's segments as a table."""
    lines = [str(path), f"{'start':>10}{'end':>10}  emotion"]
    lines += [
        f"{s['start']:10.3f}{s['end']:10.3f}  {s['emotion']}" for s in segments
    ]
    return "\n".join(lines)


def parse_options(pairs):
    """Options of post-processing."""
    from speechbrain_ext.inference.diarizer import check_options

    options = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UserError(
                f"--postprocessing: expected KEY=VALUE, got '{pair}'; write, "
                "for example, median=0.2, and the files before the options."
            )
        check_options({key: None})
        options[key] = _value(key, text)
    return options


def _value(key, text):
    word = text.lower()
    if key == "one_event":
        if word not in ("true", "false"):
            raise UserError(
                f"--postprocessing: one_event: expected true or false, got "
                f"'{text}'."
            )
        return word == "true"
    if word in ("null", "none"):
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"--postprocessing: {key}: expected a number or null, got '{text}'."
        ) from None


def _references(options):
    """True segments of the files, where they are asked for."""
    from speechbrain_ext.metrics.hypotheses import read_reference

    if options.reference is None:
        return {}
    if options.plot is None:
        raise UserError("--reference is drawn: give --plot too.")
    records = read_reference(options.reference)
    for path in options.files:
        if Path(path).stem not in records:
            raise UserError(
                f"--reference: '{options.reference}' has no "
                f"'{Path(path).stem}'; name its records as the files."
            )
    return {name: record["emotion"] for name, record in records.items()}


def _draw(path, options, analysis, diarizer, reference):
    """Draw the timeline of a recording."""
    from speechbrain_ext.audio import AudioStream
    from speechbrain_ext.plots import timeline

    picture = Path(options.plot)
    if len(options.files) > 1:
        name = f"{picture.stem}_{Path(path).stem}{picture.suffix}"
        picture = picture.with_name(name)
    waveform = outline(AudioStream(path))
    timeline(
        picture,
        waveform,
        len(waveform) / analysis.duration,
        analysis.segments,
        analysis.duration,
        reference=reference,
        posteriors=analysis.probabilities,
        frame_edges=analysis.edges,
        labels=diarizer.classes,
        title=Path(path).name,
    )


def outline(stream):
    """A waveform to be drawn, however long the recording."""
    import numpy as np

    size = -(-2 * stream.num_samples // _COLUMNS)
    if size <= 2:
        return np.concatenate(list(stream.blocks()))
    parts, held = [], np.empty(0, np.float32)
    for block in stream.blocks():
        held = np.concatenate([held, block])
        whole = len(held) - len(held) % size
        stretches = held[:whole].reshape(-1, size)
        parts.append(np.stack([stretches.min(1), stretches.max(1)], 1))
        held = held[whole:]
    if len(held):
        parts.append(np.array([[held.min(), held.max()]]))
    return np.concatenate(parts).reshape(-1)


def _check_outputs(options):
    """Find out before hours of work whether its result can be written."""
    if options.rttm is None and options.plot is None:
        return
    stems = Counter(Path(path).stem for path in options.files)
    name, count = stems.most_common(1)[0]
    if count > 1:
        raise UserError(
            f"{count} files are called '{name}', which --rttm and --plot "
            "cannot tell apart; rename them, or run them one by one."
        )
    for name in stems:
        if options.rttm and name.split() != [name]:
            raise UserError(
                f"--rttm: RTTM cannot hold the name '{name}', because fields "
                "end at spaces; rename the file."
            )
    if options.plot and Path(options.plot).suffix not in _PICTURES:
        raise UserError(
            f"--plot: '{options.plot}' does not end in one of "
            f"{', '.join(_PICTURES)}; rename it."
        )
    for option in ("rttm", "plot"):
        if getattr(options, option):
            check_writable(getattr(options, option), option)


def check_writable(path, option):
    """Find out before hours of work whether a file can be written."""
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(
            f"--{option}: cannot write '{path}' ({error.strerror}); choose "
            "another place."
        ) from None


def raise_problems(problems, count):
    """End with the files that could not be used, if there are any."""
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        raise UserError(
            f"{len(problems)} of {count} files:\n  " + "\n  ".join(problems)
        )
