# SPDX-License-Identifier: Apache-2.0
"""The models of train_step_bench in PyTorch: the same mathematics, written the way that is fastest there.

Parameters are declared in Trireme's order, so that `load_start` can read what `train_step_bench --write-start` wrote.
"""

import math

import numpy
import torch
from torch import nn
from torch.nn import functional

SIDE, CLASSES = 28, 10


def mlp():
    return nn.Sequential(nn.Linear(SIDE * SIDE, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES))


class Cnn(nn.Module):
    """channels_last is how the images lie in memory; on the processors tried it is the faster layout."""

    def __init__(self, channels_last=True):
        super().__init__()
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(32 * (SIDE // 4) ** 2, 128), nn.ReLU(inplace=True), nn.Linear(128, CLASSES))
        self.to(memory_format=self.layout)

    def forward(self, features):
        return self.layers(features.view(-1, 1, SIDE, SIDE).contiguous(memory_format=self.layout))


class Block(nn.Module):
    def __init__(self, channels, heads, context, fused_attention):
        super().__init__()
        self.heads, self.fused_attention = heads, fused_attention
        self.norm1 = nn.LayerNorm(channels)
        self.qkv, self.projection = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.expand, self.contract = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.later = torch.ones(context, context, dtype=torch.bool).triu(1)  # Gloo sends no buffers of bool

    def attention(self, x):
        rows, length, channels = x.shape
        q, k, v = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(channels, 2))
        if self.fused_attention:
            # pylint: disable-next=protected-access
            attended = functional._scaled_dot_product_attention(q, k, v, is_causal=True)[0]
        else:
            scores = (q * (1 / math.sqrt(channels // self.heads))) @ k.transpose(2, 3)
            attended = scores.masked_fill(self.later, -math.inf).softmax(3) @ v
        return self.projection(attended.transpose(1, 2).reshape(rows, length, channels))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.contract(functional.gelu(self.expand(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """A decoder-only transformer, norms first, its head tied to the embedding of tokens."""

    def __init__(self, vocabulary=256, context=128, layers=6, heads=6, channels=384, fused_attention=False):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, channels), nn.Embedding(context, channels)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(channels, heads, context, fused_attention) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)

    def forward(self, inputs):
        x = self.tokens(inputs) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight).view(-1, self.tokens.num_embeddings)


def load_start(model, path):
    """Takes the weights from a file of train_step_bench --write-start."""
    values = torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32))
    at = 0
    with torch.no_grad():
        for module in model.modules():
            for parameter in module.parameters(recurse=False):
                own = values[at:at + parameter.numel()]
                at += parameter.numel()
                if isinstance(module, nn.Conv2d) and parameter.dim() == 4:  # Trireme's channels are innermost
                    outputs, inputs, height, width = parameter.shape
                    own = own.view(outputs, height, width, inputs).permute(0, 3, 1, 2)
                elif isinstance(model, Cnn) and parameter.dim() == 2 and parameter.shape[1] == 32 * (SIDE // 4) ** 2:
                    own = own.view(-1, (SIDE // 4) ** 2, 32).transpose(1, 2)
                parameter.copy_(own.reshape(parameter.shape))
    if at != len(values):
        raise ValueError(f"{path} holds {len(values)} values, the model has {at}")
