"""Statistics are those of valid frames, however they are cut into batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.models.normalization import (
    FeatureNormalizer,
    SpeakerMean,
    SpeakerNormalizer,
    make_normalizer,
    make_speaker_mean,
)

LAYERS, CHANNELS = 2, 3
SPEAKERS = ["ann", "bob", "cid"]


def make_items(lengths, seed, offset=0.0):
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.1, 30, (LAYERS, 1, CHANNELS))
    return [
        (offset + scale * rng.normal(2, 1, (LAYERS, n, CHANNELS))).astype("f4")
        for n in lengths
    ]


def feed(normalizer, items, speakers, size):
    """Update by batches of so many."""
    for begin in range(0, len(items), size):
        part = items[begin : begin + size]
        hidden = torch.from_numpy(np.concatenate(part, axis=1))
        lengths = torch.tensor([item.shape[1] for item in part])
        normalizer.update(hidden, lengths, speakers[begin : begin + size])


def apply(normalizer, item, speaker):
    """One utterance alone, normalised."""
    length = torch.tensor([item.shape[1]])
    return normalizer(torch.as_tensor(item), length, [speaker])


def statistics(items):
    frames = np.concatenate(items, axis=1).astype("float64")
    return frames.mean(axis=1), frames.std(axis=1)


def of(normalizer):
    mean, std = normalizer.statistics(torch.float64)
    return mean[:, 0].numpy(), std[:, 0].numpy()


@given(
    st.lists(st.integers(2, 25), min_size=1, max_size=9),
    st.integers(1, 4),
    st.floats(0, 100),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=40)
def test_statistics_are_those_of_all_frames(lengths, size, offset, random):
    items = make_items(lengths, sum(lengths), offset)
    speakers = [random.choice(SPEAKERS) for _ in items]
    everyone = FeatureNormalizer(LAYERS, CHANNELS)
    feed(everyone, items, speakers, size)
    assert everyone.count == sum(lengths)
    np.testing.assert_allclose(of(everyone), statistics(items), rtol=1e-9)
    normalizer = SpeakerNormalizer(LAYERS, CHANNELS)
    feed(normalizer, items, speakers, size)
    assert set(normalizer.speakers) == set(speakers)
    for speaker in set(speakers):
        own = [i for i, name in zip(items, speakers) if name == speaker]
        found = of(normalizer.speakers[speaker])
        np.testing.assert_allclose(found, statistics(own), rtol=1e-9)


@pytest.mark.parametrize("kind", ["global", "speaker"])
def test_normalised_reset_and_fitted_again(kind):
    items = make_items([20, 30, 10, 25], 0)
    speakers = ["ann", "bob", "ann", "bob"]
    normalizer = make_normalizer(kind, LAYERS, CHANNELS)
    feed(normalizer, items, speakers, 3)
    outputs = {}
    for item, speaker in zip(items, speakers):
        before = item.copy()
        output = apply(normalizer, item, speaker)
        assert np.array_equal(item, before)
        key = speaker if kind == "speaker" else ""
        outputs.setdefault(key, []).append(output.numpy())
    for group in outputs.values():
        mean, std = statistics(group)
        np.testing.assert_allclose(mean, 0, atol=1e-5)
        np.testing.assert_allclose(std, 1, atol=1e-5)
    normalizer.reset()
    assert not normalizer.is_fitted()
    # One frame alone, whose channels never vary, stays finite.
    items = make_items([1], 1)
    feed(normalizer, items, ["ann"], 1)
    one = normalizer if kind == "global" else normalizer.speakers["ann"]
    np.testing.assert_allclose(of(one)[0], statistics(items)[0])
    assert torch.isfinite(apply(normalizer, items[0], "ann")).all()


def test_global_statistics_are_saved_with_the_model(tmp_path):
    items = make_items([5, 8], 0)
    normalizer = FeatureNormalizer(LAYERS, CHANNELS)
    feed(normalizer, items, ["", ""], 2)
    torch.save(normalizer.state_dict(), tmp_path / "a.ckpt")
    other = FeatureNormalizer(LAYERS, CHANNELS)
    assert not other.is_fitted()
    other.load_state_dict(torch.load(tmp_path / "a.ckpt", weights_only=True))
    assert other.is_fitted()
    hidden = torch.randn(LAYERS, 8, CHANNELS)
    assert torch.equal(other(hidden), normalizer(hidden))
    # What was taken up can be added to.
    feed(other, make_items([7], 1), [""], 1)
    expected = statistics([*items, *make_items([7], 1)])
    np.testing.assert_allclose(of(other)[0], expected[0], rtol=1e-9)


def test_speakers_are_not_saved_and_others_are_not_known():
    normalizer = SpeakerNormalizer(LAYERS, CHANNELS)
    feed(normalizer, make_items([5], 0), ["ann"], 1)
    state = normalizer.state_dict()
    assert {name: value.tolist() for name, value in state.items()} == {
        "size": [LAYERS, CHANNELS]
    }
    other = SpeakerNormalizer(LAYERS, CHANNELS)
    other.load_state_dict(state)
    assert not other.is_fitted()
    with pytest.raises(UserError, match="no statistics of the speaker 'bob'"):
        apply(normalizer, torch.randn(LAYERS, 4, CHANNELS), "bob")
    # Who is known moves with the model.
    normalizer.to("meta")
    assert normalizer.speakers["ann"].mean.is_meta


def test_no_such_kind():
    sentence = "expected one of speaker, global, got 'session'"
    with pytest.raises(UserError, match=sentence):
        make_normalizer("session", 1, 1)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40), st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_mean_of_a_speaker_is_of_as_many_as_are_drawn(names, random):
    vectors = make_items([1] * len(names), len(names))
    speakers = [SPEAKERS[name] for name in names]
    pairs = list(zip(vectors, speakers))
    found = []
    for size in (1, 7):
        mean = SpeakerMean(LAYERS, CHANNELS, utterances=5, seed=3)
        feed(mean, [v for v, _ in pairs], [s for _, s in pairs], size)
        # Nobody takes part twice.
        feed(mean, *zip(*pairs[:3]), size)
        found.append({s: apply(mean, vectors[0], s) for s in set(speakers)})
        random.shuffle(pairs)
    for speaker in set(speakers):
        assert torch.equal(found[0][speaker], found[1][speaker])
        own = [v for v, s in pairs if s == speaker]
        drawn = [x.numpy() for x in mean.speakers[speaker].values()]
        assert len(drawn) == min(5, len(own))
        assert all(any(np.allclose(x, v) for v in own) for x in drawn)
        expected = np.mean(drawn, axis=0)
        np.testing.assert_allclose(found[0][speaker], expected, atol=1e-5)


def test_another_seed_draws_others_and_all_may_be_drawn():
    vectors = make_items([1] * 200, 0)
    counts = np.zeros(200)
    for seed in range(100):
        mean = SpeakerMean(LAYERS, CHANNELS, utterances=50, seed=seed)
        feed(mean, vectors, ["ann"] * 200, 200)
        drawn = {x.numpy().tobytes() for x in mean.speakers["ann"].values()}
        kept = [v.astype("float32").tobytes() in drawn for v in vectors]
        counts += kept
    # Each 25 times of 100, give or take 4.3.
    assert counts.min() > 5 and counts.max() < 45
    mean.reset()
    assert not mean.is_fitted()
    with pytest.raises(UserError, match="no statistics of the speaker 'ann'"):
        apply(mean, vectors[0], "ann")
    assert set(mean.state_dict()) == {"size"}
    assert make_speaker_mean("utterance", 3) is None
    sentence = "speaker_from: expected one of speaker, utterance, got 'all'"
    with pytest.raises(UserError, match=sentence):
        make_speaker_mean("all", 3)
