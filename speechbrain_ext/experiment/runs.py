"""Runs as processes of this machine."""

import contextlib
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from joblib import cpu_count
from tqdm import tqdm

from speechbrain_ext.experiment.plan import RESULTS

#: Output of a run, of all attempts.
LOG = "run.log"
#: Held by a run for as long as its process lives.
LOCK = ".lock"
#: Seconds from asking a process to stop to making it; torchrun gives its
#: workers 30.
GRACE = 40

_ERROR = re.compile(
    r"(?:\[rank\d+\]: ?)?"
    r"((?:error: |(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception|Interrupt)\b).*)"
)


@dataclass(frozen=True)
class Failure:
    """A run that did not end well."""

    name: str
    reason: str
    log: Path

    def __str__(self):
        return f"{self.name}: {self.reason} (see {self.log})"


class Processes:
    """Processes under way, each with its own process group."""

    def __init__(self, grace=GRACE):
        self.grace = grace
        self._lock = threading.Lock()
        self._live = set()
        self._stopped = False

    def run(self, command, log, env=None, keep=()):
        """Run a command to its end."""
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                pass_fds=keep,
                start_new_session=True,
            )
            self._live.add(process)
        code = process.wait()
        with self._lock:
            self._live.discard(process)
            return None if self._stopped else code

    def stop(self):
        """End all processes and everything that they started."""
        with self._lock:
            self._stopped = True
            live = list(self._live)
        for process in live:
            _signal_group(process, signal.SIGTERM)
        end = time.monotonic() + self.grace
        for process in live:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, end - time.monotonic()))
            _signal_group(process, signal.SIGKILL)


def execute(run, processes, env=None):
    """Do one run, unless it is finished or another process does it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    # A process that outlives a killed runner goes on holding the lock.
    with open(run.folder / LOCK, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another process is working on it"
        if run.finished():
            return None
        run.start()
        with open(run.folder / LOG, "ab") as log:
            begin = log.tell()
            log.write(f"$ {shlex.join(run.command)}\n".encode())
            log.flush()
            code = processes.run(run.command, log, env, (lock.fileno(),))
    if code is None:
        return "stopped"
    if code != 0:
        return f"exit status {code}: {last_error(run.folder / LOG, begin)}"
    if not (run.folder / RESULTS).exists():
        return f"ended without {RESULTS}"
    return None


def run_here(runs, jobs, show_progress=True, share_cores=True, grace=GRACE):
    """Do all runs that are left, several at once."""
    todo = [run for run in runs if not run.finished()]
    env = dict(os.environ)
    if share_cores:
        env.setdefault("OMP_NUM_THREADS", str(max(1, cpu_count() // jobs)))
    processes = Processes(grace)
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {
            pool.submit(execute, run, processes, env): run for run in todo
        }
        ended = (
            (waiting[each], _outcome(each.result))
            for each in as_completed(waiting)
        )
        return follow(ended, len(runs), len(todo), show_progress)
    finally:
        # After a full course nothing is left to stop.
        pool.shutdown(wait=False, cancel_futures=True)
        processes.stop()
        pool.shutdown()


def follow(ended, total, left, show_progress=True):
    """Watch runs end."""
    failures = []
    with tqdm(
        total=total,
        initial=total - left,
        desc="Runs",
        unit="run",
        disable=not show_progress,
    ) as bar:
        for run, reason in ended:
            if reason is not None:
                failure = Failure(run.name, reason, run.folder / LOG)
                failures.append(failure)
                bar.set_postfix_str(f"{len(failures)} failed")
                bar.write(f"Failed: {failure}", file=sys.stderr)
            bar.update()
    return failures


def last_error(log, begin=0):
    """The line of a log that says what went wrong."""
    with open(log, "rb") as file:
        file.seek(begin)
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = (_ERROR.fullmatch(line) for line in reversed(lines))
    for match in found:
        # torchrun's own, after those of its workers.
        if match and "ChildFailedError" not in match[1]:
            return match[1]
    return lines[-1] if lines else "no output"


def _outcome(result):
    """The outcome of a run, where even an error here is one run's alone."""
    try:
        return result()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _signal_group(process, number):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
