"""Scores any system, whatever made its output.

> python -m speechbrain_ext.metrics.eder --reference ZED.json \\
      --hypothesis system.rttm
"""

import argparse
from pathlib import Path

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.metrics.diarization import EderStats
from speechbrain_ext.metrics.hypotheses import read_hypothesis, read_reference
from speechbrain_ext.metrics.report import (
    describe_only_class,
    format_table,
    format_transitions,
)


def score(references, hypotheses, where="The hypothesis"):
    """``EderStats`` of what ``read_reference`` and ``read_hypothesis`` give.

    Example
    -------
    >>> reference = {"x": {"emotion": [], "duration": 1.0, "speaker": "a"}}
    >>> score(reference, {"x": []}).summarize()["eder"]
    0.0
    """
    for id in hypotheses:
        if id not in references:
            lacks = f"the utterance '{id}', which the reference lacks"
            raise UserError(f"{where} has {lacks}; remove it or check the id.")
    missing = [id for id in references if id not in hypotheses]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{where} lacks the utterance '{missing[0]}'{more} of the "
            "reference; give a neutral segment where no emotion is heard."
        )
    stats = EderStats()
    for id, record in references.items():
        rest = record["duration"], record["speaker"]
        stats.append(id, record["emotion"], hypotheses[id], *rest)
    return stats


def doubts(references, hypotheses):
    """What is legal in a hypothesis but looks like a slip."""
    known = {s["emo"] for each in references.values() for s in each["emotion"]}
    said = {s["emotion"] for each in hypotheses.values() for s in each}
    late = []
    for id, segments in hypotheses.items():
        end = max((segment["end"] for segment in segments), default=0.0)
        duration = references[id]["duration"]
        if end > duration + 1:
            late.append(f"'{id}': {end:g} s of {duration:g} s")
    never = sorted(said - known - {NEUTRAL})
    found = [f"the reference never has '{name}'" for name in never]
    if late:
        found.append(
            f"hypotheses that end more than 1 s after their utterance are cut "
            f"off ({len(late)}, such as {late[0]}); are the times in seconds?"
        )
    return found


@exits_cleanly
def main(arguments=None):
    """Score a file and print the tables; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ext.metrics.eder",
        description="Emotion diarization error rate (EDER) of any system.",
    )
    add = parser.add_argument
    add("--reference", required=True, help="JSON like ZED.json, or a manifest")
    add(
        "--hypothesis",
        required=True,
        help="RTTM; or JSON like ZED.json's or SpeechBrain's "
        "Speech_Emotion_Diarization's. If an RTTM has several channels of a "
        "file, the reference names them FILE:CHANNEL",
    )
    csv = "errors of each utterance (default: HYPOTHESIS_eder.csv beside it)"
    add("--csv", help=csv)
    options = parser.parse_args(arguments)
    source = Path(options.hypothesis)
    target = Path(options.csv or source.parent / f"{source.stem}_eder.csv")
    read = Path(options.reference).resolve(), source.resolve()
    if target.resolve() in read:
        raise UserError(
            f"--csv: '{target}' is a file to read; give another name."
        )
    references = read_reference(options.reference)
    hypotheses = read_hypothesis(source, references)
    stats = score(references, hypotheses, f"'{source}'")
    stats.write_csv(target)
    summary = stats.summarize()
    print(format_table({source.stem: summary}), end="\n\n")
    print(format_transitions(summary), end="\n\n")
    notes = describe_only_class(summary, f"'{source.stem}'")
    for note in [*notes, *doubts(references, hypotheses)]:
        print(f"note: {note}")
    print(f"Each utterance's errors: {target}")


if __name__ == "__main__":
    main()
