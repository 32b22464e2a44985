"""Whatever a model's YAML says, it loads or ends in one sentence."""

import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.untrusted.model_yaml import MAX_EVENTS
from tests.inference.runs import load
from tests.inputs.models import write_export

TAGS = st.sampled_from(
    "!apply:os.mkdir !new:os.mkdir !name:os.mkdir !module:custom !ref !copy "
    "!tuple !PLACEHOLDER !include:a.yaml !applyref:os.mkdir !what ! "
    "!apply:builtins.getattr !apply:builtins.len !apply:getattr !!set !!omap "
    "!!binary !!float !!int !!null !!timestamp !!python/tuple !!python/name:os "
    "!!python/object/apply:os.mkdir !new:speechbrain_ext.models.heads.ConvHead "
    "!new:speechbrain_ext.models.heads.LinearHead "
    "!new:speechbrain_ext.encoders.features.prosody.ProsodyEncoder "
    "!apply:speechbrain_ext.models.heads.make_head "
    "!new:speechbrain_ext.decoding.PostProcessing "
    "!new:speechbrain_ext.models.inputs.Input".split()
)
NAMES = st.sampled_from(
    "classes encoder head modules pretrainer loadables paths max_length "
    "postprocessing input_size num_classes threshold window overlap layers "
    "label_encoder avg_pool checkpointer <<".split()
)
PLAIN = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        "made null ~ true .nan .inf -1 0 1e400 0x1F 1_000 2001-12-14 *a &a "
        "'' [] {} [[]] | > - ? @ ` % --- ... # !".split()
    ),
    st.text(max_size=8),
)
REFERENCES = st.one_of(
    NAMES.map("!ref <{}>".format),
    NAMES.map("!copy <{}>".format),
    st.tuples(NAMES, NAMES).map(lambda x: "!ref <{}[{}]>".format(*x)),
    st.tuples(NAMES, NAMES).map(lambda x: "!ref <{}.{}>".format(*x)),
    st.sampled_from(
        ["__class__", "__globals__", "output_size", "num_layers"]
    ).map("!ref <encoder.{}>".format),
    st.text("<>[].*/+-%()0123456789 aheadncor", max_size=12).map(
        "!ref {}".format
    ),
)
VALUES = st.recursive(
    st.one_of(PLAIN, REFERENCES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda x: f"[{', '.join(x)}]"),
        st.tuples(NAMES, inner).map(lambda x: "{{{}: {}}}".format(*x)),
        st.tuples(TAGS, inner).map(" ".join),
    ),
    max_leaves=6,
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["value", "line", "delete", "double", "cut", "add"]),
        st.integers(0, 200),
        NAMES,
        VALUES,
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def folders(small_run, tmp_path_factory):
    """A run folder and an exported one, with the text of their YAML."""
    place = tmp_path_factory.mktemp("fuzz")
    exported = write_export(place / "export", small_run[1])
    run = shutil.copytree(small_run[0], place / "run")
    return [(x, (x / "hyperparams.yaml").read_text()) for x in (exported, run)]


def edited(text, edits):
    lines = text.strip().split("\n")
    for kind, at, name, value in edits:
        at %= max(len(lines), 1)
        line = lines[at] if lines else ""
        key = line.partition(":")[0]
        new = {
            "value": [f"{key}: {value}"],
            "line": [value],
            "delete": [],
            "double": [line, line],
            "cut": [line[: len(line) // 2]],
            "add": [line, f"{name}: {value}"],
        }
        lines[at : at + 1] = new[kind]
    return "\n".join(lines)


# The folders stay as they are, but for the YAML.
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)
@given(number=st.integers(0, 1), edits=EDITS)
def test_edited_yaml(folders, number, edits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, text = folders[number]
    text = edited(text, edits)
    path = folder / "hyperparams.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    began = time.perf_counter()
    try:
        load(folder)
    except UserError as error:
        sentence = str(error)
        assert "\n" not in sentence and sentence.endswith(".")
    assert time.perf_counter() - began < 20
    assert not list(tmp_path.iterdir()), "code was run, or something written"


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["[", "{a: ", "- ", "? ", "&a [*a,", "!ref <a>, ", "#\n"]),
    st.integers(1, MAX_EVENTS),
)
def test_repeated_pieces(folders, piece, count):
    folder, _ = folders[0]
    text = f"a: {piece * count}"
    (folder / "hyperparams.yaml").write_text(text)
    began = time.perf_counter()
    with pytest.raises(UserError):
        load(folder)
    assert time.perf_counter() - began < 20
