#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Training steps of Trireme and of PyTorch, interleaved: one rank, two ranks, one process, two processes under DDP.

A round starts every contender once, one after the other, each with fresh processes and nothing beside it; rounds follow
one another, so that what the machine does over time meets all alike. A contender's figure of a round is the median of
its blocks of steps; the first steps are left out. Ratios are of medians over the rounds, with a 95 % bootstrap interval
that resamples whole rounds. See bench/README.md.

    /usr/bin/python3 bench/training_comparison.py --build build/release --rounds 11 --json comparison.json
"""

import argparse
import collections
import json
import os
import platform
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RUN_LIMIT_S = 600
BUSY_CORES = 0.1  # other load above this many cores is worth a warning
PATIENCE_S = 60  # over all runs, for the processors to be near each other
ATTEMPTS = 4  # at a run before and after which they are

Contender = collections.namedtuple("Contender", "name processes command needs_torch core_type", defaults=[None])
Ratio = collections.namedtuple("Ratio", "name over of target")

# What is required of a model: one rank over PyTorch, two ranks over one, over DDP, over two that do not communicate.
TARGETS = {"mlp": (1.5, 1.7, 2.9, 0.9), "cnn": (1.2, None, 1.5, 0.9), "gpt": (1.0, None, 1.5, 0.9)}
STEPS_PER_BLOCK = {"mlp": 100, "cnn": 20, "gpt": 2}
BATCH = {"mlp": 64, "cnn": 64, "gpt": 8}
SAME_LOSS = 1e-5  # of the first batch, from the same weights


def ratios(model):
    one, scaling, two, apart = TARGETS[model]
    return (
        Ratio("one rank / PyTorch, one process, OpenBLAS's fastest kernels", "trireme-1", "torch-1", one),
        Ratio("one rank / PyTorch, one process, as shipped", "trireme-1", "torch-1-shipped", one),
        Ratio("two ranks / one rank", "trireme-2", "trireme-1", scaling),
        Ratio("two ranks / PyTorch DDP over Gloo, two processes, OpenBLAS's fastest kernels", "trireme-2", "torch-2", two),
        Ratio("two ranks / PyTorch DDP over Gloo, two processes, as shipped", "trireme-2", "torch-2-shipped", two),
        Ratio("two ranks / two ranks without communication", "trireme-2", "trireme-2-alone", apart),
        Ratio("two ranks without communication / one rank", "trireme-2-alone", "trireme-1", None),
        Ratio("two PyTorch processes under DDP / one", "torch-2", "torch-1", None),
    )


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release",
                        help="build folder that holds bin/train_step_bench and bin/trireme (default: build/release)")
    parser.add_argument("--model", choices=tuple(TARGETS), default="mlp")
    parser.add_argument("--trireme", help="the launcher, if it is elsewhere")
    parser.add_argument("--python", default="/usr/bin/python3", help="one that has torch (default: Debian's)")
    parser.add_argument("--rounds", type=int, default=11, help="at least 9 for a result worth quoting (default 11)")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--steps-per-block", type=int, help="default 100; cnn: 20, gpt: 2")
    parser.add_argument("--warm-up", type=int, default=20, help="steps left out at the start; at least 20 (default)")
    parser.add_argument("--batch-size-per-rank", type=int, help="default 64; gpt: 8")
    parser.add_argument("--zero", type=int, choices=(0, 1), default=0, help="stage of ZeRO of our two ranks (default 0)")
    parser.add_argument("--data", choices=("auto", "fashion-mnist", "synthetic"), default="auto")
    parser.add_argument("--data-dir", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--only", metavar="NAMES", help="comma-separated contenders (see --list)")
    parser.add_argument("--with", dest="extra", default="", metavar="NAMES", help="contenders besides the usual seven")
    parser.add_argument("--list", action="store_true", help="names the contenders")
    parser.add_argument("--bind", choices=("core", "none"), default="core",
                        help="core (default): each process on one processor, single ones on another one every round")
    parser.add_argument("--placement", choices=("near", "any"), default="near",
                        help="near (default): a run before or after which two processors are further apart than cores of "
                             "one cache, as virtual ones are at times, is repeated")
    parser.add_argument("--resamples", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--check", action="store_true", help="exit with 3 when a target is missed")
    options = parser.parse_args()
    options.steps_per_block = options.steps_per_block or STEPS_PER_BLOCK[options.model]
    options.batch_size_per_rank = options.batch_size_per_rank or BATCH[options.model]
    if options.warm_up < 20:
        parser.error("--warm-up must be at least 20")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def data_flags(options):
    """Both sides must train on the same data: what `auto` means is settled here, once."""
    if options.model == "gpt":
        return []  # a synthetic text
    kind = options.data
    if kind == "auto":
        def there(name):
            return any(os.path.exists(os.path.join(options.data_dir, name + end)) for end in ("", ".gz"))
        kind = "fashion-mnist" if there("train-images-idx3-ubyte") and there("train-labels-idx1-ubyte") else "synthetic"
    return ["--data", kind] + (["--data-dir", options.data_dir] if kind == "fashion-mnist" else [])


def core_type():
    """OpenBLAS's fastest kernels for the shapes of training on this processor, which PyTorch is given: by itself OpenBLAS
    falls back to very old ones where it does not know the processor. Those for AVX-512 are 1.6 times as fast as those for
    AVX2 on Intel's server cores, and slower on AMD's Zen 4."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return None
    flags = set(re.search(r"^flags\s*:(.*)$|\Z", text, re.MULTILINE).group(0).split())
    if "GenuineIntel" in text and {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= flags:
        return "SkylakeX"
    return "Haswell" if {"avx2", "fma"} <= flags else None


def contenders(options):
    steps = ["--model", options.model, "--blocks", str(options.blocks), "--steps-per-block", str(options.steps_per_block),
             "--warm-up", str(options.warm_up), "--batch-size-per-rank", str(options.batch_size_per_rank),
             *data_flags(options)]
    bench = os.path.join(options.build, "bin", "train_step_bench")
    trireme = options.trireme or os.path.join(options.build, "bin", "trireme")
    launch = [trireme, "run", "--bind", options.bind, "-n", "2", "--"]
    torch = [options.python, os.path.join(HERE, "train_step_torch.py"), "--bind", options.bind, *steps]
    two = ["--processes", "2"]
    core = core_type()
    every = [
        Contender("trireme-1", 1, [bench, *steps], False),
        Contender("trireme-2", 2, [*launch, bench, *steps, "--zero", str(options.zero)], False),
        Contender("torch-1", 1, torch, True, core),
        Contender("torch-2", 2, [*torch, *two], True, core),
        Contender("torch-1-shipped", 1, torch, True),
        Contender("torch-2-shipped", 2, [*torch, *two], True),
        Contender("trireme-2-alone", 2, [*launch, bench, *steps, "--alone"], False),
        Contender("torch-2-alone", 2, [*torch, *two, "--alone"], True, core),
        Contender("torch-1-u8", 1, [*torch, "--storage", "u8"], True, core),
        Contender("torch-2-plain", 2, [*torch, *two, "--plain-ddp"], True, core),
        Contender("torch-1-contiguous", 1, [*torch, "--layout", "contiguous"], True, core),
        Contender("torch-1-function", 1, [*torch, "--attention", "function"], True, core),
    ]
    if options.list:
        for each in every:
            setting = f"OPENBLAS_CORETYPE={each.core_type} " if each.core_type else ""
            print(f"{each.name:16} {setting}{' '.join(each.command)}")
        sys.exit(0)
    usual = ["trireme-1", "trireme-2", "torch-1", "torch-2", "torch-1-shipped", "torch-2-shipped", "trireme-2-alone"]
    names = (options.only.split(",") if options.only else usual) + [name for name in options.extra.split(",") if name]
    known = {each.name: each for each in every}
    for name in names:
        if name not in known:
            sys.exit(f"training_comparison: no contender is called '{name}'; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def without_missing(chosen, options):
    """Leaves PyTorch out where it is missing; everything else that is missing is an error."""
    probe = os.path.join(options.build, "bin", "placement_probe")
    if options.placement == "near" and not os.access(probe, os.X_OK):
        sys.exit(f"training_comparison: {probe} is not there; build the target trireme_placement_probe, or give "
                 "--placement any")
    for program in {each.command[0] for each in chosen if not each.needs_torch}:
        if not os.access(program, os.X_OK):
            sys.exit(f"training_comparison: {program} is not there; build it: cmake --build {options.build} "
                     "--target trireme_train_step_bench trireme_cli")
    if not any(each.needs_torch for each in chosen):
        return chosen
    found = shutil.which(options.python) is not None and subprocess.run(
        [options.python, "-c", "import torch, torch.distributed, numpy; assert torch.distributed.is_gloo_available()"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
    if found:
        return chosen
    print(f"PyTorch is left out: {options.python} cannot import torch with Gloo "
          "(Debian: scripts/bootstrap --peers, or apt-get install python3-torch python3-numpy)", flush=True)
    return [each for each in chosen if not each.needs_torch]


def check_same_model(chosen, options):
    """The loss of the first batch is the same on both sides, from the same weights."""
    if not any(each.needs_torch for each in chosen) or all(each.needs_torch for each in chosen):
        return
    settings = ["--model", options.model, "--batch-size-per-rank", str(options.batch_size_per_rank), *data_flags(options)]
    with tempfile.TemporaryDirectory(prefix="training-comparison-") as folder:
        start = os.path.join(folder, "start")
        losses = []
        for command in ([os.path.join(options.build, "bin", "train_step_bench"), *settings, "--write-start", start],
                        [options.python, os.path.join(HERE, "train_step_torch.py"), *settings, "--start", start]):
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            found = re.search(r"^start loss=([0-9.]+)", done.stdout, re.MULTILINE)
            if done.returncode != 0 or not found:
                sys.exit(f"training_comparison: failed: {' '.join(command)}\n{done.stdout}")
            losses.append(float(found.group(1)))
    if abs(losses[0] - losses[1]) > SAME_LOSS:
        sys.exit(f"training_comparison: the models differ: from the same weights the loss is {losses[0]} and {losses[1]}")
    print(f"the same model: from the same weights the loss is {losses[0]:.7f} and {losses[1]:.7f}", flush=True)


def busy_seconds():
    """Processor time of the whole machine so far, and what other virtual machines took from it."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    unit = os.sysconf("SC_CLK_TCK")
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = ticks
    return (user + nice + system + interrupts + soft_interrupts) / unit, stolen / unit


def own_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_once(contender, options, processors, turn):
    """One run: the median of its blocks, what it said, and how much others used the machine meanwhile."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    if contender.core_type:
        environment["OPENBLAS_CORETYPE"] = contender.core_type
    place = set(processors)
    if options.bind == "core" and contender.processes == 1:
        place = {processors[turn % len(processors)]}
    busy, stolen = busy_seconds()
    own, began = own_seconds(), time.monotonic()
    try:
        done = subprocess.run(contender.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              env=environment, timeout=RUN_LIMIT_S,
                              preexec_fn=lambda: os.sched_setaffinity(0, place))
    except subprocess.TimeoutExpired:
        sys.exit(f"training_comparison: {contender.name} did not end within {RUN_LIMIT_S} s: "
                 f"{' '.join(contender.command)}")
    elapsed = time.monotonic() - began
    busy_after, stolen_after = busy_seconds()
    blocks = re.findall(r"\bblock index=.* samples=([0-9]+) .*cpu_seconds=([0-9.]+) samples_per_s=([0-9.]+)",
                        done.stdout)
    rates = [float(rate) for _, _, rate in blocks]
    if done.returncode != 0 or len(rates) != options.blocks or " verified " not in " " + done.stdout.replace("\n", " "):
        sys.exit(f"training_comparison: {contender.name} failed (exit code {done.returncode}, {len(rates)} blocks): "
                 f"{' '.join(contender.command)}\n{done.stdout}{done.stderr}")
    setup = re.search(r"\bsetup (.*)", done.stdout)
    return {
        "samples_per_s": statistics.median(rates),
        "blocks": rates,
        "samples_per_cpu_s": statistics.median(float(samples) / float(seconds) for samples, seconds, _ in blocks),
        "setup": setup.group(1) if setup else "",
        "other_cores": max(0.0, (busy_after - busy) - (own_seconds() - own)) / elapsed,
        "stolen_cores": max(0.0, stolen_after - stolen) / elapsed,
    }


def near(options):
    """Whether the processors are near each other at this moment (bench/placement_probe)."""
    probe = os.path.join(options.build, "bin", "placement_probe")
    return subprocess.run([probe], stdout=subprocess.DEVNULL, check=False).returncode == 0


class Patience:
    """Runs between two looks at the processors that both find them near, while that is to be had."""

    def __init__(self, options):
        self.options = options
        self.left = PATIENCE_S if options.placement == "near" else 0

    def wait(self):
        began = time.monotonic()
        while self.left > 0 and not near(self.options):
            if time.monotonic() - began > self.left:
                warn("the processors are seldom near each other here: what follows counts as it comes")
                self.left = 0
                return
            time.sleep(0.1)
        self.left = max(0, self.left - (time.monotonic() - began)) if self.left else 0

    def run(self, contender, processors, turn):
        for attempt in range(ATTEMPTS):
            self.wait()
            run = run_once(contender, self.options, processors, turn)
            run["near"] = self.options.placement == "any" or near(self.options)
            run["repeated"] = attempt
            if run["near"] or self.left == 0:
                break
        return run


def disturbed(run):
    return max(run["other_cores"], run["stolen_cores"]) > BUSY_CORES


def interval(values_over, values_of, options):
    """95 % bootstrap interval of median(over) / median(of); a resample draws rounds, the same ones for both."""
    generator = random.Random(options.seed)
    count = len(values_over)
    ratios = []
    for _ in range(options.resamples):
        drawn = [generator.randrange(count) for _ in range(count)]
        ratios.append(statistics.median(values_over[i] for i in drawn) / statistics.median(values_of[i] for i in drawn))
    ratios.sort()
    return ratios[int(0.025 * (len(ratios) - 1))], ratios[int(0.975 * (len(ratios) - 1))]


def verdict(ratio, low, target):
    if target is None:
        return ""
    if low >= target:
        return f"target {target}: met"
    return f"target {target}: met by the median only" if ratio >= target else f"target {target}: MISSED"


def compare(runs, options):
    rows = []
    for each in ratios(options.model):
        if each.over not in runs or each.of not in runs:
            continue
        over = [run["samples_per_s"] for run in runs[each.over]]
        of = [run["samples_per_s"] for run in runs[each.of]]
        ratio = statistics.median(over) / statistics.median(of)
        low, high = interval(over, of, options)
        rows.append({**each._asdict(), "ratio": ratio, "low": low, "high": high,
                     "verdict": verdict(ratio, low, each.target)})
    return rows


def text_of(rate):
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.2f}"


def show(runs, rows, options):
    reference = next(iter(runs))
    base = [run["samples_per_s"] for run in runs[reference]]
    print()
    for name, each in runs.items():
        print(f"{name}: {each[0]['setup']}")
    print(f"\n{'contender':18}{'samples/s median':>18}{'best':>10}{'lowest':>10}{'x ' + reference:>14}"
          f"{'95 % interval':>18}{'per CPU s':>12}{'other load':>12}")
    for name, each in runs.items():
        rates = [run["samples_per_s"] for run in each]
        low, high = interval(rates, base, options)
        others = max(run["other_cores"] for run in each)
        best = max(max(run["blocks"]) for run in each)
        per_processor = statistics.median(run["samples_per_cpu_s"] for run in each)
        ratio = statistics.median(rates) / statistics.median(base)
        print(f"{name:18}{text_of(statistics.median(rates)):>18}{text_of(best):>10}{text_of(min(rates)):>10}{ratio:14.2f}"
              f"{f'{low:.2f} to {high:.2f}':>18}{text_of(per_processor):>12}{others:12.2f}")
    print()
    for row in rows:
        bounds = f"95 % interval {row['low']:.2f} to {row['high']:.2f}"
        print(f"{row['name']}: {row['ratio']:.2f} ({bounds})  {row['verdict']}".rstrip())


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = (line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
        return next(names, platform.machine())


def warn(text):
    print(f"warning: {text}", file=sys.stderr, flush=True)


def look_at_load(processors):
    load = os.getloadavg()[0]
    before, _ = busy_seconds()
    time.sleep(1)
    busy = busy_seconds()[0] - before
    if busy > BUSY_CORES:
        warn(f"{busy:.1f} of {os.cpu_count()} cores are busy with something else (load average {load:.1f}): "
             "do not quote what follows")
    if len(processors) < 2:
        warn("this process may use one processor only: two ranks share it")
    return {"load_average": load, "busy_cores": busy}


def main():
    options = parse_arguments()
    chosen = without_missing(contenders(options), options)
    if not chosen:
        sys.exit("training_comparison: nothing is left to measure")
    check_same_model(chosen, options)
    processors = sorted(os.sched_getaffinity(0))
    if options.rounds < 9:
        warn(f"{options.rounds} rounds: fewer than the 9 of a result worth quoting")
    environment = {"cpu": cpu_model(), "processors": processors, "kernel": platform.release(),
                   "settings": {key: value for key, value in os.environ.items()
                                if key.startswith(("TRIREME_", "OPENBLAS_", "OMP_", "GLOO_")) and "KEY" not in key},
                   "before": look_at_load(processors)}
    runs = {each.name: [] for each in chosen}
    patience = Patience(options)
    for turn in range(options.rounds):
        said = []
        for each in chosen:
            run = patience.run(each, processors, turn)
            runs[each.name].append(run)
            said.append(f"{each.name} {text_of(run['samples_per_s'])}")
            if disturbed(run):
                said[-1] += f" (beside {run['other_cores']:.1f} busy, {run['stolen_cores']:.1f} stolen cores)"
        print(f"round {turn + 1}/{options.rounds}: " + ", ".join(said), flush=True)
    rows = compare(runs, options)
    show(runs, rows, options)
    every = [run for each in runs.values() for run in each]
    if options.placement == "near":
        print(f"{len(every)} runs, after {sum(not run['near'] for run in every)} of them the processors were not near each "
              f"other; {sum(run['repeated'] for run in every)} others were repeated for that reason")
    if any(map(disturbed, every)):
        warn(f"{sum(map(disturbed, every))} of {len(every)} runs had other load beside them: do not quote them")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"environment": environment, "options": vars(options),
                       "contenders": {each.name: each._asdict() for each in chosen}, "runs": runs, "ratios": rows},
                      file, indent=1)
            file.write("\n")
    if options.check and any(row["target"] is not None and row["ratio"] < row["target"] for row in rows):
        sys.exit(3)


if __name__ == "__main__":
    main()
