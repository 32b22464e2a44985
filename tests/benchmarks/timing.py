"""What the benchmarks share: options, fair timing, tables."""

import argparse
import os
import platform
import resource
import time
from pathlib import Path
from statistics import median

import numpy as np
import soundfile

from speechbrain_ext.experiment.table import to_markdown


def parse(doc, arguments, *needed, **defaults):
    """Options of a command line: those needed, and those with defaults.

    A list takes several values (an empty one integers), false is a switch, and
    None a string.
    """
    parser = argparse.ArgumentParser(
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name in needed:
        parser.add_argument(f"--{name}", required=True)
    for name, default in defaults.items():
        several = isinstance(default, list)
        one = next(iter(default), 0) if several else default
        how = {
            "type": str if one is None else type(one),
            "nargs": "*" if several else None,
        }
        if default is False:
            how = {"action": "store_true"}
        parser.add_argument(f"--{name}", default=default, **how)
    return parser.parse_args(arguments)


def interleave(jobs, repeats):
    """Time jobs in turns, so that whatever slows the machine slows them all.

    Gives a list of seconds for each name. Every job runs once before it
    counts. The order turns round from one repeat to the next.

    Example
    -------
    >>> import functools
    >>> calls = []
    >>> jobs = {name: functools.partial(calls.append, name) for name in "ab"}
    >>> times = interleave(jobs, 2)
    >>> "".join(calls), len(times["a"])
    ('ababba', 2)
    """
    for job in jobs.values():
        job()
    times = {name: [] for name in jobs}
    for repeat in range(repeats):
        for name in list(jobs)[:: -1 if repeat % 2 else 1]:
            times[name].append(clock(jobs[name]))
    return times


def clock(job):
    """Processor time of a job (s), over its threads and ended processes."""
    start = used()
    job()
    return used() - start


def used():
    """Processor time up to now (s)."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def ratio(slow, fast):
    """Median over the repeats of how many times longer one job took."""
    return median(a / b for a, b in zip(slow, fast))


def against(times, reference):
    """Cells: seconds of each job, and how they compare to one of them."""
    cells = [["", "seconds", f"by {reference}"]]
    for name, found in times.items():
        share = ratio(found, times[reference])
        cells.append([name, f"{median(found):.3f}", f"{share:.2f}"])
    return cells


def show(cells, title=None):
    """Print a table, under a line of text."""
    print(f"\n{title}\n" if title else "", to_markdown(cells), sep="\n")


def footer(repeats):
    """Print processor, cores, threads and version of torch."""
    import torch

    names = [platform.processor() or platform.machine()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names += [x.split(":")[1].strip() for x in lines if "model name" in x]
    print(
        f"\nMedians of {repeats} repeats; {names[-1]}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} thread(s), torch {torch.__version__}"
    )


def write_noise(path, seconds, rate=16000):
    """Write noise as a WAV file."""
    noise = np.random.default_rng(0).normal(0, 0.1, round(rate * seconds))
    soundfile.write(path, noise, rate)
