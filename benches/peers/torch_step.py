"""Training steps in PyTorch, eager, with its fused optimiser. Started by compare.py: torch_step.py THREADS."""

import sys

import torch
from torch import nn

from common import Rival, mean_and_inverse, part

THREADS = int(sys.argv[1])
torch.set_num_threads(THREADS)
torch.set_flush_denormal(True)
torch.manual_seed(0)


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )


class Torch(Rival):
    def __init__(self, layout=torch.contiguous_format):
        super().__init__()
        self.parts, self.layout = {}, layout

    def versions(self):
        return {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability()}

    def examples(self, cell):
        """Bytes, the same scaled in f32, classes, mean, inverse."""
        key = (cell["data"], cell["examples"])
        if key not in self.parts:
            images, labels = part(*key[:1], "train", key[1])
            mean, inverse = mean_and_inverse(images)
            kept = torch.from_numpy(images.copy())
            self.parts[key] = (
                kept,
                (kept.to(torch.float32) - mean) * inverse,
                torch.from_numpy(labels.astype("int64")),
                mean,
                inverse,
            )
        return self.parts[key]

    def make(self, cell, variant):
        small, large, classes, mean, inverse = self.examples(cell)
        batch, count = cell["batch"], cell["examples"]
        layers = []
        for place, (inputs, outputs) in enumerate(zip(cell["widths"], cell["widths"][1:])):
            layers.append(nn.Linear(inputs, outputs))
            if place + 2 < len(cell["widths"]):
                layers.append(nn.ReLU())
        network = nn.Sequential(*layers)
        is_image = cell["network"] == "conv"
        if is_image:
            network = convolutional().to(memory_format=self.layout)
        criterion = nn.CrossEntropyLoss()
        if cell["optimizer"] == "sgd":
            optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
        else:
            optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        state = {"order": torch.randperm(count), "at": 0}

        def run(steps):
            order, at = state["order"], state["at"]
            for _ in range(steps):
                # As growrun does: a new order every epoch, its last batch is shorter.
                if at >= count:
                    order, at = torch.randperm(count), 0
                chosen = order[at : at + batch]
                at += batch
                if variant == "f32":
                    x = torch.index_select(large, 0, chosen)
                else:
                    x = torch.index_select(small, 0, chosen).to(torch.float32).sub_(mean).mul_(inverse)
                if is_image:
                    x = x.view(-1, 1, 28, 28).contiguous(memory_format=self.layout)
                y = torch.index_select(classes, 0, chosen)
                optimizer.zero_grad(set_to_none=True)
                loss = criterion(network(x), y)
                loss.backward()
                optimizer.step()
            state["order"], state["at"] = order, at

        return run


if __name__ == "__main__":
    Torch().serve()
