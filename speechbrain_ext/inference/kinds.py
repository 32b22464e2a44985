"""What a model's modules are good for, and what its classes are called."""

import torch
from speechbrain.nnet.pooling import StatisticsPooling

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference.published import class_names

#: A model of this project, or one that SpeechBrain has published; and whether
#: it says one emotion a frame or one an utterance.
OURS, PUBLISHED = "ours", "published"
FRAMES, UTTERANCES = "frames", "utterances"
_GIVE_TO = {
    FRAMES: "says which emotion appears when; give it to EmotionDiarizer "
    "(the command diarize)",
    UTTERANCES: "says one emotion for a whole recording; give it to "
    "EmotionRecognizer (the command recognize)",
}


def layout_of(modules, hparams, source, wanted):
    """Whose layout a model has; it must be of the wanted kind."""
    if "speech" in modules and "head" in modules:
        layout = OURS
        by_frame = len(head_output(modules, source)) == 2
    elif "output_mlp" in modules and {"wav2vec", "wav2vec2"} & set(modules):
        layout = PUBLISHED
        pool = published_pool(modules, hparams)
        by_frame = not isinstance(pool, StatisticsPooling)
    else:
        raise UserError(
            f"model: '{source}' has the modules {', '.join(modules)}, but "
            "encoder and head are needed, or wav2vec2 and output_mlp; give "
            "another model."
        )
    kind = FRAMES if by_frame else UTTERANCES
    if kind != wanted:
        raise UserError(f"model: '{source}' {_GIVE_TO[kind]}.")
    return layout


def published_pool(modules, hparams):
    """Pooling of a published model: a module of it, or a key of its YAML."""
    if "avg_pool" in modules:
        return modules["avg_pool"]
    return hparams.get("avg_pool")


def head_output(modules, source):
    """What a head makes of an utterance of two frames."""
    parameter = next(modules["head"].parameters(), torch.empty(0))
    given = []
    for name in set(modules) - {"head"}:
        size = modules[name].encoder.output_size
        given += parameter.new_zeros(2, size), torch.tensor([2])
    try:
        with torch.inference_mode():
            return modules["head"](*(x.to(parameter.device) for x in given))
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"model: the head of '{source}' does not fit its encoder "
            f"({str(error).splitlines()[0]}); correct its hyperparams.yaml."
        ) from error


def classes_of(hparams, source):
    """Names of a model's classes.

    Arguments
    ---------
    hparams : dict
        With ``classes`` or ``label_encoder``.
    source : str
        What to name in the sentence of an error.

    Returns
    -------
    list of str

    Raises
    ------
    UserError
        When there are none.

    Example
    -------
    >>> classes_of({"classes": ["neutral", "sad"]}, "demo")
    ['neutral', 'sad']
    """
    if "classes" in hparams:
        return list(hparams["classes"])
    if "label_encoder" in hparams:
        return class_names(hparams["label_encoder"], source)
    raise UserError(
        f"model: '{source}' names neither 'classes' nor a "
        "'label_encoder'; add one to its hyperparams.yaml."
    )
