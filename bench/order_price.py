#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the canonical order costs: the time of a training step with --order canonical over that with --order fastest.

Starts `trireme train` in turn with either order, on this host over shared memory, or with --rate on one host per rank that are
network namespaces joined by limited lines (needs root). The ratio of each round, its median, and the interval that holds the
median with the probability stated.

    bench/order_price.py --build build/release --ranks 4 --rounds 9
    sudo bench/order_price.py --build build/release --ranks 4 --rounds 9 --rate 1gbit
"""

import argparse
import contextlib
import math
import os
import re
import statistics
import subprocess
import sys

from network_comparison import BYTES_PER_S, Lab, cannot


def seconds_per_sample(output):
    found = re.search(r"samples_per_s=([0-9.]+)", output[output.rindex("result:"):])
    return 1.0 / float(found.group(1))


def train(options, program, lab, order, shards):
    command = [program, "train", "--order", order, "--logical-shards", str(shards), "--steps", str(options.steps),
               "--eval-every", "0", *options.flags]
    if lab is None:
        started = subprocess.run([program, "run", "-n", str(options.ranks), "--", *command], check=True, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return seconds_per_sample(started.stdout)
    environments = [{"RANK": str(rank), "WORLD_SIZE": str(options.ranks), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
                     "MASTER_ADDR": lab.address(0), "MASTER_PORT": "29500", "TRIREME_TRANSPORT": "tcp",
                     "TRIREME_JOB_KEY": "of this measurement"} for rank in range(options.ranks)]
    return seconds_per_sample(lab.run_everywhere([command] * options.ranks, environments))


def interval(ratios):
    """Order statistics around the median that hold it with at least 95 %, or as much as there is, and that probability."""
    ordered, count = sorted(ratios), len(ratios)
    for left in range(count // 2, -1, -1):
        outside = sum(math.comb(count, k) for k in range(left + 1)) / 2**count * 2
        if 1 - outside >= 0.95 or left == 0:
            return ordered[left], ordered[count - 1 - left], max(0.0, 1 - outside)
    raise AssertionError("a list without a median")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder that holds bin/trireme")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--shards", type=int, nargs="+", default=[4, 8], help="logical shards to try (4 8)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rate", choices=sorted(BYTES_PER_S), help="of every line between hosts; none: one host")
    parser.add_argument("flags", nargs="*", help="behind --: flags of trireme train")
    options = parser.parse_args()
    program = os.path.abspath(os.path.join(options.build, "bin", "trireme"))
    if options.rate and os.geteuid() != 0:
        cannot("needs root to make network namespaces")
    if not os.access(program, os.X_OK):
        sys.exit(f"order_price: {program} is not there; build the target trireme")
    where = f"hosts at {options.rate}" if options.rate else "one host, shared memory"
    print(f"# canonical over fastest, {options.ranks} ranks, {where}, {options.rounds} rounds of {options.steps} steps; "
          f"train {' '.join(options.flags)}")
    print(f"{'shards':>6} {'canonical us/sample':>20} {'fastest us/sample':>18} {'ratio':>6} {'low':>6} {'high':>6}")
    lab_or_not = Lab(options.ranks, options.rate) if options.rate else contextlib.nullcontext()
    with lab_or_not as lab:
        for shards in options.shards:
            times = {"canonical": [], "fastest": []}
            for round_ in range(options.rounds):
                orders = list(times) if round_ % 2 == 0 else list(reversed(times))
                for order in orders:
                    times[order].append(train(options, program, lab, order, shards) * 1e6)
            ratios = [a / b for a, b in zip(times["canonical"], times["fastest"])]
            low, high, chance = interval(ratios)
            print(f"{shards:>6} {statistics.median(times['canonical']):>20.1f} "
                  f"{statistics.median(times['fastest']):>18.1f} {statistics.median(ratios):>6.3f} {low:>6.3f} {high:>6.3f}",
                  flush=True)
    print(f"# low and high hold the median with a probability of {100 * chance:.1f} %")


if __name__ == "__main__":
    main()
