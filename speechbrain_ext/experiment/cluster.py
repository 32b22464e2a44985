"""Runs as jobs of SLURM, through submitit."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.experiment.plan import Run
from speechbrain_ext.experiment.runs import Processes, execute, follow

# Parameters that submitit has for every kind of cluster.
_GENERAL = (
    "name timeout_min mem_gb nodes cpus_per_task gpus_per_node "
    "tasks_per_node stderr_to_stdout"
).split()
_TIMEOUT = 24 * 60  # Minutes for a job; submitit's own is 5.


@dataclass
class Job:
    """What a job does: one run; why it failed, or None."""

    run: Run

    def __call__(self):
        with contextlib.closing(Processes()) as processes:
            return execute(self.run, processes)

    def checkpoint(self):
        """Go on in a new job where time ran out: recipes continue."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def parse_parameters(text):
    """Understand the value of ``--slurm``."""
    parameters = {"timeout_min": _TIMEOUT}
    for part in filter(None, text.split(",")):
        key, equals, value = (each.strip() for each in part.partition("="))
        if not (key and equals and value):
            raise expected("--slurm", "key=value, such as partition=gpu", part)
        if key not in _GENERAL and not key.startswith("slurm_"):
            key = f"slurm_{key}"
        parameters[key] = value
        with contextlib.suppress(ValueError, RecursionError):
            parameters[key] = json.loads(value.lower())
    return parameters


def run_on_cluster(runs, parameters, root, jobs, cluster, show_progress=True):
    """Submit all runs that are left, and wait for them."""
    todo = [run for run in runs if not run.finished()]
    if not todo:
        return []
    submitit, executor = _executor(root, cluster)
    if jobs is not None:
        parameters = {**parameters, "slurm_array_parallelism": jobs}
    waiting = {}
    try:
        executor.update_parameters(**parameters)
        # One array of jobs, of which SLURM starts as many as it may.
        with executor.batch():
            for run in todo:
                waiting[run] = executor.submit(Job(run))
    except (AssertionError, NameError, TypeError, ValueError) as error:
        raise UserError(f"--slurm: {str(error).splitlines()[0]}") from None
    except submitit.core.utils.FailedJobError as error:
        line = str(error).split("\n")[-1]
        raise UserError(f"--slurm: sbatch takes no jobs: {line}") from None
    ask = lambda job: job.state == "RUNNING", _outcome
    try:
        return follow(dict(waiting), len(runs), *ask, show_progress)
    finally:
        for job in waiting.values():
            with contextlib.suppress(Exception):
                job.cancel(check=False)


def _executor(root, cluster):
    try:
        import submitit

        folder = Path(root) / "cluster"
        return submitit, submitit.AutoExecutor(folder, cluster=cluster)
    except ImportError:
        raise UserError(
            "--slurm and --cluster need submitit: pip install "
            "'speechbrain-ext[slurm]'."
        ) from None
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--cluster {cluster}: {error}") from None


def _outcome(job):
    error = job.exception()
    if error is None:
        return job.result()
    lines = [line for line in str(error).splitlines() if line.strip(" -")]
    traces = [line for line in lines if "Error" in line]
    return f"job {job.job_id}: {(traces or lines or [repr(error)])[-1]}"
