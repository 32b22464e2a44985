"""What every run does: begin, know what is prepared, say what it ran on."""

import ast
import re
import resource
import sys
from importlib.metadata import version
from pathlib import Path

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references
from hyperpyyaml.core import recursive_update
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from speechbrain_ext.base.errors import UserError, did_you_mean
from speechbrain_ext.base.files import atomic_open, read_json

PACKAGES = ("speechbrain-ext", "speechbrain", "torch", "transformers", "numpy")

# The options of a run, references resolved, in its folder. SpeechBrain's name.
OPTIONS = "hyperparams.yaml"

# Options that say where something is kept or how long to go on, by key. A run
# is looked up by its folder, however that is spelled.
_FREE = ("output_folder", "cache_folder", "feature_folder", "num_workers")
_FREE_UNTIL_FINISHED = ("number_of_epochs", "patience")
# The same within the mapping ``preparation``.
_FREE_IN_PREPARATION = ("jobs", "cache")

# More differences than this are counted, not listed.
_LISTED = 3


def begin_run(arguments, show):
    """The first steps of a recipe: its options and its run folder.

    Arguments
    ---------
    arguments : list of str
        The command line: a YAML, run options of SpeechBrain, overrides.
    show : callable
        From the folder of a finished run to the end of the run as text.

    Returns
    -------
    hparams_file : str
        The YAML.
    hparams : dict
        What is in it, constructed; None if the run is finished already, which
        is said.
    run_opts : dict
        SpeechBrain's.

    Raises
    ------
    UserError
        When the YAML is not there, lacks a value or does not have what an
        override names; or when the folder holds a run with other options.
    """
    hparams_file, run_opts, overrides = sb.parse_arguments(arguments)
    sb.utils.distributed.ddp_init_group(run_opts)
    if not Path(hparams_file).is_file():
        raise UserError(f"'{hparams_file}' does not exist; give a YAML.")
    # Before anything is constructed, which may take long and hide the reason.
    options = _resolve(hparams_file, overrides)
    plain = _load(options, hparams_file)
    run = Path(plain["output_folder"])
    finished = (run / "results.json").exists()
    # Until there is a checkpoint, whoever mistyped an option may mend it.
    save = Path(plain.get("save_folder", run / "save"))
    if finished or any(save.glob("CKPT*")):
        _check_same_options(run, hparams_file, overrides, finished)
    if finished:
        print(f"This run is finished; delete '{run}' to start it again.")
        print(show(run))
        return hparams_file, None, run_opts
    with open(hparams_file, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
    # No process may write what another one still has to read.
    sb.utils.distributed.ddp_barrier()
    # SpeechBrain would write it in place: killed meanwhile, a run could never
    # be compared again.
    sb.utils.distributed.run_on_main(_write_options, [options, run])
    sb.create_experiment_directory(experiment_directory=run)
    return hparams_file, hparams, run_opts


def _write_options(options, run):
    with atomic_open(run / OPTIONS) as file:
        file.write(options)


def _resolve(hparams_file, overrides):
    # A recipe's YAML with its references resolved, as text; what a user can
    # get wrong in an override becomes a sentence, all else stays as it is.
    try:
        with open(hparams_file, encoding="utf-8") as file:
            return resolve_references(file, overrides, True).getvalue()
    except YAMLError as error:
        reason = getattr(error, "problem", None) or error
        reason = " ".join(str(reason).split())
        raise UserError(
            f"'{hparams_file}' or an option is not valid YAML: {reason}"
        ) from None
    except KeyError as error:
        unknown = re.fullmatch(
            r"Override '(.*)' not found in: (\[.*\])", str(error.args[0])
        )
        if unknown is None:
            raise
        key, known = unknown[1], ast.literal_eval(unknown[2])
        raise UserError(
            f"'{hparams_file}' has no option '{key}'{did_you_mean(key, known)}"
        ) from None
    except ValueError as error:
        text = str(error.args[0])
        missing = re.fullmatch(r"'(\w+).*' is a !PLACEHOLDER.*", text)
        if missing is not None:
            raise UserError(
                f"'{hparams_file}' needs the option '{missing[1]}'; add "
                f"--{missing[1]}=..."
            ) from None
        if text.startswith("The structure of the overrides"):
            given = " ".join(str(overrides).split())
            raise UserError(
                f"'{hparams_file}': an option has another structure than in "
                f"the YAML (one value, or a mapping); given were: {given}"
            ) from None
        raise


def _check_same_options(run, hparams_file, overrides, finished):
    # Raise if the run in the folder was begun with other options.
    path = run / OPTIONS
    if not path.exists():
        return
    then = _load(path.read_text(encoding="utf-8"), path)
    own = YAML().load(Path(hparams_file).read_text(encoding="utf-8"))
    recursive_update(own, _given(overrides))
    free = _FREE if finished else _FREE + _FREE_UNTIL_FINISHED
    # With the old values of what is free, all that is derived from them is as
    # it was, wherever it stands.
    same = {key: then[key] for key in free if key in then and key in own}
    # More epochs may have been trained than are asked for now.
    epochs = own.get("number_of_epochs")
    if isinstance(epochs, int) and epochs < same.get("number_of_epochs", 0):
        del same["number_of_epochs"]
    now = _load(
        _resolve(hparams_file, {**_given(overrides), **same}), hparams_file
    )
    for tree in (then, now):
        if isinstance(tree.get("preparation"), dict):
            for key in _FREE_IN_PREPARATION:
                tree["preparation"].pop(key, None)
    found = list(_differences(then, now))
    if not found:
        return
    # What only refers to an option is not what the user has changed.
    changed = [one for one in found if not _is_reference(own, one[0])] or found
    listed = "; ".join(
        f"{'.'.join(map(str, where))} was {_short(old)}, now {_short(new)}"
        for where, old, new in changed[:_LISTED]
    )
    if len(changed) > _LISTED:
        listed += f"; and {len(changed) - _LISTED} more"
    raise UserError(
        f"output_folder: '{run}' holds a run that was made with other "
        f"options ({listed}); choose another output_folder, or delete it."
    )


def _given(overrides):
    # Overrides as a mapping of its own: to resolve one changes its nodes.
    return YAML().load(overrides) or {} if overrides else {}


def _load(text, path):
    try:
        tree = YAML().load(text)
    except YAMLError:
        tree = None
    if not isinstance(tree, dict):
        raise UserError(
            f"'{path}' is no YAML of a recipe; if it is that of a run, delete "
            "its folder, or choose another output_folder."
        )
    return tree


# Where a key or an entry is not there.
_NOTHING = object()


def _tag(node):
    # Tag such as "!new:torch.nn.Linear"; None for a node without one.
    tag = getattr(getattr(node, "tag", None), "value", None)
    return tag if tag and tag.startswith("!") else None


def _differences(old, new, where=()):
    # (keys, old, new) for all that differs in two YAML trees.
    if _tag(old) != _tag(new):
        yield where, old, new
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(
                old.get(key, _NOTHING), new.get(key, _NOTHING), (*where, key)
            )
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield where, old, new
            return
        for place, pair in enumerate(zip(old, new)):
            yield from _differences(*pair, (*where, place))
    else:
        one, other = (getattr(node, "value", node) for node in (old, new))
        # True is no 1.
        if one != other or isinstance(one, bool) != isinstance(other, bool):
            yield where, old, new


def _is_reference(tree, where):
    # Whether what stands there in an unresolved YAML is, or lies in, a !ref.
    for key in where:
        if _tag(tree) in ("!ref", "!copy"):
            return True
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return False
    return _tag(tree) in ("!ref", "!copy")


def _short(node):
    # A value as the user may have written it, in some words.
    if node is _NOTHING:
        return "not there"
    if node is None:
        return "null"
    if _tag(node):
        return _tag(node)
    text = str(_bare(node))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _bare(node):
    if isinstance(node, dict):
        return {str(key): _bare(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_bare(value) for value in node]
    return _short(node) if _tag(node) else node


def earlier_preparation(folder, options):
    """What an earlier start of the same run has prepared."""
    done = Path(folder) / "protocol.json"
    if not done.exists():
        return None
    protocol = read_json(done)
    if protocol["options"] != options:
        raise UserError(
            f"output_folder: '{done.parent.parent}' holds a run that was "
            "prepared with other options; choose another output_folder, or "
            "delete it."
        )
    return protocol


def machine_record():
    """Versions, and the most memory that this process has held."""
    memory = {"main": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
    if torch.cuda.is_available():
        memory["cuda"] = torch.cuda.max_memory_allocated() / 1e9
    versions = {name: version(name) for name in PACKAGES}
    return {
        "peak_memory_gb": memory,
        "versions": {"python": sys.version.split()[0], **versions},
    }
