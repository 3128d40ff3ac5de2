"""Numba: kernels compiled from Python, memory through its own binding of the driver."""

import compat

try:
    import numba
    import numpy as np
    from numba import cuda
except ModuleNotFoundError as absent:
    # Said as the answer to `prepare`, as everything else is.
    numba, ABSENT = None, absent

COUNT = 1 << 24
THREADS = 256


class Numba:
    """A kernel, a reduction, and memory."""

    def prepare(self):
        if numba is None:
            raise compat.Missing(str(ABSENT))
        if not cuda.is_available():
            raise compat.Missing("Numba finds no CUDA toolkit that it can use")

        @cuda.jit
        def twist(source, out):
            i = cuda.grid(1)
            if i < source.size:
                out[i] = source[source.size - 1 - i] * 2 + 1

        self.twist = twist
        self.source = cuda.to_device(np.random.default_rng(1).integers(0, 1000, COUNT, dtype=np.int32))
        self.out = cuda.device_array_like(self.source)
        return f"numba {numba.__version__}"

    def step(self):
        for _ in range(8):
            self.twist[COUNT // THREADS, THREADS](self.source, self.out)
        cuda.synchronize()

    def digest(self, results):
        self.twist[COUNT // THREADS, THREADS](self.source, self.out)
        results.exact("kernel", self.out.copy_to_host())

    def quota(self):
        context = cuda.current_context()
        totals = {"get_memory_info": int(context.get_memory_info().total)}

        def take(length_bytes):
            return cuda.device_array(length_bytes, dtype=np.uint8)

        def give_back(held):
            held.clear()
            context.deallocations.clear()

        def again():
            self.twist[COUNT // THREADS, THREADS](self.source, self.out)
            return int(self.out.copy_to_host()[0]) == int(self.source.copy_to_host()[-1]) * 2 + 1

        def oom(error):
            return "CUDA_ERROR_OUT_OF_MEMORY" in str(error)

        return [compat.view(0, totals, take, give_back, again, oom)]


if __name__ == "__main__":
    compat.serve(Numba())
