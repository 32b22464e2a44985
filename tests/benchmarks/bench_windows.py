r"""Long recordings by windows against SpeechBrain's whole recording.

> python -m tests.benchmarks.bench_windows

from the root of the repository. SpeechBrain's published layout for emotion
diarization, on a random WavLM, classifies recordings of several lengths:
SpeechBrain's interface as a whole, ``EmotionDiarizer`` by windows, in turns.
The table has medians of processor time and their ratio; below 1, windows are
faster. ``--encoder_source`` takes a checkpoint of WavLM, HuBERT or wav2vec 2.0.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import torch
from speechbrain.inference.diarization import Speech_Emotion_Diarization

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.encoders.loading import load_config
from speechbrain_ext.experiment.table import to_markdown
from speechbrain_ext.inference import EmotionDiarizer
from tests.benchmarks.timing import interleave, machine, ratio
from tests.checkpoints import make_ssl_checkpoint
from tests.inference.published import write_published

# As in the base models, but for the number of layers.
SIZES = {
    "hidden_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "conv_dim": (512,) * 7,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}


class Whole(Speech_Emotion_Diarization):
    """SpeechBrain's own, without the module that it does not use."""

    MODULES_NEEDED = ["input_norm", "wav2vec2", "output_mlp"]


def parse(arguments):
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], allow_abbrev=False
    )
    parser.add_argument("--encoder_source", help="default: a random WavLM")
    parser.add_argument(
        "--seconds", nargs="+", type=float, default=[31, 45, 60, 90, 120]
    )
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args(arguments)


@exits_cleanly
def main(arguments=None):
    """Print the table."""
    options = parse(arguments)
    cells = [["recording (s)", "whole (s)", "windows (s)", "ratio"]]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source = options.encoder_source or make_ssl_checkpoint(
            folder / "encoder", "wavlm", "large", **SIZES
        )
        head = torch.randn(4, load_config(source).hidden_size)
        # Both take the encoder's weights from its checkpoint.
        write_published(folder, source, None, head, "nhsa")
        cpu = {"device": "cpu"}
        whole = Whole.from_hparams(
            folder, savedir=folder / "savedir", run_opts=cpu
        )
        windows = EmotionDiarizer.from_hparams(folder, run_opts=cpu)
        for seconds in options.seconds:
            path = str(folder / "a.wav")
            noise = np.random.default_rng(1).normal(
                0, 0.1, round(16000 * seconds)
            )
            soundfile.write(path, noise, 16000)
            times = interleave(
                {
                    "whole": lambda path=path: whole.diarize_file(path),
                    "windows": lambda path=path: windows.diarize_file(path),
                },
                options.repeats,
            )
            cells.append(
                [
                    f"{seconds:g}",
                    *(f"{median(times[k]):.2f}" for k in ("whole", "windows")),
                    f"{ratio(times['windows'], times['whole']):.2f}",
                ]
            )
    print(to_markdown(cells))
    print(f"\nMedians of {options.repeats} repeats; {machine()}")


if __name__ == "__main__":
    main()
