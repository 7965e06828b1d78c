"""PyTorch → growrun apply → PyTorch: outputs, losses and the next update. After docs/pytorch.md was done in a folder."""

import copy
import importlib.util
from collections import OrderedDict

import numpy
import torch
from common import OWN, PAGE, apply, corner, end, is_bitwise, relative, row, updates
from net import net
from safetensors.torch import load_file
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(77)
X = torch.randn(1000, 20)
Y = (X[:, :3] * X[:, 3:6]).argmax(1)
LR = 1e-3


def arrays(values):
    return {name: value.detach().double().numpy().copy() for name, value in values}


def outputs(model, dtype):
    with torch.no_grad():
        return copy.deepcopy(model).to(dtype).eval()(X.to(dtype)).numpy()


def compare(what, small, grown, exact=True):
    row(f"{what}: outputs in f32, share of their size", relative(outputs(grown, torch.float32), outputs(small, torch.float32)), 0 if exact else 1e-5)
    row(f"{what}: outputs in f64", relative(outputs(grown, torch.float64), outputs(small, torch.float64)), 1e-12 if exact else 1e-6)


def restored(model, state, make):
    """The three lines of the page."""
    optimizer = make(model.parameters())
    for name, p in model.named_parameters():
        words = [key[len(name) + 1 :] for key in state if key.rsplit(".", 1)[0] == name]
        optimizer.state[p] = {word: state[f"{name}.{word}"] for word in words}
    return optimizer


def one_step(model, optimizer):
    """Loss of the batch, parameters before and after, gradients."""
    before = arrays(model.named_parameters())
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model.train()(X[:256].to(next(model.parameters()).dtype)), Y[:256])
    loss.backward()
    optimizer.step()
    gradients = arrays((name, p.grad) for name, p in model.named_parameters())
    return loss.item(), before, arrays(model.named_parameters()), gradients


def goes_on(what, small, old_state, grown, new_state, make, t, is_adam=True, exact=True):
    """One step of both, in f32 (loss) and in f64 (updates), in training mode."""
    for dtype in (torch.float32, torch.float64):
        both = []
        for model, state in ((small, old_state), (grown, new_state)):
            model = copy.deepcopy(model).to(dtype)
            # Clones: a step changes them.
            state = {key: value.to(dtype, copy=True) if value.ndim else value.clone() for key, value in state.items()}
            both.append(one_step(model, restored(model, state, make)))
        (old_loss, old, old_after, gradients), (new_loss, new, new_after, _) = both
        if dtype == torch.float32:
            row(f"{what}: first loss in training mode, f32, relative", abs(new_loss / old_loss - 1), 1e-5)
    if not exact:
        return
    moments = None
    if is_adam:
        keep = lambda name, word: old_state[f"{name}.{word}"].double().numpy()
        moments = {name: (keep(name, "exp_avg"), keep(name, "exp_avg_sq")) for name in old}
    added = updates(what, old, new, old_after, new_after, LR, t if is_adam else 0, gradients, moments)
    left = copy.deepcopy(grown).double()
    _, new, new_after, _ = one_step(left, make(left.parameters()))
    apart = max(numpy.abs(corner(new_after[name] - new[name], old[name]) - old_after[name] + old[name]).max() for name in old)
    row(f"{what}: that, when the state is left behind", apart / LR, (1e-3, 10))
    if is_adam:
        row(f"{what}: first update of the new layer, largest, in learning rates", added, (0.99, 1.001))


def by_name(model, optimizer):
    return {f"{name}.{word}": value for name, p in model.named_parameters() for word, value in optimizer.state[p].items() if value is not None}


# The page's own: batch norm, Adam after 500 steps.
small, grown = net(32), net(64, 3)
saved = torch.load(PAGE / "small.pt")
small.load_state_dict(saved["model"])
grown.load_state_dict(load_file(PAGE / "grown.safetensors"))
adam = lambda parameters: torch.optim.Adam(parameters, lr=LR)
optimizer = adam(small.parameters())
optimizer.load_state_dict(saved["optimizer"])
state = by_name(small, optimizer)
is_bitwise(apply((PAGE / "grow.grow").read_text(), PAGE / "small.pt", OWN / "grown.safetensors"), "batch norm, pad, identity")
for name, tensor in load_file(OWN / "grown.safetensors").items():
    assert torch.equal(tensor, grown.state_dict()[name]), f"{name} differs from the page's"
compare("batch norm, pad, identity", small, grown)
goes_on("batch norm, pad, identity", small, state, grown, load_file(PAGE / "grown.optimizer.safetensors"), adam, 500)

# The same as a folder with model.py.
apply((PAGE / "grow.grow").read_text(), PAGE / "small.pt", OWN / "folder")
spec = importlib.util.spec_from_file_location("model", OWN / "folder" / "model.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
model = module.load()
row("model.py of the same: outputs in f32", relative(outputs(model, torch.float32), outputs(small, torch.float32)), 0)
before = arrays(model.named_parameters())
one_step(model, module.optimizer(model))
assert not numpy.array_equal(before["fc3.weight"], arrays(model.named_parameters())["fc3.weight"])

# Copies: promised to rounding.
HEAD = 'model {\n  map "bn1" to fc1.norm\n  fc1 dense 32 relu norm batch\n  fc2 dense 32 relu\n  out dense 3\n}\n'
for method in ("split", "mirror"):
    said = apply(HEAD + f"at start widen fc1..fc2 to 64 method {method}", PAGE / "small.pt", OWN / f"{method}.safetensors")
    assert {event["promise"] for event in said["events"]} == {"rounding"}
    wide = net(64)
    wide.load_state_dict(load_file(OWN / f"{method}.safetensors"))
    compare(f"widen by {method}", small, wide, exact=False)
    goes_on(f"widen by {method}", small, state, wide, load_file(OWN / f"{method}.optimizer.safetensors"), adam, 500, exact=False)


# Without a norm and with layer norm; SGD with momentum; other activations.
def plain(width, act, norm, extra=False):
    parts = OrderedDict(fc1=nn.Linear(20, width), **({"ln1": nn.LayerNorm(width)} if norm else {}), act1=act(), fc2=nn.Linear(width, width), act2=act())
    if extra:
        parts |= {"fc3": nn.Linear(width, width), "act3": nn.ReLU()}
    return nn.Sequential(parts | {"out": nn.Linear(width, 3)})


def trained(model, optimizer, steps):
    for _ in range(steps):
        x = torch.randn(64, 20)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), (x[:, :3] * x[:, 3:6]).argmax(1)).backward()
        optimizer.step()


sgd = lambda parameters: torch.optim.SGD(parameters, lr=LR, momentum=0.9, nesterov=True)
for what, word, act, norm, make, steps, grow in [
    ("sgd, no norm, sigmoid, pad, identity", "sigmoid", nn.Sigmoid, None, sgd, 60, "widen fc1..fc2 to 48; insert identity after fc2 as fc3"),
    ("adam, no norm, relu, pad, identity", "relu", nn.ReLU, None, adam, 20, "widen fc1..fc2 to 48; insert identity after fc2 as fc3"),
    ("adam, no norm, tanh, pad, shift", "tanh", nn.Tanh, None, adam, 60, "widen fc1..fc2 to 48; insert identity after fc2 as fc3"),
    ("adam, layer norm, gelu, pad, shift", "gelu", nn.GELU, "ln1", adam, 60, "widen fc1..fc2 to 48; insert identity after fc2 as fc3"),
]:
    old = plain(24, act, norm)
    optimizer = make(old.parameters())
    trained(old, optimizer, steps)
    torch.save({"model": old.state_dict(), "optimizer": optimizer.state_dict()}, OWN / "old.pt")
    lines = 'map "ln1" to fc1.norm\n' if norm else ""
    lines += f"fc1 dense 24 {word}{' norm layer' if norm else ''}\nfc2 dense 24 {word}\nout dense 3\n"
    if make is sgd:
        grow = "train 1 epochs { optimizer sgd lr 1e-3 momentum 0.9 nesterov yes }\nat start { " + grow + " }"
    else:
        grow = "at start { " + grow + " }"
    said = apply(f"model {{\n{lines}}}\n{grow}", OWN / "old.pt", OWN / f"{word}.safetensors")
    exact = all(event["promise"] == "bitwise" for event in said["events"])
    new = plain(48, act, norm, extra=True)
    new.load_state_dict(load_file(OWN / f"{word}.safetensors"))
    if norm:
        # A layer norm over more units: growrun says the epsilon that belongs to it.
        row(f"{what}: outputs in f64, epsilon left at 1e-5", relative(outputs(new, torch.float64), outputs(old, torch.float64)))
        new.ln1.eps = 1e-5 * 24 / 48
    compare(what, old, new, exact)
    new_state = load_file(OWN / f"{word}.optimizer.safetensors")
    goes_on(what, old, by_name(old, optimizer), new, new_state, make, steps, make is adam, exact)


# Convolutions: channels, a kernel and a layer, through pools and a flatten.
def images(one, two, kernel, extra=False):
    parts = OrderedDict(c1=nn.Conv2d(2, one, 3, padding=1), bn1=nn.BatchNorm2d(one), act1=nn.ReLU(), p1=nn.MaxPool2d(2))
    parts |= {"c2": nn.Conv2d(one, two, kernel, padding=kernel // 2), "act2": nn.ReLU()}
    if extra:
        parts |= {"c3": nn.Conv2d(two, two, kernel, padding=kernel // 2), "act3": nn.ReLU()}
    return nn.Sequential(parts | {"p2": nn.AvgPool2d(2), "flat": nn.Flatten(), "out": nn.Linear(two * 4 * 3, 3)})


X = torch.randn(1000, 2, 16, 12)
Y = X.mean((2, 3)).abs().argmax(1)
old = images(6, 8, 3)
optimizer = adam(old.parameters())
for _ in range(60):
    x = torch.randn(64, 2, 16, 12)
    optimizer.zero_grad()
    nn.functional.cross_entropy(old(x), x.mean((2, 3)).abs().argmax(1)).backward()
    optimizer.step()
torch.save({"model": old.state_dict(), "optimizer": optimizer.state_dict()}, OWN / "old.pt")
numpy.savez(OWN / "probe.npz", x=X[:64].numpy())
BLOCK = """model { map "bn1" to c1.norm
c1 conv 6 kernel 3 relu norm batch; p1 pool max 2; c2 conv 8 kernel 3 relu; p2 pool avg 2; out dense 3 }
"""
for what, events, wide, exact in [
    ("channels, a layer", "widen c1..c2 by 2x; insert identity after c2 as c3", (12, 16, 3, True), True),
    ("channels, a kernel, a layer", "widen c1..c2 by 2x; widen c2 kernel to 5; insert identity after c2 as c3", (12, 16, 5, True), True),
    ("channels by split", "widen c1..c2 by 2x method split", (12, 16, 3), False),
]:
    out = OWN / f"images_{what.replace(', ', '_').replace(' ', '_')}.safetensors"
    said = apply(f"{BLOCK}at start {{ {events} }}", OWN / "old.pt", out, "--probe", OWN / "probe.npz")
    new, state = images(*wide), load_file(out.with_suffix(".optimizer.safetensors"))
    new.load_state_dict(load_file(out))
    row(f"images, {what}: drift by growrun", max(event["drift"] for event in said["events"]), 1e-5)
    # A kernel that grew sums in another order.
    compare(f"images, {what}", old, new, exact and wide[2] == 3)
    assert all(state[f"{name}.exp_avg"].shape == p.shape for name, p in new.named_parameters())
    if what == "channels, a layer":
        # `pad` puts new channels behind; behind the flatten each keeps its pixels, so old entries are a corner there, too.
        goes_on(f"images, {what}", old, by_name(old, optimizer), new, state, adam, 60, exact=True)
end()
