"""Summaries of metrics as plain text."""

from speechbrain_ext.metrics.intervals import describe_units


def format_table(summaries):
    """One row a system: EDER, its interval and its parts, in percent.

    ``summaries`` are those of ``EderStats``, by the name of the system.
    """
    names = (
        "system,EDER,95 % interval,FA,ME,CF,OL,pooled EDER,95 % interval,"
        "transitions"
    )
    keys = (
        "eder eder_interval false_alarm missed_emotion confusion overlap "
        "eder_pooled eder_pooled_interval transition_accuracy"
    )
    rows = [
        [name, *(_cell(summary[key]) for key in keys.split())]
        for name, summary in summaries.items()
    ]
    sizes = dict.fromkeys(
        describe_size(summary, f", {summary['seconds']:.1f} s")
        for summary in summaries.values()
    )
    return "\n".join(
        [
            align(names.split(","), rows),
            "All in %. EDER and its parts FA, ME, CF, OL are means over",
            "utterances; pooled EDER is total error time over total duration;",
            "transitions is the share of right sequences.",
            *(f"{size}." for size in sizes),
        ]
    )


def _cell(value):
    return f"{value:.1f}" if isinstance(value, float) else interval_text(value)


def format_transitions(summary):
    """The transitions of a summary of ``EderStats``, as in table 3."""
    rows = [
        [*map(str, list(row.values())[:3]), f"{row['accuracy']:.1f}%"]
        for row in summary["transitions"]
    ]
    return (
        f"{align(['transition', 'TN', 'CN', 'ACC'], rows)}\n"
        "TN: total number of utterances with it in the reference;\n"
        "CN: correct number, where the system has the same; ACC: CN / TN."
    )


def describe_size(summary, more=""):
    """A test set in words: utterances, speakers, what intervals are over."""
    over, speakers = summary["intervals_over"], summary["speakers"]
    known = _count(speakers, "speaker") if speakers else "unknown speakers"
    text = f"{_count(summary['utterances'], 'utterance')} of {known}{more}"
    if summary[over] < 2:
        return text
    return f"{text}; intervals {describe_units(over, summary[over])}"


def describe_only_class(summary, system="The model"):
    """A line if a system gives one class to every utterance; else nothing."""
    name = summary.get("only_class")
    return [f"{system} gives '{name}' to every utterance."] if name else []


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def interval_text(value, none="-"):
    """An interval in percent."""
    return none if value is None else f"[{value[0]:.1f}, {value[1]:.1f}]"


def figure_cells(summary, name):
    """A figure in percent and its interval."""
    return f"{summary[name]:.1f}", interval_text(summary[f"{name}_interval"])


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
