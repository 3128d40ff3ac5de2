"""What PyTorch programs do to a device: each workload is a function that makes a step function.

A step ends when its result is on the host, as a program that serves or logs needs it.
"""

import torch

from model import Model

BATCH = 8
CONTEXT = 512


def _inference_model(device):
    torch.manual_seed(1)
    return Model().to(device=device, dtype=torch.bfloat16).eval().requires_grad_(False)


def decode(device):
    """Eager decoding: hundreds of small kernels a step, bound by the CPU that launches them."""
    model = _inference_model(device)
    caches = model.caches(BATCH, CONTEXT)
    tokens = torch.zeros((BATCH, 1), dtype=torch.long, device=device)

    def step():
        tokens.copy_(model(tokens, caches).argmax(dim=-1))
        return tokens[0, 0].item()

    return step


def decode_graph(device):
    """The same step captured once and replayed as a CUDA graph."""
    model = _inference_model(device)
    caches = model.caches(BATCH, CONTEXT)
    tokens = torch.zeros((BATCH, 1), dtype=torch.long, device=device)

    def body():
        tokens.copy_(model(tokens, caches).argmax(dim=-1))

    # Libraries allocate and choose kernels on first use, which a capture does not allow.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()

    def step():
        graph.replay()
        return tokens[0, 0].item()

    return step


def prefill(device):
    """A long prompt at once: few large kernels."""
    model = _inference_model(device)
    tokens = torch.randint(0, 8192, (BATCH, 2048), device=device)

    def step():
        return model(tokens)[0, -1].argmax().item()

    return step


def train(device):
    """Forward, backward and optimizer, the loss read each step."""
    torch.manual_seed(1)
    model = Model(layers=12).to(device=device, dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(0, 8192, (BATCH, 513), device=device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(tokens[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


ALL = {"decode": decode, "decode-graph": decode_graph, "prefill": prefill, "train": train}
