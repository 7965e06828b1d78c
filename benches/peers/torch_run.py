"""`widens.grow` by hand in PyTorch: torch_run.py THREADS FOLDER, FOLDER holding MNIST's unpacked IDX files.

Prints one JSON object: seconds from the first step to the last evaluation, and the accuracies.

784-256-256-10, Adam, cosine from 1e-3 to 1e-5 over six epochs of batches of 128; the validation part is
evaluated after each epoch, the test part at the end. After three epochs both hidden layers are widened to 512
as growrun's method `pad` does it: fresh rows are drawn anew, fresh columns are 0, so the function stays the
same; the optimiser's moments are kept and begin at 0 where the weights are fresh.
"""

import json
import math
import sys
import time

import torch
from torch import nn

from common import mean_and_inverse, part

THREADS, FOLDER = int(sys.argv[1]), sys.argv[2]
EPOCHS, BATCH, WIDE, EXAMPLES = 6, 128, 512, 54_000
torch.set_num_threads(THREADS)
torch.manual_seed(0)


def initialise(linear):
    """He for the hidden layers, biases 0, as growrun draws them."""
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)


def enlarged(old, shape, fresh):
    """`fresh` with the old values in its corner. The moments, of the same shape, are enlarged with zeros."""
    new = fresh.expand(shape).clone()
    new[tuple(slice(0, size) for size in old.shape)] = old
    return new


@torch.no_grad()
def widen(network, optimizer, place, width):
    """Widens the linear layer at `place`, whose reader is the linear layer at `place` + 2."""
    layer, reader = network[place], network[place + 2]
    drawn = nn.Linear(layer.in_features, width)
    initialise(drawn)
    shapes = [
        (layer, "weight", (width, layer.in_features), drawn.weight),
        (layer, "bias", (width,), drawn.bias),
        (reader, "weight", (reader.out_features, width), torch.zeros(())),
    ]
    for module, name, shape, fresh in shapes:
        old = getattr(module, name)
        new = nn.Parameter(enlarged(old, shape, fresh))
        setattr(module, name, new)
        # The optimiser holds the old tensor: its group and its state are moved to the new one.
        group = optimizer.param_groups[0]["params"]
        group[next(at for at, one in enumerate(group) if one is old)] = new
        state = optimizer.state.pop(old)
        for moment in ("exp_avg", "exp_avg_sq"):
            state[moment] = enlarged(state[moment], shape, torch.zeros(()))
        optimizer.state[new] = state
    layer.out_features = reader.in_features = width


@torch.no_grad()
def accuracy(network, x, y):
    return (network(x).argmax(1) == y).float().mean().item()


def main():
    images, labels = part(FOLDER, "train")
    mean, inverse = mean_and_inverse(images[:EXAMPLES])
    scaled = lambda values: (torch.from_numpy(values.copy()).to(torch.float32) - mean) * inverse
    x, y = scaled(images), torch.from_numpy(labels.astype("int64"))
    (x, x_val), (y, y_val) = x.split([EXAMPLES, len(x) - EXAMPLES]), y.split([EXAMPLES, len(y) - EXAMPLES])
    images, labels = part(FOLDER, "t10k")
    x_test, y_test = scaled(images), torch.from_numpy(labels.astype("int64"))

    network = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    for layer in network[::2]:
        initialise(layer)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    steps_per_epoch = math.ceil(EXAMPLES / BATCH)
    began, step, validation = time.perf_counter(), 0, []
    for epoch in range(EPOCHS):
        if epoch == 3:
            widen(network, optimizer, 0, WIDE)
            widen(network, optimizer, 2, WIDE)
        order = torch.randperm(EXAMPLES)
        for chosen in order.split(BATCH):
            share = (1 + math.cos(math.pi * step / (EPOCHS * steps_per_epoch))) / 2
            optimizer.param_groups[0]["lr"] = 1e-5 + (1e-3 - 1e-5) * share
            optimizer.zero_grad(set_to_none=True)
            criterion(network(torch.index_select(x, 0, chosen)), torch.index_select(y, 0, chosen)).backward()
            optimizer.step()
            step += 1
        validation.append(accuracy(network, x_val, y_val))
    test = accuracy(network, x_test, y_test)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "val_accuracy": validation[-1], "test_accuracy": test}))


if __name__ == "__main__":
    main()
