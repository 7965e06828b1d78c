"""MXNet → growrun apply → MXNet: Gluon's parameters, and what `export` writes. After docs/mxnet.md was done in a folder."""

import mxnet as mx
import numpy
from common import OWN, PAGE, apply, end, is_bitwise, relative, row, updates
from mxnet import autograd, gluon, nd
from net import Net, load

mx.random.seed(77)
X = nd.random.normal(shape=(1000, 20))
Y = (X[:, :3] * X[:, 3:6]).argmax(1)
small, grown = Net(32), Net(64, 3)
both = [(small, load(str(PAGE / "small"), small)), (grown, load(str(PAGE / "grown"), grown))]
GROW, EXPORTED = ((PAGE / name).read_text() for name in ("grow.grow", "exported.grow"))


def same(one, two):
    one, two = nd.load(str(one)), nd.load(str(two))
    assert list(one) == list(two)
    return all((one[key] == two[key]).min().asscalar() == 1 for key in one)


said = apply(GROW, PAGE / "small.params", OWN / "grown.params", "--optimizer", PAGE / "small.optimizer.params")
is_bitwise(said, "Gluon, batch norm, pad, identity")
assert same(OWN / "grown.params", PAGE / "grown.params")
row("Gluon: outputs in f32, share of their size", relative(grown(X).asnumpy(), small(X).asnumpy()), 1e-6)


def double(net, new):
    new.initialize()
    new.cast("float64")
    for name, p in new._collect_params_with_prefix().items():
        p.set_data(net._collect_params_with_prefix()[name].data().astype("float64"))
    return new


wide = [double(small, Net(32)), double(grown, Net(64, 3))]
row("Gluon: outputs in f64", relative(wide[1](X.astype("float64")).asnumpy(), wide[0](X.astype("float64")).asnumpy()), 1e-12)

# `export`: another spelling of the same names, symbol beside it; into Module.
said = apply(EXPORTED, PAGE / "small-0000.params", OWN / "grown-0000.params")
is_bitwise(said, "export, batch norm, pad, identity")
before = mx.model.load_checkpoint(str(PAGE / "small"), 0)
after = mx.sym.load(str(PAGE / "bigger-symbol.json")), *mx.model.load_params(str(OWN / "grown"), 0)
outputs = []
for symbol, args, aux in (before, after):
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", (1000, 20))], for_training=False)
    module.set_params(args, aux)
    module.forward(mx.io.DataBatch([X]), is_train=False)
    outputs.append(module.get_outputs()[0].asnumpy())
row("export → Module: outputs in f32", relative(outputs[1], outputs[0]), 1e-6)

# Copies.
for method in ("split", "mirror"):
    apply(GROW.split("at start")[0] + f"at start widen fc1..fc2 to 64 method {method}", PAGE / "small.params", OWN / f"{method}.params")
    copies = Net(64)
    copies.load_parameters(str(OWN / f"{method}.params"))
    row(f"Gluon, widen by {method}: outputs in f32", relative(copies(X).asnumpy(), small(X).asnumpy()), 1e-5)

# Out of npz and safetensors into Gluon and back are the same bits: names and layouts do not hang on the format.
apply(GROW, PAGE / "small.params", OWN / "grown.npz")
arrays = numpy.load(OWN / "grown.npz")
assert all(numpy.array_equal(arrays[key], value.asnumpy()) for key, value in nd.load(str(OWN / "grown.params")).items())

# One step of each with the restored states.
steps, losses = [], []
for net, trainer in both:
    named = {name: p for name, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
    values = lambda: {name: p.data().asnumpy().astype("f8") for name, p in named.items()}
    before = values()
    with autograd.record():
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(net(X[:256]), Y[:256])
    loss.backward()
    trainer.step(256)
    steps.append((before, values()))
    losses.append(loss.mean().asscalar())
row("Gluon: first loss in training mode, f32, relative", abs(losses[1] / losses[0] - 1), 1e-5)
(old, old_after), (new, new_after) = steps
# A bias before a batch norm has no gradient but roundings, which Adam makes steps of.
for one in (old, new, old_after, new_after):
    del one["fc1.bias"]
added = updates("Gluon, f32", old, new, old_after, new_after, 1e-3, 500, bound=2e-3)
row("Gluon, f32: first update of the new layer, largest, in learning rates", added, (0.99, 1.001))
end()
