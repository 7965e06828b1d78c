"""Trains, exports and compares; see tests/evidence/export.sh. Arguments: a folder with the schedules, the program."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file
from safetensors import safe_open

from common import OUTPUTS, UPDATE, WORK, holds, missed, module, run, trained

print(f"torch {torch.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, numpy {np.__version__}\n")
torch.manual_seed(1)


def same_tensors(folder):
    """All files of tensors hold the very bits of the run's result."""
    export = WORK / folder / "export"
    ours = load_file(WORK / folder / "final.safetensors")
    theirs = load_file(export / "safetensors" / "model.safetensors")
    arrays = np.load(export / "npz" / "model.npz")
    same = set(ours) == set(theirs) == set(arrays.files)
    same = same and all(torch.equal(ours[n], theirs[n]) and np.array_equal(ours[n].numpy(), arrays[n]) for n in ours)
    # The strict names of a module that is not ours: only the buffers of PyTorch and of the scaling are missing.
    missing, unexpected = module(folder).Model().load_state_dict(theirs, strict=False)
    same = same and not unexpected and all("num_batches" in n or n.startswith("input_") for n in missing)
    if not same:
        missed.append(f"{folder}: the tensors are not the run's")


def session(folder):
    path = WORK / folder / "export" / "onnx" / "model.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options)


def predicted(folder, x):
    table = WORK / "inputs.csv"
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows([repr(float(v)) for v in row] for row in x)
    return list(csv.reader(run("predict", folder, table).splitlines()))[1:]


def outputs(schedule, folder, x):
    """The outputs of ONNX Runtime and PyTorch beside ours, in shares of their size."""
    ours = np.array(predicted(folder, x), dtype="f4")
    size = max(1.0, np.abs(ours).max())
    runtime = session(folder)
    onnx_out = runtime.run(None, {"input": x})[0]
    alone = runtime.run(None, {"input": x[:1]})[0]
    holds(f"{schedule}: a batch of one in ONNX Runtime", np.abs(alone - ours[:1]).max() / size, OUTPUTS)
    with torch.no_grad():
        torch_out = module(folder).load().eval()(torch.from_numpy(x)).numpy()
        wide = module(folder).load(dtype=torch.float64).eval()(torch.from_numpy(x).double()).numpy()
    return [
        holds(f"{schedule}: outputs of {name}", float(np.abs(out - ours).max() / size), OUTPUTS)
        for name, out in [("ONNX Runtime", onnx_out), ("PyTorch", torch_out), ("PyTorch in f64", wide)]
    ]


def training_part(x, y, folder):
    """The 64 of 65 examples that the run trained on: those whose mean it has scaled by."""
    scaling = WORK / folder / "scaling.safetensors"
    mean = load_file(scaling)["mean"].numpy().astype("f8")
    if not mean.any():
        return None
    without = (x.astype("f8").sum(0) - x) / (len(x) - 1)
    left_out = int(np.argmin(np.abs(without - mean).sum(1)))
    assert np.abs(without[left_out] - mean).max() < 1e-5
    return np.delete(x, left_out, 0), np.delete(y, left_out, 0)


def births(folder):
    """How old every entry of a parameter is at the end: its updates less the younger of its row's and column's birth."""
    ages = {}
    with safe_open(WORK / folder / "checkpoints" / "end" / "state.safetensors", "np") as state:
        names = set(state.keys())
        for name in (n.removesuffix(".updates") for n in names if n.endswith(".updates")):
            born = [state.get_tensor(f"{name}.births.{d}") for d in range(2) if f"{name}.births.{d}" in names]
            youngest = born[0] if len(born) == 1 else np.maximum.outer(*born)
            updates = state.get_tensor(f"{name}.updates")[0]
            ages[name] = (int(updates), updates.astype("i8") - youngest.astype("i8"))
    return ages


def next_step(folder, steps, x, y, kept=True):
    """The first update in PyTorch and the one that growrun does next, by parameter."""
    further = Path(json.loads(run("resume", folder, "--train", f"{steps + 1} steps", "--json", "--quiet"))["run"])
    ours = load_file(WORK / further / "final.safetensors")
    torch_side = module(folder)
    model = torch_side.load()
    if kept:
        made = torch_side.optimizer(model)
    else:
        made = type(torch_side.optimizer(model))(model.parameters(), **torch_side.optimizer(model).defaults)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made.zero_grad()
    torch.nn.functional.mse_loss(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    if "clip_grad_norm_" in (torch_side.optimizer.__doc__ or ""):
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    made.step()
    after = model.state_dict()
    pairs = {name: ((after[name] - before[name]).numpy(), (ours[name] - before[name]).numpy()) for name in ours}
    return pairs, torch_side.LR


generator = np.random.default_rng(1)
x = (generator.normal(size=(65, 6)) * [1, 2, 3, 0.5, 1, 4] + [0, 1, -1, 2, 0, 5]).astype("f4")
y = np.tanh(x @ generator.normal(size=(6, 3))).astype("f4")
np.savez(WORK / "data.npz", x=x, y=y)

print("outputs, apart in shares of their size               | first update, apart in learning rates")
print("network      ONNX Runtime   PyTorch   PyTorch in f64 | entries as old as their tensor   younger ones   silent biases")
runs = {}
for schedule in sorted(path.stem for path in WORK.glob("*.grow")):
    if schedule == "digits":
        continue
    folder = runs[schedule] = trained(f"{schedule}.grow")
    same_tensors(folder)
    numbers = outputs(schedule, folder, x)
    line = f"{schedule:12} {numbers[0]:12.1e} {numbers[1]:9.1e} {numbers[2]:13.1e} | "
    part = training_part(x, y, folder)
    if part is not None and schedule != "dropout":
        pairs, lr = next_step(folder, 20, *part)
        ages, old, younger, silent = births(folder), 0.0, 0.0, 0.0
        for name, (theirs, own) in pairs.items():
            apart = np.abs(theirs - own) / lr
            updates, age = ages[name]
            is_statistic = "running" in name
            if is_statistic:
                # A running mean or variance, relative to what it moved by.
                old = max(old, float((np.abs(theirs - own) / max(np.abs(own).max(), 1e-6)).max()))
                continue
            # A batch norm takes off the mean, and with it the bias before it, whose gradient is nothing but roundings:
            # Adam makes steps of them in any direction. They change no output.
            if name.endswith(".bias") and f"{name[:-5]}.norm.running_mean" in pairs:
                silent = max(silent, float(apart.max()))
                continue
            old = max([old, *apart[age == updates].ravel().tolist()])
            # Entries that have had some updates, but fewer than their parameter.
            younger = max([younger, *apart[(age < updates) & (age > 0)].ravel().tolist()])
        holds(f"{schedule}: the first update of old entries", old, UPDATE)
        line += "".join(f"{value:{w}.1e}" if value or w == 20 else " " * w for value, w in [(old, 20), (younger, 20), (silent, 16)])
    print(line)

print("\nentries without an update at the export: their first update in PyTorch over ours; the others, apart in learning rates;")
print("and how far apart those as old as their tensor are when the state is left behind")
print("steps    median   largest   formula   entries   as old as their tensor   younger   without the state")
for steps in (20, 400, 2000):
    folder = trained("widened.grow", "--set", f"steps={steps}")
    part = training_part(x, y, folder)
    pairs, lr = next_step(folder, steps, *part)
    bare, _ = next_step(folder, steps, *part, kept=False)
    ratios, old, younger, lost = [], 0.0, 0.0, 0.0
    for name, (theirs, own) in pairs.items():
        updates, age = births(folder)[name]
        apart = np.abs(theirs - own) / lr
        old = max([old, *apart[age == updates].ravel().tolist()])
        younger = max([younger, *apart[(age < updates) & (age > 0)].ravel().tolist()])
        lost = max([lost, *(np.abs(bare[name][0] - own) / lr)[age == updates].ravel().tolist()])
        # Beside a gradient that is not far above it, PyTorch's epsilon, 1e-8, would show.
        fresh = (age == 0) & (np.abs(own) > 0.9998 * lr)
        ratios += (theirs[fresh] / own[fresh]).tolist()
    wanted = np.sqrt((1 - 0.999 ** (steps + 1)) / 0.001) * 0.1 / (1 - 0.9 ** (steps + 1))
    median, worst = float(np.median(ratios)), float(np.max(ratios))
    holds(f"{steps} steps: old entries", old, UPDATE)
    holds(f"{steps} steps: the factor of fresh entries", abs(median / wanted - 1), 0.01)
    print(f"{steps:5} {median:9.3f} {worst:9.3f} {wanted:9.3f} {len(ratios):9} {old:24.1e} {younger:9.1e} {lost:19.1e}")

# MXNet 1.9 wants a Python and a numpy of its own.
MXNET = """
import sys, mxnet as mx, numpy as np
folder = sys.argv[1]
found, ours = mx.nd.load(folder + "/export/mxnet/model.params"), np.load(folder + "/export/npz/model.npz")
name = lambda n: n.replace(".norm.weight", ".norm.gamma").replace(".norm.bias", ".norm.beta")
assert sorted(found) == sorted(name(n) for n in ours.files), sorted(found)
assert all(np.array_equal(found[name(n)].asnumpy(), ours[n]) for n in ours.files)
if len(sys.argv) > 2:
    class Net(mx.gluon.nn.Block):
        def __init__(self):
            super().__init__()
            self.h1 = mx.gluon.nn.Dense(16, activation="relu")
            self.out = mx.gluon.nn.Dense(3)
        def forward(self, x):
            return self.out(self.h1(x))
    net, scaling = Net(), mx.nd.load(folder + "/export/mxnet/model.scaling.params")
    net.load_parameters(folder + "/export/mxnet/model.params")
    x, y = mx.nd.array(np.load(sys.argv[2])), np.load(sys.argv[3])
    print(np.abs(net((x - scaling["mean"]) * scaling["inverse"]).asnumpy() - y).max() / max(1, np.abs(y).max()))
"""
python = os.environ.get("MXNET_PYTHON")
if python:
    np.save(WORK / "x.npy", x)
    np.save(WORK / "y.npy", np.array(predicted(runs["plain"], x), dtype="f4"))
    for schedule, folder in runs.items():
        more = [WORK / "x.npy", WORK / "y.npy"] if schedule == "plain" else []
        done = subprocess.run([python, "-c", MXNET, WORK / folder, *more], capture_output=True, text=True)
        if done.returncode:
            missed.append(f"{schedule}: MXNet: {done.stderr.splitlines()[-1]}")
        elif more:
            apart = holds("plain: outputs of MXNet", float(done.stdout), OUTPUTS)
            print(f"\nMXNet: the tensors of {len(runs)} networks are the same; outputs of a Gluon network apart by {apart:.1e}")
else:
    print("\nMXNet: not looked at (MXNET_PYTHON names a Python that has it)")

folder = trained("digits.grow")
same_tensors(folder)
digits = generator.uniform(0, 16, size=(200, 64)).round().astype("f4")
ours = predicted(folder, digits)
logits = session(folder).run(None, {"input": digits})[0].astype("f8")
shares = np.exp(logits - logits.max(1, keepdims=True))
shares /= shares.sum(1, keepdims=True)
classes = module(folder).CLASSES
agree = sum(str(classes[k]) == row[0] for k, row in zip(logits.argmax(1), ours))
apart = max(abs(shares[i].max() - float(row[1])) for i, row in enumerate(ours))
# `predict` prints four decimals.
holds("digits: probabilities", apart, 0.5e-4 + 1e-5)
holds("digits: other classes", len(ours) - agree, 0)
print(f"\ndigits: {agree} of {len(ours)} classes are the same, probabilities are apart by {apart:.1e} (four decimals are printed)")

subprocess.run([sys.executable, str(WORK / folder / "export" / "pytorch" / "model.py")], check=True, capture_output=True)
if missed:
    print("\nMISSED:", *missed, sep="\n  ")
    sys.exit(1)
print("every bound holds")
