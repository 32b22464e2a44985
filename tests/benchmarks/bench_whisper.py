r"""Whisper's encoder at the utterance's length against Whisper's 30 s.

> python -m tests.benchmarks.bench_whisper \
>     --encoder_source=openai/whisper-tiny.en

from the root of the repository. Seconds of computation for a second of audio
(noise of ``--seed``), with the positions cut to the true length
(``load_encoder``'s default) and with ``pad_to_30s``, for utterances of several
lengths, one by one and in batches, timed in turns.
"""

import itertools
from functools import partial
from statistics import median

import torch

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.encoders import load_encoder
from tests.benchmarks.timing import footer, interleave, parse, ratio, show

OPTIONS = {
    "seconds": [1.0, 3.0, 10.0],
    "batch_sizes": [1, 8],
    "repeats": 5,
    "seed": 1,
}


@exits_cleanly
def main(arguments=None):
    """Print the table."""
    options = parse(__doc__, arguments, "encoder_source", **OPTIONS)
    encoders = {
        "true length": load_encoder(options.encoder_source),
        "30 s": load_encoder(options.encoder_source, pad_to_30s=True),
    }
    cells = [["utterance (s)", "batch", *encoders, "times faster"]]
    generator = torch.Generator().manual_seed(options.seed)
    for seconds, batch in itertools.product(
        options.seconds, options.batch_sizes
    ):
        shape = batch, round(16000 * seconds)
        wav = 0.1 * torch.randn(shape, generator=generator)
        jobs = {name: partial(each, wav) for name, each in encoders.items()}
        times = interleave(jobs, options.repeats)
        audio = batch * seconds
        shares = [f"{median(x) / audio:.4f}" for x in times.values()]
        faster = f"{ratio(times['30 s'], times['true length']):.1f}"
        cells.append([f"{seconds:g}", str(batch), *shares, faster])
    show(cells, "Seconds of computation for a second of audio:")
    footer(options.repeats)


if __name__ == "__main__":
    main()
