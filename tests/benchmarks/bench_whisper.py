r"""Whisper's encoder at the utterance's length against Whisper's 30 s.

> python -m tests.benchmarks.bench_whisper \
>     --encoder_source=openai/whisper-tiny.en

from the root of the repository. Seconds of computation for a second of audio,
with the positions cut to the true length (``load_encoder``'s default) and with
``pad_to_30s``, for utterances of several lengths, one by one and in batches.
The two are timed in turns; the table has medians. What is computed does not
depend on what is said, so the audio is noise. What the difference does to
accuracy is a matter of the recipes.
"""

import argparse
from statistics import median

import torch

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.experiment.table import to_markdown
from tests.benchmarks.timing import interleave, machine, ratio


def parse(arguments):
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], allow_abbrev=False
    )
    parser.add_argument(
        "--encoder_source", required=True, help="a Whisper checkpoint"
    )
    parser.add_argument(
        "--seconds", nargs="+", type=float, default=[1.0, 3.0, 10.0]
    )
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of the noise")
    return parser.parse_args(arguments)


@exits_cleanly
def main(arguments=None):
    """Print the table."""
    options = parse(arguments)
    encoders = {
        "true length": load_encoder(options.encoder_source),
        "30 s": load_encoder(options.encoder_source, pad_to_30s=True),
    }
    cells = [["utterance (s)", "batch", *encoders, "times faster"]]
    generator = torch.Generator().manual_seed(options.seed)
    for seconds in options.seconds:
        for batch_size in options.batch_sizes:
            wav = 0.1 * torch.randn(
                batch_size, round(16000 * seconds), generator=generator
            )
            times = interleave(
                {
                    # Bound at once: the names change with the loops.
                    name: lambda encoder=encoder, wav=wav: encoder(wav)
                    for name, encoder in encoders.items()
                },
                options.repeats,
            )
            audio = batch_size * seconds
            cells.append(
                [
                    f"{seconds:g}",
                    str(batch_size),
                    *(f"{median(x) / audio:.4f}" for x in times.values()),
                    f"{ratio(times['30 s'], times['true length']):.1f}",
                ]
            )
    print("Seconds of computation for a second of audio:\n")
    print(to_markdown(cells))
    print(f"\nMedians of {options.repeats} repeats; {machine()}")


if __name__ == "__main__":
    main()
