"""Triton: kernels compiled at run time and launched by its own launcher."""

import compat

try:
    import torch
    import triton
    import triton.language as tl

    import compat_torch_nets as nets
    from compat_torch_nets import DEVICE, note
except ModuleNotFoundError as absent:
    # Said as the answer to `prepare`, as everything else is.
    triton, ABSENT = None, absent

ROWS, COLUMNS = 8192, 4096

if triton is not None:

    @triton.jit
    def softmax_kernel(out, source, columns, block: tl.constexpr):
        """Softmax of a row per program."""
        row = tl.program_id(0)
        at = tl.arange(0, block)
        inside = at < columns
        x = tl.load(source + row * columns + at, mask=inside, other=-float("inf"))
        x = tl.exp(x - tl.max(x, axis=0))
        tl.store(out + row * columns + at, x / tl.sum(x, axis=0), mask=inside)

    @triton.jit
    def scale_kernel(out, source, factor, count, block: tl.constexpr):
        """A product, element by element."""
        at = tl.program_id(0) * block + tl.arange(0, block)
        inside = at < count
        tl.store(out + at, tl.load(source + at, mask=inside) * factor, mask=inside)


class Triton:
    """Two kernels."""

    def prepare(self):
        if triton is None:
            raise compat.Missing(str(ABSENT))
        torch.cuda.set_device(DEVICE)
        self.source = nets.seeded(1, ROWS, COLUMNS).to(DEVICE)
        self.out = torch.empty_like(self.source)
        return f"triton {triton.__version__}"

    def softmax(self):
        """Softmax of all rows."""
        softmax_kernel[(ROWS,)](self.out, self.source, COLUMNS, block=triton.next_power_of_2(COLUMNS))

    def step(self):
        for _ in range(8):
            self.softmax()
        torch.cuda.synchronize()

    def digest(self, results):
        self.softmax()
        note(results, "softmax", self.out)
        count = self.source.numel()
        scale_kernel[(triton.cdiv(count, 1024),)](self.out, self.source, 3.0, count, block=1024)
        note(results, "scale", self.out)


if __name__ == "__main__":
    compat.serve(Triton())
