"""Scripts that draw pictures of several runs: what they count and refuse."""

import csv
import json
import re
import statistics
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from tests.recipes.running import EMBEDDINGS, FINETUNING, script

CLASSES = ["neutral", "happy", "sad"]


def drawing(recipe, name, path, *words):
    """Run a script; the lines of its table."""
    script(recipe, name).main([str(path), *map(str, words)])
    return table(path.parent / f"{path.name.removesuffix('.png')}.csv")


@pytest.fixture
def draw_layers(tmp_path):
    path = tmp_path / "out" / "a.png"
    return partial(drawing, EMBEDDINGS, "layer_weights", path)


@pytest.fixture
def draw_confusion(tmp_path):
    return partial(drawing, FINETUNING, "confusion", tmp_path / "out" / "v1.5")


@pytest.fixture
def refused(tmp_path, capsys):
    """Checks that a script ends with one sentence and writes nothing."""

    def check(sentence, draw, *arguments):
        with pytest.raises(SystemExit) as ended:
            draw(*arguments)
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert re.search(sentence, error), error
        assert error.startswith("error: ") and error.count("\n") == 1
        assert not (tmp_path / "out").exists()

    return check


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write_run(folder, results, table=()):
    """Leave what a run leaves, as far as it counts here."""
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "predictions.csv").write_text("\n".join(table) + "\n")
    return folder


def mixture_run(folder, weights, seed=1, fold=1, **more):
    results = {
        "hparams": "ravdess.yaml",
        "seed": seed,
        "fold": fold,
        "corpus": "ravdess",
        "encoder_source": "facebook/wav2vec2-base",
        "normalization": "speaker",
        "layer_weights": weights,
    }
    return write_run(folder, {**results, **more})


def recognition_run(folder, rows, seed=1, classes=CLASSES):
    lines = [f"{id},ann,{said[0]},{said[1]},0.5" for id, said in rows]
    lines.insert(0, "id,speaker,reference,predicted,p_sad")
    return write_run(folder, {"classes": classes, "seed": seed}, lines)


def random_rows(count, seed, prefix=""):
    random = np.random.default_rng(seed)
    pairs = random.choice(CLASSES, (count, 2)).tolist()
    return [(f"{prefix}{place}", pair) for place, pair in enumerate(pairs)]


def test_layer_weights_by_model_and_seed(tmp_path, draw_layers, figures):
    other = {"encoder_source": "/models/big.en/"}
    rows = [
        (3, [0.1, 0.9], {}),
        (1, [0.3, 0.7], {}),
        (2, [0.4, 0.6], {}),
        (7, [0.2, 0.8], other),
        (7, [0.5, 0.5], {"normalization": "global"}),
    ]
    runs = [
        mixture_run(tmp_path / str(place), row, seed, **more)
        for place, (seed, row, more) in enumerate(rows)
    ]
    lines = draw_layers(*runs)
    base = "wav2vec2-base, ravdess, speaker normalization"
    assert lines[0] == ["name", "seed", "layer", "weight"]
    names = [base] * 3 + [base.replace("wav2vec2-base", "big.en")]
    names.append(base.replace("speaker", "global"))
    expected = zip(names, [*sorted(rows[:3], key=str), *rows[3:]])
    assert lines[1:] == [
        [name, str(seed), str(layer), f"{weight:.6f}"]
        for name, (seed, row, _) in expected
        for layer, weight in enumerate(row)
    ]
    drawn = figures[0].axes[0].containers
    assert len(drawn) == 3
    means = np.mean([row for _, row, _ in rows[:3]], axis=0)
    assert drawn[0][0].get_ydata() == pytest.approx(means)
    assert {f.name for f in (tmp_path / "out").iterdir()} == {"a.csv", "a.png"}


def test_layer_weights_average_over_folds_first(tmp_path, draw_layers, figures):
    by_seed = {1: ([0.0, 1.0], [0.4, 0.6]), 2: ([0.8, 0.2], [1.0, 0.0])}
    runs = [
        mixture_run(tmp_path / f"{seed}-{fold}", row, seed, fold)
        for seed, rows in by_seed.items()
        for fold, row in enumerate(rows, start=1)
    ]
    lines = draw_layers(*runs)
    assert [float(line[3]) for line in lines[1:]] == [0.2, 0.8, 0.9, 0.1]
    _, _, (bars,) = figures[0].axes[0].containers[0]
    ends = bars.get_segments()[0][:, 1]
    half = statistics.stdev([0.2, 0.9])
    assert ends == pytest.approx([0.55 - half, 0.55 + half])


def test_runs_without_a_mixture(tmp_path, draw_layers, refused, capsys):
    null = mixture_run(tmp_path / "null", None)
    refused("'.*null': no mixture of layers", draw_layers, null)
    more = mixture_run(tmp_path / "more", None, encoder_source="egemaps")
    refused("null' and all other runs: no mixture", draw_layers, null, more)
    refused("give folders of finished runs", draw_layers, tmp_path / "no")
    other = write_run(tmp_path / "other", {"layer_weights": [1.0]})
    refused("has no 'encoder_source'", draw_layers, other)
    # Beside others they are skipped.
    good = mixture_run(tmp_path / "good", [0.25, 0.75])
    alone = draw_layers(good)
    assert capsys.readouterr().err == ""
    assert draw_layers(null, good, more) == alone
    skipped = f"Skipped, without a mixture of layers: {null}, {more}\n"
    assert capsys.readouterr().err == skipped


def test_mixtures_that_do_not_belong_together(tmp_path, draw_layers, refused):
    one = mixture_run(tmp_path / "one", [0.5, 0.5])
    again = mixture_run(tmp_path / "again", [0.5, 0.5])
    refused("one' and '.*again' are the same seed", draw_layers, one, again)
    refused("are the same seed and fold", draw_layers, one, one)
    for sentence, more in (
        ("encoder_source differ", {"encoder_source": "a/wav2vec2-base"}),
        ("their hparams differ", {"hparams": "lstm.yaml"}),
        ("seed 1 lacks fold 2", {"fold": 2}),
        ("differ in their number of layers", {"layer_weights": [1, 2, 3]}),
    ):
        other = mixture_run(tmp_path / sentence, [0.5, 0.5], 2, **more)
        refused(sentence, draw_layers, one, other)


def test_confusion_adds_up_folds_and_seeds(tmp_path, draw_confusion, figures):
    runs = {
        (seed, fold): random_rows(40, 10 * seed + fold, f"{fold}-")
        for seed in (1, 2)
        for fold in (1, 2)
    }
    folders = [
        str(recognition_run(tmp_path / f"{seed}{fold}", rows, seed))
        for (seed, fold), rows in runs.items()
    ]
    lines = draw_confusion(f"one={folders[0]}", f"all={','.join(folders)}")
    models = {"one": [runs[1, 1]], "all": list(runs.values())}
    assert lines[0] == ["model", "reference", *CLASSES, "count"]
    assert len(lines) == 7
    assert [axis.get_title() for axis in figures[0].axes] == ["one", "all"]
    rows = iter(lines[1:])
    for name, parts in models.items():
        truth, said = zip(*(pair for part in parts for _, pair in part))
        how = {"labels": CLASSES, "normalize": "true"}
        expected = 100 * confusion_matrix(truth, said, **how)
        for label, shares, row in zip(CLASSES, expected, rows):
            assert row[:2] == [name, label]
            found = [float(x) for x in row[2:5]]
            assert found == pytest.approx(shares, abs=0.00501)
            assert row[5] == str(truth.count(label))
    files = {file.name for file in (tmp_path / "out").iterdir()}
    assert files == {"v1.5.csv", "v1.5.png"}


def test_an_utterance_counts_once_a_seed(tmp_path, draw_confusion, refused):
    rows = random_rows(5, 0)
    one = recognition_run(tmp_path / "one", rows)
    more = random_rows(5, 1, "b") + rows[3:4]
    two = recognition_run(tmp_path / "two", more)
    sentence = "two/predictions.csv', line 7: '3' has been predicted already "
    sentence += "by seed 1 .*one/predictions.csv', line 5"
    refused(sentence, draw_confusion, f"a={one},{two}")
    refused("'0' has been predicted already", draw_confusion, f"a={one},{one}")
    twice = recognition_run(tmp_path / "twice", rows + rows[:1])
    refused("line 7: '0' has been pred", draw_confusion, f"a={twice}")
    # Another seed, or another model, may predict it too.
    seed = recognition_run(tmp_path / "seed", rows, seed=2)
    lines = draw_confusion(f"a={one},{seed}", f"b={one}")
    assert sum(int(line[-1]) for line in lines[1:]) == 15


def test_bad_predictions(tmp_path, draw_confusion, refused):
    run = recognition_run(tmp_path / "run", random_rows(3, 0))
    file = run / "predictions.csv"
    head = "id,speaker,reference,predicted\n"
    for text, sentence in (
        ("id,speaker,eder\n", "has no column 'reference'"),
        ("", "has no column 'id'"),
        (head, "has no predictions"),
        (head + "a,ann,sad\n", "line 2: expected 4 fields"),
        (head + "a,ann,sad,sad,1\n", "line 2: expected 4 fields"),
        (head + "a,ann,bored,sad\n", "line 2, reference: .* got 'bored'"),
        (head + "\na,ann,sad,\n", "line 3, predicted: expected a .* got ''"),
        (head + 'a,"ann,sad\n', "is not readable as CSV"),
    ):
        file.write_text(text)
        refused(sentence, draw_confusion, f"a={run}")
    file.write_bytes(b"id,\xff")
    refused("is not readable as CSV", draw_confusion, f"a={run}")
    file.unlink()
    refused("predictions.csv' does not exist", draw_confusion, f"a={run}")


def test_bad_arguments(tmp_path, draw_confusion, refused):
    run = recognition_run(tmp_path / "run", random_rows(3, 0))
    for word in ("HuBERT", "HuBERT=", "=run", "HuBERT=,"):
        refused(f"'{word}': give each model once", draw_confusion, word)
    refused("give each model once", draw_confusion, f"a={run}", f"a={run}")
    refused("has no results.json", draw_confusion, f"a={tmp_path / 'no'}")
    rows = random_rows(5, 1, "b")
    swapped = recognition_run(tmp_path / "two", rows, classes=CLASSES[::-1])
    sentence = (
        "run' and '.*two' have different classes "
        r"\(neutral, happy, sad; sad, happy, neutral\)"
    )
    refused(sentence, draw_confusion, f"a={run}", f"b={swapped}")
    refused(sentence, draw_confusion, f"a={run},{swapped}")
    (run / "results.json").write_text('{"seed": 1, "metrics": {"EDER": 6.5}}')
    refused("has no 'classes'; give other", draw_confusion, f"a={run}")
