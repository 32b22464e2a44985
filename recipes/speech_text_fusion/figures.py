#!/usr/bin/env python3
"""Zero crossing rate and spectral centroid by emotion (figures 3 and 4).

> python figures.py OUT.png RUN

Of the recordings that a run trains on: any run whose data is prepared, copies
included. The box holds the middle half, the line is the median, the whiskers
reach to the 5th and the 95th percentile; OUT.csv has these numbers.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.base.files import write_csv
from speechbrain_ext.utterance import load_manifest

SHOWN = {
    "zero_crossing_rate": "zero crossing rate (of the samples)",
    "spectral_centroid": "spectral centroid (Hz)",
}
PERCENTILES = 5, 25, 50, 75, 95


def measure(utterances, folder):
    """From a feature to emotions and their values."""
    from speechbrain_ext.encoders import load_encoder
    from speechbrain_ext.encoders.features.classical import NAMES
    from speechbrain_ext.models.inputs import Input
    from speechbrain_ext.store import FeatureStore

    store = FeatureStore(folder, Input(load_encoder("classical")), "float32")
    store.extract(utterances)
    found = {name: {} for name in SHOWN}
    for one in utterances:
        row = store.load(one.to_dict())[-1, 0].tolist()
        for name in SHOWN:
            value = row[NAMES.index(name)]
            found[name].setdefault(one.emotion, []).append(value)
    return found


def summarize(found):
    """From a feature to emotions, by their medians, and their percentiles."""
    rows = {}
    for name, by_emotion in found.items():
        shares = {
            emotion: np.percentile(values, PERCENTILES).tolist()
            for emotion, values in by_emotion.items()
        }
        order = sorted(shares, key=lambda emotion: shares[emotion][2])
        rows[name] = {emotion: shares[emotion] for emotion in order}
    return rows


def draw(path, rows, title):
    """A box for every emotion."""
    from speechbrain_ext.plots import style

    figure = style.new_figure(8.4, 3.6)
    for axis, (name, shares) in zip(figure.subplots(1, 2), rows.items()):
        keys = "whislo q1 med q3 whishi".split()
        boxes = [
            {"label": emotion, **dict(zip(keys, share))}
            for emotion, share in shares.items()
        ]
        drawn = axis.bxp(
            boxes,
            orientation="horizontal",
            showfliers=False,
            patch_artist=True,
            widths=0.6,
            medianprops={"color": style.INK},
        )
        for box, emotion in zip(drawn["boxes"], shares):
            box.set(facecolor=style.colour(emotion), edgecolor=style.FAINT)
        for line in drawn["whiskers"] + drawn["caps"]:
            line.set_color(style.FAINT)
        axis.set_xlabel(SHOWN[name], **style.LABEL)
        axis.set_xlim(left=0)
        axis.locator_params(axis="x", nbins=5)
        style.quiet(axis, keep=("bottom",))
    style.save_figure(figure, path, title)


@exits_cleanly
def main(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the picture (.png, .svg, .pdf)")
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder")
    text = "where features are kept (default: where the YAMLs keep them)"
    default = "results/cache/features"
    parser.add_argument("--feature_folder", default=default, help=text)
    parser.add_argument("--title", help="over the picture")
    options = parser.parse_args(arguments)
    manifest = options.run / "manifests" / "train.json"
    if not manifest.exists():
        raise UserError(
            f"'{manifest}' does not exist; give the folder of a run whose data "
            "is prepared."
        )
    utterances = load_manifest(manifest)
    rows = summarize(measure(utterances, options.feature_folder))
    draw(options.out, rows, options.title)
    table = [
        [name, emotion, *(f"{value:.6g}" for value in share)]
        for name, shares in rows.items()
        for emotion, share in shares.items()
    ]
    header = ["feature", "emotion", *(f"p{share}" for share in PERCENTILES)]
    write_csv(options.out.with_suffix(".csv"), header, table)
    print(f"{options.out}, .csv: {len(utterances)} recordings")


if __name__ == "__main__":
    main(sys.argv[1:])
