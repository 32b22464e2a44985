"""Whether the options of a preparation fit together."""

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.conditioning.preparing import check_conditioning
from speechbrain_ext.protocols import PROTOCOLS, classes_of
from speechbrain_ext.protocols.splits import WAYS
from speechbrain_ext.simulation import check_simulation

SPLITS = ("train", "valid", "test")


def check_preparation(
    protocol,
    corpora=None,
    corpus=None,
    label_map=None,
    classes=None,
    speakers=None,
    zed_folder=None,
    simulation=None,
    preprocessing=None,
    balancing=None,
    audio_folder=None,
    phones=None,
    **_,
):
    """Raise a ``UserError`` unless options of ``prepare`` fit together, before
    anything is made or read; the classes."""
    if protocol in PROTOCOLS:
        classes = classes_of(protocol, corpora or corpus, label_map)
    else:
        _check_way(protocol, speakers, zed_folder)
        _check_label_map(label_map, classes)
    if simulation is not None:
        _check_splits("simulation", simulation, "options", zed_folder)
        for name, options in simulation.items():
            check_simulation(options, f"simulation.{name}")
    given = simulation, zed_folder, phones
    check_conditioning(preprocessing, balancing, audio_folder, *given)
    return classes


def _check_way(way, speakers, zed_folder):
    if way not in WAYS:
        ways = ", ".join((*WAYS, *PROTOCOLS))
        raise expected("protocol", f"one of {ways}", way)
    if way == "list":
        _check_splits("speakers", speakers, "a list of speakers", zed_folder)
    elif zed_folder is None:
        raise UserError(
            f"protocol: '{way}' leaves nothing to test on; give zed_folder, "
            "or name the speakers of the test with list."
        )


def _check_label_map(label_map, classes):
    if not isinstance(label_map, dict) or not classes:
        what = f"one of the classes {classes!r}, or null, for every emotion"
        raise expected("label_map", what, label_map)
    for label, name in label_map.items():
        if name is not None and name not in classes:
            what = f"one of the classes {', '.join(classes)}, or null"
            raise expected(f"label_map: {label}", what, name)


def _check_splits(option, given, what, zed_folder):
    needed = SPLITS if zed_folder is None else SPLITS[:2]
    if not isinstance(given, dict):
        each = ", ".join(needed)
        raise expected(option, f"{what} for each of {each}", given)
    for name in needed:
        if name not in given:
            raise UserError(f"{option}: '{name}' is missing; give {what}.")
    for name in given.keys() - SPLITS:
        raise expected(option, f"the splits {', '.join(SPLITS)}", name)


def check_lengths(utterances, max_samples, option):
    """Raise a ``UserError`` where an utterance is too long."""
    for one in utterances:
        if max_samples and one.duration * SAMPLE_RATE > max_samples:
            most = f"{max_samples / SAMPLE_RATE:g}"
            remedy = "choose another encoder"
            if option != "encoder_source":
                remedy += f", or give max_duration: {most}"
            raise UserError(
                f"{option}: '{one.wav or one.id}' has {one.duration:.1f} s, "
                f"the encoder takes {most} s; {remedy}."
            )
