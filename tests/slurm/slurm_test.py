#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains as tasks of a real Slurm of two nodes. Needs root; exit code 77 says that it could not run, and why."""
import argparse
import subprocess
import sys
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path += [str(SOURCE / "tests" / "support"), str(SOURCE / "tests" / "images")]

import cluster  # noqa: E402
import enclosure  # noqa: E402
from laboratory import TRAINING, flags, result_of, write_samples  # noqa: E402

SCRIPT = SOURCE / "docker" / "slurm" / "train.sbatch"
SKIPPED = 77


class Slurm(unittest.TestCase):
    slurm = None  # set before the tests run
    program = None

    @classmethod
    def setUpClass(cls):
        cls.data = cls.slurm.folder / "data"
        write_samples(cls.data, 90, 40)
        cls.training = [f"--data-dir={cls.data}", *flags(TRAINING)]
        alone = subprocess.run([cls.program, "train", *cls.training], capture_output=True, text=True, check=True)
        cls.expected = result_of(alone.stdout)

    def setUp(self):
        self.checkpoints = self.slurm.folder / "checkpoints" / self._testMethodName
        self.log = self.slurm.folder / f"{self._testMethodName}.log"

    def submit(self, *arguments, options=()):
        """train.sbatch on both nodes with two tasks each."""
        said = self.slurm.call("sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=2", f"--output={self.log}", *options, SCRIPT,
                               *self.training, *arguments,
                               environment={"TRIREME": str(self.program), "CHECKPOINTS": str(self.checkpoints)})
        return said.stdout.strip()

    def await_state(self, job, *states, limit=60):
        cluster.until(lambda: self.slurm.job(job)["JobState"] in states, f"job {job} is {' or '.join(states)}", limit)

    def await_log(self, text, limit=90):
        cluster.until(lambda: self.log.exists() and text in self.log.read_text(), f"'{text}' in {self.log}", limit)

    def test_a_step_is_described_as_detection_expects_it(self):
        said = self.slurm.call("srun", "-N2", "-n4", "--label", "env").stdout
        tasks = [{} for _ in range(4)]
        for line in said.splitlines():
            task, _, entry = line.partition(": ")
            name, _, value = entry.partition("=")
            tasks[int(task)][name] = value
        for rank, seen in enumerate(tasks):
            self.assertEqual([seen[name] for name in ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES")],
                             [str(rank), "4", "2"])
            self.assertEqual((seen["SLURM_NODEID"], seen["SLURM_LOCALID"]), (str(rank // 2), str(rank % 2)))
            self.assertEqual((seen["SLURM_STEP_NODELIST"], seen["SLURM_STEP_TASKS_PER_NODE"]), ("h[1-2]", "2(x2)"))
            self.assertIn("SLURM_JOB_ID", seen)

    def test_four_tasks_on_two_nodes_make_the_weights_of_one_process(self):
        done = self.slurm.call("srun", "-N2", "-n4", "--kill-on-bad-exit=1", self.program, "train", *self.training)
        result = result_of(done.stdout)
        self.assertEqual(result.get("weights_xxh3"), self.expected["weights_xxh3"], done)
        self.assertEqual(result["world"], "4")

    def runs_again(self, job):
        """Whether it does. Its nodes put it off until its credential has expired; one that starts in the second in which it was ended has a
        revoked one, and fails."""
        seen = self.slurm.job(job)
        self.assertNotEqual(seen["JobState"], "FAILED", seen)
        if seen["Restarts"] == "1" and seen["JobState"] == "RUNNING":
            return True
        soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 10))
        if seen["JobState"] == "PENDING" and seen["StartTime"] != "Unknown" and seen["StartTime"] > soon:
            self.slurm.call("scontrol", "update", f"JobId={job}", "StartTime=now+3seconds", check=False)
        return False

    def test_a_job_that_is_put_back_into_the_queue_goes_on_where_it_was(self):
        job = self.submit("--log-every=20", "--epochs=1000000", "--checkpoint-every=0")
        self.await_log("metric ")
        self.slurm.call("scontrol", "requeue", job)
        self.await_state(job, "PENDING")
        cluster.until(lambda: self.runs_again(job), "the job runs again", 120)
        self.await_log("goes on from step")
        self.slurm.call("scancel", job)
        self.await_state(job, "CANCELLED")

    def test_a_job_that_stops_and_is_started_again_gives_the_undisturbed_weights(self):
        job = self.submit("--stop-after=20", options=["--requeue"])
        self.await_state(job, "FAILED", "COMPLETED")
        self.assertIn("143", self.slurm.job(job)["ExitCode"])
        again = self.slurm.call("srun", "-N1", "-n1", self.program, "train", *self.training, f"--checkpoint-dir={self.checkpoints}")
        self.assertEqual(result_of(again.stdout).get("weights_xxh3"), self.expected["weights_xxh3"], again)

    def test_a_cancelled_job_leaves_a_checkpoint(self):
        job = self.submit("--log-every=20", "--epochs=1000000", "--checkpoint-every=0")
        self.await_log("metric ")
        self.slurm.call("scancel", job)
        self.await_state(job, "CANCELLED", "FAILED")
        seen = subprocess.run([self.program, "doctor", "--checkpoint", self.checkpoints], capture_output=True, text=True, check=False)
        self.assertEqual(seen.returncode, 0, seen)
        self.assertIn("step", seen.stdout)

    def test_the_job_script_is_sound(self):
        subprocess.run(["bash", "-n", SCRIPT], check=True)
        self.slurm.call("sbatch", "--test-only", "--nodes=2", "--ntasks-per-node=2", SCRIPT)
        text = SCRIPT.read_text()
        for line in ("#SBATCH --requeue", "#SBATCH --signal=USR1@300", "srun --kill-on-bad-exit=1"):
            self.assertIn(line, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the built trireme")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the cluster's files")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    reason = cluster.obstacle() or enclosure.obstacle()
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    enclosure.enclose()
    enclosure.leave_network()
    Slurm.program = arguments.program.resolve()
    Slurm.slurm = cluster.Cluster(arguments.work.resolve())
    try:
        suite = unittest.defaultTestLoader.loadTestsFromNames(arguments.names or ["Slurm"], sys.modules["__main__"])
        ended = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    finally:
        Slurm.slurm.close()
    return 0 if ended.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
