#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long training stands still when a parameter server is killed.

Jobs of `trireme train --sync ps` with two dedicated servers, each holding what the other does, small steps and nothing else to do. While
they train, one server is killed by SIGKILL. The time to recover is the longest that worker 0 took for five steps from then on; the job must end
well, and bulk-synchronous with the weights of a job that nothing happened to. See bench/README.md.

    bench/parameter_server_recovery.py --build build/release --rounds 5 --json recovery.json
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

WAYS = {"bsp, servers sum": [], "bsp, servers update": ["--server-optimizer", "on"],
        "ssp:3": ["--consistency", "ssp:3"], "async": ["--consistency", "async"]}


def job(program, ranks, words):
    wrapped = ["sh", "-c", 'echo "pid $$ is up"; exec "$0" "$@"', program, "train", "--dataset", "synthetic:blobs", "--samples",
               "4000", "--features", "64", "--hidden", "64", "--batch-size", "64", "--seed", "3", "--epochs", "50", "--momentum", "0.5", "--log-every", "5",
               "--sync", "ps"]
    return [program, "run", "-n", str(ranks), "--servers", "2", "--"] + wrapped + words


def watch(process, kill):
    """What the job writes to stdout, and the longest time between two of its metric lines once a server has been killed."""
    server, seen, last, longest, killed = None, [], None, 0.0, False
    for line in process.stdout:
        seen.append(line)
        found = re.match(r"\[server 1\] pid (\d+) is up", line)
        if found:
            server = int(found[1])
        if not line.startswith("metric step="):
            continue
        now = time.monotonic()
        if killed:
            longest = max(longest, now - last)
        last = now
        if kill and not killed and server is not None and len(seen) > 100:
            os.kill(server, signal.SIGKILL)
            killed = True
    return seen, longest


def run(program, ranks, words, kill):
    # stderr is a file: nobody reads it before the end, and a pipe that is full would stop the job.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors, \
            subprocess.Popen(job(program, ranks, words), stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            seen, longest = watch(process, kill)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()  # which takes its ranks and servers along
                process.wait()
        errors.seek(0)
        if code != 0:
            sys.exit(f"parameter_server_recovery: the job failed:\n{errors.read()}")
    result = [line for line in seen if line.startswith("result:")][-1]
    return dict(re.findall(r"(\w+)=(\S+)", result)), longest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder that holds bin/trireme")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    program = os.path.abspath(os.path.join(options.build, "bin", "trireme"))
    if not os.access(program, os.X_OK):
        sys.exit(f"parameter_server_recovery: {program} is not there; build the target trireme_cli")
    rows = []
    print("| way | time to recover, s: median, lowest, highest | test accuracy | same weights |\n|---|---|---|---|", flush=True)
    for way, words in WAYS.items():
        quiet, _ = run(program, options.ranks, words, False)
        worst, accuracies, same = [], [], True
        for _ in range(options.rounds):
            result, longest = run(program, options.ranks, words, True)
            worst.append(longest)
            accuracies.append(float(result["test_accuracy"]))
            same = same and result["weights_xxh3"] == quiet["weights_xxh3"]
        if way.startswith("bsp") and not same:
            sys.exit(f"parameter_server_recovery: {way}: other weights than without a loss")
        rows.append({"way": way, "seconds": worst, "test_accuracy": accuracies, "same_weights": same,
                     "test_accuracy_without_loss": float(quiet["test_accuracy"])})
        text = f"{statistics.median(worst):.2f}, {min(worst):.2f}, {max(worst):.2f}"
        print(f"| {way} | {text} | {min(accuracies):.4f} ({float(quiet['test_accuracy']):.4f} without) | "
              f"{'yes' if same else 'no'} |", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump({"ranks": options.ranks, "load": os.getloadavg(), "rows": rows}, out, indent=2)


if __name__ == "__main__":
    main()
