"""``python -m speechbrain_ext.experiment TRAIN.py HPARAMS.yaml ...``."""

import argparse
import contextlib
import itertools
import re
import signal
import sys
from pathlib import Path

from speechbrain_ext.base.errors import exits_cleanly, expected
from speechbrain_ext.base.options import RecipeYaml
from speechbrain_ext.experiment import cluster, published, runs
from speechbrain_ext.experiment.plan import (
    combine,
    make_plan,
    parse_grid,
    parse_overrides,
    parse_row,
)

_EXAMPLE = """\
All other --key=value are overrides of the YAML, or run options of SpeechBrain,
for every run. Runs go to ROW/fold_F/seed_S in --output_folder.

examples:
  python -m speechbrain_ext.experiment train.py hparams/ravdess.yaml \\
      --seeds 5 --grid normalization=speaker,global --data_folder=RAVDESS
  python -m speechbrain_ext.experiment train.py hparams/ravdess.yaml \\
      --folds all --row "local: layers=local" --row "all: layers=all" \\
      --compare local all --data_folder=RAVDESS

exit status: 0; 1 when a run failed; 2 when an option is wrong; 130 or 143
when stopped, and the same command goes on from there.
"""


def parse(arguments=None):
    """Understand the command line."""
    # Without abbreviations: --seed is an override, not --seeds.
    parser = argparse.ArgumentParser(
        prog="python -m speechbrain_ext.experiment",
        description="Run a recipe over folds, seeds and options, and end with "
        "one table.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def add(name, text, metavar=None, **more):
        parser.add_argument(name, help=text, metavar=metavar, **more)

    many = {"action": "append", "default": []}
    add("recipe", "the recipe", "TRAIN.py")
    add("yaml", "its hyperparameters", "HPARAMS.yaml")
    text = "folds to run (default: the YAML's own)"
    add("--folds", text, "all|1,3", type=_folds)
    text = "how many seeds, or which (one: '4,'; default: the YAML's own)"
    add("--seeds", text, "N|1,4", type=_seeds)
    text = "values to try; several grids make all combinations"
    add("--grid", text, "KEY=A,B", type=parse_grid, **many)
    text = "a named row of the table, with the options that make it"
    add("--row", text, "'NAME: KEY=A KEY2=B'", type=parse_row, **many)
    text = "runs at once (default: 1; on SLURM: as many as it allows)"
    add("--jobs", text, "N", type=_positive)
    text = (
        "what starts a run in place of Python, such as 'torchrun --standalone "
        "--nproc_per_node=2' (--standalone: each run finds a port of its own)"
    )
    add("--launcher", text, "COMMAND")
    text = (
        "submit the runs to SLURM, with these parameters of submitit, such as "
        "partition=gpu,timeout_min=600,gpus_per_node=1 (timeout_min is 1440 "
        "if not given)"
    )
    add("--slurm", text, "KEY=VALUE,...")
    text = "local: submitit runs all jobs at once on this machine, as a trial"
    add("--cluster", text, choices=("slurm", "local"))
    text = "of the standard deviation (default: folds where one seed has some)"
    add("--over", text, choices=("seeds", "folds"))
    text = "paired interval and test, over speakers, of the second row's gain"
    add("--compare", text, ("ROW", "ROW"), nargs=2, **many)
    text = "run nothing; make the table of what is finished"
    parser.add_argument("--table-only", action="store_true", help=text)
    found, rest = parser.parse_known_args(arguments)
    found.passed = parse_overrides(rest)
    return found


@exits_cleanly
def main(arguments=None):
    """Run the command line."""
    given = parse(arguments)
    try:
        with _signals():
            failures = _experiment(given)
    except SystemExit:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        raise
    if failures:
        raise SystemExit(1)


def _experiment(given):
    """Plan, run, and print the table; what failed."""
    yaml = RecipeYaml(given.yaml)
    passed = dict(given.passed)
    show_progress = passed.pop("noprogressbar", "shown") == "shown"
    root = Path(passed.pop("output_folder", None) or yaml.folder())
    rows = combine(given.row, given.grid)
    words = given.seeds, given.folds, given.launcher
    plan = make_plan(given.recipe, yaml, root, rows, passed, *words)
    figures = _figures(given, plan)
    every = [run for row in plan for run in row.runs]
    failures, parameters = [], cluster.parse_parameters(given.slurm or "")
    # Wrong options are found before anything runs.
    finished = [run.finished() for run in every]
    if given.table_only:
        if not any(finished):
            what = f"finished runs in '{root}'"
            raise expected("--table-only", what, 0, "check --output_folder")
    elif given.slurm is not None or given.cluster is not None:
        name = given.cluster or "slurm"
        failures = cluster.run_on_cluster(
            every, parameters, root, given.jobs, name, show_progress
        )
    else:
        alone = given.launcher is None
        failures = runs.run_here(every, given.jobs or 1, show_progress, alone)
    try:
        _report(given, plan, root, figures)
    finally:
        if failures:
            lines = [f"\n{len(failures)} failed:", *failures]
            print("\n  ".join(lines), file=sys.stderr)
    return failures


def _figures(given, plan):
    """Published figures by row; what is wrong with the pairs is found, too."""
    names = [row.name for row in plan]
    for name in itertools.chain(*given.compare):
        if name not in names:
            raise expected("--compare", f"rows of {'; '.join(names)}", name)
    path = Path(given.recipe).parent / published.PUBLISHED
    known = published.read_published(path)
    return {r.name: published.match(known, r.settings.scalars) for r in plan}


def _report(given, plan, root, figures):
    """Write the table, print it, and test the pairs."""
    from speechbrain_ext.experiment.pooled import compare
    from speechbrain_ext.experiment.table import (
        default_over,
        summarize_row,
        write_table,
    )

    over = given.over or default_over(plan[0])
    rows = {r.name: summarize_row(r, over, figures[r.name]) for r in plan}
    text = write_table(root, list(rows.values()), over)
    print(f"\n{text}\nTable: {root / 'table.md'} (.csv, .tex)")
    for names in given.compare:
        for name in names:
            if rows[name].predictions is None:
                what = "finished runs, all with predictions.csv"
                raise expected(f"--compare, row '{name}'", what, None)
        pair = [rows[name].predictions for name in names]
        metric = next(iter(rows[names[0]].spreads))
        if metric not in pair[0].names():
            metric = pair[0].names()[0]
        print("\n" + describe(names, compare(*pair, metric)))


def describe(names, found):
    """The difference of two rows in words."""
    from speechbrain_ext.metrics.intervals import TOO_FEW, describe_units

    first, second = names
    text = (
        f"{second} against {first}: {found.metric} {found.values[1]:.1f} "
        f"against {found.values[0]:.1f}, difference {found.difference:+.1f}"
    )
    if found.p is None:
        return f"{text}; one utterance is too few for a test."
    number, kind, few = found.number, found.kind, ""
    if number < TOO_FEW:
        least = 2 ** (1 - number)
        few = f"; {number} {kind} are too few for any p below {least:.4g}"
    return (
        f"{text}, 95 % [{found.low:+.1f}, {found.high:+.1f}] (paired bootstrap "
        f"{describe_units(kind, number)}), p = {found.p:.4f} (two-sided "
        f"sign-flip test{few})."
    )


@contextlib.contextmanager
def _signals():
    """Turn the signals that ask for an end into a SystemExit, once."""
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

    def stop(number, frame):
        # What follows, the end of the runs, is not to be interrupted.
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, stop)
        for number in numbers
        # nohup has it ignored.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _folds(text):
    return text if text == "all" else _integers(text, 1)


def _seeds(text):
    if "," in text:
        return _integers(text, 0)
    return list(range(1, _positive(text) + 1))


def _integers(text, least):
    try:
        found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or len(set(found)) < len(found) or min(found) < least:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no list of different whole numbers from {least}"
        )
    return found


def _positive(text):
    if not re.fullmatch("0*[1-9][0-9]{0,3}", text):
        what = "a whole number from 1 to 9999"
        raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
    return int(text)
