#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What gpt_step_bench measures, with PyTorch: the same layers and shapes, one thread. Prints the same key=value.

Debian: apt-get install python3-torch.
"""

import argparse
import os
import statistics
import time

for library in ("OMP", "OPENBLAS"):  # read when torch loads them; torch.set_num_threads does not reach OpenBLAS
    os.environ.setdefault(library + "_NUM_THREADS", "1")

import torch
from torch.nn import functional

from torch_models import Gpt


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("layers", 6), ("channels", 384), ("heads", 6), ("context", 128), ("vocabulary", 256),
                          ("rows", 8), ("steps", 10)):
        parser.add_argument("--" + name, type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = Gpt(options.vocabulary, options.context, options.layers, options.heads, options.channels)
    tokens = torch.randint(options.vocabulary, (options.rows, options.context + 1))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    seconds, forward_seconds, processor_seconds = [], [], []
    for _ in range(options.steps + 1):
        model.zero_grad(set_to_none=False)
        processor_begin, begin = time.process_time(), time.perf_counter()
        loss = functional.cross_entropy(model(inputs), targets.reshape(-1))
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
