"""What every option takes: its type and range, declared once.

``RecipeYaml.check`` looks at all options of a run before anything is read,
``check_value`` at a single one, where a class or a command is given it.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

from speechbrain_ext.base.errors import expected, is_number, is_whole

# Sizes beyond these are mistakes that exhaust memory.
MAX_SIZE = 100_000
MAX_COUNT = 10**9
# numpy takes no larger seed.
_MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Kind:
    """The values that an option takes, and how a sentence names them."""

    what: str
    takes: Callable[[object], bool]


def number(least=-math.inf, most=math.inf, above=None, below=None, unit=""):
    """Numbers between bounds, those included or not."""
    low = least if above is None else above
    high = most if below is None else below
    parts = [
        f"above {low:g}" if above is not None else "",
        f"from {low:g}" if above is None and math.isfinite(low) else "",
        f"below {high:g}" if below is not None else "",
        f"to {high:g}" if below is None and math.isfinite(high) else "",
    ]
    what = " ".join(filter(None, ["a number", unit, *parts]))

    def takes(value):
        return (
            is_number(value)
            and (low < value if above is not None else low <= value)
            and (value < high if below is not None else value <= high)
        )

    return Kind(what, takes)


def whole(least, most=MAX_COUNT):
    """Whole numbers between bounds, both included."""
    to = "" if most == MAX_COUNT else f" to {most}"
    return Kind(
        f"a whole number from {least}{to}",
        lambda value: is_whole(value) and least <= value <= most,
    )


def word(*words):
    """One of some words."""
    return Kind(
        f"one of {', '.join(words)}",
        lambda value: isinstance(value, str) and value in words,
    )


def optional(kind):
    """What a kind takes, or null."""
    return Kind(
        f"{kind.what}, or null",
        lambda value: value is None or kind.takes(value),
    )


def several(kind, what):
    """A list of different values of a kind."""

    def takes(values):
        return (
            isinstance(values, list | tuple)
            and len(values) > 0
            and all(map(kind.takes, values))
            and len(set(values)) == len(values)
        )

    return Kind(f"a list of different {what}", takes)


def _is_path(value):
    text = isinstance(value, str | os.PathLike) and str(value)
    return bool(text) and "\0" not in text


def _is_range(value):
    pair = isinstance(value, list | tuple) and len(value) == 2
    return pair and all(map(is_number, value)) and value[0] <= value[1]


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("a text", lambda x: isinstance(x, str) and bool(x.strip()))
FOLDER = Kind("the path of a folder", _is_path)
SECONDS = number(above=0, unit="of seconds")
RATE = number(above=0)
SEED = whole(0, _MAX_SEED)
SIZE = whole(1, MAX_SIZE)
COUNT = whole(1)
FRACTION = number(0, 1)

#: From an option, dotted where it is in a mapping (*: under any key of it), to
#: what it takes.
OPTIONS = {
    "seed": SEED,
    "data_seed": SEED,
    "split_seed": SEED,
    "preparation.seed": SEED,
    "fold": COUNT,
    "preparation.fold": COUNT,
    "preparation.jobs": whole(1, 1024),
    "preparation.valid_fraction": number(above=0, below=1),
    "preparation.max_silence": number(0, unit="of seconds"),
    "classes": several(TEXT, "names of classes"),
    "number_of_epochs": COUNT,
    "patience": COUNT,
    "batch_size": COUNT,
    "batch_seconds": SECONDS,
    "num_buckets": COUNT,
    "num_workers": whole(0, 1024),
    "lr": RATE,
    "encoder_lr": RATE,
    "weight_decay": number(0),
    "max_grad_norm": number(0),
    "layer_decay": number(above=0, most=1),
    "unfreeze_every": optional(COUNT),
    "stop_by": word("loss", "UA"),
    "resimulate": FLAG,
    "output_folder": FOLDER,
    "save_folder": FOLDER,
    "cache_folder": FOLDER,
    "data_folder": FOLDER,
    "feature_folder": optional(FOLDER),
    "cnn_folder": optional(FOLDER),
    "feature_dtype": word("float16", "float32"),
    "feature_memory": number(0, unit="of gigabytes"),
    "encoder_source": TEXT,
    "freeze_feature_extractor": FLAG,
    "pad_to_30s": FLAG,
    "lora_rank": optional(SIZE),
    "lora_alpha": RATE,
    "layers": word("all", "local", "contextual"),
    "normalization": word("speaker", "global"),
    "max_length": optional(SECONDS),
    "hidden": SIZE,
    "dropout": number(0, below=1),
    "window": SECONDS,
    "overlap": number(0, unit="of seconds"),
    "postprocessing.threshold": optional(FRACTION),
    "postprocessing.median": optional(number(0, unit="of seconds")),
    "postprocessing.min_duration": optional(number(0, unit="of seconds")),
    "postprocessing.one_event": FLAG,
    "simulation.*.passes": COUNT,
    "simulation.*.utterances": optional(COUNT),
    "simulation.*.hours": optional(RATE),
    "simulation.*.crossfade": number(0, unit="of seconds"),
    "simulation.*.max_duration": optional(SECONDS),
    "augmentation.noise_folder": optional(FOLDER),
    "augmentation.rir_folder": optional(FOLDER),
    "augmentation.spec_augment": FLAG,
    "augmentation.snr": Kind(
        "the least and the greatest ratio in dB, such as [0, 15]", _is_range
    ),
    "augmentation.probability": FRACTION,
}


def check_value(option, value, where=None):
    """Raise a ``UserError`` unless a declared option takes a value."""
    kind = OPTIONS[option]
    if not kind.takes(value):
        raise expected(where or option, kind.what, value)
