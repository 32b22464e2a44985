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

# Output of a run, of all attempts.
LOG = "run.log"
# Held by a run for as long as its process lives.
LOCK = ".lock"
# Seconds from asking a process to stop to making it; torchrun gives its
# workers 30.
GRACE = 40
# Seconds between two looks at whether runs have ended, and at their epochs.
_PAUSE = 0.1
_LOOK = 2.0
# Runs whose epochs are shown at once.
_SHOWN = 4

_EPOCH = re.compile(r"epoch: (\d+)\b")
_ERROR = re.compile(
    r"(?:\[rank\d+\]: ?)?"
    r"((?:error: |(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception|Interrupt)\b).*)"
)


class Processes:
    """Processes under way, each with its own process group."""

    def __init__(self):
        self._lock = threading.Lock()
        self._live = set()
        self._stopped = False

    def run(self, command, log, env=None, keep=()):
        """Run a command to its end; its status, None where it was stopped."""
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
        end = time.monotonic() + GRACE
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
        processes.stop()
        pool.shutdown()


def follow(waiting, total, is_running, result, show_progress=True):
    """Watch runs, each with its job, until they end; what failed."""
    watch = _Watch(total, len(waiting), show_progress)
    with watch.bar:
        while waiting:
            for run, job in list(waiting.items()):
                if job.done():
                    del waiting[run]
                    # Even an error here is one run's alone.
                    try:
                        reason = result(job)
                    except Exception as error:
                        reason = f"{type(error).__name__}: {error}"
                    watch.ended(run, reason)
                elif is_running(job):
                    watch.runs(run)
            watch.refresh()
            if waiting:
                time.sleep(_PAUSE)
    return watch.failures


class _Watch:
    """What is said about runs while they are under way."""

    def __init__(self, total, left, show_progress):
        options = {"desc": "Runs", "unit": "run", "disable": not show_progress}
        self.bar = tqdm(total=total, initial=total - left, **options)
        self.failures = []
        self._running = []
        self._looked = 0
        self._shown = ""

    def runs(self, run):
        """A run is under way."""
        if run not in self._running:
            self._running.append(run)
            self._say(f"Started: {run.name} (log: {run.folder / LOG})")

    def ended(self, run, reason):
        """A run has ended, well or not."""
        # A short one was never seen at work.
        self.runs(run)
        self._running.remove(run)
        if reason is None:
            self._say(f"Finished: {run.name}{_state(run)}")
        else:
            failure = f"{run.name}: {reason} (see {run.folder / LOG})"
            self.failures.append(failure)
            self._say(f"Failed: {failure}")
        self.bar.update()

    def refresh(self):
        """Show the epochs of the runs that are under way, now and then."""
        if time.monotonic() < self._looked + _LOOK:
            return
        self._looked = time.monotonic()
        parts = [f"{len(self.failures)} failed"] if self.failures else []
        parts += [f"{run.name}{_state(run)}" for run in self._running[:_SHOWN]]
        if len(self._running) > _SHOWN:
            parts.append(f"and {len(self._running) - _SHOWN} more")
        # Where no terminal shows it, every time is a line.
        if self._shown != (text := "; ".join(parts)):
            self._shown = text
            self.bar.set_postfix_str(text)

    def _say(self, line):
        self._looked = 0
        self.bar.write(line, file=sys.stderr)


def _state(run):
    """Epoch and validation figures so far, as train_log.txt has them."""
    try:
        text = (run.folder / "train_log.txt").read_text(encoding="utf-8")
        *_, last = filter(_EPOCH.match, text.splitlines())
    except (OSError, ValueError):
        return ""
    figures = ", ".join(re.findall(r"valid .+?(?=, | - |$)", last))
    return f": epoch {_EPOCH.match(last)[1]}, {figures}"


def last_error(log, begin=0):
    """The line of a log that says what went wrong."""
    text = log.read_bytes()[begin:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for match in map(_ERROR.fullmatch, reversed(lines)):
        # torchrun's own, after those of its workers.
        if match and "ChildFailedError" not in match[1]:
            return match[1]
    return lines[-1] if lines else "no output"


def _signal_group(process, number):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
