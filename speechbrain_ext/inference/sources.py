"""Where models come from: run folders, model folders, the Hub.

Three layouts are read:

1. a run folder of a recipe: ``hyperparams.yaml`` as SpeechBrain saves it,
   ``save/CKPT+...`` (the checkpoint with the lowest ``error`` is taken), and,
   of a diarizer, ``results.json`` with the post-processing that validation
   chose;
2. a repository of this project: ``hyperparams.yaml`` with ``modules``,
   ``classes``, perhaps ``postprocessing`` or ``layers`` and ``max_length``,
   and a ``pretrainer`` for the module files;
3. the repositories ``speechbrain/emotion-diarization-wavlm-large`` and
   ``speechbrain/emotion-recognition-wav2vec2-IEMOCAP`` and their kind, see
   ``speechbrain_ext.inference.published``.

Of the YAML only what a classifier needs is constructed; what prepares data,
trains, logs or saves is cut out before. No Python file of a source is ever
imported. HyperPyYAML, however, constructs whatever classes a YAML names, and
so a source must be trusted, here as in SpeechBrain.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml import YAML
from speechbrain.utils.fetching import FetchConfig, LocalStrategy, fetch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import read_json
from speechbrain_ext.decoding import PostProcessing
from speechbrain_ext.inference.parameters import (
    from_afar,
    load_checkpoint,
    load_files,
)
from speechbrain_ext.inference.published import modernise, without_weights

#: Keys of a YAML that are constructed; everything else is cut out.
KEPT_KEYS = (
    "modules",
    "inputs",
    "classes",
    "layers",
    "max_length",
    "postprocessing",
    "window",
    "overlap",
    "pretrainer",
    "label_encoder",
    "avg_pool",
    "log_softmax",
    "window_length",
    "stride",
)
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass
class Origin:
    """A source, and how files are had from it."""

    source: str
    hparams_file: str = "hyperparams.yaml"
    savedir: str | None = None
    overrides: dict | None = None
    local_strategy: LocalStrategy = LocalStrategy.SYMLINK
    fetch_config: FetchConfig = FetchConfig()

    def __post_init__(self):
        folder = Path(self.source).expanduser()
        self.folder = folder.resolve() if folder.is_dir() else None
        if self.folder is None:
            self._check_name()

    def _check_name(self):
        if Path(self.source).exists():
            raise UserError(
                f"model: '{self.source}' is a file; give the run folder or "
                "the folder of the model."
            )
        address = str(self.source).startswith(("http://", "https://"))
        if not address and not _HUB_NAME.fullmatch(str(self.source)):
            raise UserError(
                f"model: '{self.source}' is neither a folder nor the name of "
                "a repository on the Hugging Face Hub; check the path."
            )

    def yaml(self):
        """Path of the YAML, fetched if need be."""
        if self.folder is None:
            with from_afar(self.source):
                return fetch(
                    self.hparams_file,
                    str(self.source),
                    self.savedir,
                    local_strategy=self.local_strategy,
                    fetch_config=self.fetch_config,
                )
        path = self.folder / self.hparams_file
        if not path.is_file():
            raise UserError(
                f"model: '{path}' does not exist; give a run folder or the "
                "folder of a model."
            )
        return path

    @property
    def cache(self):
        """Where encoders' own downloads are kept."""
        return str(self.savedir or HF_HUB_CACHE)


def load_source(origin):
    """Construct a model and fill it with its parameters."""
    path = origin.yaml()
    tree = _read_tree(path, origin.overrides)
    if not isinstance(tree.get("modules"), dict):
        raise UserError(
            f"'{path}': the key 'modules' is missing; give the run folder of "
            "a recipe, or a model of that kind."
        )
    run = "pretrainer" not in tree
    if run and origin.folder is None:
        raise UserError(
            f"model: '{origin.source}' has no 'pretrainer' in its "
            f"{origin.hparams_file}; it is no model that can be loaded."
        )
    base = origin.folder
    if run:
        # Relative paths were relative to where the training was started.
        base = _training_folder(origin.folder, tree.get("output_folder"))
    else:
        without_weights(tree)
    names = _saved_names(tree)
    for key in list(tree):
        if key not in KEPT_KEYS:
            del tree[key]
    _relocate(tree, base, origin.cache)
    hparams = _construct(tree, path)
    if run:
        modules = hparams["modules"]
        parts = {"head": modules["head"]}
        for key, module in modules.items():
            for part in ("encoder", "normalizer", "mixture"):
                if getattr(module, part, None) is not None:
                    parts[f"{key}.{part}"] = getattr(module, part)
        load_checkpoint(origin.folder / "save", parts, names)
        if "postprocessing" in hparams:
            hparams["postprocessing"] = _chosen(origin.folder, hparams)
    else:
        load_files(origin, hparams)
    return hparams


def _read_tree(path, overrides):
    """The YAML with all references resolved, nothing of it constructed."""
    try:
        with open(path, encoding="utf-8") as file:
            text = resolve_references(
                file, overrides, overrides_must_match=True
            ).getvalue()
        tree = YAML().load(modernise(text))
    except Exception as error:
        # Of ruamel's many, ValueError for placeholders, KeyError for overrides.
        raise _bad_yaml(path, error) from error
    if not isinstance(tree, dict):
        raise _bad_yaml(path, "it has no keys")
    return tree


def _bad_yaml(path, error):
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"'{path}' cannot be made a model of ({reason[:300]}); put back the "
        "file that came with the model."
    )


def _saved_names(tree):
    """Key of a module -> its name in checkpoints."""
    checkpointer = tree.get("checkpointer")
    recoverables = {}
    if isinstance(checkpointer, dict):
        recoverables = checkpointer.get("recoverables") or {}
    nodes = dict(tree["modules"])
    for key, node in tree["modules"].items():
        for part in ("encoder", "normalizer", "mixture"):
            if isinstance(node, dict) and part in node:
                nodes[f"{key}.{part}"] = node[part]
    return {
        key: name
        for key, node in nodes.items()
        for name, other in recoverables.items()
        if other is node
    }


def _construct(tree, path):
    text = io.StringIO()
    YAML().dump(tree, text)
    try:
        return load_hyperpyyaml(text.getvalue())
    except UserError:
        raise
    except Exception as error:
        # Any class may be constructed, and raise anything.
        raise _bad_yaml(path, error) from error


def _training_folder(run, output_folder):
    """Folder in which a run was started, if it is where it was."""
    if output_folder is None or Path(output_folder).is_absolute():
        return None
    parts = Path(output_folder).parts
    if run.parts[-len(parts) :] != parts:
        return None
    return Path(*run.parts[: -len(parts)])


def _relocate(node, base, cache):
    """Make the encoders' relative paths mean the same from everywhere."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("source", "save_path") and isinstance(value, str):
                found = base is not None and (base / value).is_dir()
                if found and not Path(value).is_dir():
                    node[key] = str(base / value)
                elif key == "save_path" and not found:
                    node[key] = cache
            else:
                _relocate(value, base, cache)
    elif isinstance(node, list):
        for value in node:
            _relocate(value, base, cache)


def _chosen(run, hparams):
    """Post-processing: that of a finished run was chosen on validation."""
    path = run / "results.json"
    if not path.exists():
        return hparams.get("postprocessing") or PostProcessing()
    options = read_json(path).get("postprocessing")
    try:
        return PostProcessing(**options)
    except TypeError:
        raise UserError(
            f"'{path}': 'postprocessing' is {options!r}, which is not what a "
            "run writes; restore the file or delete it."
        ) from None
