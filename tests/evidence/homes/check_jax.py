"""Flax → growrun apply → Flax, by npz and by safetensors, linen and nnx. After docs/jax.md was done in a folder."""

import jax
import numpy
import optax
import safetensors.numpy
from common import OWN, PAGE, apply, end, is_bitwise, relative, row, updates
from flax import linen as nn
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from net import Net, load
from net import adam as optimizer

jax.config.update("jax_enable_x64", True)
GROW = (PAGE / "grow.grow").read_text()
small, grown = Net(32), Net(64, 3)
(old, old_state), (new, new_state) = load(PAGE / "small"), load(PAGE / "grown")
x = numpy.random.default_rng(77).normal(size=(1000, 20))
y = (x[:, :3] * x[:, 3:6]).argmax(1)
is_bitwise(apply(GROW, PAGE / "small.npz", OWN / "grown.npz"), "Flax, batch norm, pad, identity")
for dtype, bound in (("float32", 1e-6), ("float64", 1e-12)):
    outputs = []
    for net, variables in ((small, old), (grown, new)):
        outputs.append(net.apply(jax.tree.map(lambda a: a.astype(dtype), variables), x.astype(dtype)))
    row(f"Flax: outputs in {dtype}, share of their size", relative(outputs[1], outputs[0]), bound)

# The same by safetensors, in and out.
safetensors.numpy.save_file({k: numpy.asarray(v) for k, v in flatten_dict(old, sep="/").items()}, OWN / "small.safetensors")
apply(GROW, OWN / "small.safetensors", OWN / "grown.safetensors")
read, wanted = safetensors.numpy.load_file(OWN / "grown.safetensors"), numpy.load(OWN / "grown.npz")
assert sorted(read) == sorted(wanted) and all(numpy.array_equal(read[key], wanted[key]) for key in read)

for method in ("split", "mirror"):
    apply(GROW.split("at start")[0] + f"at start widen fc1..fc2 to 64 method {method}", PAGE / "small.npz", OWN / f"{method}.npz")
    copies = unflatten_dict(dict(numpy.load(OWN / f"{method}.npz")), sep="/")
    single = x.astype("float32")
    row(f"Flax, widen by {method}: outputs in f32", relative(Net(64).apply(copies, single), small.apply(old, single)), 1e-5)


def step(net, variables, state):
    """One step in f64 with the state of the page: loss, gradients, parameters before and after."""
    variables = jax.tree.map(lambda a: a.astype("float64"), variables)
    state = (state[0]._replace(mu=jax.tree.map(numpy.float64, state[0].mu), nu=jax.tree.map(numpy.float64, state[0].nu)), *state[1:])

    def loss(params):
        out, _ = net.apply({**variables, "params": params}, x[:256], train=True, mutable="batch_stats")
        return optax.softmax_cross_entropy_with_integer_labels(out, y[:256]).mean()

    value, gradients = jax.value_and_grad(loss)(variables["params"])
    change, _ = optimizer.update(gradients, state)
    named = lambda tree: {path: numpy.asarray(a) for path, a in flatten_dict(tree, sep="/").items()}
    return value, named(gradients), named(variables["params"]), named(optax.apply_updates(variables["params"], change))


old_loss, gradients, before, after = step(small, old, old_state)
new_loss, _, new_before, new_after = step(grown, new, new_state)
row("Flax: first loss in training mode, f64, relative", abs(new_loss / old_loss - 1), 1e-12)
m, v = flatten_dict(old_state[0].mu, sep="/"), flatten_dict(old_state[0].nu, sep="/")
moments = {path: (m[path].astype("f8"), v[path].astype("f8")) for path in m}
added = updates("Flax and Optax, f64", before, new_before, after, new_after, 1e-3, 500, gradients, moments, bound=1e-9)
row("Flax and Optax: first update of the new layer, largest, in learning rates", added)


class Two(nnx.Module):
    def __init__(self, width, rngs):
        self.fc1, self.bn1 = nnx.Linear(20, width, rngs=rngs), nnx.BatchNorm(width, rngs=rngs)
        self.fc2 = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, x):
        return self.fc2(nnx.relu(self.bn1(self.fc1(x))))


two = Two(16, nnx.Rngs(0))
two(x)
two.eval()
numpy.savez(OWN / "nnx.npz", **flatten_dict(nnx.to_pure_dict(nnx.state(two)), sep="/"))
model = 'model {\n  map "bn1" to fc1.norm\n  fc1 dense 16 relu norm batch\n  fc2 dense 3\n}\nat start widen fc1 to 40\n'
is_bitwise(apply(model, OWN / "nnx.npz", OWN / "nnx_grown.npz"), "nnx, pad")
wide = Two(40, nnx.Rngs(1))
wide.eval()
state = nnx.state(wide)
nnx.replace_by_pure_dict(state, unflatten_dict(dict(numpy.load(OWN / "nnx_grown.npz")), sep="/"))
nnx.update(wide, state)
row("nnx, pad: outputs, share of their size", relative(wide(x), two(x)), 1e-12)


# Convolutions of images that are no squares: kernels [h, w, in, out], and [h·w·c, out] behind the flatten.
class Images(nn.Module):
    one: int = 6
    two: int = 8
    kernel: int = 3
    extra: bool = False

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.BatchNorm(use_running_average=True, name="bn1")(nn.Conv(self.one, (3, 3), name="c1")(x)))
        side = (self.kernel, self.kernel)
        x = nn.relu(nn.Conv(self.two, side, name="c2")(nn.max_pool(x, (2, 2), (2, 2))))
        if self.extra:
            x = nn.relu(nn.Conv(self.two, side, name="c3")(x))
        return nn.Dense(10, name="out")(nn.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1))


x = numpy.random.default_rng(5).normal(size=(200, 20, 12, 3)).astype("f4")
old = jax.tree.map(lambda a: a.astype("f4"), Images().init(jax.random.key(0), x))
numpy.savez(OWN / "images.npz", **{k: numpy.asarray(v) for k, v in flatten_dict(old, sep="/").items()})
numpy.savez(OWN / "probe.npz", x=x.transpose(0, 3, 1, 2))
BLOCK = """model { map "bn1" to c1.norm
c1 conv 6 kernel 3 relu norm batch; p1 pool max 2; c2 conv 8 kernel 3 relu; p2 pool max 2; out dense 10 }
"""
EVENTS = "widen c1..c2 by 2x; widen c2 kernel to 5; insert identity after c2 as c3"
apply(f"{BLOCK}at start {{ {EVENTS} }}", OWN / "images.npz", OWN / "images_grown.npz", "--probe", OWN / "probe.npz")
kept = numpy.load(OWN / "images_grown.npz")
new = unflatten_dict({tuple(name.split("/")): kept[name] for name in kept})
for dtype, bound in (("float32", 1e-5), ("float64", 1e-12)):
    outputs = []
    for net, variables in ((Images(), old), (Images(12, 16, 5, True), new)):
        outputs.append(net.apply(jax.tree.map(lambda a: a.astype(dtype), variables), x.astype(dtype)))
    row(f"Flax, images: outputs in {dtype}, share of their size", relative(outputs[1], outputs[0]), bound)
end()
