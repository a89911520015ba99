#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What train_step_bench measures, with PyTorch: one process, or DistributedDataParallel over Gloo.

The same model (torch_models.py), batch per rank, loss, SGD with momentum, data in memory and random order; one thread per
process. Prints the same lines of key=value. Debian: apt-get install python3-torch.

    /usr/bin/python3 bench/train_step_torch.py --processes 2 --bind core
"""

import argparse
import ctypes
import gzip
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SIDE, CLASSES, SAMPLES = 28, 10, 60000
LOSS_WINDOW = 5
DEBIAN_DIRECTORY = "/usr/share/datasets/fashion-mnist"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--bind", choices=("core", "none"), default="none", help="core: each process on one processor")
    parser.add_argument("--model", choices=("mlp", "cnn", "gpt"), default="mlp")
    parser.add_argument("--layout", choices=("channels-last", "contiguous"), default="channels-last", help="of cnn")
    parser.add_argument("--attention", choices=("products", "function"), default="products",
                        help="of gpt: plain products and softmax (default), or PyTorch's own function")
    parser.add_argument("--start", metavar="FILE",
                        help="only prints the loss of the first batch with the weights of train_step_bench --write-start")
    parser.add_argument("--data", choices=("auto", "fashion-mnist", "synthetic"), default="auto")
    parser.add_argument("--data-dir", default=DEBIAN_DIRECTORY)
    parser.add_argument("--storage", choices=("f32", "u8"), default="f32",
                        help="f32 (default): the data set lies in memory as floats, a batch is one index_select; "
                             "u8: as bytes, converted batch by batch")
    parser.add_argument("--batch-size-per-rank", type=int, help="default 64; gpt: 8")
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--steps-per-block", type=int, help="default 100; cnn: 20, gpt: 2")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="the processes do not communicate while they train")
    parser.add_argument("--plain-ddp", action="store_true",
                        help="DistributedDataParallel as it comes; otherwise gradient_as_bucket_view: one copy less")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--meeting", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.batch_size_per_rank = options.batch_size_per_rank or (8 if options.model == "gpt" else 64)
    options.steps_per_block = options.steps_per_block or {"mlp": 100, "cnn": 20, "gpt": 2}[options.model]
    if options.warm_up < 20:
        parser.error("--warm-up must be at least 20")
    if options.processes < 1:
        parser.error("--processes must be at least 1")
    return options


def start_processes(options):
    """Starts every rank with this script and this command line; the first failure ends the others."""
    with tempfile.TemporaryDirectory(prefix="train-step-torch-") as folder:
        own = ["--meeting", os.path.join(folder, "meeting")]
        command = [sys.executable, os.path.abspath(__file__), *sys.argv[1:], *own]
        children = [subprocess.Popen([*command, "--rank", str(rank)]) for rank in range(options.processes)]
        try:
            waiting = list(children)
            while waiting:
                for child in list(waiting):
                    if child.poll() is not None:
                        waiting.remove(child)
                        if child.returncode != 0:
                            return 1
                time.sleep(0.05)
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                child.wait()
    return 0


def find_file(folder, name):
    for path in (os.path.join(folder, name), os.path.join(folder, name + ".gz")):
        if os.path.exists(path):
            return path
    return None


def read_idx(torch, path, header):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)


def load_data(torch, options):
    """Name, images of bytes {samples, pixels}, labels of int64."""
    images = find_file(options.data_dir, "train-images-idx3-ubyte")
    labels = find_file(options.data_dir, "train-labels-idx1-ubyte")
    if options.data != "synthetic" and images and labels:
        pixels = read_idx(torch, images, 16)
        return "fashion-mnist", pixels.view(-1, SIDE * SIDE), read_idx(torch, labels, 8).long()
    if options.data == "fashion-mnist":
        sys.exit(f"train_step_torch: no train-images-idx3-ubyte and train-labels-idx1-ubyte in {options.data_dir}")
    generator = torch.Generator().manual_seed(1)
    kinds = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    patterns = torch.randint(128, (CLASSES, SIDE * SIDE), generator=generator, dtype=torch.uint8)
    noise = torch.randint(128, (SAMPLES, SIDE * SIDE), generator=generator, dtype=torch.uint8)
    # Every fourth label is drawn anew: a loss of 0 would bring subnormal gradients, which are slow.
    drawn = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    labels = torch.where(torch.randint(4, (SAMPLES,), generator=generator) == 0, drawn, kinds)
    return "synthetic", patterns[kinds] + noise, labels


class Images:
    """Labelled images; a batch of them is features and labels."""

    def __init__(self, torch, options):
        self.torch = torch
        self.name, images, self.labels = load_data(torch, options)
        self.floats = options.storage == "f32"
        self.images = images.float().div_(255.0) if self.floats else images
        self.samples = len(self.labels)

    def batch(self, own):
        features = self.torch.index_select(self.images, 0, own)
        if not self.floats:
            features = features.float().div_(255.0)
        return features, self.torch.index_select(self.labels, 0, own)


class Text:
    """The synthetic text of train_step/text_trainee.hpp; a batch is tokens and those that follow them."""

    def __init__(self, torch, context=128, rows=8192):
        import numpy
        self.torch, self.name, self.samples, self.context = torch, "words", rows, context

        def splitmix64(key, index):
            z = numpy.uint64(key) + (index + numpy.uint64(1)) * numpy.uint64(0x9e3779b97f4a7c15)
            z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
            z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
            return z ^ (z >> numpy.uint64(31))

        place = numpy.arange(rows * context + 1, dtype=numpy.uint64)
        eight = numpy.uint64(8)
        word = splitmix64(1, place // eight) % numpy.uint64(64)
        text = splitmix64(2, word * eight + place % eight) & numpy.uint64(0xff)
        self.rows = torch.from_numpy(text.astype(numpy.int64)).unfold(0, context + 1, context)

    def batch(self, own):
        tokens = self.torch.index_select(self.rows, 0, own)
        return tokens[:, :-1], tokens[:, 1:].reshape(-1)


class Batches:
    """Random batches without end: each epoch a new permutation, cut into batches; a rank takes its part of each."""

    def __init__(self, torch, options, samples, rank, ranks):
        self.torch, self.samples = torch, samples
        self.own, self.whole = options.batch_size_per_rank, options.batch_size_per_rank * ranks
        self.first = rank * self.own
        self.generator = torch.Generator().manual_seed(options.seed)
        self.order, self.at = None, samples.samples

    def next(self):
        if self.at + self.whole > self.samples.samples:
            self.order = self.torch.randperm(self.samples.samples, generator=self.generator)
            self.at = 0
        own = self.order[self.at + self.first:self.at + self.first + self.own]
        self.at += self.whole
        return self.samples.batch(own)


def blas_core():
    """The kernels that OpenBLAS has chosen in this process, as Trireme's setup line names them."""
    with open("/proc/self/maps", encoding="utf-8") as file:
        libraries = {line.split()[-1] for line in file if "libopenblas" in line}
    for library in libraries:
        name = ctypes.CDLL(library).openblas_get_corename
        name.restype = ctypes.c_char_p
        return name().decode()
    return "unknown"


def weights_digest(model):
    digest = hashlib.blake2b(digest_size=8)
    for parameter in model.parameters():
        digest.update(parameter.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def model_of(options):
    import torch_models
    if options.model == "gpt":
        return torch_models.Gpt(fused_attention=options.attention == "function")
    return torch_models.Cnn(options.layout == "channels-last") if options.model == "cnn" else torch_models.mlp()


def samples_of(torch, options):
    return Text(torch) if options.model == "gpt" else Images(torch, options)


def print_start(torch, options):
    from torch_models import load_start
    model, samples = model_of(options), samples_of(torch, options)
    load_start(model, options.start)
    features, wanted = samples.batch(torch.arange(options.batch_size_per_rank))
    print(f"start loss={torch.nn.CrossEntropyLoss()(model(features), wanted).item():.9f}")


def train(torch, options, rank):
    ranks = options.processes
    distributed = None
    if ranks > 1:
        import torch.distributed as distributed
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this host
        distributed.init_process_group("gloo", init_method="file://" + options.meeting, rank=rank, world_size=ranks)

    def over_ranks(value, op="SUM"):
        if distributed is None:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        distributed.all_reduce(tensor, op=getattr(distributed.ReduceOp, op))
        return tensor.item()

    def same_weights(model):
        digest = weights_digest(model)
        number = float(int(digest[:12], 16))
        if over_ranks(number, "MIN") != number or over_ranks(number, "MAX") != number:
            sys.exit("train_step_torch: the ranks hold different weights")
        return digest

    torch.manual_seed(options.seed)
    model = model_of(options)
    trained = model
    if ranks > 1 and not options.alone:
        trained = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=not options.plain_ddp)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()
    samples = samples_of(torch, options)
    batches = Batches(torch, options, samples, 0 if options.alone else rank, 1 if options.alone else ranks)

    def step():
        features, wanted = batches.next()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(trained(features), wanted)
        loss.backward()
        optimizer.step()
        return loss

    if rank == 0:
        print(f"setup program=torch version={torch.__version__} world={ranks} alone={int(options.alone)} "
              f"data={samples.name} samples={samples.samples} batch_per_rank={options.batch_size_per_rank} "
              f"parameters={sum(p.numel() for p in model.parameters())} storage={options.storage} "
              f"threads={torch.get_num_threads()} blas_core={blas_core()}", flush=True)
    losses = [step().item() for _ in range(options.warm_up)]
    first = over_ranks(sum(losses[:LOSS_WINDOW]) / LOSS_WINDOW) / ranks
    warm = over_ranks(sum(losses[-LOSS_WINDOW:]) / LOSS_WINDOW) / ranks
    if not warm < (0.9 if options.model == "mlp" else 0.99) * first:
        sys.exit(f"train_step_torch: the loss does not fall: {first} over the first steps, {warm} after "
                 f"{options.warm_up}")
    digest = same_weights(model)
    if rank == 0:
        print(f"verified loss_first={first:.4f} loss_warm={warm:.4f} weights={digest}", flush=True)

    rates = []
    samples_of_block = options.steps_per_block * options.batch_size_per_rank * ranks
    for block in range(options.blocks):
        if distributed is not None:
            distributed.barrier()
        began, processor = time.perf_counter(), time.process_time()
        for _ in range(options.steps_per_block):
            loss = step()
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        seconds, processor = over_ranks(seconds, "MAX"), over_ranks(processor)
        rates.append(samples_of_block / seconds)
        if rank == 0:
            print(f"block index={block} steps={options.steps_per_block} samples={samples_of_block} seconds={seconds:.6f} "
                  f"cpu_seconds={processor:.6f} samples_per_s={rates[-1]:.1f}", flush=True)
    digest = same_weights(model)
    final = over_ranks(loss.item()) / ranks
    if rank == 0:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"summary program=torch world={ranks} samples_per_s={statistics.median(rates):.1f} best={max(rates):.1f} "
              f"loss={final:.4f} peak_rss_mib={peak:.0f} weights={digest}", flush=True)
    if distributed is not None:
        distributed.barrier()
    # Taking down DDP, its destructor waits for Gloo's thread while that thread, about to free a tensor of Python, waits for
    # the interpreter: PyTorch 1.13 then stands for ever. All has been said by now.
    sys.stdout.flush()
    os._exit(0)


def main():
    options = parse_arguments()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    if options.processes > 1 and options.rank is None:
        sys.exit(start_processes(options))
    rank = options.rank or 0
    if options.bind == "core":  # before PyTorch starts threads, which inherit it
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[rank % len(processors)]})
    try:
        import torch
    except ImportError:
        sys.exit("train_step_torch: this Python has no torch; use /usr/bin/python3 after apt-get install python3-torch")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    print_start(torch, options) if options.start else train(torch, options, rank)


if __name__ == "__main__":
    main()
