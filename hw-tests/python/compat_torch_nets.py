"""What the PyTorch cases share: a net to train, a fixed start, and PyTorch's questions about memory."""

import gc

import torch
from torch import nn

import compat

DEVICE = torch.device("cuda", 0)
CLASSES = 16


class Net(nn.Module):
    """Convolutions, attention over the places of the image, a classifier: a bit of everything."""

    def __init__(self, width=128):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, stride=4, padding=1),
        )
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, CLASSES))

    def forward(self, images):
        x = self.norm(self.stem(images).flatten(2).transpose(1, 2))
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        # Written out, because the backward pass of the fused ones adds up in no fixed order.
        attended = torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, dim=-1) @ v
        return self.mlp((x + attended).mean(dim=1))


def repeatable():
    """The same bits twice, where the library can."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def seeded(seed, *shape):
    """Numbers that depend on nothing but the seed: made on the host, which is the same for both."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


def batch(size=512, side=64):
    """Images and their classes: so many that the device takes longer for a step than a slow host's processor."""
    images = seeded(7, size, 3, side, side).to(DEVICE)
    targets = (torch.arange(size) % CLASSES).to(DEVICE)
    return images, targets


def net():
    """A net whose weights depend on nothing but the seed."""
    torch.manual_seed(11)
    return Net().to(DEVICE)


def weights(results, model, rtol=None):
    """Notes all weights of a model."""
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).cpu()
    note(results, "weights", flat, rtol)


def note(results, name, tensor, rtol=None):
    """Notes a tensor, to the bit if there is no tolerance."""
    tensor = tensor.detach().cpu().contiguous()
    if rtol is None:
        results.exact(name, tensor.view(torch.uint8).numpy() if tensor.dim() else str(tensor.item()))
    else:
        results.close(name, tensor.double().flatten().tolist(), rtol)


def quota(take=None, release=None, devices=(0,)):
    """PyTorch's own view of each device's memory. `take` allocates otherwise than by the usual allocator;
    `release` is called when all that it took is free."""
    views = []
    for index in devices:
        device = torch.device("cuda", index)
        torch.cuda.synchronize(device)
        gc.collect()
        torch.cuda.empty_cache()
        totals = {
            "mem_get_info": torch.cuda.mem_get_info(device)[1],
            "device properties": torch.cuda.get_device_properties(device).total_memory,
        }

        def piece(length_bytes, device=device):
            return torch.empty(length_bytes, dtype=torch.uint8, device=device)

        def give_back(held, device=device):
            held.clear()
            if release:
                release()
            gc.collect()
            torch.cuda.synchronize(device)
            torch.cuda.empty_cache()

        def again(device=device):
            return torch.ones(1 << 24, device=device).sum().item() == 1 << 24

        views.append(
            compat.view(index, totals, take or piece, give_back, again, torch.OutOfMemoryError)
        )
    return views
