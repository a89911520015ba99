#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""All-reduce of Trireme over TCP beside a raw ring of sockets, between hosts joined by a limited network.

The hosts are network namespaces of this machine, joined by a bridge, every link limited in both directions; so this
needs root. A round starts the raw ring and then `trireme perf all_reduce` on the same hosts with the same sizes; rounds
follow one another, so that what the machine does over time meets both alike. A figure is the median over the rounds of
each run's median call. See bench/README.md.

    bench/network_comparison.py --build build/release --ranks 2,3,4 --json network.json
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

NAME = os.path.splitext(os.path.basename(sys.argv[0]))[0]  # other comparisons use what is here, and messages are theirs then
RUN_LIMIT_S = 600
CANNOT = 77  # exit code where no network can be made
REQUIRED = 0.96  # of the raw ring
BYTES_PER_S = {"100mbit": 12.5e6, "200mbit": 25e6, "1gbit": 125e6, "10gbit": 1.25e9}
BURST = {"100mbit": "64kb", "200mbit": "64kb", "1gbit": "256kb", "10gbit": "4mb"}
SIZES = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release",
                        help="build folder that holds bin/raw_ring and bin/trireme (default: build/release)")
    parser.add_argument("--ranks", default="2,3,4", metavar="LIST", help="numbers of hosts, one rank each (2,3,4)")
    parser.add_argument("--rate", choices=sorted(BYTES_PER_S), default="1gbit", help="of every link (default 1gbit)")
    parser.add_argument("--rounds", type=int, default=3, help="at least 3 for a result worth quoting (default 3)")
    parser.add_argument("--min-bytes", type=int, default=SIZES[0])
    parser.add_argument("--max-bytes", type=int, default=SIZES[-1])
    parser.add_argument("--congestion", metavar="NAME", help="congestion control of all hosts (default: the system's)")
    parser.add_argument("--algorithm", default="auto", help="of Trireme (default: what it chooses)")
    parser.add_argument("--order", choices=("canonical", "fastest"), default="canonical")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--check", action="store_true", help=f"exit with 3 when a ratio is below {REQUIRED}")
    options = parser.parse_args()
    try:
        options.ranks = [int(word) for word in options.ranks.split(",")]
    except ValueError:
        parser.error("--ranks takes numbers: 2,3,4")
    if min(options.ranks) < 2 or max(options.ranks) > 200:
        parser.error("--ranks must lie between 2 and 200")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def cannot(why):
    print(f"{NAME}: {why}", file=sys.stderr)
    sys.exit(CANNOT)


class Lab:
    """Hosts in namespaces without names, each held by a process that ends when this program does, however it ends."""

    def __init__(self, hosts, rate, congestion=None):
        self._holders = contextlib.ExitStack()
        try:
            self._switch = self._hold("switch")
            self._run(self._switch, "ip link add bridge type bridge")
            self._run(self._switch, "ip link set bridge up")
            self.hosts = [self._hold(f"host-{index}") for index in range(hosts)]
            for index, host in enumerate(self.hosts):
                self._run(self._switch, f"ip link add port{index} type veth peer name eth0 netns {host}")
                self._run(self._switch, f"ip link set port{index} master bridge up")
                self._run(host, "ip link set lo up")
                self._run(host, f"ip address add {self.address(index)}/24 dev eth0")
                self._run(host, "ip link set eth0 up")
                limit = f"root tbf rate {rate} burst {BURST[rate]} latency 20ms"
                if congestion:
                    self._run(host, f"ip route replace 10.77.0.0/24 dev eth0 congctl {congestion}")
                self._run(host, f"tc qdisc add dev eth0 {limit}")
                self._run(self._switch, f"tc qdisc add dev port{index} {limit}")
        except BaseException:
            self._holders.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._holders.close()

    @staticmethod
    def address(index):
        return f"10.77.0.{index + 1}"

    def _hold(self, name):
        # cat ends at the end of its input, and that comes when this program ends.
        hold = f"hostname {name} && echo ready && exec cat"
        holder = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", hold],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._holders.callback(self._release, holder)
        if holder.stdout.readline() != "ready\n":
            cannot("cannot make a network namespace: see the message above")
        return holder.pid

    @staticmethod
    def _release(holder):
        holder.stdin.close()
        holder.wait()

    @staticmethod
    def inside(holder, command):
        return ["nsenter", f"--net=/proc/{holder}/ns/net", f"--uts=/proc/{holder}/ns/uts", "--",
                "setpriv", "--pdeathsig", "KILL", *command]

    def _run(self, holder, command):
        subprocess.run(self.inside(holder, command.split()), check=True)

    def police_one_way(self, source, destination, rate):
        """The switch drops what goes from one host to another beyond `rate`, in nft's words."""
        self._nft("add table bridge cut; add chain bridge cut dropped { type filter hook forward priority 0; }")
        self._nft(f"add rule bridge cut dropped iifname port{source} oifname port{destination} "
                  f"limit rate over {rate} burst 16 kbytes drop")

    def _nft(self, rules):
        subprocess.run(self.inside(self._switch, ["nft", rules]), check=True)

    def run_everywhere(self, commands, environments, errors=None):
        """One command per host; what host 0 wrote to stdout. With a folder `errors` what each wrote to stderr is a file in it,
        by the host's index, and is shown when one fails."""
        plain = {key: value for key, value in os.environ.items()
                 if not key.startswith(("TRIREME_", "OMPI_", "PMI_", "SLURM_"))}
        running, files = [], contextlib.ExitStack()
        try:
            for index, host in enumerate(self.hosts):
                said = os.path.join(errors, str(index)) if errors else None
                said = files.enter_context(open(said, "w", encoding="utf-8")) if said else None
                running.append(subprocess.Popen(self.inside(host, commands[index]), text=True,
                                                env={**plain, **environments[index]},
                                                stdout=subprocess.PIPE if index == 0 else subprocess.DEVNULL,
                                                stderr=said))
            out, _ = running[0].communicate(timeout=RUN_LIMIT_S)
            codes = [each.wait(timeout=RUN_LIMIT_S) for each in running]
        finally:
            for each in running:
                if each.poll() is None:
                    each.kill()
                    each.wait()
            files.close()
        if any(codes):
            for index in range(len(self.hosts)) if errors else ():
                with open(os.path.join(errors, str(index)), encoding="utf-8") as said:
                    sys.stderr.write(said.read())
            sys.exit(f"{NAME}: {' '.join(commands[0])} failed with {codes}: see the message above")
        return out


def spans(options):
    """Sizes measured by one start, and calls of each: fewer of the large ones."""
    chosen = [size for size in SIZES if options.min_bytes <= size <= options.max_bytes]
    parts = [([size for size in chosen if size < 4 << 20], 30), ([size for size in chosen if size >= 4 << 20], 7)]
    return [(sizes, calls) for sizes, calls in parts if sizes]


def run_raw(lab, options, sizes, calls):
    hosts = ",".join(lab.address(index) for index in range(len(lab.hosts)))
    commands = [[os.path.join(options.build, "bin", "raw_ring"), "--rank", str(rank), "--hosts", hosts,
                 "--min-bytes", str(sizes[0]), "--max-bytes", str(sizes[-1]), "--factor", "4",
                 "--iterations", str(calls), "--warmup", "2"] for rank in range(len(lab.hosts))]
    out = lab.run_everywhere(commands, [{}] * len(lab.hosts))
    return {row["bytes"]: row for row in map(json.loads, out.splitlines())}


def run_trireme(lab, options, sizes, calls):
    ranks = len(lab.hosts)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "rows.json")
        command = [os.path.join(options.build, "bin", "trireme"), "perf", "all_reduce", "--transport", "tcp",
                   "--min-bytes", str(sizes[0]), "--max-bytes", str(sizes[-1]), "--factor", "4",
                   "--order", options.order, "--warm", "--iterations", str(calls), "--warmup", "2", "--json", file]
        if options.algorithm != "auto":
            command += ["--algorithm", options.algorithm]
        environments = [{"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
                         "MASTER_ADDR": lab.address(0), "MASTER_PORT": "29500", "TRIREME_JOB_KEY": "of this comparison",
                         "OMP_NUM_THREADS": "1"} for rank in range(ranks)]
        lab.run_everywhere([command] * ranks, environments)
        with open(file, encoding="utf-8") as rows:
            return {row["bytes"]: row for row in json.load(rows)["rows"]}


def in_words(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def compare(ranks, raw, ours, options):
    rows = []
    print("\n| ranks | size | algorithm | raw ring | Trireme | raw/Trireme | lowest round | of the line |\n"
          "|---|---|---|---|---|---|---|---|", flush=True)
    for size in sorted(raw):
        if any(row["wrong"] for row in ours[size]):
            sys.exit(f"network_comparison: wrong results at {in_words(size)} on {ranks} ranks")
        raw_us = statistics.median(row["time_us"] for row in raw[size])
        our_us = statistics.median(row["time_us"] for row in ours[size])
        ratios = [a["time_us"] / b["time_us"] for a, b in zip(raw[size], ours[size])]
        line = 2 * (ranks - 1) / ranks * size / (our_us * 1e-6) / BYTES_PER_S[options.rate]
        rows.append({"ranks": ranks, "bytes": size, "algorithm": ours[size][0]["algorithm"], "raw_us": raw_us,
                     "time_us": our_us, "ratio": raw_us / our_us, "ratios": ratios, "line": line})
        print(f"| {ranks} | {in_words(size)} | {rows[-1]['algorithm']} | {raw_us:.0f} us | {our_us:.0f} us | "
              f"{raw_us / our_us:.3f}{'' if raw_us / our_us >= REQUIRED else ' MISSED'} | {min(ratios):.3f} | "
              f"{100 * line:.1f} % |", flush=True)
    return rows


def main():
    options = parse_arguments()
    if os.geteuid() != 0:
        cannot("needs root to make network namespaces")
    for name, target in (("raw_ring", "trireme_raw_ring"), ("trireme", "trireme_cli")):
        if not os.access(os.path.join(options.build, "bin", name), os.X_OK):
            sys.exit(f"network_comparison: {options.build}/bin/{name} is not there; build it: "
                     f"cmake --build {options.build} --target {target}")
    options.build = os.path.abspath(options.build)
    load = os.getloadavg()[0]
    if load > 0.3:
        print(f"network_comparison: load average {load:.1f} before the first run: do not quote what follows",
              file=sys.stderr)
    rows = []
    for ranks in options.ranks:
        raw, ours = {}, {}
        with Lab(ranks, options.rate, options.congestion) as lab:
            for turn in range(options.rounds):
                for sizes, calls in spans(options):
                    for found, run in ((raw, run_raw), (ours, run_trireme)):
                        for size, row in run(lab, options, sizes, calls).items():
                            found.setdefault(size, []).append(row)
                print(f"{ranks} ranks, round {turn + 1}/{options.rounds}", file=sys.stderr, flush=True)
        rows += compare(ranks, raw, ours, options)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"rate": options.rate, "processors": os.cpu_count(), "load_average": load, "rows": rows}, file,
                      indent=1)
            file.write("\n")
    if options.check and any(row["ratio"] < REQUIRED for row in rows):
        sys.exit(3)


if __name__ == "__main__":
    main()
