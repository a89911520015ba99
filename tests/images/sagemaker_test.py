# SPDX-License-Identifier: Apache-2.0
"""Training jobs of SageMaker: containers algo-1 to algo-3 with a fake /opt/ml each, started with the one word `train`."""
import json
import os
import shutil
import time
import unittest
from pathlib import Path

from laboratory import TRAINING, Scenario, result_of
from platforms import SageMaker

FASHION = Path("/usr/share/datasets/fashion-mnist")
# Long enough to be stopped in its midst; with a line whenever so many steps are done.
LONG = {**TRAINING, "epochs": "1000000", "log-every": "20"}


class Training(Scenario):
    def test_two_and_three_hosts_make_the_one_model_that_one_process_makes(self):
        for hosts in (2, 3):
            with self.subTest(hosts=hosts):
                job = SageMaker(self, hosts, TRAINING).start()
                ended = job.wait()
                for host in ended:
                    self.ends_well(host)
                self.same_weights(ended[0], self.lab.undisturbed(TRAINING))
                self.assertEqual([bool(result_of(host.out)) for host in ended], [True] + [False] * (hosts - 1))
                self.assertEqual(job.models(), ["algo-1"])
                names = {path.name for path in (job.tree("algo-1") / "model").iterdir()}
                self.assertLessEqual({"model.safetensors", "config.json", "metrics.json"}, names)
                json.loads((job.tree("algo-1") / "model" / "metrics.json").read_text())

    def test_two_ranks_on_each_of_two_hosts(self):
        job = SageMaker(self, 2, TRAINING, procs=2).start()
        ended = job.wait()
        self.ends_well(ended[1])
        self.same_weights(self.ends_well(ended[0]), self.lab.undisturbed(TRAINING))

    @unittest.skipUnless(FASHION.exists(), "dataset-fashion-mnist is not installed")
    def test_fashion_mnist(self):
        training = {"hidden": "32", "logical-shards": "4", "steps": "30", "seed": "5"}
        for hosts in (2, 3):
            with self.subTest(hosts=hosts):
                job = SageMaker(self, hosts, training).start(FASHION)
                ended = job.wait()
                self.same_weights(self.ends_well(ended[0]), self.lab.undisturbed(training, FASHION))
                self.assertGreater(float(result_of(ended[0].out)["test_accuracy"]), 0.3)
                self.assertEqual(job.models(), ["algo-1"])

    def test_a_host_that_comes_late_is_waited_for(self):
        job = SageMaker(self, 2, TRAINING)
        late = job.hosts.pop()
        job.start()
        time.sleep(3)  # longer than any start takes; that it says whom it waits for comes after 30 s
        job.hosts = [late]
        job.start()
        self.ends_well(self.engine.wait(late))
        self.same_weights(self.ends_well(self.engine.wait("algo-1")), self.lab.undisturbed(TRAINING))


class Interruption(Scenario):
    def test_a_stop_of_one_host_is_a_checkpoint_and_143_on_all(self):
        job = SageMaker(self, 2, {**LONG, "checkpoint-every": "0"}, bucket=self.folder / "bucket").start()
        self.engine.await_text("algo-1", "metric ")
        self.engine.signal("algo-2", "TERM")
        ended = job.wait()
        self.assertEqual([host.code for host in ended], [143, 143], ended)
        self.assertEqual(job.models(), [])
        self.check_checkpoint(job.bucket)

    def test_the_platform_stops_all_hosts(self):
        job = SageMaker(self, 3, {**LONG, "checkpoint-every": "0"}, bucket=self.folder / "bucket").start()
        self.engine.await_text("algo-1", "metric ")
        self.engine.stop(*job.hosts, seconds=100)
        self.assertEqual([host.code for host in job.wait()], [143] * 3)
        self.check_checkpoint(job.bucket)

    def check_checkpoint(self, folder):
        """One, that is whole, from which training could go on."""
        ended = self.ends_well(self.engine.run("look", self.lab.image, ["doctor", "--checkpoint", "/found"],
                                               options=["--entrypoint", "/usr/local/bin/trireme"],
                                               volumes={"/found": f"{folder}:ro"}))
        self.assertIn("step", ended.out)

    def test_a_spot_restart_goes_on_with_another_number_of_hosts(self):
        bucket = self.folder / "bucket"
        expected = self.lab.undisturbed(TRAINING)
        for hosts, stop in ((3, "20"), (1, "15"), (2, None)):
            training = {**TRAINING, **({"stop-after": stop} if stop else {})}
            ended = SageMaker(self, hosts, training, bucket=bucket).start().wait()
            self.assertEqual([host.code for host in ended], [143 if stop else 0] * hosts, ended)
        self.same_weights(ended[0], expected)


class Failure(Scenario):
    def test_of_one_rank_is_told_by_every_host(self):
        broken = self.folder / "broken"
        shutil.copytree(self.lab.data, broken)
        os.truncate(broken / "train-images-idx3-ubyte", 1000)
        job = SageMaker(self, 2, TRAINING).start({"algo-1": self.lab.data, "algo-2": broken})
        ended = job.wait()
        for host, how in zip(job.hosts, ended):
            self.assertNotIn(how.code, (0, 143), how)
            text = job.failure(host)
            self.assertTrue(0 < len(text) <= 1024, text)
            self.assertTrue(text.isascii() and "\n" not in text.strip(), text)
        self.assertIn("train-images-idx3-ubyte", job.failure("algo-2"))
        self.assertEqual(job.models(), [])

    def test_of_a_hyperparameter_names_it_and_those_that_are_known(self):
        job = SageMaker(self, 1, {**TRAINING, "learning_rat": "0.1"}).start()
        ended = job.wait()[0]
        self.assertIn(ended.code, range(1, 126), ended)
        self.assertIn("learning_rat", job.failure("algo-1"))
        self.assertIn("learning", ended.err)

    def test_of_a_host_that_is_killed_is_told_by_the_other(self):
        job = SageMaker(self, 2, LONG).start()
        self.engine.await_text("algo-1", "metric ")
        self.engine.signal("algo-2", "KILL")
        ended = job.wait()
        self.assertEqual(ended[1].code, 137)
        self.assertNotEqual(ended[0].code, 0, ended[0])
        self.assertIn("algo-2", job.failure("algo-1"))

    def test_of_the_description_is_never_a_world_of_one(self):
        for breakage in ({"current_host": "algo-7"}, {"hosts": []}):  # of a broken file it waits a minute for a whole one
            with self.subTest(breakage=breakage):
                job = SageMaker(self, 2, TRAINING)
                path = job.tree("algo-1") / "input" / "config" / "resourceconfig.json"
                path.write_text(json.dumps({**json.loads(path.read_text()), **breakage}))
                job.hosts = ["algo-1"]
                ended = job.start().wait()[0]
                self.assertNotEqual(ended.code, 0, ended)
                self.assertIn("resourceconfig.json", ended.err)
                self.assertEqual(job.models(), [])
