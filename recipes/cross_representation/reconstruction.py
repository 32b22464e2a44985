#!/usr/bin/env python3
"""Draw the mel spectrum of a test utterance, and what a run makes of its codes.

> python reconstruction.py OUT.png RUN [RUN ...] [--utterance ID]

For every run of a speech model with a decoder: the codes over time, and the
spectra of the decoder (L_r1) and of its postnet (L_r2), with their errors.
"""

import argparse
import sys
from pathlib import Path

# A recipe's own files are found beside this one.
from probe import frames_of, load_run

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.utterance import load_manifest


def find_utterance(run, id):
    """An utterance of a run's test set, and all of its speaker's there."""
    tests = load_manifest(Path(run) / "manifests" / "test.json")
    found = [one for one in tests if id in (None, one.id)]
    if not found:
        raise UserError(
            f"--utterance: '{id}' is not in the test set of '{run}', which "
            f"begins with '{tests[0].id}'."
        )
    speaker = found[0].speaker
    return found[0], [one for one in tests if one.speaker == speaker]


def reconstruct(run, utterance, same_speaker):
    """The spectra [frames, bands]: true, of the decoder, of the postnet; and
    the codes [steps, channels]."""
    import torch

    from speechbrain_ext.data import load_waveform
    from speechbrain_ext.encoders.features.spectra import MelEncoder
    from speechbrain_ext.encoders.phones import PhoneEncoder
    from speechbrain_ext.untrusted.model_yaml import ModelYaml

    model = load_run(run)
    head = model.classifier.head
    if getattr(head, "decoder", None) is None:
        raise UserError(f"'{run}' has no decoder; give a run that has one.")
    others = [one for one in same_speaker if one.id != utterance.id]
    *_, given = frames_of(model, [*others, utterance])
    record = utterance.to_dict()
    wav = load_waveform(record)
    speech = model.classifier.inputs["speech"].encoder
    mel = MelEncoder(like=speech).encode_alone(wav)[0]
    phones = None
    if head.use_phones:
        special = ModelYaml(Path(run) / "hyperparams.yaml")
        encoder = PhoneEncoder(speech, special.get("special_phones"))
        ids = encoder.encode_alone(wav, record.get("alignment"))[0]
        phones = ids, given[1]
    with torch.inference_mode():
        codes, counts = head.codes(*given)
        made = head.reconstruct(codes, counts, given[2:], phones)
    frames = len(mel)
    made = [x.flatten(0, 1)[:frames].numpy() for x in made]
    return [mel.numpy(), *made], codes.flatten(0, 1).numpy()


def draw(path, utterance, found):
    """Draw what ``reconstruct`` gives of every run, by name."""
    from speechbrain_ext.plots import style

    rows = 1 + 3 * len(found)
    figure = style.new_figure(8, 1.35 * rows)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    pictures = iter(axes)
    mel = next(iter(found.values()))[0][0]
    _image(next(pictures), mel, f"mel spectrum of {utterance.id}", 0, 1)
    for name, ((_, *made), codes) in found.items():
        repeats = -(-len(mel) // len(codes))
        held = codes.repeat(repeats, axis=0)[: len(mel)]
        size = f"{codes.shape[1]} numbers, {len(codes)} times"
        _image(next(pictures), held, f"{name}: codes ({size})", -1, 1)
        for which, spectrum in zip(("L_r1", "L_r2"), made):
            error = ((spectrum - mel) ** 2).mean()
            title = f"{name}: {which} = {error:.4f}"
            _image(next(pictures), spectrum, title, 0, 1)
    axes[-1].set_xlabel("frames of 20 ms", **style.LABEL)
    style.save_figure(figure, path, None)


def _image(axis, values, title, low, high):
    how = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"}
    colours = "magma" if low == 0 else "RdBu_r"
    axis.imshow(values.T, vmin=low, vmax=high, cmap=colours, **how)
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_yticks([])


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", metavar="OUT.png")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder")
    text = "one of the test set (default: the first)"
    parser.add_argument("--utterance", metavar="ID", help=text)
    options = parser.parse_args(arguments)
    utterance, others = find_utterance(options.runs[0], options.utterance)
    found = {}
    for run in options.runs:
        find_utterance(run, utterance.id)
        # Such as small/fold_1/seed_1.
        name = "/".join(Path(run).parts[-3:])
        found[name] = reconstruct(run, utterance, others)
    draw(options.picture, utterance, found)


if __name__ == "__main__":
    main(sys.argv[1:])
