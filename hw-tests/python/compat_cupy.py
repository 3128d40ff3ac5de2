"""CuPy, with its own pool or the driver's."""

import sys

import compat

try:
    import cupy
    import numpy as np
except ModuleNotFoundError as absent:
    # Said as the answer to `prepare`, as everything else is.
    cupy, ABSENT = None, absent

SIDE = 2048


class CuPy:
    """Element-wise kernels compiled at run time, a raw kernel, sorting, a matrix product."""

    def __init__(self, pool):
        self.pool = pool

    def prepare(self):
        if cupy is None:
            raise compat.Missing(str(ABSENT))
        if self.pool == "async":
            self.memory = cupy.cuda.MemoryAsyncPool()
            cupy.cuda.set_allocator(self.memory.malloc)
        else:
            self.memory = cupy.get_default_memory_pool()
        random = np.random.default_rng(1)
        self.a = cupy.asarray(random.standard_normal((SIDE, SIDE), dtype=np.float32))
        self.raw = cupy.RawKernel(
            'extern "C" __global__ void twist(const float* in, float* out, int n) {'
            "  int i = blockIdx.x * blockDim.x + threadIdx.x;"
            "  if (i < n) out[i] = in[n - 1 - i] * 2.0f + 1.0f; }",
            "twist",
        )
        return f"cupy {cupy.__version__}"

    def step(self):
        for _ in range(8):
            self.a @ self.a
        cupy.cuda.Device().synchronize()

    def digest(self, results):
        results.exact("elements", cupy.asnumpy(self.a * 3 + cupy.sqrt(cupy.abs(self.a))))
        results.exact("sorted", cupy.asnumpy(cupy.sort(self.a, axis=1)))
        out = cupy.empty_like(self.a)
        threads = 256
        self.raw((self.a.size // threads,), (threads,), (self.a, out, np.int32(self.a.size)))
        results.exact("raw kernel", cupy.asnumpy(out))
        results.exact("matrix product", cupy.asnumpy(self.a @ self.a))
        results.close("sum", [float(self.a.sum())], 1e-5)

    def quota(self):
        properties = cupy.cuda.runtime.getDeviceProperties(0)
        totals = {
            "memGetInfo": cupy.cuda.runtime.memGetInfo()[1],
            "getDeviceProperties": properties["totalGlobalMem"],
        }

        def take(length_bytes):
            return cupy.empty(length_bytes, dtype=cupy.uint8)

        def give_back(held):
            held.clear()
            cupy.cuda.Device().synchronize()
            self.memory.free_all_blocks()

        def again():
            return int(cupy.ones(1 << 20, dtype=cupy.int32).sum()) == 1 << 20

        # The driver's pool is asked directly, and its refusal told as it comes.
        def oom(error):
            own = isinstance(error, cupy.cuda.memory.OutOfMemoryError)
            return own or "cudaErrorMemoryAllocation" in str(error)

        return [compat.view(0, totals, take, give_back, again, oom)]


if __name__ == "__main__":
    compat.serve(CuPy(sys.argv[1]))
