"""The emotion diarization error rate (EDER), its parts and its uncertainty.

Wang et al., "Speech Emotion Diarization: Which Emotion Appears When?" (2023),
section 3.2, equation 1 and figure 4: EDER = (FA + ME + CF + OL) / duration.
Transition accuracy is that of section 5.3, table 3. Any system can be scored,
whatever made its output::

    python -m speechbrain_ext.metrics.eder --reference ZED.json \\
        --hypothesis system.rttm
"""

import argparse
from pathlib import Path

from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError, exits_cleanly
from speechbrain_ext.metrics.diarization import (
    EderParts,
    EderStats,
    eder,
    transition,
    transition_name,
)
from speechbrain_ext.metrics.hypotheses import (
    read_hypothesis,
    read_reference,
    read_rttm,
    write_rttm,
)
from speechbrain_ext.metrics.report import (
    describe_only_class,
    format_table,
    format_transitions,
)
from speechbrain_ext.metrics.segments import all_neutral, whole_utterance

__all__ = [
    "EderParts",
    "EderStats",
    "all_neutral",
    "eder",
    "format_table",
    "format_transitions",
    "read_hypothesis",
    "read_reference",
    "read_rttm",
    "score",
    "transition",
    "transition_name",
    "whole_utterance",
    "write_rttm",
]


def score(references, hypotheses, where="The hypothesis"):
    """Score every utterance of a reference.

    Arguments
    ---------
    references : dict
        From ``read_reference``.
    hypotheses : dict
        From ``read_hypothesis``.
    where : str
        What to name in the sentence of an error.

    Returns
    -------
    EderStats

    Raises
    ------
    UserError
        When the two do not have the same utterances.

    Example
    -------
    >>> reference = {"x": {"emotion": [], "duration": 1.0, "speaker": None}}
    >>> score(reference, {"x": []}).summarize()["eder"]
    0.0
    """
    for id in hypotheses:
        if id not in references:
            raise UserError(
                f"{where} has the utterance '{id}', which the reference "
                "lacks; remove it or check the id."
            )
    missing = [id for id in references if id not in hypotheses]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{where} lacks the utterance '{missing[0]}'{more} of the "
            "reference; where the system hears no emotion, give one neutral "
            "segment."
        )
    stats = EderStats()
    for id, record in references.items():
        stats.append(
            id,
            record["emotion"],
            hypotheses[id],
            record["duration"],
            record["speaker"],
        )
    return stats


def doubts(references, hypotheses):
    """What is legal in a hypothesis but looks like a slip."""
    known, said = {NEUTRAL}, set()
    for record in references.values():
        known.update(segment["emo"] for segment in record["emotion"])
    late = []
    for id, segments in hypotheses.items():
        said.update(segment["emotion"] for segment in segments)
        end = max((segment["end"] for segment in segments), default=0.0)
        duration = references[id]["duration"]
        if end > duration + 1:
            late.append(f"'{id}': {end:g} s of {duration:g} s")
    found = [
        f"the reference never has '{name}'" for name in sorted(said - known)
    ]
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
    parser.add_argument(
        "--reference",
        required=True,
        help="JSON in the layout of ZED.json, or a manifest",
    )
    parser.add_argument(
        "--hypothesis",
        required=True,
        help="RTTM; or JSON in the layout of SpeechBrain's "
        "Speech_Emotion_Diarization or of ZED.json",
    )
    parser.add_argument(
        "--csv",
        help="where to write the errors of each utterance (default: beside "
        "the hypothesis, <name>_eder.csv)",
    )
    options = parser.parse_args(arguments)
    source = Path(options.hypothesis)
    target = Path(options.csv or source.with_name(f"{source.stem}_eder.csv"))
    for path in (options.reference, options.hypothesis):
        if target.resolve() == Path(path).resolve():
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
