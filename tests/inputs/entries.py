"""The entry points of the project, by the names that the tables use."""

import functools
import json
import os
import resource
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from speechbrain.utils.fetching import FetchConfig

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.encoders.speaker import SpeakerEncoder
from speechbrain_ext.experiment import command as experiments
from speechbrain_ext.inference import (
    EmotionDiarizer,
    EmotionRecognizer,
    command,
)
from speechbrain_ext.training.run import read_command_line
from tests.checkpoints import make_speaker_model
from tests.inputs import files, models, runs, tensors
from tests.inputs.recordings import MAKERS

# Contents of YAMLs by name.
YAMLS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "Latin-1": "output_folder: Fälle\n".encode("latin-1"),
    "a list": b"[1, 2]\n",
    "a word": b"word\n",
    "a tab": b"a:\n\t- b\n",
    "3000 deep": b"a: " + b"[" * 3000 + b"]" * 3000,
    "itself": b"output_folder: &a [*a]\n",
    "reference to itself": b"output_folder: !ref <output_folder>\n",
    "references in a circle": (
        b"output_folder: !ref <b>\nb: !ref <output_folder>\n"
    ),
    "reference to nothing": b"output_folder: !ref <nothing>/a\n",
    "missing class in a module": b"x: !new:torch.nn.NoSuch\n",
    "wrong argument": b"x: !new:torch.nn.Linear\n    in_sizes: 3\n",
    "missing class": b"x: !new:no.such.Class\n",
    "key twice": b"output_folder: a\noutput_folder: b\n",
    "two documents": b"output_folder: a\n---\noutput_folder: b\n",
    "no output_folder": b"seed: 1\n",
    "unclosed": b"output_folder: {a: 1\n",
    "byte order mark": b"\xef\xbb\xbfoutput_folder: a\n",
    "UTF-16": "output_folder: a\n".encode("utf-16"),
    "null byte": b"output_folder: a\0b\n",
    "unknown tag": b"x: !what 1\n",
    "include of nothing": b"output_folder: a\nx: !include:nothing.yaml\n",
    "python object": (
        b"output_folder: a\nx: !!python/object/apply:os.getcwd []\n"
    ),
}
RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass
class Place:
    """Where a row of the tables is tried."""

    folder: Path
    # Folders of small models.
    models: dict
    # A fixture by its name, made only where it is needed.
    fixture: Callable

    def words(self, text):
        """Words of a command line.

        {here} is the folder, {ff} a byte that is not UTF-8.
        """
        text = text.replace("{ff}", os.fsdecode(b"\xff"))
        return shlex.split(text.replace("{here}", str(self.folder)))


def options(given, place):
    """RECIPE YAML OPTION...: the options of a run."""
    recipe, yaml, *words = place.words(given)
    recipe = RECIPES / recipe
    yaml = recipe / "hparams" / yaml
    train = recipe / "train.py"
    needed = _recipe(train)["OPTIONS"]
    exits_cleanly(read_command_line)([str(yaml), *words], train, needed)


def recipe(given, place):
    """RECIPE YAML OPTION...: a run, which ends before it trains."""
    folder, yaml, *words = place.words(given)
    if yaml in YAMLS:
        path = place.folder / "x.yaml"
        shipped = RECIPES / folder / "hparams" / "quickstart.yaml"
        path.write_bytes(shipped.read_bytes() + YAMLS[yaml])
    else:
        path = RECIPES / folder / "hparams" / yaml
    main = _recipe(RECIPES / folder / "train.py")["main"]
    main([str(path), *words, f"--output_folder={place.folder / 'run'}"])


def corpus(given, place):
    """OPTION...: the tables of the corpus of Sharma (2023); there is a folder
    ``empty``."""
    (place.folder / "empty").mkdir()
    words = place.words(given)
    _recipe(RECIPES / "speech_text_fusion" / "corpus.py")["main"](words)


def before_data(given, place):
    """RECIPE YAML OPTION...: a run, which ends before any data is made."""
    try:
        recipe(given, place)
    finally:
        made = {path.name for path in place.folder.glob("run/*/")}
        # Where checkpoints would go.
        assert made <= {"save"}


@functools.cache
def _recipe(path):
    sys.path.insert(0, str(path.parent))
    try:
        return runpy.run_path(str(path))
    finally:
        sys.path.remove(str(path.parent))


def yaml_file(given, place):
    """NAME: the options of a run whose YAML has odd contents."""
    path = place.folder / "x.yaml"
    path.write_bytes(YAMLS[given])
    recipe = RECIPES / "emotion_diarization" / "train.py"
    exits_cleanly(read_command_line)([str(path)], recipe)


def experiment(given, place):
    """RECIPE YAML OPTION...: a plan of runs; none is started."""
    recipe, yaml, *words = place.words(given)
    recipe = RECIPES / recipe
    yaml = recipe / "hparams" / yaml
    words = [str(recipe / "train.py"), str(yaml), *words, "--table-only"]
    experiments.main([*words, f"--output_folder={place.folder / 'runs'}"])


def _judge(name, model, given, place):
    """FILE... OPTION...: what a command makes of recordings."""
    words = place.words(given)
    options = [word for word in words if word.startswith("--")]
    names = [word for word in words if word not in options]
    for word in names:
        if word in MAKERS:
            MAKERS[word](place.folder / word)
    model = str(place.models[model])
    command.main([name, model, "--device=cpu", *options, "--", *names])


def _damaged(name, model, given, place):
    """The same with a model whose parameters are not finite."""
    folder = shutil.copytree(place.models[model], place.folder / "damaged")
    for path in folder.rglob("saved_head.ckpt"):
        state = torch.load(path)
        torch.save({k: x * float("nan") for k, x in state.items()}, path)
    _judge(name, model, given, replace(place, models={model: folder}))


@exits_cleanly
def page(given, place):
    """FILE: what the web page makes of an upload."""
    # It is no part of what the other entries need.
    from speechbrain_ext.app.state import Station

    [name] = place.words(given)
    MAKERS[name](place.folder / name)
    data = (place.folder / name).read_bytes()
    for layout in ("recognizer", "diarizer"):
        station = Station(place.models[layout])
        result = station.judge(station.read(name, data), data)
        print(name, result.emotion)
        print(*result.warnings, sep="\n", file=sys.stderr)


def _on_ascii(given, place):
    """The same on a console that shows nothing but ASCII."""
    sys.stdout.reconfigure(encoding="ascii", errors="strict")
    try:
        _judge("recognize", "recognizer", given, place)
    finally:
        sys.stdout.reconfigure(encoding="utf-8")


def _stranger(change, given, place):
    """LAYOUT CHANGE: what a command makes of a stranger's model."""
    layout, _, given = given.partition(" ")
    folder, made = place.folder / "model", place.folder / "made"
    shutil.copytree(place.models[layout], folder, symlinks=True)
    for name in ("custom", "torch", "ruamel", "speechbrain_ext"):
        text = f"import os; os.mkdir({str(made)!r})\n"
        (folder / f"{name}.py").write_text(text)
    change(folder, given, made)
    name = "recognize" if layout in ("recognizer", "iemocap") else "diarize"
    sound = place.folder / "good.wav"
    MAKERS["good.wav"](sound)
    os.chdir(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        command.main([name, str(folder), "--device=cpu", "--", str(sound)])
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert not made.exists(), "code of the model was run"
        assert peak < 500_000, f"{peak} KB were taken"


def _file(folder, given, made):
    """FILE HOW..., several separated by " ; "."""
    for one in given.split(" ; "):
        name, _, how = one.partition(" ")
        models.change_file(folder / name, how, made)


@exits_cleanly
def speaker_model(given, place):
    """FILE HOW..., or EDIT OLD -> NEW of its YAML: a stranger's model of
    speaker recognition."""
    folder, made = (
        make_speaker_model(place.folder / "model"),
        place.folder / "x",
    )
    what, _, how = given.partition(" ")
    if what == "EDIT":
        path = folder / "hyperparams.yaml"
        old, new = how.replace("MADE", str(made)).split(" -> ")
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
    else:
        models.change_file(folder / what, how, made)
    try:
        print(SpeakerEncoder(folder).output_size)
    finally:
        assert not made.exists(), "code of the model was run"


def overridden(given, place):
    """LAYOUT OVERRIDES: ``from_hparams`` with overrides, a text or JSON."""
    layout, _, given = given.partition(" ")
    made = place.folder / "made"
    given = given.replace("MADE", str(made))
    if given.startswith("{"):
        given = json.loads(given)
    cls = EmotionRecognizer if layout == "recognizer" else EmotionDiarizer
    wavs = torch.linspace(-1, 1, 16000)[None]
    try:
        folder = place.models[layout]
        exits_cleanly(cls.from_hparams)(folder, overrides=given)(wavs)
    finally:
        assert not made.exists(), "code of the model was run"


def damaged_in_memory(given, place):
    """LAYOUT: a batch for a model with parameters that are no numbers."""
    cls = EmotionRecognizer if given == "recognizer" else EmotionDiarizer
    model = cls.from_hparams(place.models[given])
    with torch.no_grad():
        for parameter in model.mods.parameters():
            parameter.fill_(float("nan"))
    exits_cleanly(model)(torch.linspace(-1, 1, 16000)[None])


def source(given, place):
    """WORD: a model of that name."""
    given = {"long": "x" * 5000, "null": "a\0b"}.get(given, given)
    offline = FetchConfig(allow_network=False)
    load = exits_cleanly(EmotionDiarizer.from_hparams)
    load(given, fetch_config=offline)


ENTRIES = {
    "model": functools.partial(_stranger, models.change_yaml),
    "model file": functools.partial(_stranger, _file),
    "overrides": overridden,
    "speaker model": speaker_model,
    "batch": damaged_in_memory,
    "source": source,
    "options": options,
    "yaml": yaml_file,
    "recipe": recipe,
    "corpus": corpus,
    "before data": before_data,
    "experiment": experiment,
    "recognize": functools.partial(_judge, "recognize", "recognizer"),
    "diarize": functools.partial(_judge, "diarize", "diarizer"),
    "damaged recognizer": functools.partial(
        _damaged, "recognize", "recognizer"
    ),
    "damaged diarizer": functools.partial(_damaged, "diarize", "diarizer"),
    "recognize on an ASCII console": _on_ascii,
    "page": page,
    **files.ENTRIES,
    **tensors.ENTRIES,
    "goes on": runs.goes_on,
    "disturbed": runs.disturbed,
    "trains": runs.trains,
    "features": runs.features,
    "cache": runs.cache,
    "finished": runs.finished,
    "table": runs.table,
    "fuse": runs.fused,
    "fusing": runs.fusing,
}
