"""The recipe of Sharma (2023): every YAML, and every option."""

import re

import numpy as np
import pytest

from speechbrain_ext.base.files import read_json
from speechbrain_ext.inference import EmotionRecognizer
from speechbrain_ext.utterance import load_manifest
from tests.recipes.results import checked, posteriors
from tests.recipes.running import (
    SHARMA,
    kill_and_finish,
    overriding,
    refuse_here,
    run,
    run_here,
    script,
)
from tests.text_checkpoints import make_text_checkpoint, make_transcriber

PARTS = "train", "valid", "test"
PLAIN = {"preprocessing": None, "balancing": None}


@pytest.fixture(scope="module")
def options(tmp_path_factory, synthetic_folder, wav2vec2):
    """A function that makes a run a matter of seconds."""
    folder = tmp_path_factory.mktemp("sharma")
    return overriding(
        synthetic_folder=str(synthetic_folder),
        protocol="makiuchi_grouped",
        cache_folder=str(folder / "cache"),
        encoder_source=wav2vec2,
        number_of_epochs=2,
        lr=0.01,
        warmup_steps=2,
        feature_dtype="float32",
        **PLAIN,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory, options):
    """The same of speech and text."""
    text = make_text_checkpoint(tmp_path_factory.mktemp("text"))
    return lambda folder, **more: options(
        folder, text_source=text, **{"transcriber": None, **more}
    )


@pytest.mark.parametrize("trained", [0, 1, "all"])
def test_speech(options, tmp_path, trained):
    given = options(tmp_path, trained_layers=trained)
    folder, results = checked(*run_here(SHARMA, "hubert.yaml", given))
    named = results["recipe"], results["hparams"], results["corpus"]
    assert named == ("speech_text_fusion", "hubert.yaml", "synthetic")
    assert saved(folder) == ({"encoder"} if trained else set())


@pytest.mark.parametrize("trained", [(0, 0), (0, 1), (1, 0), ("all", "all")])
def test_speech_and_text(both, tmp_path, trained):
    """Each of the encoders is frozen and stored, or runs in training."""
    how = dict(zip(("trained_layers", "text_trained_layers"), trained))
    folder, results = run_here(
        SHARMA, "hubert_bert.yaml", both(tmp_path, **how)
    )
    checked(folder, results)
    names = zip(("encoder", "text_encoder"), trained)
    assert saved(folder) == {name for name, count in names if count}


def test_cleaned_and_balanced(both, tmp_path):
    """The model cleans what it is given, as its training did."""
    pytest.importorskip("noisereduce")
    more = {"preprocessing": {"min_duration": 0.1}, "balancing": 8}
    given = both(tmp_path, **more, audio_folder=str(tmp_path / "audio"))
    folder, results = run_here(SHARMA, "hubert_bert.yaml", given)
    classes = results["classes"]
    assert results["protocol"]["recordings"]["train"] == 8 * len(classes)
    checked(folder, results, exact=False)
    recognizer = EmotionRecognizer.from_hparams(folder)
    expected = posteriors(folder, classes)
    for one in load_manifest(folder / "manifests" / "test.json")[:4]:
        source = one.extra["origin"]
        assert source.startswith(given["synthetic_folder"])
        found = recognizer.classify_file(source, one.text)[0][0].numpy()
        np.testing.assert_allclose(found, expected[one.id], atol=1e-4)


def test_nothing_is_kept_without_a_folder(both, tmp_path):
    given = both(tmp_path / "kept"), both(tmp_path / "not", feature_folder=None)
    kept, live = (run_here(SHARMA, "hubert_bert.yaml", one) for one in given)
    compared = [posteriors(one, live[1]["classes"]) for one, _ in (kept, live)]
    for id, row in compared[0].items():
        np.testing.assert_allclose(row, compared[1][id], atol=1e-3)


def test_transcripts(both, tmp_path):
    whisper = make_transcriber(tmp_path / "whisper", seed=11)
    given = both(tmp_path, transcriber=whisper)
    folder, results = run_here(SHARMA, "hubert_bert.yaml", given)
    checked(folder, results)
    assert "word_error_rate" in results["protocol"]["transcripts"]
    # The model transcribes what it is given, as in training.
    recognizer = EmotionRecognizer.from_hparams(folder)
    (one, *_) = load_manifest(folder / "manifests" / "test.json")
    found = recognizer.classify_file(one.wav)[0][0].numpy()
    expected = posteriors(folder, results["classes"])[one.id]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_corpus_by_the_part_that_it_is_in(both, tmp_path, capsys):
    folder, results = run_here(SHARMA, "hubert_bert.yaml", both(tmp_path))
    benchmark = script(SHARMA, "benchmark")
    capsys.readouterr()
    benchmark.main([str(folder), "--corpus", "synthetic", "--train"])
    assert len(capsys.readouterr().out.splitlines()) == 5
    found = read_json(folder / "benchmark_synthetic.json")
    for name, count in results["protocol"]["recordings"].items():
        assert found[name]["utterances"] == count
    assert found["test"]["UA"] == pytest.approx(results["test"]["UA"])
    assert found["valid"]["WA"] == pytest.approx(results["valid"]["WA"])
    rights = sum(found[x]["WA"] * found[x]["utterances"] for x in PARTS)
    expected = rights / found["all"]["utterances"]
    assert found["all"]["WA"] == pytest.approx(expected)
    benchmark.main([str(folder), "--corpus", "synthetic"])
    assert len(capsys.readouterr().out.splitlines()) == 3
    with pytest.raises(SystemExit):
        benchmark.main([str(folder)])
    assert (
        "has no recording of 'ravdess' to tell of; give"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_killed_within_an_epoch_it_ends_with_the_same_figures(both, tmp_path):
    """The learning rate goes on where it was, too."""
    how = {"trained_layers": 1, "text_trained_layers": 1}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = run(SHARMA, "hubert_bert.yaml", both(tmp_path / "a", **how))
    given = both(tmp_path / "b", **how)
    kill_and_finish(SHARMA, "hubert_bert.yaml", given, whole)


@pytest.mark.parametrize(
    "more, sentence",
    [
        ({"synthetic_folder": None}, "no folder is given; .* savee, synth"),
        ({"trained_layers": 40}, "trained_layers: expected at most 3, the"),
        ({"text_trained_layers": 40}, "trained_layers: expected at most 2"),
        ({"trained_layers": -1}, "expected a number of layers, 0 or more, or"),
        ({"trained_layers": "top"}, "0 or more, or all, got '?top"),
        ({"protocol": "sharma"}, "is for cremad, .*, not for 'synthetic'"),
        ({"encoder_source": "egemaps", "trained_layers": 1}, "expected 0 for"),
    ],
)
def test_options_that_are_refused(both, tmp_path, more, sentence, capsys):
    given = both(tmp_path, **more)
    found = refuse_here(SHARMA, "hubert_bert.yaml", given, capsys)
    assert re.search(sentence, found)


def saved(folder):
    """Names of the encoders in the checkpoints of a run."""
    files = {path.stem for path in folder.glob("save/CKPT+*/*.ckpt")}
    return {name for name in files if name.endswith("encoder")}
