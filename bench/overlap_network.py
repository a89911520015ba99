#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How much of an all_reduce between hosts is hidden behind computation when the network is what takes the time.

Starts overlap_bench with one rank per host, on hosts that are network namespaces of this machine joined by links of
limited rate (needs root), and passes its table on. See bench/README.md.

    bench/overlap_network.py --build build/release --rate 1gbit -- --min-bytes 262144
"""

import argparse
import os
import sys

from network_comparison import BYTES_PER_S, Lab, cannot


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder that holds bin/overlap_bench")
    parser.add_argument("--ranks", type=int, default=2, help="hosts, one rank each (2)")
    parser.add_argument("--rate", choices=sorted(BYTES_PER_S), default="1gbit", help="of every link (default 1gbit)")
    parser.add_argument("flags", nargs="*", help="behind --: flags of overlap_bench")
    options = parser.parse_args()
    program = os.path.abspath(os.path.join(options.build, "bin", "overlap_bench"))
    if os.geteuid() != 0:
        cannot("needs root to make network namespaces")
    if not os.access(program, os.X_OK):
        sys.exit(f"overlap_network: {program} is not there; build the target trireme_overlap_bench")
    with Lab(options.ranks, options.rate) as lab:
        environments = [{"RANK": str(rank), "WORLD_SIZE": str(options.ranks), "LOCAL_RANK": "0",
                         "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": lab.address(0), "MASTER_PORT": "29500",
                         "TRIREME_JOB_KEY": "of this measurement"} for rank in range(options.ranks)]
        command = [program, "--cores", "own", *options.flags]
        sys.stdout.write(lab.run_everywhere([command] * options.ranks, environments))


if __name__ == "__main__":
    main()
