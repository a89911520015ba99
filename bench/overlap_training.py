#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How much of a training step's communication is hidden behind its backward pass, on hosts joined by limited lines.

Starts `trireme train --trace` with one rank per host, on hosts that are network namespaces of this machine (needs root), in
turn with and without overlap, and reads the traces. Per step and rank, medians over steps and ranks:

    C  communication: the time in which some bucket was under way, without overlap
    B  backward after the first bucket was ready, with overlap
    W  what was waited for buckets behind the backward pass, with overlap
    hidden = (C - W) / min(B, C)

    bench/overlap_training.py --build build/release --rate 200mbit -- --hidden 512,512,512,512 --batch-size-per-rank 2048
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

from network_comparison import BYTES_PER_S, Lab, cannot

SKIPPED_STEPS = 2  # the first ones meet cold caches, slow starts of TCP and buckets that have not found their order


def steps_of(path):
    """The events of each step: those that lie in its span."""
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    timed = [each for each in events if each["ph"] in "Xi"]
    for step in (each for each in timed if each["name"] == "step"):
        end = step["ts"] + step["dur"]
        yield [each for each in timed if step["ts"] <= each["ts"] <= end]


def union(spans):
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def communication(events):
    return union([(each["ts"], each["ts"] + each["dur"]) for each in events if each["name"] == "reduce"])


def backward_after_first_bucket(events):
    ready = min(each["ts"] for each in events if each["name"] == "bucket ready")
    return max(each["ts"] + each["dur"] for each in events if each["name"] == "backward") - ready


def waited(events):
    return sum(each["dur"] for each in events if each["name"] == "wait")


def traced_run(options, program, folder, lab, overlap):
    """What each step of each rank gave: (communication, backward, waited), microseconds."""
    environments = [{"RANK": str(rank), "WORLD_SIZE": str(options.ranks), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
                     "MASTER_ADDR": lab.address(0), "MASTER_PORT": "29500",
                     "TRIREME_JOB_KEY": "of this measurement"} for rank in range(options.ranks)]
    trace = os.path.join(folder, "trace.json")
    command = [program, "train", "--trace", trace, "--steps", str(options.steps + SKIPPED_STEPS), "--eval-every", "0",
               *([] if overlap else ["--no-overlap"]), *options.flags]
    lab.run_everywhere([command] * options.ranks, environments)
    found = []
    for rank in range(options.ranks):
        path = os.path.join(folder, f"trace.rank{rank}.json")
        for events in list(steps_of(path))[SKIPPED_STEPS:]:
            found.append((communication(events), backward_after_first_bucket(events), waited(events)))
        os.remove(path)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder that holds bin/trireme")
    parser.add_argument("--ranks", type=int, default=2, help="hosts, one rank each (2)")
    parser.add_argument("--rate", choices=sorted(BYTES_PER_S), default="200mbit", help="of every line (default 200mbit)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is started (3)")
    parser.add_argument("--steps", type=int, default=8, help="steps that count of each start (8)")
    parser.add_argument("flags", nargs="*", help="behind --: flags of trireme train")
    options = parser.parse_args()
    program = os.path.abspath(os.path.join(options.build, "bin", "trireme"))
    if os.geteuid() != 0:
        cannot("needs root to make network namespaces")
    if not os.access(program, os.X_OK):
        sys.exit(f"overlap_training: {program} is not there; build the target trireme")
    print(f"# training on {options.ranks} hosts at {options.rate}, {options.rounds} rounds of {options.steps} steps; "
          f"medians per step in ms; train {' '.join(options.flags)}")
    print(f"{'round':>6} {'communication':>14} {'backward':>9} {'waited':>8} {'hidden':>7}")
    shares = []
    with tempfile.TemporaryDirectory() as folder, Lab(options.ranks, options.rate) as lab:
        for round_ in range(1, options.rounds + 1):
            plain = traced_run(options, program, folder, lab, overlap=False)
            overlapped = traced_run(options, program, folder, lab, overlap=True)
            moved = statistics.median(each[0] for each in plain) / 1e3
            backward = statistics.median(each[1] for each in overlapped) / 1e3
            waits = statistics.median(each[2] for each in overlapped) / 1e3
            shares.append(max(0.0, moved - waits) / min(backward, moved))
            print(f"{round_:>6} {moved:>14.1f} {backward:>9.1f} {waits:>8.1f} {shares[-1]:>7.2f}", flush=True)
    print(f"# hidden: median {statistics.median(shares):.2f}, {min(shares):.2f} to {max(shares):.2f}")


if __name__ == "__main__":
    main()
