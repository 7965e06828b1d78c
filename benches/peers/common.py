"""What the rivals share: the training set, the networks, and the conversation with compare.py.

compare.py starts one process per rival and number of threads and keeps it, so that imports are paid once. It
writes one JSON object a line, and gets one line back:

    {"do": "hello"}                                          {"versions": {...}}
    {"do": "prepare", "cell": {...}}                         {"seconds_per_step": s, "variant": "f32"}
    {"do": "time", "cell": {...}, "steps": n}                {"seconds": s}

A cell is {"name", "widths", "batch", "optimizer", "data", "examples"}: `data` is a folder of unpacked IDX files,
of which the first `examples` training examples are used.
"""

import json
import struct
import sys
import time

import numpy


def idx(path):
    """The array of one unpacked IDX file of bytes."""
    with open(path, "rb") as file:
        content = file.read()
    dimensions = content[3]
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * dimensions).reshape(shape)


def part(folder, prefix, examples=None):
    """Examples as bytes [n, inputs] and their classes [n]."""
    images = idx(f"{folder}/{prefix}-images-idx3-ubyte")[:examples]
    labels = idx(f"{folder}/{prefix}-labels-idx1-ubyte")[:examples]
    return images.reshape(len(images), -1), labels


def mean_and_inverse(images):
    """The scaling of growrun's `normalize zscore` for images of one channel: (x - mean) * inverse."""
    values = images.astype(numpy.float32)
    return float(values.mean(dtype=numpy.float64)), float(1.0 / values.std(dtype=numpy.float64))


def scaled(images):
    mean, inverse = mean_and_inverse(images)
    return (images.astype(numpy.float32) - numpy.float32(mean)) * numpy.float32(inverse)


class Rival:
    """A rival gives `versions()` and `make(cell, variant)`, which returns a function of a number of steps that
    takes them and returns when they are done. It lists the forms in which it can keep the examples in
    `variants`; the fastest is used."""

    variants = ("f32", "u8")

    def __init__(self):
        self.ready = {}

    def versions(self):
        raise NotImplementedError

    def make(self, cell, variant):
        raise NotImplementedError

    def prepare(self, cell):
        """Warms every variant up, times each for a quarter of a second and keeps the fastest."""
        best = None
        for variant in self.variants:
            run = self.make(cell, variant)
            run(5)
            steps, seconds = 1, timed(run, 1)
            while seconds < 0.25:
                steps = max(2 * steps, min(100 * steps, int(0.3 / max(seconds, 1e-6) * steps)))
                seconds = timed(run, steps)
            if best is None or seconds / steps < best[0]:
                best = (seconds / steps, variant, run)
        self.ready[cell["name"]] = best[2]
        return {"seconds_per_step": best[0], "variant": best[1]}

    def answer(self, request):
        if request["do"] == "hello":
            return {"versions": self.versions()}
        if request["do"] == "prepare":
            return self.prepare(request["cell"])
        if request["do"] == "time":
            return {"seconds": timed(self.ready[request["cell"]["name"]], request["steps"])}
        raise ValueError(f"unknown request {request['do']!r}")

    def serve(self):
        # What libraries print must not get between the answers.
        answers = sys.stdout
        sys.stdout = sys.stderr
        for line in sys.stdin:
            answers.write(json.dumps(self.answer(json.loads(line))) + "\n")
            answers.flush()


def timed(run, steps):
    began = time.perf_counter()
    run(steps)
    return time.perf_counter() - began
