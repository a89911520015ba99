# SPDX-License-Identifier: Apache-2.0
"""A real Slurm of two nodes on one machine: a controller, two slurmd in network namespaces of their own, munge."""
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

NEEDED = {"slurmctld": "slurmctld", "slurmd": "slurmd", "srun": "slurm-client", "munged": "munge", "ip": "iproute2"}

CONFIGURATION = """
ClusterName=probe
SlurmctldHost=lab(10.77.0.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmctldPort=16817
SlurmdPort=16818
NodeName=h1 NodeAddr=10.77.0.1 CPUs=2 State=UNKNOWN
NodeName=h2 NodeAddr=10.77.0.2 CPUs=2 State=UNKNOWN
PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


def obstacle():
    missing = [package for tool, package in NEEDED.items() if not shutil.which(tool)]
    return f"missing: {' '.join(missing)} (scripts/bootstrap installs them)" if missing else ""


class Cluster:
    """Nodes h1 and h2 with two processors each, and this process on the host `lab`, from which jobs are submitted. Needs
    the enclosure of tests/support, with which all of it ends."""

    def __init__(self, folder):
        self.folder = Path(folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o755)
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self.daemons = []
        socket.sethostname("lab")
        self.lay_cables()
        self.start_daemons()

    def lay_cables(self):
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n10.77.0.254 lab\n10.77.0.1 h1\n10.77.0.2 h2\n")
        run("mount", "--bind", hosts, "/etc/hosts")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "address", "add", "10.77.0.254/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        for node in (1, 2):
            run("ip", "netns", "add", f"h{node}")
            run("ip", "link", "add", f"port{node}", "type", "veth", "peer", "name", "eth0", "netns", f"h{node}")
            run("ip", "link", "set", f"port{node}", "master", "bridge", "up")
            for words in (("link", "set", "lo", "up"), ("address", "add", f"10.77.0.{node}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
                run("ip", "-n", f"h{node}", *words)

    def start_daemons(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(folder=self.folder))
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n")
        self.daemon("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.sock",
                    f"--pid-file={self.folder}/munge.pid", f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed")
        until(lambda: (self.folder / "munge.sock").exists(), "munged has a socket", 20)
        self.daemon("slurmctld", "-D", "-f", self.folder / "slurm.conf")
        for node in ("h1", "h2"):
            # Not `ip netns exec`: it would hide the control groups, which slurmd looks for.
            self.daemon("nsenter", f"--net=/run/netns/{node}", "unshare", "--uts", "sh", "-c",
                        f"hostname {node}; exec slurmd -D -f {self.folder}/slurm.conf -N {node}")
        until(lambda: self.call("sinfo", "-h", "-o", "%T %D", check=False).stdout.split() == ["idle", "2"], "both nodes are idle", 60)

    def daemon(self, *words):
        with open(self.folder / "daemons.log", "ab") as log:
            self.daemons.append(subprocess.Popen([str(word) for word in words], stdout=log, stderr=log, env=self.environment,
                                                 stdin=subprocess.DEVNULL, cwd=self.folder))

    def call(self, *words, check=True, environment=None, limit=60):
        """A command of Slurm, on the host `lab`."""
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=self.folder, timeout=limit,
                              env={**self.environment, **(environment or {})}, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{words}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def job(self, number):
        """What the controller knows of a job, as a map."""
        words = self.call("scontrol", "show", "job", number).stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def close(self):
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        run("umount", "/etc/hosts")


def run(*words):
    subprocess.run([str(word) for word in words], check=True)


def until(condition, what, limit):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {limit} s still not: {what}")
        time.sleep(0.1)
