"""Runs as jobs of a stand-in for SLURM."""

import os
import sys
import textwrap

import pytest

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.experiment.cluster import parse_parameters, run_on_cluster
from tests.experiment.recipe import run
from tests.experiment.test_plan import plan

pytest.importorskip("submitit")


def test_parameters():
    text = "partition=gpu,timeout_min=600,mem_gb=1.5,slurm_exclusive=true"
    assert parse_parameters(text) == {
        "slurm_partition": "gpu",
        "timeout_min": 600,
        "mem_gb": 1.5,
        "slurm_exclusive": True,
    }
    with pytest.raises(UserError, match="expected key=value, .* got 'gpu'"):
        parse_parameters("gpu")


def test_slurm_gets_one_array(recipe, tmp_path, monkeypatch):
    """Programs of the same names start the jobs as SLURM would."""
    programs = tmp_path / "bin"
    programs.mkdir()
    scripts = {
        "sbatch": """
            import os, re, subprocess, sys
            text = open(sys.argv[-1]).read()
            open("submitted.sh", "w").write(text)
            ids = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7"}
            os.environ.update(ids, SLURM_NTASKS="1")
            for task in range(int(re.search(r"--array=0-(\\d+)", text)[1]) + 1):
                os.environ["SLURM_ARRAY_TASK_ID"] = str(task)
                none = {"stdout": -3, "stderr": -3}
                subprocess.Popen(["bash", sys.argv[-1]], **none)
            print("Submitted batch job 7")
        """,
        "srun": """
            import os, sys
            words = sys.argv[1:]
            while words[0].startswith("-"):
                del words[: 1 if words[0] == "--unbuffered" else 2]
            os.execvp(words[0], words)
        """,
        "sacct": """
            print("JobID|State|NodeList")
            for task in range(3):
                print(f"7_{task}|RUNNING|here")
        """,
        "scancel": "",
    }
    for name, text in scripts.items():
        path = programs / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        path.chmod(0o755)
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    monkeypatch.chdir(tmp_path)
    slurm = ["--slurm=partition=gpu,timeout_min=600", "--jobs=2"]
    words = ["--seeds=3", "--fail=1/2", *slurm]
    output, error = run(recipe, tmp_path / "runs", *words, status=1, env=env)
    text = (tmp_path / "submitted.sh").read_text()
    for option in ("partition=gpu", "time=600", "array=0-2%2"):
        assert f"#SBATCH --{option}\n" in text
    assert "2 of 3" in output
    assert "ValueError: the loss is not finite" in error

    fails = "#!/bin/sh\necho 'invalid partition' >&2\nexit 1\n"
    (programs / "sbatch").write_text(fails)
    slurm = "--slurm=partition=x"
    _, error = run(recipe, tmp_path / "new", slurm, status=2, env=env)
    assert "--slurm: sbatch takes no jobs: invalid partition" in error


@pytest.mark.parametrize(
    "cluster, given, sentence",
    [
        ("slurm", {}, "--cluster slurm: .*srun"),
        ("local", {"slurm_colour": "red"}, "--slurm: .*colour"),
        (None, {}, r"pip install 'speechbrain-ext\[slurm"),
    ],
)
def test_mistakes(recipe, tmp_path, monkeypatch, cluster, given, sentence):
    monkeypatch.setenv("PATH", str(tmp_path))
    if cluster is None:
        monkeypatch.setitem(sys.modules, "submitit", None)
    runs = plan(recipe, tmp_path / "runs")[0].runs
    with pytest.raises(UserError, match=sentence):
        run_on_cluster(runs, given, tmp_path, None, cluster, False)
