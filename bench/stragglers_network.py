#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What slow workers cost where communication takes a part of each step: bulk-synchronous, stale-synchronous, asynchronous.

Workers and servers are network namespaces of this machine, one process each, every link limited (needs root). Workers train
with `trireme train --sync ps`; computation is waited for (`--lab-computation-ms`), and a slow step computes five times as
long (`--lab-stragglers`), while its communication takes what it takes. A round starts every way with none slow and with slow
workers. From the traces of all workers: steps of all workers per second while all are at work, without the first ones;
which part of a step was computation; and what is left of the speed when workers are slow. Beside it what waiting alone would
leave: with the computation c(w, t) that worker w had in step t, and the median m of what a healthy step of that way takes
besides,

    end(w, t) = max(end(w, t-1), max over v of end(v, t-1-S)) + c(w, t) + m

with S = 0 for bsp, without the inner maximum for async. See bench/README.md.

    bench/stragglers_network.py --build build/release --json stragglers.json
"""

import argparse
import glob
import json
import os
import pathlib
import random
import re
import statistics
import sys
import tempfile

from network_comparison import BYTES_PER_S, Lab, cannot

SKIPPED_STEPS = 2  # the first ones meet cold caches and slow starts of TCP
MOST_BUSY = 0.5    # of the processors: beyond that they are what is measured


def bound_of(way):
    """How many steps behind a worker the slowest may be; None: any number."""
    return 0 if way == "bsp" else None if way == "async" else int(way.split(":")[1])


def environments(options, lab):
    common = {"TRIREME_JOB_ID": "stragglers", "TRIREME_JOB_KEY": "of this measurement and no other",
              "OMP_NUM_THREADS": "1"}
    if options.servers:
        common["TRIREME_SERVERS"] = str(options.servers)
    workers = [{**common, "RANK": str(rank), "WORLD_SIZE": str(options.workers), "LOCAL_RANK": "0",
                "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": lab.address(0), "MASTER_PORT": "29500"}
               for rank in range(options.workers)]
    servers = [{**common, "TRIREME_ROLE": "server", "TRIREME_SERVER_INDEX": str(server), "TRIREME_STORE": "1",
                "TRIREME_STORE_ADDR": lab.address(0) + ":29500"} for server in range(options.servers)]
    return workers + servers


def steps_of(path):
    """(begin, end, computation) of each step, in seconds: it begins with what is waited for, then comes its batch."""
    with open(path, encoding="utf-8") as file:
        trace = json.load(file)
    origin = trace["otherData"]["origin_unix_ns"] * 1e-9
    spans = [each for each in trace["traceEvents"] if each["ph"] == "X"]
    batches = sorted(each["ts"] for each in spans if each["name"] == "batch")
    steps = sorted((each["ts"], each["ts"] + each["dur"]) for each in spans if each["name"] == "step")
    found = []
    for begin, end in steps:
        computed = next(each for each in batches if each >= begin)
        found.append((origin + begin * 1e-6, origin + end * 1e-6, (computed - begin) * 1e-6))
    return found


def processor_times():
    with open("/proc/stat", encoding="utf-8") as file:
        times = [int(word) for word in file.readline().split()[1:9]]
    return sum(times), times[3] + times[4]


def train(options, lab, program, way, slow, seed):
    """The steps of every worker, and what the job says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", "--dataset", "synthetic:blobs", "--samples", "4000",
                   "--features", str(options.width), "--hidden", ",".join([str(options.width)] * options.layers),
                   "--batch-size", str(8 * options.workers),
                   "--optimizer", "adam", "--learning-rate", "0.001",
                   "--epochs", "1000", "--steps", str(options.steps), "--log-every", "5",
                   "--seed", str(seed), "--sync", "ps", "--servers", str(options.servers), "--consistency", way,
                   "--server-replicas", "off", "--lab-computation-ms", str(options.computation_ms),
                   "--lab-stragglers", slow, "--trace", os.path.join(folder, "trace.json")]
        errors = os.path.join(folder, "errors")
        os.mkdir(errors)
        all_before, idle_before = processor_times()
        out = lab.run_everywhere([command] * len(lab.hosts), environments(options, lab), errors)
        all_after, idle_after = processor_times()
        text = "".join(pathlib.Path(path).read_text(encoding="utf-8") for path in glob.glob(errors + "/*"))
        workers = [steps_of(os.path.join(folder, f"trace.rank{rank}.json")) for rank in range(options.workers)]
    losses = [float(word) for word in re.findall(r"step_loss=(\S+)", out)]
    missed = max([int(word) for word in re.findall(r"no pull missed more than (\d+) steps", text)], default=None)
    bound = bound_of(way)
    if len(losses) < 2 or not losses[-1] < losses[0]:
        sys.exit(f"stragglers_network: {way} with {slow} has not learnt: losses {losses}")
    if any(len(steps) != options.steps for steps in workers):
        sys.exit(f"stragglers_network: {way} with {slow}: {[len(steps) for steps in workers]} steps of {options.steps}")
    if bound is not None and missed is not None and missed > bound:
        sys.exit(f"stragglers_network: {way} with {slow}: a pull missed {missed} steps of another worker")
    return workers, {"losses": [losses[0], losses[-1]], "most_missed_steps": missed,
                     "busy": 1 - (idle_after - idle_before) / max(1, all_after - all_before)}


def steps_per_second(workers):
    """Of all workers together, from when each has begun its first step that counts until the first has done its last one."""
    begin = max(steps[SKIPPED_STEPS][0] for steps in workers)
    end = min(steps[-1][1] for steps in workers)
    done = 0.0
    for steps in workers:
        for first, last, *_ in steps:
            done += max(0.0, min(last, end) - max(first, begin)) / (last - first)
    return done / (end - begin)


def besides(workers):
    """What a step takes besides its computation."""
    return statistics.median(end - begin - computation
                             for steps in workers for begin, end, computation in steps[SKIPPED_STEPS:])


def simulated_steps(workers, bound, communication):
    """The same computation in the same steps, and nothing else to wait for than what the consistency asks for."""
    ended = [0.0] * len(workers)
    last_of_step = []
    found = [[] for _ in workers]
    for step in range(len(workers[0])):
        allowed = last_of_step[step - 1 - bound] if bound is not None and step > bound else 0.0
        for worker, steps in enumerate(workers):
            begin = ended[worker]
            ended[worker] = max(begin, allowed) + steps[step][2] + communication
            found[worker].append((begin, ended[worker]))
        last_of_step.append(max(ended))
    return found


def in_the_long_run(workers, slow, bound, computation_share, steps=4000):
    """Percent that is kept when every worker computes longer in a share of its own steps, drawn at random."""
    draws = random.Random(1)
    share, factor = ([*map(float, slow.split(":")[1:])] + [5.0])[:2]
    slow = 1 + (factor - 1) * computation_share
    drawn = [[(0, 0, slow if draws.random() < share else 1.0) for _ in range(steps)] for _ in range(workers)]
    return 100 * steps_per_second(simulated_steps(drawn, bound, 0.0)) / workers


def measure_round(options, program, number):
    """One row for each way and each kind of slow workers."""
    rows = []
    seed = options.seed + number
    with Lab(options.workers + options.servers, options.rate) as lab:
        for way in options.ways:
            healthy, told = train(options, lab, program, way, "none", seed)
            speed, m = steps_per_second(healthy), besides(healthy)
            computation = statistics.median(each[2] for steps in healthy for each in steps[SKIPPED_STEPS:])
            for slow in options.slow:
                if slow.startswith("worker:") and way != "async":
                    continue  # who waits for it is as slow as it is
                workers, told_slow = train(options, lab, program, way, slow, seed)
                waits_alone = simulated_steps(workers, bound_of(way), m)
                rows.append({"way": way, "slow": slow, "round": number, "healthy_steps_per_s": speed,
                             "computation_s": computation, "besides_s": m, "steps_per_s": steps_per_second(workers),
                             "simulated_steps_per_s": steps_per_second(waits_alone), "healthy": told, **told_slow})
                print(f"round {number}: {way}, {slow}: {speed:.2f} steps/s, then {rows[-1]['steps_per_s']:.2f}; a healthy "
                      f"step is {1e3 * computation:.0f} + {1e3 * m:.0f} ms; processors {100 * told['busy']:.0f} and "
                      f"{100 * told_slow['busy']:.0f} % busy; losses {told_slow['losses']}", file=sys.stderr, flush=True)
    return rows


def interval(values, text):
    return f"{statistics.median(values):{text}} ({min(values):{text}} to {max(values):{text}})"


def table(rows, workers):
    print("| way | slow | steps/s, none slow | computation of a step, % | steps/s | kept, % | simulated, % | "
          "in the long run, % | steps missed at most |\n|---|---|---|---|---|---|---|---|---|", flush=True)
    for way, slow in dict.fromkeys((row["way"], row["slow"]) for row in rows):
        these = [row for row in rows if (row["way"], row["slow"]) == (way, slow)]
        healthy = [row["healthy_steps_per_s"] for row in these]
        shares = [100 * row["computation_s"] / (row["computation_s"] + row["besides_s"]) for row in these]
        kept = [100 * row["steps_per_s"] / row["healthy_steps_per_s"] for row in these]
        expected = [100 * row["simulated_steps_per_s"] / row["healthy_steps_per_s"] for row in these]
        long_run = ""
        if slow.startswith("each:"):
            long_run = f"{in_the_long_run(workers, slow, bound_of(way), statistics.median(shares) / 100):.0f}"
        missed = [row["most_missed_steps"] for row in these if row["most_missed_steps"] is not None]
        print(f"| {way} | {slow} | {interval(healthy, '.2f')} | {statistics.median(shares):.0f} | "
              f"{interval([row['steps_per_s'] for row in these], '.2f')} | {interval(kept, '.0f')} | "
              f"{interval(expected, '.0f')} | {long_run} | "
              f"{max(missed) if missed else ''} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder that holds bin/trireme")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--servers", type=int, default=8, help="hosts that only serve (8); 0: every worker serves, too")
    parser.add_argument("--rate", choices=sorted(BYTES_PER_S), default="200mbit", help="of every link (default 200mbit)")
    parser.add_argument("--width", type=int, default=256, help="of every layer (256)")
    parser.add_argument("--layers", type=int, default=8, help="hidden layers, each a key (8)")
    parser.add_argument("--computation-ms", type=float, default=190, help="of a step that is not slow (190)")
    parser.add_argument("--ways", default="bsp,ssp:3,async", metavar="LIST")
    parser.add_argument("--slow", default="each:0.1,worker:0", metavar="LIST",
                        help="values of --lab-stragglers (each:0.1,worker:0; worker:W is for async alone)")
    parser.add_argument("--steps", type=int, default=50, help="of every worker (50)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each has its own slow steps")
    parser.add_argument("--json", metavar="FILE", help="rounds that are there already count as done")
    options = parser.parse_args()
    options.ways, options.slow = options.ways.split(","), options.slow.split(",")
    program = os.path.abspath(os.path.join(options.build, "bin", "trireme"))
    if os.geteuid() != 0:
        cannot("needs root to make network namespaces")
    if not os.access(program, os.X_OK):
        sys.exit(f"stragglers_network: {program} is not there; build the target trireme_cli")
    if options.steps <= SKIPPED_STEPS:
        parser.error(f"--steps must be above {SKIPPED_STEPS}, which are left out")
    settings = {name: getattr(options, name) for name in ("workers", "servers", "rate", "width", "layers",
                                                          "computation_ms", "ways", "slow", "steps", "seed")}
    rows = []
    if options.json and os.path.exists(options.json):
        with open(options.json, encoding="utf-8") as file:
            before = json.load(file)
        if before["settings"] != settings:
            sys.exit(f"stragglers_network: {options.json} was measured with {before['settings']}")
        rows = before["rows"]
    for number in range(max([row["round"] + 1 for row in rows], default=0), options.rounds):
        rows += measure_round(options, program, number)
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump({"settings": settings, "rows": rows}, file, indent=1)
                file.write("\n")
    table(rows, options.workers)
    busiest = max(max(row["busy"], row["healthy"]["busy"]) for row in rows)
    if busiest > MOST_BUSY:
        print(f"stragglers_network: processors were {100 * busiest:.0f} % busy: do not quote what stands above; take slower "
              "links and longer steps, or a quiet machine", file=sys.stderr)


if __name__ == "__main__":
    main()
