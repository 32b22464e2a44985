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
from concurrent.futures import Future, ThreadPoolExecutor

from joblib import cpu_count
from tqdm import tqdm

from speechbrain_ext.base.files import write_json
from speechbrain_ext.base.options import RECORD, RESULTS
from speechbrain_ext.experiment import guard
from speechbrain_ext.experiment.guard import GRACE, signal_groups

LOG = "run.log"  # Output of a run, of all attempts.
LOCK = ".lock"  # Held by a run for as long as its process lives.
BUSY = "another process is working on it"
_PAUSE = 0.1  # Seconds between two looks at whether runs have ended,
_LOOK = 2.0  # and at their epochs.
_SHOWN = 4  # Runs whose epochs are shown at once.

_EPOCH = re.compile(r"epoch: (\d+)\b")
_ERROR = re.compile(
    r"(?:\[rank\d+\]: ?)?"
    r"((?:error: |(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception|Interrupt)\b).*)"
)


class Processes:
    """Processes under way, each with its own process group; they end with
    this one, even where it is killed."""

    def __init__(self):
        self._lock = threading.Lock()
        self._live = set()
        self._stopped = False
        self._guard = subprocess.Popen(
            [sys.executable, "-IS", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Not that of a terminal, whose signals go to all.
            start_new_session=True,
        )

    def _tell(self, sign, process):
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(f"{sign}{process.pid}\n".encode())
            self._guard.stdin.flush()

    def run(self, command, log, env=None, keep=()):
        """Run a command to its end; its status, None where it was stopped."""
        with self._lock:
            if self._stopped:
                return None
            options = {"stdout": log, "stderr": log, "env": env}
            options |= {"stdin": subprocess.DEVNULL, "pass_fds": keep}
            process = subprocess.Popen(
                command, start_new_session=True, **options
            )
            self._live.add(process)
            self._tell("+", process)
        code = process.wait()
        with self._lock:
            self._live.discard(process)
            self._tell("-", process)
            return None if self._stopped else code

    def close(self):
        """End all processes and everything that they started."""
        with self._lock:
            self._stopped = True
            live = list(self._live)
        groups = [process.pid for process in live]
        signal_groups(groups, signal.SIGTERM)
        end = time.monotonic() + GRACE
        for process in live:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, end - time.monotonic()))
        signal_groups(groups, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.close()
        self._guard.wait()


def execute(run, processes, env=None):
    """Do one run, unless it is finished or another process does it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    # A process that outlives its runner for a moment goes on holding the lock.
    with open(run.folder / LOCK, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return BUSY
        if run.finished():
            return None
        write_json(run.record, run.folder / RECORD)
        with open(run.folder / LOG, "ab") as log:
            begin = log.tell()
            log.write(f"$ {shlex.join(run.command)}\n".encode())
            log.flush()
            code = processes.run(run.command, log, env, (lock.fileno(),))
    if code is None:
        return "stopped"
    if code != 0:
        return f"exit status {code}: {last_error(run.folder / LOG, begin)}"
    finished = (run.folder / RESULTS).exists()
    return None if finished else f"ended without {RESULTS}"


def run_here(runs, jobs, show_progress=True, share_cores=True):
    """Do all runs that are left, several at once."""
    env = dict(os.environ)
    if share_cores:
        env.setdefault("OMP_NUM_THREADS", str(max(1, cpu_count() // jobs)))
    processes = Processes()
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {
            run: pool.submit(execute, run, processes, env)
            for run in runs
            if not run.finished()
        }
        ask = Future.running, Future.result
        return follow(waiting, len(runs), *ask, show_progress)
    finally:
        # After a full course nothing is left to stop.
        pool.shutdown(wait=False, cancel_futures=True)
        processes.close()
        pool.shutdown()


def follow(waiting, total, is_running, result, show_progress=True):
    """Watch runs, each with its job, until they end; what failed."""
    options = {"desc": "Runs", "unit": "run", "disable": not show_progress}
    failures, running, shown, next_look = [], [], "", 0
    with tqdm(total=total, initial=total - len(waiting), **options) as bar:
        while waiting:
            for run, job in list(waiting.items()):
                log, done = run.folder / LOG, job.done()
                # A short one was never seen at work.
                if run not in running and (done or is_running(job)):
                    running.append(run)
                    bar.write(f"Started: {run.name} (log: {log})", sys.stderr)
                    next_look = 0
                if not done:
                    continue
                del waiting[run]
                running.remove(run)
                # Even an error here is one run's alone.
                try:
                    reason = result(job)
                except Exception as error:
                    reason = f"{type(error).__name__}: {error}"
                line = f"Finished: {run.name}{_state(run)}"
                if reason is not None:
                    failures.append(f"{run.name}: {reason} (see {log})")
                    line = f"Failed: {failures[-1]}"
                bar.write(line, sys.stderr)
                bar.update()
                next_look = 0
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK
                text = _progress(failures, running)
                # Where no terminal shows it, every time is a line.
                if text != shown:
                    bar.set_postfix_str(text)
                shown = text
            if waiting:
                time.sleep(_PAUSE)
    return failures


def _progress(failures, running):
    parts = [f"{len(failures)} failed"] if failures else []
    parts += [f"{run.name}{_state(run)}" for run in running[:_SHOWN]]
    if len(running) > _SHOWN:
        parts.append(f"and {len(running) - _SHOWN} more")
    return "; ".join(parts)


def epoch_lines(run):
    """The lines of train_log.txt that tell of an epoch, so far."""
    try:
        text = (run.folder / "train_log.txt").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    return [line for line in text.splitlines() if _EPOCH.match(line)]


def _state(run):
    """Epoch and validation figures so far."""
    lines = epoch_lines(run)
    if not lines:
        return ""
    figures = ", ".join(re.findall(r"valid .+?(?=, | - |$)", lines[-1]))
    return f": epoch {_EPOCH.match(lines[-1])[1]}, {figures}"


def last_error(log, begin=0):
    """The line of a log that says what went wrong."""
    text = log.read_bytes()[begin:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for match in map(_ERROR.fullmatch, reversed(lines)):
        # torchrun's own, after those of its workers.
        if match and "ChildFailedError" not in match[1]:
            return match[1]
    return lines[-1] if lines else "no output"
