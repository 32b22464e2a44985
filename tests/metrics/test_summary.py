"""Averages, intervals, the table of transitions, and the printed tables."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.metrics.diarization import EderStats
from speechbrain_ext.metrics.report import (
    describe_only_class,
    describe_size,
    format_table,
    format_transitions,
)
from speechbrain_ext.metrics.segments import whole_utterance
from tests.metrics.segments import is_so, says


def scored(errors, speakers=None):
    """A set where utterance i has ``errors[i]`` = (error, duration) in s."""
    stats = EderStats()
    for number, (error, duration) in enumerate(errors):
        reference = is_so(("sad", 0.0, error))
        speaker = None if speakers is None else speakers[number]
        said = whole_utterance("neutral", duration)
        stats.append(f"u{number}", reference, said, duration, speaker)
    return stats


durations = st.lists(st.floats(0.1, 10), min_size=1, max_size=20)


@given(durations, st.data())
def test_both_averages(durations, data):
    cases = [(data.draw(st.floats(0, total)), total) for total in durations]
    summary = scored(cases).summarize(bootstrap=0)
    wrong, total = np.array(cases).T
    rates = {"": np.mean(wrong / total), "_pooled": wrong.sum() / total.sum()}
    for suffix, rate in rates.items():
        assert summary[f"eder{suffix}"] == pytest.approx(100 * rate)
        assert summary[f"missed_emotion{suffix}"] == pytest.approx(100 * rate)
    assert summary["seconds"] == pytest.approx(total.sum())
    assert summary["utterances"] == len(cases)
    assert summary["eder_interval"] is None


def test_parts_add_up_to_the_whole():
    stats = EderStats()
    sad = [("sad", 1.0, 3.0)]
    said = [("sad", 0.0, 0.25), ("sad", 1.5, 2.5), ("happy", 1.75, 3.0)]
    add(stats, "a", sad, said)
    stats.append("b", is_so(*sad), whole_utterance("angry", 10.0), 10.0)
    summary = stats.summarize()
    # Seconds in the first, of 4, and in the second, of 10.
    seconds = {"false_alarm": (0.25, 8), "missed_emotion": (0.5, 0)}
    seconds |= {"confusion": (0.5, 2), "overlap": (0.75, 0)}
    seconds["eder"] = np.sum(list(seconds.values()), axis=0)
    for part, (one, other) in seconds.items():
        assert summary[part] == pytest.approx(50 * (one / 4 + other / 10))
        pooled = 100 * (one + other) / 14
        assert summary[f"{part}_pooled"] == pytest.approx(pooled)


def test_interval_over_speakers_knows_that_voices_are_alike():
    # Ten speakers, each all right or all wrong: 200 utterances say no more
    # than ten would.
    cases = [(float(n < 100), 1.0) for n in range(200)]
    summary = scored(cases, [str(n // 20) for n in range(200)]).summarize()
    assert summary["intervals_over"] == "speakers"
    assert summary["speakers"] == 10
    assert summary["eder_interval"] == [20.0, 80.0]
    summary = scored(cases).summarize()
    # 1.96 standard errors each way; with equal durations both averages are one.
    for name in ("eder_interval", "eder_pooled_interval"):
        assert summary[name] == pytest.approx([43, 57], abs=1.5)
    assert summary["intervals_over"] == "utterances"
    assert summary["speakers"] is None


def test_intervals_are_the_same_for_the_same_seed():
    stats = scored([(n / 10, 1.0 + n) for n in range(10)])
    one, same, other = (stats.summarize(seed=seed) for seed in (1, 1, 2))
    assert one == same == json.loads(json.dumps(one, allow_nan=False))
    assert one["eder_interval"] != other["eder_interval"]


@pytest.mark.parametrize("speakers", [["a", "a"], ["a", None]])
def test_interval_over_utterances_where_speakers_do_not_serve(speakers):
    summary = scored([(0.0, 1.0), (1.0, 1.0)], speakers).summarize()
    assert summary["intervals_over"] == "utterances"
    assert summary["eder_interval"] == [0.0, 100.0]
    few = "over 2 test utterances (fewer than two speakers are known), too few"
    assert few in describe_size(summary)


def test_one_utterance_has_no_interval():
    summary = scored([(0.5, 1.0)], ["a"]).summarize()
    assert summary["eder_interval"] is summary["eder_pooled_interval"] is None
    table = format_table({"x": summary})
    assert "-" in table.splitlines()[1].split()
    assert table.endswith("\n1 utterance of 1 speaker, 1.0 s.")


def test_bad_input(tmp_path):
    stats = EderStats()
    with pytest.raises(UserError, match="No utterance was scored"):
        stats.summarize()
    with pytest.raises(UserError, match="no utterance was scored"):
        stats.write_csv(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="Utterance 'x': the hypothesis, seg"):
        add(stats, "x", [], [("q", 0, 1)])
    stats.append("x", [], [], 1.0)
    with pytest.raises(UserError, match="'x' was scored twice"):
        stats.append("x", [], [], 1.0)


def add(stats, id, reference, hypothesis):
    stats.append(id, is_so(*reference), says(*hypothesis), 4.0)


def test_transitions_are_those_of_table_3():
    stats = EderStats()
    add(stats, 1, [("happy", 0, 1), ("sad", 2, 4)], [("happy", 0, 4)])
    add(stats, 2, [("angry", 0, 3)], [("angry", 0, 1)])
    add(stats, 3, [("angry", 0, 3)], [("angry", 2, 4)])
    add(stats, 4, [("happy", 1, 3)], [("happy", 1.5, 2)])
    add(stats, 5, [("happy", 0, 4)], [("happy", 0, 4)])
    add(stats, 6, [("happy", 0, 3)], [("sad", 0, 3)])
    add(stats, 7, [("happy", 1, 4)], [("happy", 0.5, 4)])
    add(stats, 8, [], [])
    add(stats, 9, [("fearful", 1, 4)], [])
    summary = stats.summarize()
    assert [tuple(row.values()) for row in summary["transitions"]] == [
        ("happy", 1, 1, 100.0),
        ("null-happy", 1, 1, 100.0),
        ("happy-null", 1, 0, 0.0),
        ("null-happy-null", 1, 1, 100.0),
        ("angry-null", 2, 1, 50.0),
        ("null-fearful", 1, 0, 0.0),
        ("null", 1, 1, 100.0),
        ("happy-null-sad", 1, 0, 0.0),
        ("total", 9, 5, 100 * 5 / 9),
    ]
    assert summary["transition_accuracy"] == 100 * 5 / 9
    lines = [line.split() for line in format_transitions(summary).splitlines()]
    assert lines[0] == ["transition", "TN", "CN", "ACC"]
    assert lines[5] == ["angry-null", "2", "1", "50.0%"]
    assert lines[9] == ["total", "9", "5", "55.6%"]
    assert lines[10][:3] == ["TN:", "total", "number"]


# What is so everywhere may be said everywhere.
@pytest.mark.parametrize(
    "said, only", [("ss", "sad"), ("nn", "neutral"), ("sn", None), ("s", None)]
)
def test_a_system_that_says_one_thing_only(said, only):
    stats = EderStats()
    for id, emotion in enumerate(said):
        add(stats, id, [("sad", id, 4)], [(emotion, 0, 4)])
    summary = stats.summarize()
    assert summary["only_class"] == only
    line = f"The model gives '{only}' to every utterance."
    assert describe_only_class(summary) == ([line] if only else [])


def test_table_has_a_row_for_each_system():
    one = scored([(0.5, 1.0), (1.0, 4.0)], ["a", "b"]).summarize()
    other = scored([(0.0, 1.0), (0.0, 4.0)], ["a", "b"]).summarize()
    lines = format_table({"mine": one, "theirs": other}).splitlines()
    assert lines[1].split()[:2] == ["mine", "37.5"]
    # False alarm, missed emotion, confusion, overlap, pooled EDER.
    assert lines[1].split()[4:9] == ["0.0", "37.5", "0.0", "0.0", "30.0"]
    assert lines[2].split()[:2] == ["theirs", "0.0"]
    # Both systems were scored on the same data, which is said once.
    assert sum("2 utterances of 2 speakers" in line for line in lines) == 1


def test_csv_has_a_row_for_each_utterance(tmp_path):
    stats = EderStats()
    add(stats, "é", [("sad", 1, 4)], [("sad", 2, 4), ("happy", 3, 4)])
    stats.append("b", [], whole_utterance("sad", 2.0), 2.0, "anna")
    stats.write_csv(tmp_path / "deep" / "a.csv")
    text = (tmp_path / "deep" / "a.csv").read_text(encoding="utf-8")
    assert text.splitlines() == [
        "id,speaker,eder,false_alarm,missed_emotion,confusion,overlap,"
        "duration,reference,hypothesis,transition_correct",
        "é,,50.0,0.0,1.0,0.0,1.0,4.0,null-sad,null-sad-happy+sad,0",
        "b,anna,100.0,2.0,0.0,0.0,0.0,2.0,null,sad,0",
    ]
