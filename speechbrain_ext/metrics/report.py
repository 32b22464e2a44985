"""Summaries of EDER as tables of plain text."""

#: With fewer units (speakers, or utterances) than this, the interval of a
#: bootstrap over them is too narrow.
FEW = 10


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
    >>> from speechbrain_ext.metrics.diarization import EderStats, all_neutral
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
    2 utterances of 2 speakers, 8.0 s, intervals over speakers.
    """
    header = "system,EDER,95 % interval,FA,ME,CF,OL,pooled EDER,95 % interval"
    header = [*header.split(","), "transitions"]
    rows = [
        [
            name,
            _percent(summary["eder"]),
            interval_text(summary["eder_interval"]),
            _percent(summary["false_alarm"]),
            _percent(summary["missed_emotion"]),
            _percent(summary["confusion"]),
            _percent(summary["overlap"]),
            _percent(summary["eder_pooled"]),
            interval_text(summary["eder_pooled_interval"]),
            _percent(summary["transition_accuracy"]),
        ]
        for name, summary in summaries.items()
    ]
    return "\n".join([align(header, rows), *_legend(summaries)])


def _legend(summaries):
    sizes = {}
    for summary in summaries.values():
        speakers = summary["speakers"]
        size = f"{_count(summary['utterances'], 'utterance')} of " + (
            "unknown speakers"
            if speakers is None
            else _count(speakers, "speaker")
        )
        size += f", {summary['seconds']:.1f} s"
        if summary["eder_interval"] is not None:
            size += f", intervals over {summary['interval_over']}"
        sizes[size] = None
    yield "All in %. EDER and its parts FA, ME, CF, OL are means over"
    yield "utterances; pooled EDER is total error time over total duration;"
    yield "transitions is the share of right sequences."
    yield from (f"{size[0].upper()}{size[1:]}." for size in sizes)


def format_transitions(summary):
    """The transitions as in table 3 of Wang et al.

    Arguments
    ---------
    summary : dict
        What ``EderStats.summarize`` returned.

    Returns
    -------
    str

    Example
    -------
    >>> print(format_transitions({"transitions": [
    ...     {"transition": "sad", "total": 3, "correct": 1, "accuracy": 33.3},
    ...     {"transition": "total", "total": 3, "correct": 1, "accuracy": 33.3},
    ... ]}))
    transition  TN  CN    ACC
    sad          3   1  33.3%
    total        3   1  33.3%
    """
    return align(
        ["transition", "TN", "CN", "ACC"],
        [
            [
                row["transition"],
                str(row["total"]),
                str(row["correct"]),
                f"{row['accuracy']:.1f}%",
            ]
            for row in summary["transitions"]
        ],
    )


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _percent(value):
    return f"{value:.1f}"


def interval_text(value):
    """An interval in percent."""
    return "-" if value is None else f"[{value[0]:.1f}, {value[1]:.1f}]"


def align(header, rows):
    """A table as text, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    return "\n".join(
        "  ".join(
            # Names stand to the left, numbers to the right.
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in [header, *rows]
    )
