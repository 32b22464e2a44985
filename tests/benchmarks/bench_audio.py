"""Reading recordings, beside SpeechBrain's loading and torchaudio's resampling.

> python -m tests.benchmarks.bench_audio

Processor time of a file, both sides in turn. Beside them stand parts: the last
second of a long recording, which the other side resamples as a whole.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torchaudio
from speechbrain.dataio import audio_io

from speechbrain_ext.audio import read_audio

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


def clock(job, *arguments):
    """Processor time of a job in milliseconds."""
    begin = time.process_time()
    job(*arguments)
    return 1000 * (time.process_time() - begin)


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cases", type=int, default=len(CASES))
    options = parser.parse_args(arguments)
    print("| rate | seconds | part | here (ms) | usual (ms) | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        for rate, seconds, start in CASES[: options.cases]:
            noise = np.random.default_rng(0).normal(0, 0.1, int(rate * seconds))
            soundfile.write(path, noise, rate)
            # The usual way takes seconds for rates with no common divisor.
            repeats = options.repeats if rate != 24414 else 1
            here, usual = [], []
            for _ in range(repeats + 1):
                here.append(clock(read_audio, path, start))
                usual.append(clock(theirs, path, start))
            ratio = median(b / a for a, b in zip(here[1:], usual[1:]))
            part = "last 1 s" if start else "all"
            print(
                f"| {rate} | {seconds} | {part} | {median(here[1:]):.2f} | "
                f"{median(usual[1:]):.2f} | {ratio:.1f} |"
            )


if __name__ == "__main__":
    main()
