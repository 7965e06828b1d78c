"""What check.py and images.py share. Arguments: the folder to work in, the program."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

WORK, GROWRUN = Path(sys.argv[1]), sys.argv[2]
# Largest difference of an output, in shares of the outputs' size: sums of f32 in another order.
OUTPUTS = 1e-5
# Largest difference between the first update in PyTorch and ours, in learning rates. Adam divides two moments that are
# rounded to f32, behind a gradient whose sums are in another order.
UPDATE = 2e-4
TARGETS = ["safetensors", "npz", "pytorch", "onnx", "mxnet"]
missed = []


def run(*arguments, **more):
    done = subprocess.run([GROWRUN, *map(str, arguments)], cwd=WORK, capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"growrun {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    return done.stdout


def holds(what, measured, bound):
    if not measured <= bound:
        missed.append(f"{what}: {measured:.3g}, at most {bound:.3g}")
    return measured


def trained(schedule, *more):
    """A run, and what it was exported to."""
    folder = Path(json.loads(run(schedule, "--json", "--quiet", *more))["run"])
    for target in TARGETS:
        run("export", folder, "--to", target)
    return folder


def module(folder):
    place = WORK / folder / "export" / "pytorch" / "model.py"
    spec = importlib.util.spec_from_file_location("model", place)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
