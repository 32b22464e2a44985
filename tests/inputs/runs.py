"""Run folders whose files are damaged, made by the names of the damages."""

import errno
import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from speechbrain_ext.experiment import command as experiments
from speechbrain_ext.recognition import fuse
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
    "half a line": lambda path: path.open("a").write("epoch: 3, lr: 1e-"),
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
    run = shutil.copytree(place.fixture("trained_run")[1], place.folder / "run")
    damage(run, place.words(given))
    _go_on(run, place)


def disturbed(given, place):
    """NAME: a run that meets a full disk, or a loss that is no number, goes on
    once that is over, and ends as it would."""
    run = shutil.copytree(place.fixture("trained_run")[1], place.folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        if given in DISTURBANCES:
            patch.setattr(*DISTURBANCES[given], raising=False)
        else:
            patch.setattr(os, "replace", _full(given))
        try:
            _go_on(run, place)
        except SystemExit as error:
            ended = error
        else:
            return
    assert not (run / "results.json").exists()
    assert not [*run.rglob(".*")]
    _go_on(run, place)
    raise ended


def _full(name):
    """As ``os.replace``, on a disk that is full when it comes to a file."""
    replace = os.replace

    def replace_or_not(old, new):
        if Path(new).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(new))
        replace(old, new)

    return replace_or_not


class _Full(io.StringIO):
    """A file on a full disk."""

    def write(self, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _save(state, path):
    Path(path).write_bytes(b"half")
    raise RuntimeError("unexpected pos 64 vs 0")


#: From the name of a disturbance to what takes the place of what.
DISTURBANCES = {
    "loss": (
        "torch.nn.functional.nll_loss",
        lambda frames, *_: frames.sum() * float("nan"),
    ),
    "head.ckpt": ("torch.save", _save),
    "train_log.txt": (
        "speechbrain.utils.train_logger.open",
        lambda *_, **how: open("/dev/full", "a"),
    ),
    "log.txt": ("logging.FileHandler._open", lambda handler: _Full()),
}


def trains(given, place):
    """OPTION...: a run from its beginning; it leaves no results."""
    options = place.fixture("trained_run")[0]
    run = place.folder / "run"
    words = (word[2:].partition("=") for word in place.words(given))
    more = {key: value for key, _, value in words}
    try:
        run_here(
            EMBEDDINGS, YAML, {**options, "output_folder": str(run), **more}
        )
    finally:
        assert not (run / "results.json").exists()


def features(given, place):
    """DAMAGE: a run on stored features of which one file is damaged."""
    options = place.fixture("trained_run")[0]
    store = shutil.copytree(options["feature_folder"], place.folder / "store")
    FEATURES[given](next(store.rglob("*.npy")))
    try:
        trains(f"--feature_folder={store}", place)
    finally:
        assert not Path("harm").exists()


def _features(change):
    return lambda path: np.save(path, change(np.load(path)), allow_pickle=True)


def _header(path, shape):
    with open(path, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(100))


FEATURES = {
    **DAMAGES,
    "objects": _features(lambda x: np.array([_Harm()], dtype=object)),
    "two dimensions": _features(lambda x: x[0]),
    "fewer channels": _features(lambda x: x[:, :, :-1]),
    "more layers": _features(lambda x: np.concatenate([x, x])),
    "float64": _features(lambda x: x.astype("float64")),
    "not a number": _features(lambda x: x * np.float32("nan")),
    "infinite": _features(lambda x: x + np.float32("inf")),
    "a terabyte": lambda path: _header(path, (1, 10**9, 201)),
    "beyond integers": lambda path: _header(path, (1, 10**30, 201)),
    "less than nothing": lambda path: _header(path, (1, -5, 201)),
}


def cache(given, place):
    """DAMAGE, or an entry: a run whose cache of what decoding found says so."""
    options = place.fixture("trained_run")[0]
    path = place.folder / "cache" / "recordings.json"
    shutil.copytree(options["cache_folder"], path.parent)
    if given in DAMAGES:
        DAMAGES[given](path)
    else:
        known = json.loads(path.read_text())
        path.write_text(json.dumps({**dict.fromkeys(known, json.loads(given))}))
    run = place.folder / "run"
    folders = {"cache_folder": str(path.parent), "output_folder": str(run)}
    _, found = run_here(EMBEDDINGS, YAML, {**options, **folders})
    undisturbed = place.fixture("trained_run")[3]
    assert (
        found["protocol"]["recordings"]
        == (undisturbed["protocol"]["recordings"])
    )


def _go_on(run, place):
    options, _, _, undisturbed = place.fixture("trained_run")
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


def fused(given, place):
    """FILE DAMAGE: the fusion of a finished run with a whole one."""
    run, _ = _finished(place, given)
    fuse.main([str(place.fixture("trained_run")[2]), str(run)])


def fusing(given, place):
    """RUN or OPTION...: {run} is a finished run, {other} a copy of it, {few}
    one without the first half of its utterances, {classes} and {truth} copies
    with another class or another reference, {killed} one that is not
    finished."""
    killed, finished = place.fixture("trained_run")[1:3]
    texts = {"run": str(finished), "killed": str(killed)}
    for name, change in _COPIES.items():
        texts[name] = str(place.folder / name)
        if f"{{{name}}}" in given:
            shutil.copytree(finished, texts[name])
            for path in Path(texts[name]).glob("predictions*.csv"):
                lines = path.read_text().splitlines(keepends=True)
                path.write_text("".join(change(lines)))
    if "{classes}" in given:
        results = Path(texts["classes"]) / "results.json"
        _changed(results, '"happy"', '"merry"')
    for name, text in texts.items():
        given = given.replace(f"{{{name}}}", text)
    fuse.main(place.words(given))


#: What copies of a run predict: from lines to lines.
_COPIES = {
    "other": lambda lines: lines,
    "few": lambda lines: [lines[0], *lines[len(lines) // 2 :]],
    "rest": lambda lines: lines[: len(lines) // 2],
    "classes": lambda lines: lines,
    "truth": lambda lines: [
        line.replace(",neutral,", ",sad,", 1) for line in lines
    ],
}
