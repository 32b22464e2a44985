#!/usr/bin/env python3
"""One long recording from the utterances of a run, with its reference.

> python join.py RUN OUT --minutes=10

Writes OUT/long.wav and OUT/reference.json (in the layout of ZED.json): what
`python -m speechbrain_ext.inference diarize` and
`python -m speechbrain_ext.metrics.eder` take.
"""

import argparse
import sys
from pathlib import Path

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import atomic_path, write_json
from speechbrain_ext.utterance import load_manifest


def join(utterances, seconds):
    """Audio [samples] and segments of as many utterances as it takes."""
    import torch

    from speechbrain_ext.data import load_waveform

    parts, segments, position = [], [], 0
    for utterance in utterances:
        audio = load_waveform(utterance.to_dict())
        offset = position / SAMPLE_RATE
        for segment in utterance.emotion:
            times = {n: offset + segment[n] for n in ("start", "end")}
            segments.append({"emo": segment["emo"], **times})
        parts.append(audio)
        position += audio.shape[0]
        if position >= seconds * SAMPLE_RATE:
            return torch.cat(parts), segments
    raise UserError(
        f"minutes: the utterances make {position / SAMPLE_RATE / 60:.1f} in "
        "all; ask for less, or simulate more."
    )


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="folder for the two files")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--split", default="test", help="test, valid or train")
    options = parser.parse_args(arguments)
    import soundfile

    manifest = options.run / "manifests" / f"{options.split}.json"
    utterances = load_manifest(manifest)
    audio, segments = join(utterances, 60 * options.minutes)
    with atomic_path(options.out / "long.wav") as part:
        # The levels of the utterances may add up to more than full scale.
        peak = max(1.0, audio.abs().max().item())
        soundfile.write(part, (audio / peak).numpy(), SAMPLE_RATE)
    duration = audio.shape[0] / SAMPLE_RATE
    record = {"wav": "long.wav", "duration": duration, "emotion": segments}
    write_json({"long": record}, options.out / "reference.json")
    print(f"{options.out / 'long.wav'}: {duration / 60:.1f} minutes")


if __name__ == "__main__":
    main(sys.argv[1:])
