"""Run folders whose files are damaged, made by the names of the damages."""

import os
import pickle
import shutil
from pathlib import Path

import pytest

from speechbrain_ext.experiment import command as experiments
from speechbrain_ext.recognition import average
from tests.recipes.running import EMBEDDINGS, run_here

YAML = "ravdess.yaml"


class _Harm:
    """Once it is unpickled, there is a file."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def _folder(path):
    path.unlink()
    path.mkdir()


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _changed(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


#: From the name of a damage to what does it.
DAMAGES = {
    "none": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "cut": _cut,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "text": lambda path: path.write_text("This is no such file.\n"),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "pickle": lambda path: path.write_bytes(pickle.dumps(_Harm())),
    "deep": lambda path: path.write_text("[" * 100_000),
    "list": lambda path: path.write_text("[1, 2]"),
    "object": lambda path: path.write_text("{}"),
    "missing": Path.unlink,
    "folder": _folder,
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "huge": lambda path: os.truncate(path, 10**12),
}


def damage(run, given):
    """FILE DAMAGE, or FILE OLD NEW: ``latest`` is the later checkpoint."""
    name, what, *new = given
    saved = sorted((run / "save").glob("CKPT+*"))
    for path in saved if "both" in name else [saved[-1]]:
        names = name.replace("latest", path.name).replace("both", path.name)
        if new:
            _changed(run / names, what, *new)
        else:
            DAMAGES[what](run / names)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory, short_ravdess):
    """Options, a run killed after two of three epochs, which has a checkpoint
    of each, the same at its end, and what it found."""
    root = tmp_path_factory.mktemp("trained")
    options = {
        "data_folder": str(short_ravdess),
        "cache_folder": str(root / "cache"),
        "feature_folder": str(root / "features"),
        "encoder_source": "spectrogram",
        "feature_dtype": "float32",
        "batch_size": 64,
        "hidden": 4,
        "output_folder": str(root / "run"),
    }
    run, first = root / "run", root / "first"
    for epochs in (1, 2):
        run_here(EMBEDDINGS, YAML, {**options, "number_of_epochs": epochs})
        # As if it had been killed before its end.
        (run / "results.json").unlink()
        (latest,) = sorted((run / "save").glob("CKPT+*"))[-1:]
        if epochs == 1:
            shutil.copytree(latest, first / latest.name)
    shutil.copytree(first, run / "save", dirs_exist_ok=True)
    options["number_of_epochs"] = 3
    killed = shutil.copytree(run, root / "killed")
    results = run_here(EMBEDDINGS, YAML, options)[1]
    return options, killed, run, results


def goes_on(given, place):
    """FILE DAMAGE: a run that was killed goes on, and ends as it would."""
    options, killed, _, undisturbed = place.fixture("trained_run")
    run = shutil.copytree(killed, place.folder / "run")
    damage(run, place.words(given))
    found = run_here(EMBEDDINGS, YAML, {**options, "output_folder": str(run)})
    for key in ("metrics", "test", "valid", "layer_weights"):
        assert found[1][key] == undisturbed[key]
    lines = (run / "train_log.txt").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        f"epoch: {n}" for n in (1, 2, 3)
    ]
    assert not Path("harm").exists()


def _finished(place, given, name="run"):
    options, _, finished, _ = place.fixture("trained_run")
    run = shutil.copytree(finished, place.folder / name)
    damage(run, place.words(given))
    return run, {**options, "output_folder": str(run)}


def finished(given, place):
    """FILE DAMAGE: a finished run is started again, and shown."""
    _, options = _finished(place, given)
    run_here(EMBEDDINGS, YAML, options)


def table(given, place):
    """FILE DAMAGE: the table of a finished run."""
    _, options = _finished(place, given, "runs/fold_1/seed_1")
    options["output_folder"] = str(place.folder / "runs")
    yaml = EMBEDDINGS / "hparams" / YAML
    words = [f"--{key}={value}" for key, value in options.items()]
    words = [str(EMBEDDINGS / "train.py"), str(yaml), *words, "--table-only"]
    experiments.main(words)


def averaged(given, place):
    """FILE DAMAGE: the average of a finished run with a whole one."""
    run, _ = _finished(place, given)
    average.main([str(place.fixture("trained_run")[2]), str(run)])
