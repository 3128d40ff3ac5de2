"""SYCL through dpctl: Intel's runtime comes to Level Zero by an adapter that is linked to the loader."""

import ctypes

import compat

MIB = 1 << 20
BYTES = 4 * MIB


class Sycl:
    """The case."""

    def prepare(self):
        """A queue on the first device of Level Zero."""
        # Before dpctl, whose adapter does not survive an older loader.
        try:
            loader = ctypes.CDLL("libze_loader.so.1")
        except OSError as error:
            raise compat.Missing(f"no Level Zero loader: {error}") from error
        if not hasattr(loader, "zeInitDrivers"):
            raise compat.Missing("this Level Zero loader is older than 1.19: Intel's SYCL runtime needs a newer one")
        import dpctl
        import dpctl.memory

        self.memory = dpctl.memory
        devices = dpctl.get_devices(backend="level_zero", device_type="gpu")
        if not devices:
            raise compat.Missing("SYCL finds no device of Level Zero")
        self.device = devices[0]
        self.queue = dpctl.SyclQueue(self.device)
        self.block = self.take(BYTES)
        return f"dpctl {dpctl.__version__}, {self.device.name}"

    def take(self, length_bytes):
        """An allocation on the device."""
        return self.memory.MemoryUSMDevice(length_bytes, queue=self.queue)

    def there_and_back(self, block, seed):
        """Bytes that went to the device and came back."""
        sent = bytes((seed + at) % 251 for at in range(4096)) * (BYTES // 4096)
        block.copy_from_host(sent)
        returned = bytearray(BYTES)
        block.copy_to_host(returned)
        if returned != sent:
            raise RuntimeError("what came back is not what was sent")
        return bytes(returned)

    def digest(self, results):
        """What was sent comes back, from an old and from a new allocation, and from one to the other."""
        results.exact("kept block", self.there_and_back(self.block, 1))
        block = self.take(BYTES)
        results.exact("new block", self.there_and_back(block, 2))
        self.block.copy_from_device(block)
        copied = bytearray(BYTES)
        self.block.copy_to_host(copied)
        results.exact("copied block", bytes(copied))
        results.exact("device name", self.device.name)

    def step(self):
        """There, back, and waited for."""
        self.there_and_back(self.block, 3)

    def quota(self):
        """Allocations until SYCL refuses."""
        totals = {"global_mem_size": self.device.global_mem_size}

        def give_back(held):
            while held:
                held.pop()

        def again():
            return self.there_and_back(self.block, 4) == self.there_and_back(self.block, 4)

        return [compat.view(0, totals, self.take, give_back, again, self.memory.USMAllocationError)]


if __name__ == "__main__":
    compat.serve(Sycl())
