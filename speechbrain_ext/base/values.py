"""What every option takes: its type and range, declared once.

``RecipeYaml`` looks at all options of a run before anything is read,
``check_value`` at a single one, where a class or a command is given it.
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from speechbrain_ext.base.errors import (
    UserError,
    did_you_mean,
    expected,
    is_number,
    is_whole,
)

# Sizes beyond these are mistakes that exhaust memory.
MAX_SIZE = 100_000
MAX_COUNT = 10**9
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
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
        "up" if above is not None and math.isfinite(most) else "",
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


def _is_mapping(value):
    return isinstance(value, dict) and all(isinstance(x, str) for x in value)


def _is_label_map(value):
    return _is_mapping(value) and all(
        x is None or TEXT.takes(x) for x in value.values()
    )


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("a text", lambda x: isinstance(x, str) and bool(x.strip()))
FOLDER = Kind("the path of a folder", _is_path)
FILE = Kind("the path of a file", _is_path)
MAPPING = Kind("a mapping of options", _is_mapping)
LABEL_MAP = Kind("a mapping from emotion to class", _is_label_map)
SECONDS = number(above=0, unit="of seconds")
# No recording lasts longer than this, and nothing in one.
TIME = Kind(SECONDS.what, number(above=0, most=1e6).takes)
LENGTH = Kind("a number of seconds from 0", number(0, 1e6).takes)
# Optimizers do not calculate with more.
RATE = Kind("a number above 0", number(above=0, most=1e30).takes)
SEED = whole(0, _MAX_SEED)
SIZE = whole(1, MAX_SIZE)
COUNT = whole(1)
FRACTION = number(0, 1)

#: By its name, the class of a classifier of utterances' vectors.
CLASSIFIERS = {
    "knn": "sklearn.neighbors.KNeighborsClassifier",
    "mlp": "sklearn.neural_network.MLPClassifier",
    "xgboost": "xgboost.XGBClassifier",
    "lightgbm": "lightgbm.LGBMClassifier",
    "logistic": "sklearn.linear_model.LogisticRegression",
    "forest": "sklearn.ensemble.RandomForestClassifier",
    "bayes": "sklearn.naive_bayes.GaussianNB",
    "tree": "sklearn.tree.DecisionTreeClassifier",
}

#: From an option, dotted where it is in a mapping (*: under any key of it), to
#: what it takes. A mapping has no keys but those that are declared here.
OPTIONS = {
    "seed": SEED,
    "data_seed": SEED,
    "split_seed": SEED,
    "fold": COUNT,
    "classes": several(TEXT, "names of classes"),
    "label_map": optional(LABEL_MAP),
    "corpus": TEXT,
    "protocol": TEXT,
    "split": TEXT,
    "preparation": MAPPING,
    "preparation.corpora": MAPPING,
    "preparation.corpora.*": optional(FOLDER),
    "preparation.corpus": TEXT,
    "preparation.data_folder": FOLDER,
    "preparation.protocol": TEXT,
    "preparation.fold": COUNT,
    "preparation.seed": SEED,
    "preparation.label_map": optional(LABEL_MAP),
    "preparation.classes": several(TEXT, "names of classes"),
    "preparation.only": optional(MAPPING),
    "preparation.only.*": several(TEXT, "values"),
    "preparation.valid_fraction": number(above=0, below=1),
    "preparation.speakers": optional(MAPPING),
    "preparation.speakers.*": several(TEXT, "speakers"),
    "preparation.zed_folder": optional(FOLDER),
    "preparation.simulation": optional(MAPPING),
    "preparation.simulation.*": MAPPING,
    "preparation.max_silence": number(0, unit="of seconds"),
    "preparation.jobs": whole(1, 1024),
    "preparation.cache": optional(FILE),
    "preparation.phones": optional(word("pocketsphinx")),
    "phones": optional(word("pocketsphinx")),
    "special_phones": Kind(
        "a list of tokens in brackets, such as [LAUGHTER]",
        lambda x: (
            isinstance(x, list)
            and all(isinstance(one, str) and one[:1] == "[" for one in x)
        ),
    ),
    "speaker_source": TEXT,
    "speaker_from": word("speaker", "utterance"),
    "speaker_utterances": COUNT,
    "simulation": MAPPING,
    "simulation.*": MAPPING,
    "simulation.*.passes": COUNT,
    "simulation.*.utterances": optional(COUNT),
    # More than all corpora together can give in a life.
    "simulation.*.hours": optional(number(above=0, most=10_000)),
    "simulation.*.crossfade": number(0, unit="of seconds"),
    "simulation.*.max_duration": optional(SECONDS),
    "resimulate": FLAG,
    "number_of_epochs": COUNT,
    "patience": COUNT,
    "stop_by": word("loss", "UA"),
    "batch_size": COUNT,
    "batch_seconds": SECONDS,
    "num_buckets": COUNT,
    "num_workers": whole(0, 1024),
    "lr": RATE,
    "encoder_lr": RATE,
    "weight_decay": number(0),
    "max_grad_norm": number(0),
    "layer_decay": number(above=0, most=1),
    **{
        f"{prefix}lr_annealing.{key}": kind
        for prefix in ("", "encoder_")
        for key, kind in {
            "improvement_threshold": number(0),
            "annealing_factor": number(above=0, most=1),
            "patient": whole(0),
        }.items()
    },
    "unfreeze_every": optional(COUNT),
    "output_folder": FOLDER,
    "save_folder": FOLDER,
    "cache_folder": FOLDER,
    "data_folder": FOLDER,
    **{
        f"{name}_folder": optional(FOLDER)
        for name in (
            "zed iemocap ravdess emovdb esd jlcorpus cremad tess savee "
            "synthetic"
        ).split()
    },
    "feature_folder": optional(FOLDER),
    "cnn_folder": optional(FOLDER),
    "feature_dtype": word("float16", "float32"),
    "feature_memory": number(0, unit="of gigabytes"),
    "encoder_source": TEXT,
    "transcriber": optional(TEXT),
    **dict.fromkeys(
        ("trained_layers", "text_trained_layers"),
        Kind(
            "a number of layers, 0 or more, or all",
            lambda x: x == "all" or whole(0, 200).takes(x),
        ),
    ),
    "warmup_steps": whole(0),
    "grad_accumulation_factor": COUNT,
    "classifier": word(*CLASSIFIERS),
    "grid": optional(MAPPING),
    "grid.*": Kind(
        "a list of values, such as [1, 5, 10]",
        lambda x: isinstance(x, list | tuple) and len(x) > 0,
    ),
    "l1": number(0),
    "l2": number(0),
    "kernel_size": whole(1, 1000),
    "block_shift": number(0.01, 1, unit="of seconds"),
    "max_blocks": optional(COUNT),
    "gender": FLAG,
    "trained": word("all", "classifier"),
    "weights": optional(TEXT),
    "encoder.freeze": FLAG,
    "encoder.freeze_feature_extractor": FLAG,
    "encoder.output_norm": FLAG,
    "encoder.local_encoder": FLAG,
    "preparation.transcriber": optional(TEXT),
    **{
        f"{prefix}{key}": kind
        for prefix in ("", "preparation.")
        for key, kind in {
            "preprocessing": optional(MAPPING),
            "preprocessing.reduce_noise": FLAG,
            "preprocessing.remove_silence": FLAG,
            "preprocessing.min_duration": LENGTH,
            "preprocessing.top_db": number(above=0, most=200, unit="of dB"),
            "balancing": optional(whole(1, MAX_SIZE)),
            "audio_folder": optional(FOLDER),
            "audio_gigabytes": number(above=0, unit="of gigabytes"),
        }.items()
    },
    "text_source": TEXT,
    "special_tokens": FLAG,
    "lowercase": FLAG,
    "sigmoid": FLAG,
    "min_tokens": whole(3, MAX_SIZE),
    "joint_kind": word("gated", "attention"),
    "freeze_feature_extractor": FLAG,
    "pad_to_30s": FLAG,
    "lora_rank": optional(SIZE),
    "lora_alpha": RATE,
    "layers": word("all", "local", "contextual"),
    "normalization": word("speaker", "global"),
    "max_length": optional(TIME),
    "head_kind": word("dense", "lstm", "fusion", "mean", "conv"),
    "hidden": SIZE,
    "bottleneck": SIZE,
    "downsampling": SIZE,
    "segment": SIZE,
    "encoder_width": SIZE,
    "decoder_width": SIZE,
    "decoder": FLAG,
    "use_speaker": FLAG,
    "use_phones": FLAG,
    "drop_remainder": FLAG,
    "reconstruction": word("both", "decoder", "postnet"),
    "class_weights": FLAG,
    "recurrent_head.projection": SIZE,
    "recurrent_head.hidden": SIZE,
    "dropout": number(0, below=1),
    "window": TIME,
    "overlap": number(0, unit="of seconds"),
    "postprocessing": MAPPING,
    "postprocessing.threshold": optional(FRACTION),
    # A filter over longer stretches takes hours.
    "postprocessing.median": optional(number(0, 60, unit="of seconds")),
    "postprocessing.min_duration": optional(LENGTH),
    "postprocessing.one_event": FLAG,
    "postprocessing_grid": MAPPING,
    "augmentation": MAPPING,
    "augmentation.noise_folder": optional(FOLDER),
    "augmentation.rir_folder": optional(FOLDER),
    "augmentation.spec_augment": FLAG,
    "augmentation.snr": Kind(
        "the least and the greatest ratio in dB, such as [0, 15]", _is_range
    ),
    "augmentation.probability": FRACTION,
}


def to_number(text):
    """The number that a text is in plain decimals; any other text as it is.

    Python's own reading takes 1_0, nan and digits of all scripts, too.
    """
    return float(text) if _NUMBER.fullmatch(text) else text


def check_value(option, value, where=None):
    """Raise a ``UserError`` unless a declared option takes a value."""
    kind = OPTIONS[option]
    if not kind.takes(value):
        raise expected(where or option, kind.what, value)


def check_keys(option, mapping, where=None):
    """Raise a ``UserError`` unless all keys of a mapping are declared."""
    below = [x for x in OPTIONS if x.startswith(f"{option}.")]
    known = {x[len(option) + 1 :].partition(".")[0] for x in below}
    for key in mapping:
        if known and "*" not in known and key not in known:
            raise UserError(
                f"{where or option}: there is no option "
                f"'{key}'{did_you_mean(str(key), known)}"
            )


def check_windows(window, overlap):
    """Raise a ``UserError`` unless windows go on from one to the next."""
    if is_number(window) and is_number(overlap) and overlap >= window:
        what = f"less than the window of {window} s"
        raise expected("overlap", what, overlap)
