"""Folders of models as strangers give them: good ones, changed."""

import json
import os
import pickle
import re
import shutil
import zipfile

import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints import make_ssl_checkpoint, make_whisper_checkpoint
from tests.inference.published import RECOGNIZER, write_published

# A model in the layout of this project that a pretrainer fills.
EXPORT = """
pretrained_path: someone/somewhere
classes: [neutral, happy, sad, angry]
max_length: null
encoder: !new:speechbrain_ext.encoders.features.prosody.ProsodyEncoder
head: !new:speechbrain_ext.models.heads.LinearHead
    input_size: 128
    num_classes: 4
modules:
    encoder: !ref <encoder>
    head: !ref <head>
postprocessing: !new:speechbrain_ext.decoding.PostProcessing
    threshold: 0.3
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        encoder: !ref <encoder>
        head: !ref <head>
    paths:
        head: !ref <pretrained_path>/head.ckpt
"""
# What the tables abbreviate.
WORDS = {
    "LINEAR": "!new:speechbrain_ext.models.heads.LinearHead",
    "HEADS": "!new:speechbrain_ext.models.heads",
    "LOAD": "!apply:speechbrain_ext.encoders.load_encoder",
    "DEEP": "[" * 60 + "]" * 60,
    "LONG": "[" + "1," * 6_000 + "]",
    "LARGE": "'" + "x" * 200_000 + "'",
    "MANY": "[" + "!new:torch.nn.ModuleList []," * 300 + "]",
    "NAME": "x" * 5_000,
}
# Texts of which each line doubles what it stands for, by what a row refers to.
BOMBS = {
    "a59": "a0: &a0 [x, x]\n"
    + "\n".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]" for i in range(59)),
    "t59": "t0: xx\n"
    + "\n".join(f"t{i + 1}: !ref <t{i}><t{i}>" for i in range(59)),
    "c59": "c0: [x]\n"
    + "\n".join(f"c{i + 1}: [!copy <c{i}>, !copy <c{i}>]" for i in range(59)),
    "refs": f"m: [{'1,' * 1500}]\nrefs: [{'!ref <m>,' * 1500}]",
    "copies": f"m: [{'1,' * 1500}]\ncopies: [{'!copy <m>,' * 100}]",
}


def write_export(folder, modules, suffix="ckpt"):
    """Write the modules of a diarizer as an exported model."""
    folder.mkdir()
    text = EXPORT.replace("head.ckpt", f"head.{suffix}")
    (folder / "hyperparams.yaml").write_text(text)
    state = modules["speech"].encoder.state_dict()
    torch.save(state, folder / "encoder.ckpt")
    save = torch.save if suffix == "ckpt" else save_file
    save(modules["head"].state_dict(), folder / f"head.{suffix}")
    return folder


def write_whisper(folder):
    """An exported model on the frozen encoder beside it."""
    head = torch.nn.ModuleDict({"linear": torch.nn.Linear(32, 4)})
    folder.mkdir()
    torch.save(head.state_dict(), folder / "head.ckpt")
    make_whisper_checkpoint(folder / "hub")
    load = f"{WORDS['LOAD']}\n    source: hub"
    text = re.sub(r"!new:\S*ProsodyEncoder", load, EXPORT)
    filled = "    loadables:\n        encoder: !ref <encoder>\n"
    text = text.replace("128", "32").replace(filled, "    loadables:\n")
    (folder / "hyperparams.yaml").write_text(text)
    return folder


def write_layouts(folder):
    """The two published layouts, each with its encoder beside it."""
    found = {}
    for name, kind, options in (
        ("published", "wavlm", {"labels": "nhsa"}),
        ("frozen", "wavlm", {"labels": "nhsa"}),
        (
            "iemocap",
            "wav2vec2",
            {
                "labels": ["neu", "ang", "hap", "sad"],
                "pooling": RECOGNIZER,
                "modules": ["avg_pool"],
            },
        ),
    ):
        hub = make_ssl_checkpoint(folder / f"{name}_hub", kind, "large")
        from transformers import AutoModel

        state = AutoModel.from_pretrained(hub).state_dict()
        state = {f"model.{key}": x for key, x in state.items()}
        head = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
        if name == "frozen":
            # The encoder's parameters are those beside its config.json.
            state = None
        made = write_published(folder / name, "hub", state, head, **options)
        shutil.copytree(hub, made / "hub")
        found[name] = made
    return found


def change_yaml(folder, change, made):
    """KEY: VALUE, in place of what a key has in a model's YAML."""
    for word, text in WORDS.items():
        change = change.replace(word, text)
    change = change.replace("MADE", str(made)).replace("\\n", "\n")
    key = change.partition(":")[0]
    path = folder / "hyperparams.yaml"
    text = path.read_text()
    pattern = re.compile(rf"^{key}:( &\w+)?.*\n(?:[ #-].*\n|\n)*", re.M)
    if old := pattern.search(text):
        anchor = old[1] or ""
        change = change.replace(f"{key}:", f"{key}:{anchor}", 1)
        text = f"{text[: old.start()]}{change}\n{text[old.end() :]}"
    else:
        text += f"\n{change}"
    text += "".join(f"\n{BOMBS[x]}" for x in BOMBS if f"<{x}>" in change)
    path.write_text(text)


class Hostile:
    """What runs a function when it is unpickled."""

    def __init__(self, function, *given):
        self.given = function, given

    def __reduce__(self):
        return self.given


def _save(path, state, **options):
    torch.save(state, path, **options)


def _values(path, change):
    """Change every tensor of a file."""
    state = torch.load(path, weights_only=True)
    _save(path, {key: change(tensor) for key, tensor in state.items()})


def _first(path, change):
    """Change the first tensor of a file."""
    state = torch.load(path, weights_only=True)
    key = next(iter(state))
    _save(path, {**state, key: change(state[key])})


def _repack(path, name, data, how=zipfile.ZIP_DEFLATED):
    """Put something else in a file of torch."""
    with zipfile.ZipFile(path) as file:
        kept = {entry: file.read(entry) for entry in file.namelist()}
    place = next(entry for entry in kept if entry.endswith(name))
    with zipfile.ZipFile(path, "w", how) as file:
        for entry in kept:
            file.writestr(entry, data if entry == place else kept[entry])


def _safetensors(path, header, size=None):
    path.write_bytes((size or len(header)).to_bytes(8, "little") + header)


def _linked(path):
    target = path.with_name(f"{path.name}.elsewhere")
    path.rename(target)
    path.symlink_to(target)


def _huge(path, size):
    with open(path, "ab") as file:
        file.truncate(size)


_LEGACY = {"_use_new_zipfile_serialization": False}
_TENSOR = (
    b'{"linear.weight":{"dtype":"F32","shape":[%s],"data_offsets":[0,%s]}}'
)
#: From a word to what it makes of a file; ``made`` must not come to be.
CHANGES = {
    "missing": lambda p, made: p.unlink(),
    "empty": lambda p, made: p.write_bytes(b""),
    "half": lambda p, made: p.write_bytes(
        p.read_bytes()[: -(len(p.read_bytes()) // 2)]
    ),
    "zeros": lambda p, made: p.write_bytes(bytes(5000)),
    "pickled": lambda p, made: _save(p, Hostile(os.mkdir, str(made))),
    "pickled-within": lambda p, made: _values(
        p, lambda x: Hostile(os.mkdir, str(made))
    ),
    "pickled-legacy": lambda p, made: _save(
        p, Hostile(os.mkdir, str(made)), **_LEGACY
    ),
    "pickled-raw": lambda p, made: p.write_bytes(
        pickle.dumps(Hostile(os.mkdir, str(made)))
    ),
    "pickled-eval": lambda p, made: p.write_bytes(
        pickle.dumps(Hostile(eval, f"__import__('os').mkdir({str(made)!r})"))
    ),
    "legacy": lambda p, made: _save(p, torch.load(p), **_LEGACY),
    "bytearray": lambda p, made: _first(
        p, lambda x: Hostile(bytearray, 10**10)
    ),
    "bytearray-legacy": lambda p, made: _save(
        p, {"a": Hostile(bytearray, 10**10)}, **_LEGACY
    ),
    "compressed": lambda p, made: _repack(p, "data/0", bytes(10**8)),
    "long-pickle": lambda p, made: _repack(
        p, ".pkl", b"N0" * 10**6 + b"N.", zipfile.ZIP_STORED
    ),
    "vast-shape": lambda p, made: _first(
        p, lambda x: torch.zeros(1).expand(10**6, 10**6)
    ),
    "vast-storage": lambda p, made: (
        _save(p, {"a": torch.zeros(77)}, **_LEGACY),
        p.write_bytes(p.read_bytes().replace(b"KM", b"\x8a\x06\0\0\0\0\0\x10")),
    ),
    "sparse": lambda p, made: _first(p, lambda x: x.to_sparse()),
    "meta": lambda p, made: _first(p, lambda x: x.to("meta")),
    "wide": lambda p, made: _first(p, lambda x: torch.zeros(3, 5)),
    "nan": lambda p, made: _values(p, lambda x: x * float("nan")),
    "inf": lambda p, made: _values(p, lambda x: x + float("inf")),
    "words": lambda p, made: _values(p, lambda x: "x"),
    "list": lambda p, made: _save(p, [torch.zeros(1)]),
    "numbers": lambda p, made: _save(p, {1: torch.zeros(1)}),
    "large": lambda p, made: _huge(p, 10**8),
    "vast": lambda p, made: _huge(p, 10**12),
    "vast-header": lambda p, made: _safetensors(p, b"{}", 2**62),
    "broken-header": lambda p, made: _safetensors(p, b"{{{{{"),
    "lying-header": lambda p, made: _safetensors(
        p, _TENSOR % (b"4,128", b"2048")
    ),
    "vast-tensor": lambda p, made: _safetensors(
        p, _TENSOR % (b"1000000,1000000", b"4000000000000")
    ),
    "bin": lambda p, made: (
        torch.save(load_file(p), p.with_name("pytorch_model.bin")),
        p.unlink(),
    ),
    "pipe": lambda p, made: (p.unlink(missing_ok=True), os.mkfifo(p)),
    "device": lambda p, made: (p.unlink(), p.symlink_to("/dev/zero")),
    "secret": lambda p, made: (p.unlink(), p.symlink_to("/etc/passwd")),
    "loop": lambda p, made: (p.unlink(), p.symlink_to(p.name)),
    "linked": lambda p, made: _linked(p),
    "folder": lambda p, made: (p.unlink(), p.mkdir()),
}


def change_file(path, how, made):
    """Damage a file: a word of ``CHANGES``, {values} of JSON, or new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if how in CHANGES:
        CHANGES[how](path, made)
        return
    how = how.replace("MADE", str(made)).replace("\\n", "\n")
    for word, text in WORDS.items():
        how = how.replace(word, text)
    if path.suffix == ".json" and how.endswith("}"):
        old = json.loads(path.read_text()) if path.exists() else {}
        how = json.dumps({**old, **json.loads(how)})
    path.write_text(how)
