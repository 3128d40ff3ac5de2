"""The CUDA driver API called through ctypes, as small tools and bindings do: the library by its name, each
function by `dlsym`."""

import ctypes
import hashlib

import compat

CUDA_ERROR_OUT_OF_MEMORY = 2
COUNT = 1 << 20
CHUNKS = 16


class OutOfMemory(Exception):
    """The driver refused memory for want of it."""


class Driver:
    """The case."""

    def call(self, name, *arguments):
        """Calls a function of the driver and raises if it fails."""
        status = getattr(self.cuda, name)(*arguments)
        if status == CUDA_ERROR_OUT_OF_MEMORY:
            raise OutOfMemory(name)
        if status != 0:
            raise RuntimeError(f"{name} failed with {status}")

    def prepare(self):
        """A primary context on device 0."""
        try:
            self.cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise compat.Missing(f"no CUDA driver: {error}") from error
        self.call("cuInit", 0)
        self.device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self.device), 0)
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device)
        self.call("cuCtxSetCurrent", context)
        self.block = self.take(4 * COUNT)
        version = ctypes.c_int()
        self.call("cuDriverGetVersion", ctypes.byref(version))
        return f"driver for CUDA {version.value // 1000}.{version.value % 1000 // 10}"

    def take(self, length_bytes):
        """An allocation."""
        pointer = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(length_bytes))
        return pointer

    def fill(self, block, seed):
        """Fills parts of a block with different words and reads all of it."""
        part = COUNT // CHUNKS
        for chunk in range(CHUNKS):
            at = ctypes.c_uint64(block.value + 4 * part * chunk)
            self.call("cuMemsetD32_v2", at, ctypes.c_uint(seed * 40503 + chunk), ctypes.c_size_t(part))
        host = ctypes.create_string_buffer(4 * COUNT)
        self.call("cuMemcpyDtoH_v2", host, block, ctypes.c_size_t(4 * COUNT))
        return hashlib.sha256(host.raw).digest()

    def digest(self, results):
        """What was filled is read back, from an old and from a new allocation."""
        results.exact("kept block", self.fill(self.block, 1))
        block = self.take(4 * COUNT)
        results.exact("new block", self.fill(block, 2))
        self.call("cuMemFree_v2", block)
        name = ctypes.create_string_buffer(100)
        self.call("cuDeviceGetName", name, 100, self.device)
        results.exact("device name", name.value.decode())

    def step(self):
        """Fill, copy and wait."""
        self.fill(self.block, 3)

    def total_and_free(self):
        """What the driver tells of the context's memory."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return total.value, free.value

    def quota(self):
        """Allocations until the driver refuses."""
        total = ctypes.c_size_t()
        self.call("cuDeviceTotalMem_v2", ctypes.byref(total), self.device)
        totals = {"cuDeviceTotalMem": total.value, "cuMemGetInfo": self.total_and_free()[0]}

        def give_back(held):
            while held:
                self.call("cuMemFree_v2", held.pop())

        def again():
            return self.fill(self.block, 1) == self.fill(self.block, 1)

        return [compat.view(0, totals, self.take, give_back, again, OutOfMemory)]


if __name__ == "__main__":
    compat.serve(Driver())
