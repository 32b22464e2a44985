r"""A step of fine-tuning against SpeechBrain's wav2vec 2.0 interface.

> python -m tests.benchmarks.bench_finetuning --data_folder=RAVDESS

from the root of the repository. The same utterances and the same mean and
linear layer on both sides. SpeechBrain's side is that of its recipes: its
wrapper with ``freeze_feature_extractor`` and AdamW. This package's side has
fused AdamW, and runs from the waveforms or from stored features of the frozen
convolutions. Without ``--encoder_source`` the model is wav2vec 2.0 base with
random weights. Processor time, timed in turns. The last table has the
convolutions with their group normalisation over the valid frames alone against
those of the padded batch.
"""

import tempfile

import torch
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain.nnet.pooling import StatisticsPooling
from torch.nn import functional as F

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.data import join
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.base import ConvolvedFeatures
from speechbrain_ext.encoders.grid import absolute_lengths
from speechbrain_ext.models.packing import mean_over_frames, pack
from speechbrain_ext.training.brain import keep_memory
from tests.benchmarks.timing import against, footer, interleave, parse, show
from tests.checkpoints import BASE_SIZES, make_ssl_checkpoint

OPTIONS = {"encoder_source": None, "utterances": 8, "repeats": 5}
REFERENCE = "SpeechBrain"


def step(encode, parameters, size, labels, fused):
    """A function that trains once on the mean over frames."""
    linear = torch.nn.Linear(size, 8)
    parameters = [p for p in parameters if p.requires_grad]
    parameters += linear.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=fused)

    def train():
        F.cross_entropy(linear(encode()), labels).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        optimizer.zero_grad()

    return train


def jobs(source, wav, wav_lens):
    """Steps of all sides, by name."""
    labels = torch.arange(len(wav)) % 8
    options = {"freeze": False, "freeze_feature_extractor": True}
    theirs = Wav2Vec2(source, str(source), output_norm=False, **options).train()
    pool = StatisticsPooling(return_std=False)

    def reference():
        return pool(theirs(wav, wav_lens), wav_lens)[:, 0]

    model = theirs.parameters(), theirs.model.config.hidden_size
    found = {REFERENCE: step(reference, *model, labels, fused=False)}
    ours = load_encoder(source, freeze=False)
    frames = ours.grid.num_frames(absolute_lengths(wav_lens, wav.shape[1]))
    features = ConvolvedFeatures(ours)(wav, wav_lens)
    ways = {
        "from waveforms": lambda: ours(wav, wav_lens),
        "from stored convolutions": lambda: ours.resume(features, frames),
    }
    for name, encode in ways.items():

        def mean(encode=encode):
            return mean_over_frames(pack(encode(), frames), frames)

        model = ours.parameters(), ours.output_size
        found[name] = step(mean, *model, labels, fused=True)
    return found


def convolutions(source, wav, wav_lens):
    """The convolutions as transformers has them, on the padded batch, and on
    the valid samples alone."""
    encoder = load_encoder(source).eval()
    lengths = absolute_lengths(wav_lens, wav.shape[1])
    extract = encoder.model.feature_extractor
    return {
        "padded": torch.no_grad()(lambda: extract(wav)),
        "valid": torch.no_grad()(lambda: encoder.convolve(wav, lengths)),
    }


@exits_cleanly
def main(arguments=None):
    """Print the tables."""
    options = parse(__doc__, arguments, "data_folder", **OPTIONS)
    utterances, _ = read_corpus("ravdess", options.data_folder)
    # Of similar length, as a batch of buckets has them.
    utterances.sort(key=lambda utterance: utterance.duration)
    middle = len(utterances) // 2
    chosen = utterances[middle : middle + options.utterances]
    wav, wav_lens = join([read_audio(u.wav) for u in chosen])
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        source = options.encoder_source or make_ssl_checkpoint(
            folder, "wav2vec2", do_normalize=False, **BASE_SIZES
        )
        steps = interleave(jobs(source, wav, wav_lens), options.repeats)
        # Of almost equal length: the least that there is to be saved.
        sides = convolutions(source, wav, wav_lens * 0.999)
        norms = interleave(sides, options.repeats)
    duration = wav.shape[1] / 16000
    title = f"A step of {len(wav)} utterances of up to {duration} s"
    show(against(steps, REFERENCE), title)
    show(against(norms, "padded"), "Convolutions with group normalisation")
    footer(options.repeats)


if __name__ == "__main__":
    main()
