"""A recipe that trains nothing: what the runner needs, in milliseconds."""

import subprocess
import sys
import textwrap

TRAIN = textwrap.dedent(
    """
    import csv, json, os, signal, subprocess, sys, time
    from pathlib import Path

    words = (word[2:].partition("=") for word in sys.argv[2:])
    options = {key: value for key, _, value in words}
    folder = Path(options["output_folder"])
    seed, fold = int(options["seed"]), int(options.get("fold", 1))
    print("threads", os.environ.get("OMP_NUM_THREADS"))
    print("rank", os.environ.get("RANK"), os.environ.get("WORLD_SIZE"))
    print("x", end="", file=open(folder / "attempts.txt", "a"))
    if options.get("fail") == f"{fold}/{seed}":
        raise ValueError("the loss is not finite")
    if options.get("sleep"):
        child = subprocess.Popen(["sleep", options["sleep"]])
        (folder / "pids.txt").write_text(f"{os.getpid()} {child.pid}")
        child.wait()
    with open(folder / "train_log.txt", "a") as file:
        for epoch in (1, 2):
            line = f"epoch: {epoch}, lr: 1e-03 - train loss: 1.5"
            print(f"{line} - valid loss: 1.0, valid UA: 4{epoch}.5", file=file)
    accuracy = float(options.get("quality", "0.5"))
    rows = [["id", "speaker", "reference", "predicted"]]
    for number in range(40):
        truth = ("sad", "happy")[number // 4 % 2]
        hit = (number * 7 + seed * 3) % 10 < 10 * accuracy
        said = truth if hit else "angry"
        rows.append([f"u{fold}_{number}", f"{fold}{number % 4}", truth, said])
    with open(folder / "predictions.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    right = sum(row[2] == row[3] for row in rows)
    results = {
        "seed": seed,
        "fold": fold,
        "protocol": {"speakers_shared_with_train": {"valid": 0, "test": 2}},
        "metrics": {"UA": 100 * right / 40 + fold, "WA": 100 * right / 40},
    }
    (folder / "results.json").write_text(json.dumps(results))
    """
)

YAML = """\
seed: 1
fold: 1
output_folder: !ref results/small/<seed>
save_folder: !ref <output_folder>/save
data_folder: !PLACEHOLDER
feature_folder: !ref <output_folder>/features
num_workers: 0
corpus: ravdess
protocol: pepino_ravdess
label_map: null
quality: 0.5
sleep: null
fail: null
nested: {a: 1, b: 2}
dense_head: !new:collections.Counter
    size: 3
lstm_head: !new:collections.OrderedDict
    size: !ref <quality>
head: !ref <dense_head>
"""


def command(recipe, root, *arguments):
    """Command line of the runner on the recipe."""
    start = [sys.executable, "-m", "speechbrain_ext.experiment"]
    words = [f"--output_folder={root}", "--data_folder=/data", *arguments]
    return [*start, *map(str, recipe), *words]


def run(recipe, root, *words, status=0, env=None):
    """Run the runner to its end; its standard output and error."""
    options = {"capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(command(recipe, root, *words), env=env, **options)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def attempts(folder):
    """How often a run was started."""
    path = folder / "attempts.txt"
    return len(path.read_text()) if path.exists() else 0
