#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a job by all_reduce takes when the link between two hosts is ill, with and without the way out to parameter servers.

Hosts are network namespaces of this machine, one rank each, every link limited (needs root). The link between the last two
carries 1 Mbit/s in each direction from the start: what is more is dropped between these two alone. A round starts the same job
of `trireme train` three times: with all links well, with the ill one, and with the ill one and `--fallback ps`. Figures are
seconds of the whole job, from its start to its end; all three must give the same weights, and the third must have gone to
servers. See bench/README.md.

    bench/fallback_network.py --build build/release --hosts 3,4 --json fallback.json
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time

from network_comparison import BYTES_PER_S, Lab, cannot

REQUIRED = 0.5  # of the time without the fallback
CHANGED = re.compile(r"behind step (\d+) gradients go by servers")


def job(options, program, hosts, is_ill, flags):
    """Seconds, the hash of the weights, and behind which step gradients went by servers."""
    command = [program, "train", "--dataset", "synthetic:blobs", "--samples", "1000", "--features", "32",
               "--hidden", str(options.hidden), "--batch-size", "32", "--logical-shards", "4",
               "--epochs", str(options.epochs), *flags]
    environments = [{"RANK": str(rank), "WORLD_SIZE": str(hosts), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
                     "OMP_NUM_THREADS": "1", "MASTER_PORT": "29500", "TRIREME_JOB_ID": "fallback",
                     "TRIREME_JOB_KEY": "of this measurement and no other"} for rank in range(hosts)]
    with Lab(hosts, options.rate) as lab, tempfile.TemporaryDirectory() as errors:
        for each in environments:
            each["MASTER_ADDR"] = lab.address(0)
        if is_ill:
            lab.police_one_way(hosts - 2, hosts - 1, "125 kbytes/second")
            lab.police_one_way(hosts - 1, hosts - 2, "125 kbytes/second")
        began = time.monotonic()
        out = lab.run_everywhere([command] * hosts, environments, errors)
        seconds = time.monotonic() - began
        with open(os.path.join(errors, "0"), encoding="utf-8") as file:
            changed = CHANGED.search(file.read())
    return seconds, re.search(r"weights_xxh3=(\w+)", out)[1], int(changed[1]) if changed else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder that holds bin/trireme")
    parser.add_argument("--hosts", default="3,4", metavar="LIST",
                        help="numbers of hosts, at least 3: between two there is no other way (3,4)")
    parser.add_argument("--rate", choices=sorted(BYTES_PER_S), default="200mbit",
                        help="of every other link (default 200mbit)")
    parser.add_argument("--hidden", type=int, default=256, help="units of the hidden layer (256)")
    parser.add_argument("--epochs", type=int, default=2, help="of 29 steps (2)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--check", action="store_true",
                        help=f"exit with 3 where it takes more than {REQUIRED} of the time without the fallback")
    options = parser.parse_args()
    try:
        counts = [int(word) for word in options.hosts.split(",")]
    except ValueError:
        parser.error("--hosts takes numbers: 3,4")
    if min(counts) < 3 or max(counts) > 200:
        parser.error("--hosts must lie between 3 and 200")
    program = os.path.abspath(os.path.join(options.build, "bin", "trireme"))
    if os.geteuid() != 0:
        cannot("needs root to make network namespaces")
    if not os.access(program, os.X_OK):
        sys.exit(f"fallback_network: {program} is not there; build the target trireme_cli")
    ways = {"well": (False, []), "ill": (True, []), "fallback": (True, ["--fallback", "ps"])}
    rows = []
    print("| hosts | all links well, s | one ill, s | with --fallback ps, s | of the time without | behind step |\n"
          "|---|---|---|---|---|---|", flush=True)
    for hosts in counts:
        rounds = []
        for _ in range(options.rounds):
            found = {name: job(options, program, hosts, *how) for name, how in ways.items()}
            if len({weights for _, weights, _ in found.values()}) != 1:
                sys.exit(f"fallback_network: the jobs have other weights: {found}")
            if found["fallback"][2] is None:
                sys.exit(f"fallback_network: with --fallback ps gradients did not go by servers: {found}")
            rounds.append(found)
        seconds = {name: [found[name][0] for found in rounds] for name in ways}
        ratios = [found["fallback"][0] / found["ill"][0] for found in rounds]
        steps = [found["fallback"][2] for found in rounds]
        rows.append({"hosts": hosts, "seconds": seconds, "ratios": ratios, "behind_steps": steps})
        spans = {name: f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})"
                 for name, each in seconds.items()}
        print(f"| {hosts} | {spans['well']} | {spans['ill']} | {spans['fallback']} | {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}){'' if max(ratios) < REQUIRED else ' MISSED'} | "
              f"{', '.join(map(str, steps))} |", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rate": options.rate, "hidden": options.hidden, "epochs": options.epochs,
                       "load_average": os.getloadavg()[0], "rows": rows}, file, indent=1)
            file.write("\n")
    if options.check and any(max(row["ratios"]) >= REQUIRED for row in rows):
        sys.exit(3)


if __name__ == "__main__":
    main()
