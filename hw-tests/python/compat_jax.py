"""JAX: compiled by XLA, with the allocator that the environment names."""

import os

import compat

try:
    import jax
    import jax.numpy as jnp
    import numpy as np
except ModuleNotFoundError as absent:
    # Said as the answer to `prepare`, as everything else is.
    jax, ABSENT = None, absent

# XLA chooses among algorithms by their timing: matrix products are not the same to the bit.
RTOL = 2e-3
STEPS = 8


def loss(parameters, inputs, targets):
    """Mean square error of a net of two layers."""
    hidden = jnp.tanh(inputs @ parameters["in"])
    return jnp.mean((hidden @ parameters["out"] - targets) ** 2)


class Jax:
    """A training step, jitted."""

    def prepare(self):
        if jax is None:
            raise compat.Missing(str(ABSENT))
        platform = jax.devices()[0].platform
        if platform not in ("gpu", "cuda"):
            raise compat.Missing(f"JAX has no support for CUDA here, only for {platform}")
        random = np.random.default_rng(1)

        def numbers(*shape):
            return jnp.asarray(random.standard_normal(shape, dtype=np.float32))

        self.start = {"in": numbers(2048, 4096) / 64, "out": numbers(4096, 512) / 64}
        self.inputs, self.targets = numbers(4096, 2048), numbers(4096, 512)
        gradient = jax.value_and_grad(loss)

        @jax.jit
        def train(parameters, inputs, targets):
            value, slopes = gradient(parameters, inputs, targets)
            return value, jax.tree.map(lambda p, g: p - 0.1 * g, parameters, slopes)

        self.train = train
        self.parameters = self.start
        return f"jax {jax.__version__}"

    def step(self):
        value, self.parameters = self.train(self.parameters, self.inputs, self.targets)
        return float(value)

    def digest(self, results):
        self.parameters = self.start
        results.close("losses", [self.step() for _ in range(STEPS)], RTOL)
        results.close("weights", np.asarray(self.parameters["out"]).ravel().tolist(), RTOL)
        whole = jnp.arange(1 << 20, dtype=jnp.int32)
        results.exact("integers", np.asarray(jax.jit(lambda x: jnp.cumsum(x * 3 % 17))(whole)))
        keys = jax.random.normal(jax.random.key(7), (1 << 16,))
        results.exact("random bits", np.asarray(jax.random.bits(jax.random.key(7), (1 << 16,))))
        results.close("random normal", np.asarray(keys).tolist(), 1e-5)

    def quota(self):
        device = jax.devices()[0]
        stats = device.memory_stats() or {}
        pool_bytes = stats.get("bytes_limit")
        if os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR") == "platform":
            pool_bytes = None

        def take(length_bytes):
            return jnp.zeros(length_bytes, dtype=jnp.uint8).block_until_ready()

        def give_back(held):
            while held:
                held.pop().delete()

        def again():
            return float(jnp.ones(1 << 20).sum()) == 1 << 20

        def oom(error):
            return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)

        return [compat.view(0, {}, take, give_back, again, oom, pool_bytes)]


if __name__ == "__main__":
    compat.serve(Jax())
