"""Keras → growrun apply → Keras, by npz and by safetensors. After docs/keras.md was done in a folder."""

import numpy
import safetensors.numpy
from common import OWN, PAGE, apply, end, is_bitwise, relative, row, updates
from net import data, load, net, weights

GROW = (PAGE / "grow.grow").read_text()
x, y = data(1000, seed=77)
small, grown = net(32), net(64, 3)
load(PAGE / "small", small)
load(PAGE / "grown", grown)
before = small.predict(x, verbose=0)
is_bitwise(apply(GROW, PAGE / "small.npz", OWN / "grown.npz"), "Keras, batch norm, pad, identity")
row("Keras, npz: outputs in f32, share of their size", relative(grown.predict(x, verbose=0), before), 1e-6)


def double(variables, x):
    """The network in numpy, in f64, with Keras's own ε."""
    v = {name: numpy.asarray(value, "f8") for name, value in variables.items()}
    h = x.astype("f8") @ v["fc1.kernel"] + v["fc1.bias"]
    h = (h - v["bn1.moving_mean"]) / numpy.sqrt(v["bn1.moving_variance"] + 1e-3) * v["bn1.gamma"] + v["bn1.beta"]
    h = numpy.maximum(h, 0)
    for name in ("fc2", "fc3"):
        if f"{name}.kernel" in v:
            h = numpy.maximum(h @ v[f"{name}.kernel"] + v[f"{name}.bias"], 0)
    return h @ v["out.kernel"] + v["out.bias"]


row("Keras's outputs beside numpy's in f64", relative(before, double(weights(small), x)), 1e-5)
row("Keras: outputs in f64", relative(double(weights(grown), x), double(weights(small), x)), 1e-12)

# The same by safetensors, in and out.
arrays = {name: numpy.asarray(value) for name, value in weights(small).items()}
safetensors.numpy.save_file(arrays, OWN / "small.safetensors")
apply(GROW, OWN / "small.safetensors", OWN / "grown.safetensors")
read, wanted = safetensors.numpy.load_file(OWN / "grown.safetensors"), numpy.load(OWN / "grown.npz")
assert sorted(read) == sorted(wanted) and all(numpy.array_equal(read[key], wanted[key]) for key in read)

for method in ("split", "mirror"):
    apply(GROW.split("at start")[0] + f"at start widen fc1..fc2 to 64 method {method}", PAGE / "small.npz", OWN / f"{method}.npz")
    copies, kept = net(64), numpy.load(OWN / f"{method}.npz")
    for name, variable in weights(copies).items():
        variable.assign(kept[name])
    row(f"Keras, widen by {method}: outputs in f32", relative(copies.predict(x, verbose=0), before), 1e-5)

# One step of each with the restored variables of Adam.
steps, losses = [], []
for model in (small, grown):
    values = lambda: {name: numpy.asarray(w, "f8") for name, w in weights(model).items() if w.trainable and name != "fc1.bias"}
    start = values()
    losses.append(float(model.train_on_batch(x[:256], y[:256])))
    steps.append((start, values()))
row("Keras: first loss in training mode, f32, relative", abs(losses[1] / losses[0] - 1), 1e-5)
(old, old_after), (new, new_after) = steps
# Without fc1.bias: before a batch norm it has no gradient but roundings, which Adam makes steps of.
added = updates("Keras, f32", old, new, old_after, new_after, 1e-3, 500, bound=2e-3)
row("Keras, f32: first update of the new layer, largest, in learning rates", added)
end()
