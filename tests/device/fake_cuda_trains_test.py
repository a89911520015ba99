#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program trains on CUDA devices: its CUDA half, on fake ones, with kernels run from the PTX that nvcc made. Ranks are
processes. Its argument is that program."""
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
JOB = ["train", "--model", "mlp", "--hidden", "16", "--steps", "6", "--batch-size", "32",
       "--logical-shards", "4", "--seed", "3", "--no-tracking"]


def run(*command, devices=1):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIREME_")}
    environment["FAKE_CUDA_DEVICES"] = str(devices)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)


def write_images(folder):
    """The four files of Fashion-MNIST with a few images of noise."""
    noise = random.Random(1)
    for name, count in (("train", 96), ("t10k", 16)):
        with open(os.path.join(folder, name + "-images-idx3-ubyte"), "wb") as images:
            images.write(struct.pack(">IIII", 0x803, count, 28, 28) + noise.randbytes(count * 784))
        with open(os.path.join(folder, name + "-labels-idx1-ubyte"), "wb") as labels:
            labels.write(struct.pack(">II", 0x801, count) + bytes(noise.randrange(10) for _ in range(count)))


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        write_images(cls.folder.name)

    def weights(self, ranks, *arguments, devices=1):
        launcher = [PROGRAM, "run", "-n", str(ranks), "--"] if ranks > 1 else []
        ended = run(*launcher, PROGRAM, *JOB, "--data-dir", self.folder.name, *arguments, devices=devices)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertNotIn("fake CUDA:", ended.stderr)
        return re.search(r"(?m)^result: .*weights_xxh3=([0-9a-f]{16})", ended.stdout).group(1)

    def test_ranks_that_share_a_gpu_end_with_the_weights_of_one_rank_and_of_processors(self):
        expected = self.weights(1, "--device", "cpu")
        for ranks, devices in ((1, 1), (2, 1), (4, 1), (2, 2), (4, 2)):
            with self.subTest(ranks=ranks, devices=devices):
                self.assertEqual(self.weights(ranks, "--device", "cuda", devices=devices), expected)

    def test_every_optimizer_that_runs_on_devices_ends_with_the_weights_of_processors(self):
        for optimizer in ("adamw", "lamb", "lion"):
            with self.subTest(optimizer=optimizer):
                self.assertEqual(self.weights(1, "--device", "cuda", "--optimizer", optimizer),
                                 self.weights(1, "--device", "cpu", "--optimizer", optimizer))

    def test_doctor_lists_the_devices(self):
        said = json.loads(run(PROGRAM, "doctor", "--json", devices=2).stdout)
        self.assertTrue(said["engines"]["cuda"]["available"])
        self.assertEqual([each["name"] for each in said["gpus"]], ["fake CUDA device"] * 2)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
