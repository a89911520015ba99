#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What gpt_step_bench measures, with PyTorch: the same layers and shapes, one thread. Prints the same key=value.

Debian: apt-get install python3-torch.
"""

import argparse
import math
import os
import statistics
import time

for library in ("OMP", "OPENBLAS"):  # read when torch loads them; torch.set_num_threads does not reach OpenBLAS
    os.environ.setdefault(library + "_NUM_THREADS", "1")

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, channels, heads, context):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.projection = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.expand, self.contract = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.register_buffer("later", torch.ones(context, context, dtype=torch.bool).triu(1))

    def attention(self, x):
        rows, length, channels = x.shape
        q, k, v = (part.view(rows, length, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(channels, 2))
        scores = (q @ k.transpose(2, 3)) * (1 / math.sqrt(channels // self.heads))
        weights = scores.masked_fill(self.later, -math.inf).softmax(3)
        return self.projection((weights @ v).transpose(1, 2).reshape(rows, length, channels))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.contract(functional.gelu(self.expand(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(o.vocabulary, o.channels), nn.Embedding(o.context, o.channels)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(o.channels, o.heads, o.context) for _ in range(o.layers))
        self.norm = nn.LayerNorm(o.channels)

    def forward(self, inputs, targets):
        x = self.tokens(inputs) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x) @ self.tokens.weight.t()
        return functional.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("layers", 6), ("channels", 384), ("heads", 6), ("context", 128), ("vocabulary", 256),
                          ("rows", 8), ("steps", 10)):
        parser.add_argument("--" + name, type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Gpt(options)
    tokens = torch.randint(options.vocabulary, (options.rows, options.context + 1))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    seconds, forward_seconds, processor_seconds = [], [], []
    for _ in range(options.steps + 1):
        model.zero_grad(set_to_none=False)
        processor_begin, begin = time.process_time(), time.perf_counter()
        loss = model(inputs, targets)
        middle = time.perf_counter()
        loss.backward()
        seconds.append(time.perf_counter() - begin)
        processor_seconds.append(time.process_time() - processor_begin)
        forward_seconds.append(middle - begin)
    median = statistics.median(seconds[1:])  # the first warms up
    print(f"library=torch-{torch.__version__} loss={loss.item():.4f} step_ms={1e3 * median:.1f} "
          f"processor_ms={1e3 * statistics.median(processor_seconds[1:]):.1f} "
          f"fastest_ms={1e3 * min(seconds[1:]):.1f} "
          f"forward_ms={1e3 * statistics.median(forward_seconds[1:]):.1f} "
          f"tokens_per_s={options.rows * options.context / median:.0f}")


if __name__ == "__main__":
    main()
