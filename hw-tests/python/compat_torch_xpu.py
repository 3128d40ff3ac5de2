"""PyTorch on Intel's devices, whose wheels carry a SYCL runtime within themselves."""

import compat

STEPS = 20


class Xpu:
    """The case: training of a small network."""

    def prepare(self):
        """A network and a batch on the first device."""
        import torch

        if not (hasattr(torch, "xpu") and torch.xpu.is_available()):
            raise compat.Missing("this PyTorch has no device of Intel's (wheels: download.pytorch.org/whl/xpu)")
        self.torch = torch
        self.device = torch.device("xpu:0")
        self.begin()
        return f"PyTorch {torch.__version__}, {torch.xpu.get_device_name(0)}"

    def begin(self):
        """The same network whenever it begins."""
        torch = self.torch
        torch.manual_seed(7)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(512, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 512)
        ).to(self.device)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-3)
        self.batch = torch.randn(256, 512).to(self.device)

    def train(self):
        """One step; its loss, still on the device."""
        loss = (self.net(self.batch) - self.batch).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def digest(self, results):
        """Losses and weights after some steps."""
        self.begin()
        losses = [self.train().item() for _ in range(STEPS)]
        results.close("losses", losses, 1e-3)
        results.close("weights", self.net[0].weight.detach().cpu().flatten().tolist(), 1e-3)

    def step(self):
        """A step of training, waited for."""
        self.train()
        self.torch.xpu.synchronize()

    def quota(self):
        """Tensors until PyTorch refuses."""
        torch = self.torch
        totals = {"total_memory": torch.xpu.get_device_properties(0).total_memory}

        def take(length_bytes):
            return torch.empty(length_bytes, dtype=torch.uint8, device=self.device)

        def give_back(held):
            held.clear()
            torch.xpu.empty_cache()

        def again():
            return bool(torch.isfinite(self.train()).item())

        return [compat.view(0, totals, take, give_back, again, torch.OutOfMemoryError)]


if __name__ == "__main__":
    compat.serve(Xpu())
