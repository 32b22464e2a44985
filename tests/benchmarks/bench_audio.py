"""Reading recordings, beside SpeechBrain's loading and torchaudio's resampling.

> python -m tests.benchmarks.bench_audio

Processor time of a file, both sides in turn. Beside them stand parts: the last
second of a long recording, which the other side resamples as a whole.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import torchaudio
from speechbrain.dataio import audio_io

from speechbrain_ext.audio import read_audio
from tests.benchmarks.timing import (
    footer,
    interleave,
    parse,
    ratio,
    show,
    write_noise,
)

# Rate, seconds, and from which sample at 16 kHz on.
CASES = [
    (16000, 3.5, 0),
    (16000, 60, 59 * 16000),
    (48000, 3.5, 0),
    (48000, 60, 59 * 16000),
    (44100, 3.5, 0),
    (24414, 2, 0),
]


def theirs(path, start):
    """The usual way."""
    waveform, rate = audio_io.load(str(path))
    waveform = waveform.mean(dim=0)
    if rate != 16000:
        waveform = torchaudio.functional.resample(waveform, rate, 16000)
    return waveform[start:]


def main(arguments=None):
    """Print the table."""
    options = parse(__doc__, arguments, repeats=15, cases=len(CASES))
    cells = [["rate", "seconds", "part", "here (ms)", "usual (ms)", "ratio"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        for rate, seconds, start in CASES[: options.cases]:
            write_noise(path, seconds, rate)
            # The usual way takes seconds for rates with no common divisor.
            repeats = options.repeats if rate != 24414 else 1
            ways = {"here": read_audio, "usual": theirs}
            times = interleave(
                {name: partial(way, path, start) for name, way in ways.items()},
                repeats,
            )
            found = [f"{1000 * median(each):.2f}" for each in times.values()]
            faster = f"{ratio(times['usual'], times['here']):.1f}"
            part = "last 1 s" if start else "all"
            cells.append([str(rate), str(seconds), part, *found, faster])
    show(cells)
    footer(options.repeats)


if __name__ == "__main__":
    main()
