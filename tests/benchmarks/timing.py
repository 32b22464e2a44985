"""What the benchmarks share: fair timing, and what they ran on."""

import os
import platform
import time
from pathlib import Path
from statistics import median

import torch


def interleave(jobs, repeats):
    """Time jobs in turns, so that whatever slows the machine slows them all.

    Every job runs once before it counts. The order turns round from one
    repeat to the next.

    Arguments
    ---------
    jobs : dict
        From name to callable.
    repeats : int
        How often each is timed.

    Returns
    -------
    dict
        From name to list of float (s), one a repeat.

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
    """Processor time that a job takes, over all its threads.

    Arguments
    ---------
    job : callable
        Without arguments.

    Returns
    -------
    float
        In seconds.

    Example
    -------
    >>> clock(lambda: sum(range(10_000))) > 0
    True
    """
    start = time.process_time()
    job()
    return time.process_time() - start


def ratio(slow, fast):
    """Median over the repeats of how many times longer one job took.

    Example
    -------
    >>> ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0])
    3.0
    """
    return median(a / b for a, b in zip(slow, fast))


def machine():
    """Processor, cores, threads and version of torch, as a sentence.

    Returns
    -------
    str
    """
    names = [platform.processor() or platform.machine()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        names += [x.split(":")[1].strip() for x in lines if "model name" in x]
    return (
        f"{names[-1]}, {os.cpu_count()} cores, {torch.get_num_threads()} "
        f"thread(s), torch {torch.__version__}"
    )
