"""Summaries of metrics as plain text."""

from speechbrain_ext.metrics.intervals import describe_units


def format_table(summaries):
    """One row a system: EDER, its interval and its parts, in percent.

    Arguments
    ---------
    summaries : dict
        Name of the system -> what ``EderStats.summarize`` returned.

    Returns
    -------
    str
        With a line below that says what the columns are.

    Example
    -------
    >>> from speechbrain_ext.metrics.eder import EderStats, all_neutral
    >>> stats = EderStats()
    >>> sad = [{"emo": "sad", "start": 0.0, "end": 1.0}]
    >>> for id, speaker in (("a", "1"), ("b", "2")):
    ...     stats.append(id, sad, all_neutral(4.0), 4.0, speaker)
    >>> print(format_table({"all neutral": stats.summarize()}))
    system       EDER  95 % interval   FA    ME   CF   OL  pooled EDER  95 % interval  transitions
    all neutral  25.0   [25.0, 25.0]  0.0  25.0  0.0  0.0         25.0   [25.0, 25.0]          0.0
    All in %. EDER and its parts FA, ME, CF, OL are means over
    utterances; pooled EDER is total error time over total duration;
    transitions is the share of right sequences.
    2 utterances of 2 speakers, 8.0 s; intervals over 2 test speakers, too few for the interval to be trusted.
    """
    header = "system,EDER,95 % interval,FA,ME,CF,OL,pooled EDER,95 % interval"
    rows = [
        [
            name,
            f"{summary['eder']:.1f}",
            interval_text(summary["eder_interval"]),
            *(
                f"{summary[part]:.1f}"
                for part in (
                    "false_alarm",
                    "missed_emotion",
                    "confusion",
                    "overlap",
                    "eder_pooled",
                )
            ),
            interval_text(summary["eder_pooled_interval"]),
            f"{summary['transition_accuracy']:.1f}",
        ]
        for name, summary in summaries.items()
    ]
    sizes = dict.fromkeys(
        describe_size(summary, f", {summary['seconds']:.1f} s")
        for summary in summaries.values()
    )
    return "\n".join(
        [
            align([*header.split(","), "transitions"], rows),
            "All in %. EDER and its parts FA, ME, CF, OL are means over",
            "utterances; pooled EDER is total error time over total duration;",
            "transitions is the share of right sequences.",
            *(f"{size}." for size in sizes),
        ]
    )


def format_transitions(summary):
    """The transitions as in table 3 of Wang et al.

    Arguments
    ---------
    summary : dict
        What ``EderStats.summarize`` returned.

    Returns
    -------
    str
        With a line below that says what the columns are.

    Example
    -------
    >>> print(format_transitions({"transitions": [
    ...     {"transition": "sad", "total": 3, "correct": 1, "accuracy": 33.3},
    ...     {"transition": "total", "total": 3, "correct": 1, "accuracy": 33.3},
    ... ]}))
    transition  TN  CN    ACC
    sad          3   1  33.3%
    total        3   1  33.3%
    TN: total number of utterances with this transition in the reference;
    CN: correct number, where the system has the same; ACC: CN / TN.
    """
    rows = [
        [
            row["transition"],
            str(row["total"]),
            str(row["correct"]),
            f"{row['accuracy']:.1f}%",
        ]
        for row in summary["transitions"]
    ]
    return "\n".join(
        [
            align(["transition", "TN", "CN", "ACC"], rows),
            "TN: total number of utterances with this transition in the "
            "reference;",
            "CN: correct number, where the system has the same; ACC: CN / TN.",
        ]
    )


def describe_size(summary, more=""):
    """A test set in words: utterances, speakers, what intervals are over."""
    known = summary["speakers"]
    speakers = "unknown speakers"
    if known is not None:
        speakers = _count(known, "speaker")
    text = f"{_count(summary['utterances'], 'utterance')} of {speakers}{more}"
    over = summary["intervals_over"]
    if summary[over] < 2:
        return text
    return f"{text}; intervals {describe_units(over, summary[over])}"


def describe_only_class(summary, system="The model"):
    """A line where a system gives one class to everything; else nothing."""
    name = summary.get("only_class")
    if name is None:
        return []
    return [
        f"{system} gives '{name}' to every utterance, whatever is in it: it "
        "has learned nothing that these figures measure."
    ]


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def interval_text(value, none="-"):
    """An interval in percent."""
    return none if value is None else f"[{value[0]:.1f}, {value[1]:.1f}]"


def align(header, rows):
    """A table as text, names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in [header, *rows]
    )
