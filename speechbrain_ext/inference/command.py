"""``python -m speechbrain_ext.inference COMMAND MODEL FILE...``."""

import argparse
import collections
import contextlib
import logging
import os
import sys
import tempfile
from pathlib import Path

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import check_replaceable, write_csv
from speechbrain_ext.base.values import check_keys, check_value, to_number
from speechbrain_ext.inference.texts import Details, check_texts, texts_of

# What a model needs takes seconds to import: the functions that use it do.

_PROG = "python -m speechbrain_ext.inference"
_EXAMPLE = f"""\
example:
  {_PROG} diarize results/quickstart/1 talk.flac --rttm emotions.rttm
  {_PROG} recognize results/dense/1 *.wav --csv emotions.csv
"""
_PICTURES = (".png", ".svg", ".pdf")
_WORDS = {"true": True, "false": False, "null": None, "none": None}
#: How files get their speakers: option -> function of a path.
SPEAKERS = {
    "one": lambda path: "the speaker",
    "each": str,
    "folder": lambda path: str(Path(path).resolve().parent),
}


@exits_cleanly
def main(arguments=None):
    """Run the command line."""
    parser = argparse.ArgumentParser(prog=_PROG, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    summary = "find which emotion appears when"
    add = _add_command(commands, diarize_files, summary)
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
        "min_duration (s), one_event (true or false); null turns an option "
        "off. A model's own one_event is for recordings of one window",
    )
    shared = "what windows share (default: what the model says, or 5)"
    add("--overlap", metavar="S", type=to_number, help=shared)
    summary = "find the emotion of each file"
    add = _add_command(commands, recognize_files, summary)
    add("--csv", metavar="OUT", help="write all results as a table")
    add(
        "--speaker",
        choices=list(SPEAKERS),
        help="for a model with speaker normalisation or embedding: whether "
        "all files are "
        "of one speaker (the default), each is of another, or the name of a "
        "file's folder is its speaker",
    )
    said = "what is said in the one file, for a model that reads text"
    add("--text", metavar="TEXT", help=said)
    table = "the same of several files: a table with the columns file and text"
    add("--transcripts", metavar="FILE.csv", help=table)
    whisper = "Whisper's folder or name, which finds out what is said"
    add(
        "--transcriber",
        metavar="NAME",
        help=f"{whisper} (default: the model's)",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("speechbrain_ext.inference").setLevel(logging.INFO)
    options.run(options)


def diarize():
    """The short command ``emotion-diarize``."""
    main(["diarize", *sys.argv[1:]])


def recognize():
    """The short command ``emotion-recognize``."""
    main(["recognize", *sys.argv[1:]])


def _add_command(commands, run, summary):
    """Add a command that takes a model and files."""
    command = commands.add_parser(
        run.__name__.removesuffix("_files"),
        help=summary,
        description=f"{summary.capitalize()}.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    add = command.add_argument
    where = "run folder, model's folder, or repository on the Hugging Face Hub"
    add("model", metavar="MODEL", help=where)
    add("files", metavar="FILE", nargs="+", help="recordings of any kind")
    add("--device", help="such as cuda or cpu (default: cuda if there is one)")
    add("--savedir", metavar="DIR", help="where downloads are put")
    longest = (
        "longer recordings are cut into parts of at most this length "
        "(default: what the model says, or 30)"
    )
    add("--window", metavar="S", type=to_number, help=longest)
    return add


def _load(name, options, **more):
    from transformers.utils.logging import disable_progress_bar

    from speechbrain_ext import inference

    # The one bar to be seen is that of a long recording.
    disable_progress_bar()
    if options.device:
        more["run_opts"] = {"device": options.device}
    more |= {"savedir": options.savedir, "window": options.window}
    return getattr(inference, name).from_hparams(options.model, **more)


@contextlib.contextmanager
def _noted(problems):
    """Note what is wrong with a file, and go on."""
    try:
        yield
    except UserError as error:
        problems.append(str(error))


def diarize_files(options):
    """The command ``diarize``."""
    from speechbrain_ext.metrics.hypotheses import write_rttm

    postprocessing = parse_options(options.postprocessing)
    _check_times(options, "window", "overlap")
    _check_outputs(options)
    truth = _references(options)
    diarizer = _load("EmotionDiarizer", options, overlap=options.overlap)
    found, problems = {}, []
    try:
        for path in options.files:
            with _noted(problems):
                analysis = diarizer.analyse_file(path, postprocessing, True)
                found[Path(path).stem] = analysis.segments
                print(path, f"{'start':>10}{'end':>10}  emotion", sep="\n")
                row = "{start:10.3f}{end:10.3f}  {emotion}".format_map
                print(*map(row, analysis.segments), sep="\n", flush=True)
                if options.plot:
                    _draw(path, options, analysis, diarizer.classes, truth)
    finally:
        # Even when the run is interrupted: what is done is done.
        if options.rttm and found:
            write_rttm(options.rttm, found)
    _raise(problems, options)


def recognize_files(options):
    """The command ``recognize``."""
    _check_times(options, "window")
    _check_writable("--csv", options.csv, options.files)
    texts = texts_of(options)
    more = {"transcriber": options.transcriber} if options.transcriber else {}
    recognizer = _load("EmotionRecognizer", options, **more)
    check_texts(options, recognizer, texts)
    if options.speaker and not recognizer.by_speaker:
        raise UserError(
            f"--speaker: '{options.model}' has no speaker normalisation, so "
            "speakers make no difference; leave the option out."
        )
    header = ["file", "emotion", "score", *recognizer.classes]
    more = Details(recognizer)
    row = f"{{:{max(map(len, [*options.files, *more.names, header[0]]))}}}"
    row += f"  {{:{max(map(len, header[1:]))}}}"
    row += "".join(f"  {{:>{max(len(name), 5)}}}" for name in header[2:])
    print(row.format(*header), flush=True)
    found, problems = [], []
    try:
        for stream, result in _results(recognizer, options, texts, problems):
            path, remarks = stream.path, recognizer.remarks(stream)
            out_prob, score, _, [name] = result
            for cells in (
                [path, name, score.item(), *out_prob[0].tolist()],
                *more.rows(stream),
            ):
                short = (f"{x:.3f}" for x in cells[2:])
                print(row.format(*cells[:2], *short), flush=True)
            more.show(stream)
            exact = [f"{x:.6f}" for x in (score.item(), *out_prob[0].tolist())]
            cells = [*more.cells(stream), "; ".join(remarks)]
            found.append([path, name, *exact, *cells])
    finally:
        # Even when the run is interrupted: what is done is done.
        if options.csv and found:
            write_csv(options.csv, [*header, *more.header, "warning"], found)
    _raise(problems, options)


def _results(recognizer, options, texts, problems):
    """Stream and result of every file that can be used."""
    from speechbrain_ext.audio import AudioStream

    if not recognizer.by_speaker:
        for path in options.files:
            with _noted(problems):
                stream = AudioStream(path)
                given = [texts.get(path)]
                results = recognizer.iterate_files([stream], None, True, given)
                yield stream, *results
        return
    # A file that breaks off must not have had its share in the statistics.
    usable = []
    for path in options.files:
        with _noted(problems):
            stream = AudioStream(path)
            collections.deque(stream.blocks(), maxlen=0)
            usable.append(stream)
    if usable:
        speaker = SPEAKERS[options.speaker or "one"]
        speakers = [speaker(stream.path) for stream in usable]
        given = [texts.get(stream.path) for stream in usable]
        results = recognizer.iterate_files(usable, speakers, True, given)
        with _noted(problems):
            yield from zip(usable, results)


def parse_options(pairs):
    """Options of post-processing."""
    from speechbrain_ext.decoding import PostProcessing

    options = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        word = text.lower()
        if not equals:
            raise UserError(
                f"--postprocessing: expected KEY=VALUE, got '{pair}'; write, "
                "for example, median=0.2, and the files before the options."
            )
        options[key] = _WORDS[word] if word in _WORDS else to_number(text)
    # What is wrong with a value is found before the model is loaded.
    check_keys("postprocessing", options, "--postprocessing")
    PostProcessing(**options)
    return options


def _check_times(options, *names):
    """Refuse values before the model, which may set other bounds, is there."""
    for name in names:
        if (value := getattr(options, name)) is not None:
            check_value(name, value, f"--{name}")


def _references(options):
    """True segments by the names of files, where they are asked for."""
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


def _draw(path, options, analysis, classes, references):
    """Draw the timeline of a recording."""
    from speechbrain_ext.audio import AudioStream
    from speechbrain_ext.plots import timeline

    name, picture = Path(path).stem, Path(options.plot)
    if len(options.files) > 1:
        picture = picture.with_stem(f"{picture.stem}_{name}")
    waveform = outline(AudioStream(path))
    timeline(
        picture,
        waveform,
        len(waveform) / analysis.duration,
        analysis.segments,
        analysis.duration,
        references.get(name),
        analysis.probabilities,
        analysis.edges,
        classes,
        title=Path(path).name,
    )


def outline(stream):
    """A waveform to be drawn, however long the recording."""
    import numpy as np
    import torch

    # Two values each of more columns than a picture has.
    count = stream.num_samples
    size = -(-count // 10_000)
    if size <= 2:
        return np.concatenate(list(stream.blocks()))
    spans = [(i, min(i + size, count)) for i in range(0, count, size)]
    parts = [torch.stack(wav.aminmax()) for wav in stream.windows(spans)]
    return torch.cat(parts).numpy()


def _check_outputs(options):
    """Find out before hours of work whether its result can be written."""
    stems = collections.Counter(Path(path).stem for path in options.files)
    for stem, count in stems.items() if options.rttm or options.plot else ():
        if count > 1:
            raise UserError(
                f"{count} files are called '{stem}', which --rttm and --plot "
                "cannot tell apart; rename them."
            )
        if options.rttm and stem.split() != [stem]:
            raise UserError(
                f"--rttm: RTTM cannot hold the name '{stem}', because fields "
                "end at spaces; rename the file."
            )
    if options.plot and Path(options.plot).suffix not in _PICTURES:
        raise UserError(
            f"--plot: '{options.plot}' does not end in one of "
            f"{', '.join(_PICTURES)}; rename it."
        )
    read = [*options.files, options.reference or ""]
    _check_writable("--rttm", options.rttm, read)
    _check_writable("--plot", options.plot, read)


def _check_writable(option, path, read):
    if path is None:
        return
    if os.path.realpath(path) in map(os.path.realpath, read):
        raise UserError(
            f"{option}: '{path}' is a file to read; give another name."
        )
    path = Path(path)
    try:
        check_replaceable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(
            f"{option}: cannot write '{path}' ({error.strerror}); choose "
            "another place."
        ) from None


def _raise(problems, options):
    """End with the files that could not be used, if there are any."""
    if len(problems) > 1:
        problems.insert(0, f"{len(problems)} of {len(options.files)} files:")
    if problems:
        raise UserError("\n  ".join(problems))
