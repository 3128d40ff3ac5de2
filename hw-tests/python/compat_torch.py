"""PyTorch in one process, one case a run."""

import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import compat

try:
    import torch

    import compat_torch_nets as nets
    from compat_torch_nets import DEVICE, note
except ModuleNotFoundError as absent:
    # Said as the answer to `prepare`, as everything else is.
    torch, ABSENT = None, absent


def version():
    """PyTorch's, or that there is none."""
    if torch is None:
        raise compat.Missing(str(ABSENT))
    if not torch.cuda.is_available():
        # With the reason, which the call above swallows.
        torch.cuda.init()
    torch.cuda.set_device(DEVICE)
    nets.repeatable()
    return f"torch {torch.__version__}"


class Eager:
    """Forward, backward and optimizer, kernel by kernel."""

    STEPS = 8

    def prepare(self):
        found = version()
        self.images, self.targets = nets.batch()
        self.begin()
        return found

    def begin(self):
        """The fixed start."""
        self.model = nets.net()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(self.model(self.images), self.targets)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def digest(self, results):
        self.begin()
        results.exact("losses", str([self.step() for _ in range(self.STEPS)]))
        nets.weights(results, self.model)

    def quota(self):
        return nets.quota()


class Compile(Eager):
    """The same step compiled. Which variant of a kernel is taken is a matter of timing: not to the bit."""

    RTOL = 2e-3

    def prepare(self):
        found = version()
        self.images, self.targets = nets.batch()
        self.model = nets.net()
        self.start = {name: it.clone() for name, it in self.model.state_dict().items()}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-2)
        self.loss = torch.compile(self._loss)
        return found

    def _loss(self, images, targets):
        return torch.nn.functional.cross_entropy(self.model(images), targets)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.images, self.targets)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def digest(self, results):
        self.model.load_state_dict(self.start)
        results.close("losses", [self.step() for _ in range(self.STEPS)], self.RTOL)
        nets.weights(results, self.model, self.RTOL)


class ReduceOverhead:
    """Compiled inference whose kernels PyTorch records into CUDA graphs by itself."""

    RTOL = 2e-3

    def prepare(self):
        found = version()
        self.images, _ = nets.batch()
        self.model = nets.net().eval().requires_grad_(False)
        self.forward = torch.compile(self.model, mode="reduce-overhead")
        return found

    def step(self):
        torch.compiler.cudagraph_mark_step_begin()
        return self.forward(self.images).sum().item()

    def digest(self, results):
        for round_ in range(4):
            torch.compiler.cudagraph_mark_step_begin()
            note(results, f"output {round_}", self.forward(self.images + round_).clone(), self.RTOL)

    def quota(self):
        return nets.quota()


class Graph:
    """A whole training step captured once and replayed."""

    def prepare(self):
        found = version()
        self.images, self.targets = nets.batch()
        self.model = nets.net()
        self.start = {name: it.clone() for name, it in self.model.state_dict().items()}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-2)
        # Libraries allocate and choose kernels on first use, which a capture does not allow.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.body()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            self.body(clear=False)
        return found

    def body(self, clear=True):
        """One step; the loss stays on the device."""
        if clear:
            self.optimizer.zero_grad(set_to_none=True)
        self.loss = torch.nn.functional.cross_entropy(self.model(self.images), self.targets)
        self.loss.backward()
        self.optimizer.step()

    def step(self):
        self.graph.replay()
        return self.loss.item()

    def digest(self, results):
        with torch.no_grad():
            for name, it in self.model.state_dict().items():
                it.copy_(self.start[name])
        results.exact("losses", str([self.step() for _ in range(8)]))
        nets.weights(results, self.model)

    def quota(self):
        return nets.quota()


class MemPool:
    """Allocations that a program directs into a pool of its own."""

    def prepare(self):
        found = version()
        if not hasattr(torch.cuda, "MemPool"):
            raise compat.Missing(f"{found} has no MemPool")
        self.pool = torch.cuda.MemPool()
        self.a = nets.seeded(1, 1024, 1024).to(DEVICE)
        return found

    def digest(self, results):
        with torch.cuda.use_mem_pool(self.pool):
            product = self.a @ self.a
            note(results, "inside the pool", product)
        note(results, "outside of it", product + self.a)

    def quota(self):
        # One of its own, which goes with what is in it: a pool that lives keeps what was free in it.
        pools = [torch.cuda.MemPool()]

        def take(length_bytes):
            with torch.cuda.use_mem_pool(pools[0]):
                return torch.empty(length_bytes, dtype=torch.uint8, device=DEVICE)

        return nets.quota(take, pools.clear)


class Libraries:
    """The vendor's libraries as PyTorch calls them."""

    def prepare(self):
        found = version()
        self.a = nets.seeded(1, 2048, 2048).to(DEVICE)
        self.b = nets.seeded(2, 2048, 2048).to(DEVICE)
        self.images = nets.seeded(3, 32, 64, 56, 56).to(DEVICE).requires_grad_(True)
        self.filters = nets.seeded(4, 64, 64, 3, 3).to(DEVICE).requires_grad_(True)
        self.signal = nets.seeded(5, 16, 512, 512).to(DEVICE)
        thin = nets.seeded(6, 2048, 2048)
        self.sparse = (thin * (thin.abs() > 2)).to(DEVICE).to_sparse_csr()
        return found

    def step(self):
        product = self.a @ self.b
        images = torch.nn.functional.conv2d(self.images.detach(), self.filters.detach(), padding=1)
        spectrum = torch.fft.fft2(self.signal)
        torch.cuda.synchronize()
        return product, images, spectrum

    def digest(self, results):
        for kind in (torch.float32, torch.bfloat16, torch.float16):
            note(results, f"cuBLAS {kind}", self.a.to(kind) @ self.b.to(kind))
        whole = (self.a * 10).to(torch.int8), (self.b * 10).to(torch.int8)
        note(results, "cuBLAS int8", torch._int_mm(*whole))
        images = torch.nn.functional.conv2d(self.images, self.filters, padding=1)
        note(results, "cuDNN forward", images)
        for name, gradient in zip(
            ("images", "filters"), torch.autograd.grad(images.square().sum(), [self.images, self.filters])
        ):
            note(results, f"cuDNN backward, {name}", gradient)
        note(results, "cuFFT", torch.view_as_real(torch.fft.fft2(self.signal)))
        note(results, "cuSPARSE", self.sparse @ self.b, rtol=1e-5)
        positive = self.a @ self.a.T + 2048 * torch.eye(2048, device=DEVICE)
        note(results, "cuSOLVER", torch.linalg.cholesky(positive), rtol=1e-4)


class Profiler:
    """`torch.profiler`, which learns of kernels through CUPTI."""

    def prepare(self):
        found = version()
        self.a = nets.seeded(1, 512, 512).to(DEVICE)
        self.body()
        if not self.kernels():
            raise compat.Missing("CUPTI reports no kernels here")
        return found

    def body(self):
        """Some kernels of different kinds."""
        return torch.relu(self.a @ self.a).sum().item()

    def kernels(self):
        """Names of the kernels that ran, in the order of their names, each as often as it ran."""
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as profile:
            for _ in range(10):
                self.body()
            torch.cuda.synchronize()
        cuda = torch.autograd.DeviceType.CUDA
        names = [event.name for event in profile.events() if event.device_type == cuda]
        # Copies and fills are no kernels.
        return sorted(name for name in names if not name.startswith("Mem"))

    def digest(self, results):
        kernels = self.kernels()
        results.exact("number of kernels", str(len(kernels)))
        results.exact("names of kernels", "\n".join(kernels))


class ResNet:
    """Inference with a well-known net, in batches that keep the device busier than the processor."""

    def prepare(self):
        found = version()
        import torchvision

        torch.manual_seed(3)
        self.model = torchvision.models.resnet50(weights=None).eval().requires_grad_(False).to(DEVICE)
        self.images = nets.seeded(1, 128, 3, 224, 224).to(DEVICE)
        return f"{found}, torchvision {torchvision.__version__}"

    def step(self):
        return self.model(self.images)[0, 0].item()

    def digest(self, results):
        note(results, "logits", self.model(self.images))


class Transformers:
    """A small language model with random weights; a training step through accelerate where it is there."""

    def prepare(self):
        found = version()
        import transformers

        torch.manual_seed(5)
        config = transformers.LlamaConfig(
            vocab_size=4096,
            hidden_size=512,
            intermediate_size=1408,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=256,
        )
        self.model = transformers.LlamaForCausalLM(config).eval().to(DEVICE)
        self.tokens = torch.arange(64).reshape(4, 16).to(DEVICE)
        return f"{found}, transformers {transformers.__version__}"

    def generate(self, tokens):
        """Exactly so many tokens, the likeliest each time."""
        return self.model.generate(
            self.tokens,
            attention_mask=torch.ones_like(self.tokens),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )

    def step(self):
        return self.generate(4)[0, -1].item()

    def digest(self, results):
        results.exact("tokens", str(self.generate(32).tolist()))
        note(results, "logits", self.model(self.tokens).logits)
        self.accelerate(results)

    def accelerate(self, results):
        """The loss of two steps of a linear layer that `accelerate` prepared."""
        try:
            import accelerate
        except ModuleNotFoundError:
            return
        torch.manual_seed(6)
        layer = torch.nn.Linear(256, 16)
        accelerator = accelerate.Accelerator()
        layer, optimizer = accelerator.prepare(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
        losses = []
        for _ in range(2):
            optimizer.zero_grad()
            loss = layer(nets.seeded(8, 32, 256).to(accelerator.device)).square().mean()
            accelerator.backward(loss)
            optimizer.step()
            losses.append(loss.item())
        results.exact("accelerate, losses", str(losses))


CASES = {
    "eager": Eager,
    "compile": Compile,
    "reduce-overhead": ReduceOverhead,
    "graph": Graph,
    "mempool": MemPool,
    "libraries": Libraries,
    "profiler": Profiler,
    "resnet": ResNet,
    "transformers": Transformers,
}

if __name__ == "__main__":
    compat.serve(CASES[sys.argv[1]]())
