"""What the four checks share: running growrun, the table, and Adam by its formula."""

import json
import math
import pathlib
import subprocess
import sys

import numpy

sys.path.insert(0, sys.argv[1])
PAGE, OWN = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
missed = 0


def row(what, value, bound=None):
    """A line of the table; `bound` is the largest value that is right, or (least, largest)."""
    global missed
    least, largest = bound if isinstance(bound, tuple) else (-math.inf, bound)
    wrong = bound is not None and not least <= value <= largest
    missed += wrong
    held = "" if bound is None else f"  {'MISSED' if wrong else 'within'} {bound if isinstance(bound, tuple) else f'{bound:g}'}"
    print(f"    {what:<98} {value:9.3g}{held}")


def apply(schedule, weights, out, *more):
    """`growrun apply`; its JSON. The schedule is a text."""
    file = OWN / "schedule.grow"
    file.write_text(schedule)
    command = ["growrun", "apply", file, "--weights", weights, "--out", out, "--json", *more]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"growrun apply: {done.returncode}\n{schedule}\n{done.stdout}\n{done.stderr}")
    said = json.loads(done.stdout)
    assert all(event["held"] for event in said["events"]), said
    return said


def is_bitwise(said, what):
    """What growrun says of growth that must keep every bit."""
    assert {event["promise"] for event in said["events"]} == {"bitwise"}, said["events"]
    row(f"{what}: drift by growrun, all promises bitwise", max(event["drift"] for event in said["events"]), 0)


def relative(new, old):
    """Largest difference as a share of the outputs' size."""
    new, old = numpy.asarray(new, "f8"), numpy.asarray(old, "f8")
    return float(numpy.abs(new - old).max() / numpy.abs(old).max())


def corner(array, like):
    """The old part of a grown array: `pad` puts what is new behind."""
    return array[tuple(slice(0, n) for n in like.shape)]


def adam(m, v, t, gradient, betas=(0.9, 0.999), epsilon=1e-8):
    """The next update in learning rates, from the moments after t updates. PyTorch, Optax and growrun have this one."""
    m, v = betas[0] * m + (1 - betas[0]) * gradient, betas[1] * v + (1 - betas[1]) * gradient**2
    return -(m / (1 - betas[0] ** (t + 1))) / (numpy.sqrt(v / (1 - betas[1] ** (t + 1))) + epsilon)


def factor(t, betas=(0.9, 0.999)):
    """The first update of an entry without moments under a count of t updates, in learning rates."""
    return math.sqrt((1 - betas[1] ** (t + 1)) / (1 - betas[1])) * (1 - betas[0]) / (1 - betas[0] ** (t + 1))


def updates(what, old, new, old_after, new_after, lr, t, gradients=None, moments=None, bound=1e-9):
    """Compares one step with and without growth; all are dictionaries of arrays of the same names.

    Fresh entries are those outside of the old corner, new tensors those that `old` does not have.
    """
    worst = by_formula = 0.0
    fresh = []
    for name, before in old.items():
        step, grown = old_after[name] - before, new_after[name] - new[name]
        worst = max(worst, numpy.abs(corner(grown, before) - step).max() / lr)
        if moments:
            expected = adam(*moments[name], t, gradients[name])
            by_formula = max(by_formula, numpy.abs(corner(grown, before) / lr - expected).max())
        is_fresh = numpy.ones(new[name].shape, bool)
        is_fresh[tuple(slice(0, n) for n in before.shape)] = False
        fresh += list(numpy.abs(grown[is_fresh]) / lr)
    row(f"{what}: next update of old entries beside the ungrown network's, in learning rates", worst, bound)
    if moments:
        row(f"{what}: the same beside the formula, which is growrun's", by_formula, bound)
    fresh = numpy.array([one for one in fresh if one > 1e-3])
    if t and len(fresh):
        row(f"{what}: first update of {len(fresh)} fresh entries, median, in learning rates", numpy.median(fresh))
        row(f"{what}: the largest, over the formula's {factor(t):.3f} for t = {t}", fresh.max() / factor(t), (0.97, 1.001))
    added = [numpy.abs(new_after[name] - new[name]).max() / lr for name in new if name not in old]
    return max(added, default=0.0)


def end():
    sys.exit(1 if missed else 0)
