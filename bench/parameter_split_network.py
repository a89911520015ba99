#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long gradients take to servers and back when some hosts only serve, beside the formulas (experiment E4).

n workers and k hosts that only serve, each a network namespace of this machine whose link has a limited rate (needs
root). For each k three splits of the keys: on the workers alone (a direct reduce-scatter and all-gather), on the spare
hosts alone, and BytePS's optimum. Beside each the time of its formula:

    workers   2(n-1)M / (nB)
    spare     max(M/B, nM / (kB))
    optimal   2n(n-1)M / ((n^2 + kn - 2k)B)

B is what a TCP stream can carry of the link: its rate without Ethernet, IP and TCP headers. See bench/README.md.

    bench/parameter_split_network.py --build build/release --json e4.json
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

from network_comparison import BYTES_PER_S, Lab, cannot

PAYLOAD = 1448 / 1514  # of a full frame with TCP's time stamps, as the limit counts bytes


def formula(split, workers, spare, model, rate):
    n, k = workers, spare
    if split == "workers":
        return 2 * (n - 1) * model / (n * rate)
    if split == "spare":
        return max(model / rate, n * model / (k * rate))
    return 2 * n * (n - 1) * model / ((n * n + k * n - 2 * k) * rate)


def measure(options, workers, spare, split, program):
    ranks = workers + spare
    with Lab(ranks, options.rate) as lab, tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "rows.json")
        size = str(options.key_bytes)
        command = [program, "perf", "push_pull", "--min-bytes", size, "--max-bytes", size, "--keys",
                   str(options.model_bytes // options.key_bytes), "--spare", str(spare), "--split", split,
                   "--iterations", str(options.iterations), "--warmup", "1", "--json", file]
        environments = [{"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
                         "MASTER_ADDR": lab.address(0), "MASTER_PORT": "29500", "TRIREME_JOB_KEY": "of this measurement",
                         "OMP_NUM_THREADS": "1"} for rank in range(ranks)]
        lab.run_everywhere([command] * ranks, environments)
        with open(file, encoding="utf-8") as rows:
            row = json.load(rows)["rows"][0]
    if row["wrong"]:
        sys.exit("parameter_split_network: wrong means")
    return row["time_us"] * 1e-6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder that holds bin/trireme")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--spare", default="0,1,2,3,4", metavar="LIST", help="hosts that only serve (0,1,2,3,4)")
    parser.add_argument("--rate", choices=sorted(BYTES_PER_S), default="200mbit", help="of every link (default 200mbit)")
    parser.add_argument("--model-bytes", type=int, default=32_000_000)
    parser.add_argument("--key-bytes", type=int, default=16_384)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    program = os.path.abspath(os.path.join(options.build, "bin", "trireme"))
    if os.geteuid() != 0:
        cannot("needs root to make network namespaces")
    if not os.access(program, os.X_OK):
        sys.exit(f"parameter_split_network: {program} is not there; build the target trireme_cli")
    rate = BYTES_PER_S[options.rate] * PAYLOAD
    rows = []
    print("| spare hosts | keys on | measured s | lowest, highest round | formula s | measured / formula |\n"
          "|---|---|---|---|---|---|", flush=True)
    for spare in map(int, options.spare.split(",")):
        for split in ("workers", "spare", "optimal") if spare else ("workers", "optimal"):
            times = [measure(options, options.workers, spare, split, program) for _ in range(options.rounds)]
            seconds, expected = statistics.median(times), formula(split, options.workers, spare, options.model_bytes, rate)
            rows.append({"workers": options.workers, "spare": spare, "split": split, "seconds": seconds, "rounds": times,
                         "formula_seconds": expected, "ratio": seconds / expected})
            print(f"| {spare} | {split} | {seconds:.3f} | {min(times):.3f}, {max(times):.3f} | {expected:.3f} | "
                  f"{seconds / expected:.3f} |", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump({"rate": options.rate, "model_bytes": options.model_bytes, "key_bytes": options.key_bytes,
                       "rows": rows}, out, indent=2)


if __name__ == "__main__":
    main()
