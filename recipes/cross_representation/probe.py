#!/usr/bin/env python3
"""How well a speaker is told from the codes of a finished run (table 3).

> python probe.py RUN [RUN ...] [--seeds 3]

Four linear layers learn the speakers of training and validation from 80 % of
each one's utterances (section 6.2: all sessions but the tested one); UA over
the segments of the others. A run without codes is probed by the mean over the
frames of its first input. Writes probe.json into the run's folder. In the
paper, eight speakers of IEMOCAP: small 17.6, large 22.9, chance 12.5.
"""

import argparse
import functools
import statistics
import sys
from pathlib import Path

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import write_json
from speechbrain_ext.metrics.report import interval_text
from speechbrain_ext.utterance import load_manifest

#: Neurons of the layers before the last one (6.2).
LAYERS = (2048, 1024, 1024)
EPOCHS, LR, TRAIN_SHARE = 10, 1e-4, 0.8  # (6.2), the first two (code)
BATCH = 8  # (ours)


def read_utterances(run):
    """Utterances of the run that are not tested on, of speakers with two or
    more, and how many were left out."""
    folder = Path(run) / "manifests"
    parts = (load_manifest(folder / f"{x}.json") for x in ("train", "valid"))
    every = [one for part in parts for one in part if one.speaker]
    speakers = [one.speaker for one in every]
    kept = [one for one in every if speakers.count(one.speaker) > 1]
    if len({one.speaker for one in kept}) < 2:
        raise UserError(
            f"'{run}' knows fewer than two speakers with two utterances each; "
            "give a run over several speakers."
        )
    return kept, len(every) - len(kept)


def load_run(run, device=None):
    """The recognizer of a run of a recipe."""
    from speechbrain_ext.inference import EmotionRecognizer

    run_opts = {"device": device} if device else None
    model = EmotionRecognizer.from_hparams(run, run_opts=run_opts)
    if getattr(getattr(model, "classifier", None), "inputs", None) is None:
        raise UserError(f"'{run}' is no run of a recipe; give one.")
    return model


def frames_of(model, utterances):
    """What a model's head gets of each utterance: packed frames and their
    length, of one input after the other."""
    import torch
    from tqdm import tqdm

    classifier = model.classifier
    if model.by_speaker:
        for one in tqdm(utterances, "Speakers' statistics", unit="utt"):
            encoded = _encode(model, one, by_speaker=True)
            classifier.learn(encoded, [one.speaker])
    for one in tqdm(utterances, "Utterances", unit="utt"):
        given, speaker = [], [one.speaker]
        with torch.inference_mode():
            for name, (hidden, lengths) in _encode(model, one).items():
                source = classifier.inputs[name]
                given += [source.frames(hidden, lengths, speaker), lengths]
        yield given


def codes_of(run, utterances, device=None):
    """What is probed of each utterance [segments, size], and what that is."""
    import torch

    from speechbrain_ext.models.packing import mean_over_frames

    model = load_run(run, device)
    head, first = model.classifier.head, next(iter(model.classifier.inputs))
    has_codes = hasattr(head, "codes")
    found = []
    for given in frames_of(model, utterances):
        with torch.inference_mode():
            if has_codes:
                codes = head.codes(*given)[0].flatten(1)
            else:
                codes = mean_over_frames(*given[:2])
        found.append(codes.float().cpu())
    return found, "codes" if has_codes else f"mean over frames of '{first}'"


def _encode(model, utterance, **options):
    from speechbrain_ext.data import load_waveform

    record = utterance.to_dict()
    texts = [record.get("text")] if model.reads_text else None
    wav = load_waveform(record)[None]
    return model.encode(wav, texts=texts, **options)


def split(utterances, seed):
    """Places of the utterances to train on: 80 % of each speaker's, one at
    least, and one at least is left."""
    from speechbrain_ext.base.random import stable_rng

    places = {}
    for place, one in enumerate(utterances):
        places.setdefault(one.speaker, []).append(place)
    train = set()
    for speaker, own in places.items():
        order = stable_rng("probe", seed, speaker).permutation(own)
        count = min(max(round(TRAIN_SHARE * len(own)), 1), len(own) - 1)
        train.update(order[:count].tolist())
    return train


def probe(codes, labels, train, seed, activation="linear", epochs=EPOCHS):
    """Speakers that are found in the segments of what is not trained on, from
    the place of an utterance to an array."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    sizes = [codes[0].shape[1], *LAYERS, max(labels) + 1]
    layers = []
    for before, after in zip(sizes, sizes[1:]):
        between = [nn.Softplus()] if layers and activation == "softplus" else []
        layers += [*between, nn.Linear(before, after)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    given = torch.cat([codes[place] for place in sorted(train)])
    truth = torch.cat(
        [torch.full((len(codes[x]),), labels[x]) for x in sorted(train)]
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(given)).split(BATCH):
            loss = nn.functional.cross_entropy(model(given[rows]), truth[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return {
            place: model(x).argmax(dim=1).numpy()
            for place, x in enumerate(codes)
            if place not in train
        }


def measure(found, labels):
    """UA (%) over the seeds, its interval over utterances, and each seed's."""
    import numpy as np

    from speechbrain_ext.metrics.intervals import interval
    from speechbrain_ext.metrics.predictions import figure_of

    size, tested = max(labels) + 1, sorted(set().union(*found))
    sums = np.zeros((len(tested), len(found), size, size))
    for seed, said in enumerate(found):
        for place, speakers in said.items():
            at = tested.index(place), seed, labels[place]
            np.add.at(sums, (*at, speakers), 1)
    figure = functools.partial(figure_of, "UA", weights=[1.0] * len(found))
    each = [float(figure_of("UA", sums.sum(0)[[n]])) for n in range(len(found))]
    return float(figure(sums.sum(axis=0))), interval(sums, figure), each


def probe_run(run, options):
    """Probe a run, write probe.json, and say what came out."""
    utterances, left_out = read_utterances(run)
    codes, what = codes_of(run, utterances, options.device)
    names = sorted({one.speaker for one in utterances})
    labels = [names.index(one.speaker) for one in utterances]
    how = options.activation, options.epochs
    found = [
        probe(codes, labels, split(utterances, seed), seed, *how)
        for seed in range(1, options.seeds + 1)
    ]
    ua, bounds, each = measure(found, labels)
    record = {
        "of": what,
        "size": codes[0].shape[1],
        "UA": ua,
        "UA_interval": bounds,
        "UA_of_seeds": each,
        "chance": 100 / len(names),
        "speakers": len(names),
        "utterances": len(utterances),
        "segments": sum(map(len, codes)),
        "left_out_single_utterances": left_out,
        "activation": options.activation,
        "epochs": options.epochs,
    }
    write_json(record, Path(run) / "probe.json")
    spread = f" ± {statistics.stdev(each):.1f}" if len(each) > 1 else ""
    print(
        f"{run}: speaker UA {ua:.1f}{spread} % over {len(each)} seeds, 95 % "
        f"{interval_text(bounds)} (bootstrap over utterances), chance "
        f"{record['chance']:.1f} %; {len(names)} speakers, {len(utterances)} "
        f"utterances, {record['segments']} segments; {what}, "
        f"{record['size']} numbers each"
        + (
            f"; {left_out} only utterances of a speaker left out."
            if left_out
            else "."
        )
    )


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder")
    kinds = range(1, 101)
    text = "splits and first weights (default: 3)"
    parser.add_argument(
        "--seeds", type=int, default=3, help=text, choices=kinds, metavar="N"
    )
    text = "between the layers (default: linear, for the paper names none)"
    parser.add_argument(
        "--activation",
        choices=("linear", "softplus"),
        default="linear",
        help=f"{text}; softplus: the released code's",
    )
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, choices=kinds, metavar="N"
    )
    parser.add_argument("--device", help="of the model, such as cuda or cpu")
    options = parser.parse_args(arguments)
    for run in options.runs:
        probe_run(run, options)


if __name__ == "__main__":
    main(sys.argv[1:])
