"""Where models come from, and what is taken from there."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import errors
from hyperpyyaml import load_hyperpyyaml
from safetensors.torch import save_file
from speechbrain.utils.fetching import FetchConfig

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.inference import EmotionDiarizer, EmotionRecognizer
from speechbrain_ext.models.heads import LinearHead
from speechbrain_ext.untrusted.construction import check
from speechbrain_ext.untrusted.model_yaml import ModelYaml, modern
from tests.inference.runs import (
    TEXT,
    load,
    log_probs,
    make_run,
    refused,
    sound,
    states,
    write_run,
)
from tests.inputs.models import EXPORT, write_export

OLD = Path(__file__).parent / "old_runs"
ROOT = Path(__file__).parents[2]
# Of classifiers of scikit-learn nothing is kept but what they say.
RECIPES = [
    path
    for path in sorted(ROOT.glob("recipes/*/hparams/*.yaml"))
    if "\nclassifier:" not in path.read_text()
]
WAV = torch.from_numpy(sound(1.0)[:, 0])
BEST = Path("save", "CKPT+best")


def same(model, modules):
    """Whether a model has these modules' parameters, and says what they say."""
    for name, module in modules.items():
        found = model.mods[name].state_dict()
        for key, tensor in module.state_dict().items():
            assert torch.equal(found[key], tensor), key
    found = model.log_probs(model.encode(WAV[None], texts=[TEXT]))[0]
    torch.testing.assert_close(found, log_probs(modules, WAV).reshape_as(found))


def listing(folder):
    return {
        (str(path.relative_to(folder)), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("fixture", ["small_run", "small_recognizer"])
def test_the_best_checkpoint_not_the_latest(fixture, request):
    folder, modules = request.getfixturevalue(fixture)
    cls = EmotionDiarizer if fixture == "small_run" else EmotionRecognizer
    model = load(folder, cls)
    same(model, modules)
    assert list(modules["head"].parameters())[-2].any()
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.mods["speech"].encoder.training


@pytest.mark.parametrize(
    "recipe", RECIPES, ids=lambda path: "/".join(path.parts[-3::2])
)
def test_the_recipes_own_files(recipe, tmp_path, sources):
    """As the recipe constructs its model, so does inference."""
    text = recipe.read_text()
    keys = "encoder_source data_folder zed_folder ravdess_folder".split()
    overrides = {k: "/no/such/corpus" for k in keys if f"\n{k}:" in text}
    if "encoder_source" in overrides:
        overrides["encoder_source"] = sources["hubert"]
    if "\ntext_source:" in text:
        overrides["text_source"] = "minilm"
        if "\nencoder_source: !ref <text_source>" in text:
            del overrides["encoder_source"]
    if "quickstart" in recipe.stem:
        del overrides["data_folder"]
    folder = tmp_path / "run"
    write_run(folder, text, **overrides)
    overrides["output_folder"] = str(folder)
    hparams = load_hyperpyyaml(text, overrides)
    modules = hparams["modules"]
    for name, module in modules.items():
        module.eval()
        if getattr(module, "normalizer", None) is not None:
            hidden = module.hidden(WAV[None])
            module.normalizer.update(*hidden, ["the speaker"])
    hparams["checkpointer"].save_checkpoint(meta={"error": 1.0})
    by_frame = "postprocessing" in hparams
    model = load(folder, EmotionDiarizer if by_frame else EmotionRecognizer)
    assert model.classes == hparams["classes"]
    if not getattr(model, "by_speaker", False):
        same(model, modules)
    else:
        texts = [TEXT] if model.reads_text else None
        found = model.classify_batch(WAV, texts=texts)[0].log()
        given = []
        for name in [name for name in modules if name != "head"]:
            given += states(modules[name], WAV, speakers=["the speaker"])
        expected = modules["head"](*given).log_softmax(1)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("path", OLD.glob("*.yaml"), ids=lambda p: p.stem)
def test_runs_of_earlier_versions(path, tmp_path, sources):
    checkpoint = tmp_path / "run" / BEST
    checkpoint.mkdir(parents=True)
    text = path.read_text().replace("ENCODER", sources["hubert"])
    text = text.replace("OUTPUT", "results/1")
    (tmp_path / "run" / "hyperparams.yaml").write_text(text)
    (checkpoint / "CKPT.yaml").write_text("error: 1.0\nunixtime: 1.0\n")
    name = path.stem
    shapes = json.loads((OLD / "parameters.json").read_text())[name]
    states = {
        part: {key: torch.rand(shape) for key, shape in keys.items()}
        for part, keys in shapes.items()
    }
    if name == "finetune":
        state = load_encoder(sources["hubert"]).state_dict()
        states["encoder"] = {key: 1.01 * x for key, x in state.items()}
    for part, state in states.items():
        torch.save(state, checkpoint / f"{part}.ckpt")
    by_frame = name in ("quickstart", "ravdess_frozen")
    cls = EmotionDiarizer if by_frame else EmotionRecognizer
    model = load(tmp_path / "run", cls)
    for part, state in states.items():
        one = model.mods["fusion" if part.startswith("fusion_") else "speech"]
        part = part.removeprefix("fusion_")
        module = model.mods["head"] if part == "head" else getattr(one, part)
        found = module.state_dict()
        for key, tensor in state.items():
            torch.testing.assert_close(found[key], tensor.to(found[key].dtype))
    assert len(model(WAV[None])) in (1, 4)
    if name == "quickstart":
        assert (model.window, model.overlap) == (4.0, 2.0)
    if name in ("embeddings", "fusion"):
        assert model.classifier.max_length == 5.0


def test_any_working_directory_and_nothing_written(
    tmp_path, sources, monkeypatch
):
    shutil.copytree(sources["hubert"], tmp_path / "models" / "hubert")
    recipe, elsewhere = tmp_path / "recipe", tmp_path / "elsewhere"
    elsewhere.mkdir()
    recipe.mkdir()
    monkeypatch.chdir(recipe)
    run, source = "results/1", "../models/hubert"
    make_run(recipe / run, source=source, output_folder=run)
    before = listing(recipe)
    for place, name in ((elsewhere, recipe / run), (recipe, run)):
        monkeypatch.chdir(place)
        model = load(name)
        assert model(WAV[None])[0][-1]["end"] == 1.0
        assert listing(recipe) == before
    assert not list(elsewhere.iterdir())
    expected = load_encoder(sources["hubert"]).state_dict()
    for name, tensor in model.mods["speech"].encoder.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_missing_files(run, tmp_path):
    for name in ("saved_head.ckpt", "encoder.ckpt"):
        path = run / BEST / name
        data = path.read_bytes()
        torch.save(LinearHead(3, 4).state_dict(), path)
        refused(f"{name}' does not fit", load, run)
        path.write_bytes(data)
    shutil.rmtree(run / "save")
    refused("save' holds no checkpoint", load, run)
    path = run / "hyperparams.yaml"
    path.write_text("a: 1\n")
    refused("'modules' is missing", load, run)
    path.unlink()
    refused("hyperparams.yaml' does not exist", load, run)
    refused("neither a folder nor the name", load, tmp_path / "none")
    path.touch()
    refused("neither a folder", load, path)


@pytest.fixture
def model_folder(small_run, tmp_path):
    """A model folder in the layout of this project."""
    return write_export(tmp_path / "model", small_run[1])


def test_a_model_folder(model_folder, small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(model_folder)
    before = listing(model_folder)
    model = load(model_folder, savedir=str(tmp_path / "savedir"))
    same(model, small_run[1])
    assert model.postprocessing.threshold == 0.3
    assert listing(model_folder) == before
    path = model_folder / "hyperparams.yaml"
    path.write_text(EXPORT.replace("head.ckpt", "head.safetensors"))
    state = torch.load(model_folder / "head.ckpt")
    save_file(state, model_folder / "head.safetensors")
    (model_folder / "head.ckpt").unlink()
    same(load(model_folder), small_run[1])
    path.write_text(EXPORT)
    refused("head.ckpt' does not exist", load, model_folder)
    del state["linear.bias"]
    torch.save(state, model_folder / "head.ckpt")
    refused("head.ckpt'.*lacks 'linear.bias'", load, model_folder)
    path.write_text(EXPORT.replace("        head: !ref <head>\n", ""))
    refused("pretrainer of .* not load 'head'", load, model_folder)


@pytest.fixture
def hub(model_folder, tmp_path):
    """The Hub's cache, which is filled as a download would."""
    repository = tmp_path / "hub" / "models--someone--somewhere"
    shutil.copytree(model_folder, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    return FetchConfig(
        allow_network=False, huggingface_cache_dir=str(tmp_path / "hub")
    )


def test_a_repository_on_the_hub(hub, small_run, tmp_path):
    savedir = tmp_path / "savedir"
    for options in ({"savedir": str(savedir)}, {}):
        model = load("someone/somewhere", fetch_config=hub, **options)
        same(model, small_run[1])
    files = ["encoder.ckpt", "head.ckpt", "hyperparams.yaml"]
    assert sorted(os.listdir(savedir)) == files


def hub_error(kind):
    # The making of one needs an answer of the Hub.
    error = kind.__new__(kind)
    error.args = ("404 Client Error. (Request ID: x)\n\nNot Found",)
    return error


@pytest.mark.parametrize(
    "error, why",
    [
        (hub_error(errors.RepositoryNotFoundError), "no such repository, or "),
        (hub_error(errors.GatedRepoError), "access must be asked for"),
        (hub_error(errors.RemoteEntryNotFoundError), "has no such file"),
        (errors.LocalEntryNotFoundError("x"), "the Hub cannot be reached"),
        (errors.OfflineModeIsEnabled("x"), "HF_HUB_OFFLINE is set"),
        (RuntimeError("no route. " * 99), r" \.\.\."),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_why_the_hub_gives_no_file(error, why, monkeypatch, tmp_path):
    def fail(**options):
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    reason = rf"some/model' is no folder here, .*{why}.*check the name and the"
    refused(reason, load, "some/model", savedir=str(tmp_path / "savedir"))


def test_where_links_are_not_allowed(hub, small_run, tmp_path, monkeypatch):
    """Windows allows them to administrators alone."""

    def fail(*_):
        raise OSError("[WinError 1314] A required privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", fail)
    savedir = tmp_path / "savedir"
    model = load("someone/somewhere", fetch_config=hub, savedir=str(savedir))
    same(model, small_run[1])
    assert not any(path.is_symlink() for path in savedir.iterdir())


EXPRESSIONS = """
a: 3
b: {c: 0.5, d: [1, x]}
e: results
f: !ref <a>
g: !ref <a> * 2 + 1
h: !ref <a> / <b[c]> - 2 ** 3
i: !ref <e>/<a>
j: !ref <e>/<i>/2021
k: !ref <b>
l: !copy <b>
m: !ref <b[d]>
n: !ref <g> // 2 % 2
o: [!ref <a>, {p: !ref <e>_x}]
q: &x {r: 1}
s: *x
t: !ref <a>.wav
u: null
v: !ref <u>
w: 1e-3
y: 'no'
z: !ref <w>
"""


@pytest.mark.parametrize("overrides", [None, {"a": 5, "b": {"c": 2}}, "a: 7"])
def test_references_are_those_of_hyperpyyaml(tmp_path, overrides):
    path = tmp_path / "a.yaml"
    path.write_text(EXPRESSIONS)
    expected = load_hyperpyyaml(EXPRESSIONS, overrides)
    yaml = ModelYaml(path, overrides)
    assert {key: yaml.get(key) for key in yaml.keys} == dict(expected)
    assert yaml.get("k") is yaml.get("b") is not yaml.get("l")
    refused("'aa', which it does not have; did you", ModelYaml, path, {"aa": 1})


def test_old_class_paths():
    """Beside those of the replicas and of the runs of earlier versions."""
    today = "speechbrain.integrations.huggingface.wavlm.WavLM"
    for old, new in [
        (
            "speechbrain.lobes.models.huggingface_transformers.wavlm.WavLM",
            today,
        ),
        (today, today),
        ("models.utterance_heads.ConvHead", "models.heads.ConvMeanHead"),
        ("encoders.magnitude.x", "encoders.features.spectra.x"),
    ]:
        ours = "speechbrain" not in old
        old, new = (f"{'speechbrain_ext.' * ours}{x}" for x in (old, new))
        assert modern(old) == new


@pytest.mark.parametrize("seed, size", [(2**32 - 1, 3), (1, 2**32 - 1)])
def test_a_seed_is_no_size(seed, size, tmp_path):
    path = tmp_path / "hyperparams.yaml"
    path.write_text(
        "mean: !apply:speechbrain_ext.models.normalization.make_speaker_mean\n"
        f"    speaker_from: speaker\n    channels: {size}\n    seed: {seed}\n"
    )
    values = {"mean": ModelYaml(path).get("mean")}
    if size == 3:
        assert len(check(path, values)) == 1
    else:
        with pytest.raises(UserError, match=f"{size} is larger than"):
            check(path, values)
