"""Networks of convolutions, exported and compared; see tests/evidence/export.sh. Arguments: a folder, the program."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file

from common import OUTPUTS, UPDATE, WORK, holds, missed, module, run, trained

torch.manual_seed(1)
torch.set_num_threads(1)
generator = np.random.default_rng(2)
SHAPE = (3, 13, 11)
x = (generator.normal(size=(65, *SHAPE)) * np.array([1, 4, 9]).reshape(3, 1, 1) + 2).astype("f4")
y = np.tanh(x.reshape(65, -1) @ generator.normal(size=(np.prod(SHAPE), 2)) / 60).astype("f4")
np.savez(WORK / "images.npz", x=x, y=y)
DATA = 'data npz "images.npz" { batch all; layout nchw; task regression; split train 64 val 1 test 0 }'
TRAIN = "train 12 steps { optimizer adam lr 1e-3 }"
MODELS = {
    "windows": """c1 conv 6 kernel 3 relu norm batch; c2 conv 6 kernel 2 tanh; c3 conv 8 kernel 4 stride 2 gelu
        c4 conv 8 kernel 3 stride 2 silu bias no; c5 conv 4 kernel 2 pad valid; h1 dense 12 relu; out dense 2""",
    "pools": """c1 conv 6 kernel 5 leaky_relu; p1 pool max 2; c2 conv 8 kernel 3 relu dropout 0.2; p2 pool avg 2
        c3 conv 8 kernel 1 elu; g pool global; out dense 2""",
    "blocks": """c1 conv 8 kernel 3 relu; r1 residual { a conv 12 kernel 3 relu norm batch; b conv 8 kernel 3 norm batch }
        r2 residual project { d conv 8 kernel 3 stride 2 relu; e conv 12 kernel 3 }; p pool max 2; out dense 2""",
    "grown": """c1 conv 4 kernel 3 relu norm batch; p1 pool max 2; c2 conv 6 kernel 3 tanh; out dense 2""",
}
EVENTS = {"grown": """at step 4 widen c1..c2 by 2x
at step 6 widen c2 kernel to 5
at step 8 insert identity tanh after c2 as c3 method parametric"""}


print("images       ONNX Runtime   PyTorch   PyTorch in f64 | first update, in learning rates")
for name, model in MODELS.items():
    text = f"experiment \"{name}\"\nseed 3\n{DATA}\nmodel {{ {model} }}\n{TRAIN}\n{EVENTS.get(name, '')}\n"
    (WORK / f"{name}_images.grow").write_text(text)
    folder = trained(f"{name}_images.grow")
    with open(WORK / "images.csv", "w", newline="") as file:
        csv.writer(file).writerows([repr(float(v)) for v in row] for row in x.reshape(65, -1))
    ours = np.array(list(csv.reader(run("predict", folder, "images.csv").splitlines()))[1:], dtype="f4")
    size = max(1.0, np.abs(ours).max())
    path = WORK / folder / "export" / "onnx" / "model.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True, data_prop=True)
    session = onnxruntime.InferenceSession(path)
    assert session.get_inputs()[0].shape == ["batch", *SHAPE]
    theirs = module(folder)
    with torch.no_grad():
        found = [
            session.run(None, {"input": x})[0],
            theirs.load().eval()(torch.from_numpy(x)).numpy(),
            theirs.load(dtype=torch.float64).eval()(torch.from_numpy(x).double()).numpy(),
        ]
    apart = [holds(f"{name}: outputs", float(np.abs(one - ours).max() / size), OUTPUTS) for one in found]
    holds(f"{name}: one image", float(np.abs(session.run(None, {"input": x[:1]})[0] - ours[:1]).max() / size), OUTPUTS)
    line = f"{name:12} {apart[0]:12.1e} {apart[1]:9.1e} {apart[2]:13.1e} |"
    if name in ("windows", "blocks"):
        # The 64 that were trained on: without the one whose leaving gives the run's mean.
        mean = load_file(WORK / folder / "scaling.safetensors")["mean"].numpy().reshape(SHAPE)[:, 0, 0].astype("f8")
        sums = x.astype("f8").sum((0, 2, 3)) - x.astype("f8").sum((2, 3))
        out = int(np.abs(sums / (64 * SHAPE[1] * SHAPE[2]) - mean).sum(1).argmin())
        part, answers = np.delete(x, out, 0), np.delete(y, out, 0)
        further = Path(json.loads(run("resume", folder, "--train", "13 steps", "--json", "--quiet"))["run"])
        next_one = load_file(WORK / further / "final.safetensors")
        net = theirs.load()
        made = theirs.optimizer(net)
        before = {key: value.clone() for key, value in net.state_dict().items()}
        torch.nn.functional.mse_loss(net(torch.from_numpy(part)), torch.from_numpy(answers)).backward()
        made.step()
        after, worst = net.state_dict(), 0.0
        for key, value in next_one.items():
            # A bias in front of a batch norm has no gradient but roundings: docs/export.md.
            if "running" in key or key.endswith(".bias") and f"{key[:-5]}.norm.running_mean" in next_one:
                continue
            own = value.reshape(before[key].shape) - before[key]
            worst = max(worst, float(((after[key] - before[key]) - own).abs().max()) / theirs.LR)
        line += f" {holds(f'{name}: first update', worst, UPDATE):.1e}"
    print(line)
sys.exit("\n".join(missed) if missed else 0)
