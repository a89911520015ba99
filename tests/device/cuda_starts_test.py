#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that was built with CUDA starts, describes the machine and trains on processors, whether or not there is a
driver. Its argument is that program."""
import json
import os
import subprocess
import sys
import unittest

PROGRAM = ""
DRIVER = os.path.exists("/proc/driver/nvidia/version")


def run(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIREME_")}
    environment.update(variables)
    return subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=60)


class Start(unittest.TestCase):
    def test_no_library_of_the_driver_or_of_cuda_is_needed_to_start(self):
        needed = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
        for library in ("libcuda", "libcudart", "libnccl"):
            self.assertNotIn(library, needed)

    def test_doctor_says_why_there_is_no_gpu_or_lists_them(self):
        ended = run("doctor", "--json")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        said = json.loads(ended.stdout)
        cuda = said["engines"]["cuda"]
        self.assertEqual(cuda["available"], bool(cuda.get("devices")))
        if not DRIVER:
            self.assertFalse(cuda["available"])
            self.assertIn("driver", cuda["reason"])
            self.assertEqual(said["gpus"], [])
        self.assertGreaterEqual(cuda["runtime"], "12.8")

    def test_doctor_finds_no_gpu_where_none_is_visible(self):
        said = json.loads(run("doctor", "--json", CUDA_VISIBLE_DEVICES="").stdout)
        self.assertFalse(said["engines"]["cuda"]["available"])
        if DRIVER:
            self.assertIn("CUDA_VISIBLE_DEVICES", said["engines"]["cuda"]["reason"])

    def test_a_model_trains_on_processors(self):
        ended = run("train", "--dataset", "synthetic:blobs", "--hidden", "8", "--steps", "5", "--no-tracking")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertRegex(ended.stdout, r"(?m)^result: .*steps=5 .*weights_xxh3=[0-9a-f]{16}")

    def test_two_ranks_train_on_processors(self):
        ended = run("run", "-n", "2", "--", PROGRAM, "train", "--dataset", "synthetic:blobs", "--hidden", "8", "--steps", "5",
                    "--logical-shards", "2", "--no-tracking")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("world=2", ended.stdout)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
