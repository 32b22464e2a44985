"""published.yaml: its form, and which entry counts."""

from collections import Counter

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.options import RecipeYaml
from speechbrain_ext.base.values import CLASSIFIERS
from speechbrain_ext.experiment.published import Figure, match, read_published
from tests.recipes.running import ROOT

ALL = {"corpus": "ravdess", "layers": "all"}
FIGURES = [
    Figure(1, "any", "UA", 10.0, {"corpus": "ravdess"}),
    Figure(1, "all", "UA", 20.0, ALL),
    Figure(1, "all", "WA", 21.0, ALL),
    Figure(2, "frozen", "UA", 30.0, {"freeze": True, "lr": 1, "x": None}),
]


@pytest.mark.parametrize(
    ("scalars", "values"),
    [
        # The entry with the most keys counts.
        ({**ALL, "layers": "local"}, {"UA": 10.0}),
        (ALL, {"UA": 20.0, "WA": 21.0}),
        ({"layers": "all"}, {}),
        # Values are compared as YAML has them.
        ({"freeze": True, "lr": 1.0, "x": None}, {"UA": 30.0}),
        ({"freeze": 1, "lr": 1, "x": None}, {}),
        ({"freeze": True, "lr": 1}, {}),
    ],
)
def test_figures_that_fit(scalars, values):
    found = match(FIGURES, scalars)
    assert {name: figure.value for name, figure in found.items()} == values


def test_two_entries_that_fit_equally_well():
    twice = [*FIGURES, Figure(3, "again", "UA", 9.0, {"corpus": "ravdess"})]
    with pytest.raises(UserError, match="'Table 1, any' and 'Table 3, again'"):
        match(twice, {"corpus": "ravdess"})
    # A better one settles it.
    assert match(twice, ALL)["UA"].value == 20


def test_reading(tmp_path):
    path = tmp_path / "published.yaml"
    assert read_published(path) == []
    path.write_text(
        "- table: 1\n  row: eGeMAPS\n  metric: UA\n  value: 57\n  sd: null\n"
        "  when: {layers: all, lr: 1e-5}\n"
        "- {table: figure 2, row: a, metric: UA, value: 1.5, sd: 0.4,\n"
        "   when: {}}\n"
    )
    first, second = read_published(path)
    when = {"layers": "all", "lr": 1e-5}
    assert first == Figure(1, "eGeMAPS", "UA", 57, when)
    assert str(second) == "1.5 ± 0.4 (figure 2, a)"


def entry(**changes):
    """An entry with changes, as YAML has it; None leaves a field out."""
    fields = dict(table="1", row="a", metric="UA", value="1", when="{}")
    pairs = {k: v for k, v in (fields | changes).items() if v is not None}
    return f"- {{{', '.join(f'{k}: {v}' for k, v in pairs.items())}}}\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1", "expected a list of published figures, got {'a': 1}"),
        ("- 5", "entry 1: expected a mapping"),
        ("- [", "is not valid YAML"),
        (entry(value="high"), "entry 1, 'value': expected a number, got 'hi"),
        (entry(value="true"), "'value': expected a number, got True"),
        (entry(wen="{}"), "entry 1: expected the fields table, .* got 'wen'"),
        (entry(reference="1"), "'reference': expected True or False, got 1"),
        (entry(when="{a: [1]}"), "'when', 'a': expected a plain value, got"),
        (entry() + entry(metric=None), "entry 2, 'metric': expected text, got"),
    ],
)
def test_wrong_forms(tmp_path, text, sentence):
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        read_published(path)


ENCODERS = [
    Figure(
        1, row, "UA", 1.0, {**ALL, "encoder_source": source}, None, row == "PT"
    )
    for row, source in (
        ("classical", "egemaps"),
        ("PT", "facebook/wav2vec2-base"),
        ("FT", "facebook/wav2vec2-base-960h"),
    )
]


@pytest.mark.parametrize(
    ("source", "row"),
    [
        ("egemaps", "classical"),
        ("spectrogram", None),
        ("facebook/wav2vec2-base", "PT"),
        ("/models/wav2vec2-base", "PT"),
        ("wav2vec2-base/", "PT"),
        ("/models/wav2vec2-base-960h/", "FT"),
        ("../wav2vec2-base-960h", "FT"),
        ("/models/whisper-tiny.en", "PT"),
        # Of somebody else: another model, whatever its name.
        ("mine/wav2vec2-base-960h", "PT"),
    ],
)
def test_encoders(source, row):
    scalars = {**ALL, "encoder_source": source}
    found = match(ENCODERS, scalars)
    assert (found["UA"].row if found else None) == row
    # Known encoders with other settings have no figure; nor have others.
    assert match(ENCODERS, {**scalars, "layers": "local"}) == {}


def test_a_relative_folder_like_a_name_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "wav2vec2-base-960h").mkdir(parents=True)
    scalars = {**ALL, "encoder_source": "mine/wav2vec2-base-960h"}
    assert match(ENCODERS, scalars)["UA"].row == "FT"


def test_only_entries_that_say_so_are_a_reference():
    scalars = {**ALL, "encoder_source": "openai/whisper-tiny"}
    assert match(ENCODERS[::2], scalars) == {}
    assert match(ENCODERS, ALL) == {}


def recipe_figures(recipe):
    return read_published(ROOT / "recipes" / recipe / "published.yaml")


def recipe_scalars(recipe, yaml, **options):
    path = ROOT / "recipes" / recipe / "hparams" / f"{yaml}.yaml"
    yaml = RecipeYaml(path)
    given = yaml.split({"data_folder": "/d", **options})
    return yaml.settings(*given).scalars


def test_figures_of_ssl_embeddings():
    """Each is found by its own settings, with the YAMLs of the recipe."""
    figures = recipe_figures("ssl_embeddings")
    encoders = Counter(each.when["encoder_source"] for each in figures)
    assert encoders == {
        "egemaps": 2,
        "spectrogram": 2,
        "facebook/wav2vec2-base": 14,
        "facebook/wav2vec2-base-960h": 6,
    }
    for figure in figures:
        source = figure.when["encoder_source"]
        assert figure.reference == (source == "facebook/wav2vec2-base")
        options = dict(figure.when)
        yaml = options["protocol"].split("_")[1]
        if options["head_kind"] == "fusion":
            # A YAML of its own, in which this is no option.
            yaml += f"_{options.pop('head_kind')}"
        scalars = recipe_scalars("ssl_embeddings", yaml, **options)
        local = source.replace("facebook", "/models")
        for source in (source, local):
            scalars["encoder_source"] = source
            assert match(figures, scalars) == {"UA": figure}


@pytest.mark.parametrize(
    "when",
    [
        {"normalization": "global"},
        {"head_kind": "lstm", "normalization": "global"},
        {"layers": "local"},
        {"protocol": "issa_ravdess", "normalization": "global"},
    ],
)
def test_figures_that_ssl_embeddings_must_not_show(when):
    figures = recipe_figures("ssl_embeddings")
    sources = ["egemaps", "spectrogram"]
    if when != {"layers": "local"}:
        sources.append("/models/wav2vec2-base-960h")
    for source in sources:
        when["encoder_source"] = source
        scalars = recipe_scalars("ssl_embeddings", "ravdess", **when)
        assert match(figures, scalars) == {}


def test_other_checkpoints_stand_beside_the_pretrained_one():
    def found(yaml, source):
        options = {"encoder_source": source}
        scalars = recipe_scalars("ssl_embeddings", yaml, **options)
        return match(recipe_figures("ssl_embeddings"), scalars)

    of = "Table 1, Wav2vec2-PT, all layers, encoder wav2vec2-base"
    figure = found("ravdess", "/models/whisper-tiny.en")["UA"]
    assert str(figure) == f"84.3 ± 1.7 ({of})"
    assert found("ravdess_fusion", "egemaps") == {}


def test_figures_of_ssl_finetuning():
    figures = recipe_figures("ssl_finetuning")
    assert len(figures) == 20
    for figure in figures:
        scalars = recipe_scalars("ssl_finetuning", "finetune", **figure.when)
        found = match(figures, scalars)
        assert found[figure.metric] == figure
        assert set(found) == {"UA", "WA"}
        for wrong in (
            {"encoder_source": "/models/whisper-tiny.en"},
            {"encoder_source": "facebook/hubert-base-ls960"},
            {"protocol": "grouped_kfold"},
        ):
            assert match(figures, {**scalars, **wrong}) == {}


def test_figures_of_cross_representation():
    """Each is found with the YAML of its row; tables 3 and 6 are of commands
    of their own."""
    figures = recipe_figures("cross_representation")
    assert Counter(str(each.table) for each in figures) == {
        **{"1": 2, "2": 1, "3": 2, "4": 7, "5": 1, "6": 2},
        "Section 6.1": 1,
    }
    for figure in figures:
        options = {k: v for k, v in figure.when.items() if k != "recipe"}
        source = options["encoder_source"] if figure.table != 6 else ""
        yaml = "small" if options.get("bottleneck") == 8 else "large"
        yaml = "mel" if source == "mel" else yaml
        if "bottleneck" not in options:
            yaml, options = "text", {"text_source": source or "minilm"}
        scalars = recipe_scalars("cross_representation", yaml, **options)
        found = match(figures, scalars)
        assert (found.get(figure.metric) == figure) == (figure.table != 6)


def fusion_scalars(yaml, **options):
    folder = ROOT / "recipes" / "speech_text_fusion" / "hparams"
    yaml = RecipeYaml(folder / f"{yaml}.yaml")
    return yaml.settings(*yaml.split(options)).scalars


def test_figures_of_speech_text_fusion():
    """Each is found by the YAML that it belongs to, and by no other."""
    figures = recipe_figures("speech_text_fusion")
    yamls = ["cnn", "mobilenet", "hubert", "hubert_bert"]
    rows = {yaml: fusion_scalars(yaml) for yaml in yamls}
    for name in CLASSIFIERS:
        rows[name] = fusion_scalars("classical", classifier=name)
    found = {row: match(figures, scalars) for row, scalars in rows.items()}
    assert all(set(each) == {"UA", "WA"} for each in found.values())
    each = [figure for row in found.values() for figure in row.values()]
    assert len(each) == len(figures) and all(x in each for x in figures)
    assert found["forest"]["WA"].value == found["mobilenet"]["UA"].value
    assert found["cnn"]["UA"].row == "CNN (1D)"
    assert found["hubert_bert"]["UA"].value == 77.68
    # Other checkpoints stand beside the paper's; other features do not.
    small = {"encoder_source": "openai/whisper-tiny.en"}
    for yaml in ("hubert", "hubert_bert"):
        scalars = fusion_scalars(yaml, **small)
        assert match(figures, scalars) == found[yaml]
    for options in ({"gender": True}, {"block_shift": 0.01}):
        options = {key: str(value) for key, value in options.items()}
        assert match(figures, fusion_scalars("mobilenet", **options)) == {}
    assert match(figures, fusion_scalars("cnn", encoder_source="mel")) == {}
