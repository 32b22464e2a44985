r"""Long recordings by windows against SpeechBrain's whole recording.

> python -m tests.benchmarks.bench_windows

from the root of the repository. SpeechBrain's published layout for emotion
diarization, on a random WavLM, classifies recordings of several lengths:
SpeechBrain's interface as a whole, ``EmotionDiarizer`` by windows, in turns.
The table has medians of processor time and their ratio; below 1, windows are
faster. ``--encoder_source`` takes a checkpoint of WavLM, HuBERT or wav2vec 2.0.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import torch
from speechbrain.inference.diarization import Speech_Emotion_Diarization

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.encoders.loading import load_config
from speechbrain_ext.inference import EmotionDiarizer
from tests.benchmarks.timing import (
    footer,
    interleave,
    parse,
    ratio,
    show,
    write_noise,
)
from tests.checkpoints import BASE_SIZES, make_ssl_checkpoint
from tests.inference.published import write_published

OPTIONS = {
    "encoder_source": None,
    "seconds": [31.0, 45.0, 60.0, 90.0, 120.0],
    "repeats": 3,
}


class Whole(Speech_Emotion_Diarization):
    """SpeechBrain's own, without the module that it does not use."""

    MODULES_NEEDED = ["input_norm", "wav2vec2", "output_mlp"]


@exits_cleanly
def main(arguments=None):
    """Print the table."""
    options = parse(__doc__, arguments, **OPTIONS)
    cells = [["recording (s)", "whole (s)", "windows (s)", "ratio"]]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source = options.encoder_source or make_ssl_checkpoint(
            folder / "encoder",
            "wavlm",
            "large",
            **{**BASE_SIZES, "num_hidden_layers": 4},
        )
        head = torch.randn(4, load_config(source).hidden_size)
        # Both take the encoder's weights from its checkpoint.
        write_published(folder, source, None, head, "nhsa")
        cpu = {"device": "cpu"}
        place = folder / "savedir"
        sides = {
            "whole": Whole.from_hparams(folder, savedir=place, run_opts=cpu),
            "windows": EmotionDiarizer.from_hparams(folder, run_opts=cpu),
        }
        path = str(folder / "a.wav")
        jobs = {n: partial(one.diarize_file, path) for n, one in sides.items()}
        for seconds in options.seconds:
            write_noise(path, seconds)
            times = interleave(jobs, options.repeats)
            found = [f"{median(each):.2f}" for each in times.values()]
            share = f"{ratio(times['windows'], times['whole']):.2f}"
            cells.append([f"{seconds:g}", *found, share])
    show(cells)
    footer(options.repeats)


if __name__ == "__main__":
    main()
