#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What device_bench measures, with PyTorch on the same GPU: the same tensors, its fused and its multi-tensor calls.

Prints the rows of a table: bytes read and written, the median and the interval of batches, GB/s, and the ratio to a copy
on the device in the same run. Rows that PyTorch would make of several passes count the bytes that one pass needs, so that
the GB/s of both tables compare. Without a GPU it says so and ends.

Needs a PyTorch with CUDA.
"""

import argparse
import statistics
import time

import torch

CHANNELS, LAYERS = 768, 12


def gpt2_parameters():
    """The elements of the 148 parameters of GPT-2 with 124 million of them, in the model's order."""
    c = CHANNELS
    layer = [c, c, c * 3 * c, 3 * c, c * c, c, c, c, c * 4 * c, 4 * c, 4 * c * c, c]
    return [50257 * c, 1024 * c] + layer * LAYERS + [c, c]


def time_of(run, batches, batch_seconds):
    """Seconds of one run: the median, the least and the greatest of batches that end with a synchronisation."""

    def batch(times):
        begin = time.perf_counter()
        for _ in range(times):
            run()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / times

    batch(3)
    times = max(1, min(10000, round(batch_seconds / batch(5))))
    seconds = [batch(times) for _ in range(batches)]
    return statistics.median(seconds), min(seconds), max(seconds)


def array_cases(elements):
    def empty(count, dtype):
        return torch.randn(count, device="cuda", dtype=torch.float32).to(dtype)

    half = elements // 2
    source, destination = empty(half, torch.float32), empty(half, torch.float32)
    yield "copy", 8 * half, lambda: destination.copy_(source)
    for dtype, name in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
        for count in (2, 4, 8):
            size = elements // count
            sources = [empty(size, dtype) for _ in range(count)]
            result = empty(size, dtype)

            def add(sources=sources, result=result):
                torch.add(sources[0], sources[1], out=result)
                for each in sources[2:]:
                    result.add_(each)

            yield f"reduce/{count}/{name}", (count + 1) * size * result.element_size(), add
            del sources, result, add
    types = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "f8e4m3": torch.float8_e4m3fn,
             "f64": torch.float64}
    for a, b in (("f32", "bf16"), ("bf16", "f32"), ("f32", "f16"), ("f16", "f32"), ("f32", "f8e4m3"), ("f8e4m3", "f32"),
                 ("f64", "f32")):
        source, destination = empty(half, types[a]), empty(half, types[b])
        yield (f"cast/{a}_to_{b}", half * (source.element_size() + destination.element_size()),
               lambda source=source, destination=destination: destination.copy_(source))


def list_cases():
    counts = gpt2_parameters()
    total = sum(counts)
    tensors = [torch.randn(count, device="cuda") for count in counts]
    for dtype, name in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
        buffer = torch.zeros(total, device="cuda", dtype=dtype)
        views = list(torch.split(buffer, counts))

        def pack(views=views):
            torch._foreach_copy_(views, tensors)
            torch._foreach_mul_(views, 0.125)

        def unpack(views=views):
            torch._foreach_copy_(tensors, views)
            torch._foreach_mul_(tensors, 0.125)

        size = total * (4 + buffer.element_size())
        yield f"pack/f32_to_{name}", size, pack
        yield f"unpack/f32_from_{name}", size, unpack
    for dtype, name in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
        parameters = [torch.nn.Parameter(torch.zeros(count, device="cuda", dtype=dtype)) for count in counts]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        gradients = [parameter.grad for parameter in parameters]
        size = total * parameters[0].element_size()
        yield (f"gradient_norm/{name}", size,
               lambda gradients=gradients: torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        # Reads the gradients, and reads and writes them once more.
        yield (f"clip_grad_norm/{name}", 3 * size,
               lambda parameters=parameters: torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True))


def optimizer_cases():
    """Bytes: the value, the gradient and the state read, the value and the state written."""
    rules = [("sgd_momentum", torch.optim.SGD, {"lr": 1e-6, "momentum": 0.9}, 1),
             ("adam", torch.optim.Adam, {"lr": 1e-6}, 2),
             ("adamw", torch.optim.AdamW, {"lr": 1e-6, "weight_decay": 0.01}, 2)]
    for dtype, name in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
        for rule, make, settings, states in rules:
            for way in ("fused", "foreach"):
                parameters = [torch.nn.Parameter(torch.zeros(count, device="cuda", dtype=dtype))
                              for count in gpt2_parameters()]
                for parameter in parameters:
                    parameter.grad = torch.randn_like(parameter)
                optimizer = make(parameters, **settings, **{way: True})
                size = sum(p.numel() * p.element_size() for p in parameters)
                yield f"{rule}/{way}/{name}", size * (3 + 2 * states), optimizer.step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, default=1 << 28, help="of all sources of a case together")
    parser.add_argument("--batches", type=int, default=15)
    parser.add_argument("--batch-seconds", type=float, default=0.05)
    parser.add_argument("--filter", default="", help="only cases whose name has this in it, and the copy")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("skipped: this PyTorch finds no GPU")
        return
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}\n")
    print("| case | MB | us, median (least to greatest) | GB/s | of the copy |\n|---|---:|---:|---:|---:|")
    copy_rate = 0
    for cases in (array_cases(options.elements), list_cases(), optimizer_cases()):
        for name, size, run in cases:
            if name != "copy" and options.filter not in name:
                continue
            median, low, high = time_of(run, options.batches, options.batch_seconds)
            rate = size / median * 1e-9
            copy_rate = copy_rate or rate
            print(f"| {name} | {size * 1e-6:.1f} | {median * 1e6:.1f} ({low * 1e6:.1f} to {high * 1e6:.1f}) | {rate:.0f} "
                  f"| {rate / copy_rate:.3f} |", flush=True)


if __name__ == "__main__":
    main()
