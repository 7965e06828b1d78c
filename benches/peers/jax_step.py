"""Training steps in JAX: one jitted function a step, its buffers donated. Started by compare.py:
jax_step.py THREADS.

compare.py has confined this process to THREADS processors before the import, which is what sizes XLA's pools.
"""

import os
import sys

THREADS = int(sys.argv[1])
if THREADS == 1:
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy

from common import Rival, mean_and_inverse, part


class Jax(Rival):
    def __init__(self):
        super().__init__()
        self.parts = {}
        self.random = numpy.random.default_rng(0)

    def versions(self):
        import jaxlib

        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def examples(self, cell):
        """Bytes, the same scaled in f32, classes, mean, inverse."""
        key = (cell["data"], cell["examples"])
        if key not in self.parts:
            images, labels = part(*key[:1], "train", key[1])
            mean, inverse = mean_and_inverse(images)
            large = (images.astype("float32") - numpy.float32(mean)) * numpy.float32(inverse)
            classes = jnp.asarray(labels.astype("int32"))
            self.parts[key] = (jnp.asarray(images), jnp.asarray(large), classes, mean, inverse)
        return self.parts[key]

    def order(self, cell):
        return jnp.asarray(self.random.permutation(cell["examples"]).astype("int32"))

    def make(self, cell, variant):
        small, large, classes, mean, inverse = self.examples(cell)
        batch, count, widths = cell["batch"], cell["examples"], cell["widths"]
        kept = large if variant == "f32" else small

        def loss(parameters, x, y):
            h = x
            for place, (weight, bias) in enumerate(parameters):
                h = h @ weight + bias
                if place + 1 < len(parameters):
                    h = jax.nn.relu(h)
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(h), y[:, None], 1))

        def gradients(parameters, examples, classes, order, at):
            # Gathered inside the jitted function, so that XLA can fuse it with what follows. No shorter last
            # batch: another shape would be another compilation, which we spare this rival.
            chosen = jax.lax.dynamic_slice(order, (at,), (batch,))
            x = jnp.take(examples, chosen, axis=0, mode="clip")
            if variant == "u8":
                x = (x.astype(jnp.float32) - mean) * inverse
            return jax.grad(loss)(parameters, x, jnp.take(classes, chosen, mode="clip"))

        def sgd(parameters, m, examples, classes, order, at):
            g = gradients(parameters, examples, classes, order, at)
            m = jax.tree.map(lambda m, g: 0.9 * m + g, m, g)
            return jax.tree.map(lambda p, m: p - 0.01 * m, parameters, m), m

        def adam(parameters, m, v, t, examples, classes, order, at):
            g = gradients(parameters, examples, classes, order, at)
            t = t + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            rate, shrink = 1e-3 / (1 - 0.9**t), 1 / (1 - 0.999**t)
            update = lambda p, m, v: p - rate * m / (jnp.sqrt(v * shrink) + 1e-8)
            return jax.tree.map(update, parameters, m, v), m, v, t

        parameters = [
            (jnp.asarray(self.random.normal(0, (2 / inputs) ** 0.5, (inputs, outputs)).astype("float32")),
             jnp.zeros(outputs))
            for inputs, outputs in zip(widths, widths[1:])
        ]
        zeros = lambda: jax.tree.map(jnp.zeros_like, parameters)
        if cell["optimizer"] == "sgd":
            step, carried = jax.jit(sgd, donate_argnums=(0, 1)), (parameters, zeros())
        else:
            step, carried = jax.jit(adam, donate_argnums=(0, 1, 2, 3)), (parameters, zeros(), zeros(), jnp.float32(0))
        state = {"carried": carried, "order": self.order(cell), "at": 0}

        def run(steps):
            carried, order, at = state["carried"], state["order"], state["at"]
            for _ in range(steps):
                if at + batch > count:
                    order, at = self.order(cell), 0
                carried = step(*carried, kept, classes, order, at)
                at += batch
            jax.block_until_ready(carried)
            state.update(carried=carried, order=order, at=at)

        return run


if __name__ == "__main__":
    Jax().serve()
