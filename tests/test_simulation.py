"""Plans of utterances, and the audio that they become."""

import random
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from speechbrain_ext.audio import read_audio
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.data import count_samples
from speechbrain_ext.metrics.diarization import transition, transition_name
from speechbrain_ext.simulation import check_simulation, compose, simulate
from speechbrain_ext.utterance import Utterance


def recording(
    id, emotion, speaker="s1", speech=((0, 16000),), level=-20.0, wav=None
):
    extra = {"speech": [list(part) for part in speech], "level": level}
    wav = wav or f"{id}.wav"
    return Utterance(id, 2.0, speaker, emotion, "demo", wav=wav, extra=extra)


def corpus(speakers=3, each=8):
    return [
        recording(f"{s}-{emotion}-{i}", emotion, f"s{s}")
        for s in range(speakers)
        for emotion in ("neutral", "happy", "sad", "angry")
        for i in range(each if emotion != "neutral" else each // 2)
    ]


def records(plan):
    return [(u.id, u.to_dict()) for u in plan]


def test_the_four_sequences_are_equally_likely():
    plan, skipped = simulate(corpus(), seed=1, passes=40)
    assert skipped == []
    shapes = Counter(
        transition_name(transition(u.emotion, u.duration)).replace(
            u.emotion[0]["emo"], "emo"
        )
        for u in plan
    )
    assert set(shapes) == {"emo", "null-emo", "emo-null", "null-emo-null"}
    assert chisquare(list(shapes.values())).pvalue > 0.001


def test_a_pass_uses_every_emotional_recording_once():
    data = corpus()
    plan, _ = simulate(data, seed=1)
    used = Counter(piece["wav"] for u in plan for piece in u.pieces)
    assert used.keys() == {u.wav for u in data}, "neutral ones take turns"
    assert {used[u.wav] for u in data if u.emotion != "neutral"} == {1}
    for u in plan:
        event = u.emotion[0]["emo"]
        for piece in u.pieces:
            number, emotion, _ = piece["wav"].split("-")
            assert f"s{number}" == u.speaker
            assert emotion in (event, "neutral")


def test_deterministic_whatever_the_order():
    data = corpus()
    shuffled = random.Random(0).sample(data, len(data))
    plan = records(simulate(data, seed=1, epoch=3)[0])
    assert records(simulate(shuffled, seed=1, epoch=3)[0]) == plan
    assert records(simulate(data, seed=1, epoch=4)[0]) != plan
    assert records(simulate(data, seed=2, epoch=3)[0]) != plan


def test_a_known_plan():
    """A change of the random numbers would change everybody's data."""
    ids = [u.id for u in simulate(corpus(), seed=1)[0][:3]]
    assert ids == ["2-angry-6-0-0", "0-happy-7-0-0", "0-angry-3-0-0"]


def test_speakers_do_not_depend_on_each_other():
    alone, together = (simulate(corpus(n), seed=1)[0] for n in (1, 3))
    assert dict(records(alone)).items() <= dict(records(together)).items()


def test_number_of_utterances_and_hours():
    for number in (1, 50, 333):
        plan, _ = simulate(corpus(), seed=1, utterances=number)
        assert len(plan) == len({u.id for u in plan}) == number
    plan, _ = simulate(corpus(), seed=1, hours=0.5)
    seconds = sum(u.duration for u in plan)
    assert seconds >= 1800 > seconds - plan[-1].duration


INVALID = {
    "passes": [0, -1, 2.5, None, True, "2"],
    "utterances": [0, 1.5],
    "hours": [0, -0.5, float("inf"), float("nan"), 1e9],
    "crossfade": [-0.01, None],
    "max_duration": [0, "4 s"],
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_values(name):
    for value in INVALID[name]:
        sentence = f"simulation.{name}: expected .* got {value!r}."
        with pytest.raises(UserError, match=sentence):
            simulate(corpus(1), seed=1, **{name: value})


def test_the_least_values():
    for number, options in (
        (24, {"passes": 1, "crossfade": 0}),
        (1, {"utterances": 1}),
        (1, {"hours": 1e-6, "max_duration": 0.5e9}),
    ):
        assert len(simulate(corpus(1), seed=1, **options)[0]) == number


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"epoch": 1}, "x: there is no option 'epoch'."),
        (None, "x: expected a mapping of options, got None"),
        ({"utterances": 3, "hours": 1}, "exclude each other"),
    ],
)
def test_invalid_options(options, sentence):
    check_simulation(dict.fromkeys(("utterances", "hours", "max_duration")))
    with pytest.raises(UserError, match=sentence):
        check_simulation(options, "x")


def test_what_cannot_be_used_is_listed():
    data = [
        recording("a", "sad", "only sad"),
        recording("b", "neutral", "only neutral"),
        *corpus(1),
    ]
    plan, skipped = simulate(data, seed=1)
    assert len(plan) == 24
    assert sorted(skipped) == [
        ("a.wav", "speaker 'only sad' has no neutral recording to join"),
        ("b.wav", "speaker 'only neutral' has no emotional recording to join"),
    ]
    with pytest.raises(UserError, match="allow no utterance"):
        simulate(data[:2], seed=1)
    plan, skipped = simulate(corpus(1), seed=1, max_duration=2.0)
    assert len(plan) + len(skipped) == 24
    assert max(u.duration for u in plan) <= 2.0


@st.composite
def stretches(draw):
    edges = draw(
        st.lists(st.integers(0, 4000), min_size=2, max_size=8, unique=True)
    )
    edges = sorted(edges)[: len(edges) // 2 * 2]
    return tuple(zip(edges[::2], edges[1::2]))


@given(
    st.lists(stretches(), min_size=2, max_size=5),
    st.sampled_from([0.0, 0.001, 0.005, 0.03]),
)
@settings(max_examples=30, deadline=None)
def test_boundaries_are_exact_to_the_sample(tmp_path_factory, speech, fade):
    """Neutral is -1 and emotion 1: the sign of the audio is the label."""
    folder = tmp_path_factory.mktemp("parts")
    data = []
    for number, part in enumerate(speech):
        emotion = "neutral" if number % 2 else "sad"
        path = str(folder / f"{number}.wav")
        value = -0.5 if number % 2 else 0.5
        soundfile.write(path, np.full(4000, value), 16000)
        data.append(recording(str(number), emotion, "s", part, -6.0, path))
    for u in simulate(data, seed=3, passes=4, crossfade=fade)[0]:
        audio = compose(u.pieces)
        assert audio.shape[0] == round(u.duration * 16000)
        assert audio.shape[0] == count_samples(u.to_dict())
        sad = torch.zeros(audio.shape[0], dtype=torch.bool)
        for segment in u.emotion:
            begin, end = segment["start"] * 16000, segment["end"] * 16000
            assert abs(begin - round(begin)) + abs(end - round(end)) < 1e-6
            sad[round(begin) : round(end)] = True
        sure = audio.abs() > 1e-4
        assert ((audio > 0) == sad)[sure].all()
        if not fade:
            assert sure.all()


def test_levels_are_matched(write_audio):
    data = []
    for emotion, level, value in (
        ("angry", -6.0206, 0.5),
        ("neutral", -26.0206, 0.05),
    ):
        path = write_audio(f"{emotion}.wav", data=np.full(1600, value))
        part = recording(emotion, emotion, "s", [(0, 1600)], level, path)
        data.append(part)
    for u in simulate(data, seed=1, passes=10)[0]:
        audio = compose(u.pieces).abs()
        first = read_audio(u.pieces[0]["wav"]).mean().expand_as(audio)
        torch.testing.assert_close(audio, first, rtol=1e-3, atol=0)
