"""``python -m speechbrain_ext.inference diarize MODEL FILE...``."""

from collections import Counter
from pathlib import Path

import numpy as np

from speechbrain_ext.audio import AudioStream
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference.commands.common import (
    add_command,
    check_writable,
    raise_problems,
    run_opts,
)
from speechbrain_ext.inference.diarizer import EmotionDiarizer, check_options
from speechbrain_ext.metrics.hypotheses import read_reference
from speechbrain_ext.metrics.rttm import write_rttm
from speechbrain_ext.plots import timeline

# More columns than a picture has; up to this many samples are drawn as they
# are.
_COLUMNS = 20_000
_PICTURES = (".png", ".svg", ".pdf")
_EXAMPLE = """\
examples:
  python -m speechbrain_ext.inference diarize results/quickstart/1 talk.flac
  python -m speechbrain_ext.inference diarize \\
      speechbrain/emotion-diarization-wavlm-large *.wav --rttm emotions.rttm
"""


def add_diarize(commands):
    """Add the command to a parser."""
    add = add_command(
        commands,
        "diarize",
        diarize_files,
        "say which emotion appears when",
        _EXAMPLE,
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
        help="longer recordings are cut into windows of this length (default: "
        "what the model says, or 30)",
    )
    add(
        "--overlap",
        metavar="S",
        type=float,
        help="what windows share (default: what the model says, or 5)",
    )


def diarize_files(options):
    """The command ``diarize``."""
    postprocessing = parse_options(options.postprocessing)
    _check_outputs(options)
    references = _references(options)
    diarizer = EmotionDiarizer.from_hparams(
        options.model,
        savedir=options.savedir,
        run_opts=run_opts(options),
        window=options.window,
        overlap=options.overlap,
    )
    found, problems = {}, []
    try:
        for path in options.files:
            try:
                analysis = diarizer.analyse_file(path, postprocessing, True)
                found[Path(path).stem] = analysis.segments
                print(format_segments(path, analysis.segments), flush=True)
                if options.plot:
                    draw(
                        _picture(path, options),
                        path,
                        analysis,
                        diarizer,
                        references.get(Path(path).stem),
                    )
            except UserError as error:
                problems.append(str(error))
    finally:
        # Even when the run is interrupted: what is done is done.
        if options.rttm and found:
            write_rttm(options.rttm, found)
    raise_problems(problems, len(options.files))


def parse_options(pairs):
    """Options of post-processing."""
    options = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UserError(
                f"--postprocessing: '{pair}' is not KEY=VALUE; write, for "
                "example, median=0.2, and the files before the options."
            )
        check_options({key: None})
        options[key] = _value(key, text)
    return options


def _value(key, text):
    word = text.lower()
    if key == "one_event":
        if word not in ("true", "false"):
            raise UserError(
                f"--postprocessing: one_event is true or false, not '{text}'."
            )
        return word == "true"
    if word in ("null", "none"):
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"--postprocessing: {key} is a number or null, not '{text}'."
        ) from None


def format_segments(path, segments):
    """A recording's segments as a table."""
    lines = [str(path), f"{'start':>10}{'end':>10}  emotion"]
    lines += [
        f"{s['start']:10.3f}{s['end']:10.3f}  {s['emotion']}" for s in segments
    ]
    return "\n".join(lines)


def _references(options):
    """True segments of the files, where they are asked for."""
    if options.reference is None:
        return {}
    if options.plot is None:
        raise UserError("--reference is drawn: give --plot too.")
    records = read_reference(options.reference)
    for path in options.files:
        if Path(path).stem not in records:
            raise UserError(
                f"--reference: '{options.reference}' has no "
                f"'{Path(path).stem}'; it goes by the names of the files."
            )
    return {name: record["emotion"] for name, record in records.items()}


def draw(picture, path, analysis, diarizer, reference=None):
    """Draw the timeline of a recording."""
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
    size = -(-2 * stream.num_samples // _COLUMNS)
    if size <= 2:
        return np.concatenate(list(stream.blocks()))
    low, high, held = [], [], np.empty(0, np.float32)
    for block in stream.blocks():
        held = np.concatenate([held, block])
        whole = len(held) - len(held) % size
        stretches = held[:whole].reshape(-1, size)
        low.append(stretches.min(axis=1))
        high.append(stretches.max(axis=1))
        held = held[whole:]
    if len(held):
        low.append(held.min(keepdims=True))
        high.append(held.max(keepdims=True))
    return np.stack([np.concatenate(low), np.concatenate(high)], 1).reshape(-1)


def _picture(path, options):
    if len(options.files) == 1:
        return options.plot
    plot = Path(options.plot)
    return plot.with_name(f"{plot.stem}_{Path(path).stem}{plot.suffix}")


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
        path = getattr(options, option)
        if path:
            check_writable(path, option)
