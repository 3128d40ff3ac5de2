"""A small transformer, big enough to keep a device busy and small enough to build in a second."""

import torch
from torch import nn


class Block(nn.Module):
    """One layer: attention with a key/value cache of fixed length, and a feed-forward part."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def split(self, x):
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x, cache=None):
        q, k, v = (self.split(part) for part in self.qkv(self.norm_attention(x)).chunk(3, dim=-1))
        causal = cache is None
        if cache is not None:
            # The newest position replaces the last one: shapes stay fixed, as CUDA graphs need.
            cache[0][:, :, -1:] = k
            cache[1][:, :, -1:] = v
            k, v = cache
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        attended = attended.transpose(1, 2).reshape(x.shape)
        x = x + self.out(attended)
        return x + self.down(nn.functional.gelu(self.up(self.norm_mlp(x))))


class Model(nn.Module):
    """Embedding, layers, projection."""

    def __init__(self, layers=24, width=1024, heads=16, vocabulary=8192):
        super().__init__()
        self.width, self.heads = width, heads
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary, bias=False)

    def caches(self, batch: int, length: int):
        """An empty key/value cache for every layer."""
        weight = self.head.weight
        shape = (2, batch, self.heads, length, self.width // self.heads)
        return [torch.zeros(shape, device=weight.device, dtype=weight.dtype) for _ in self.blocks]

    def forward(self, tokens, caches=None):
        x = self.embedding(tokens)
        for i, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[i])
        return self.head(x)
