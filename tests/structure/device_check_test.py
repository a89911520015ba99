#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/device_check says of each check how it ended, or why there was none: with stand-ins for the programs of a build."""
import os
import pathlib
import stat
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "device_check"
TESTS = ("engines_device_peer", "device_conformance", "kernels_device", "optim", "models", "parallel", "checkpoint",
         "engines_device", "device", "perf_device", "cli", "engines_nccl_real")
BENCH = """printf '| case | MB | us, median (least to greatest) | GB/s | of the copy |\\n|---|---:|---:|---:|---:|\\n'
printf '| copy | 8.0 | 100.0 (99.0 to 101.0) | 4000 | 1.000 |\\n'
printf '| cast/f32_to_bf16 | 8.0 | 125.0 (99.0 to 131.0) | 3200 | 0.800 |\\n'"""
UPDATES = "printf '%-28s %10.1f %10.0f %7.1f%%\\n' 'sgd momentum/f32' 250.5 4400 97.5 'adamw/f32' 99.5 4100 71.5"
TRAIN = "echo result: model=mlp weights_xxh3=0123456789abcdef"


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.build = self.root / "build"
        for name in ("build/tests", "build/bin", "path", "data"):
            (self.root / name).mkdir(parents=True)
        self.program("path/python3", "exit 1")  # there is no PyTorch

    def program(self, name, body):
        path = self.root / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def stand_in_for_all(self):
        for name in TESTS:
            self.program(f"build/tests/test_{name}", "echo All tests passed")
        self.program("build/bin/device_bench", BENCH)
        self.program("build/bin/device_update_bench", UPDATES)
        self.program("build/bin/device_all_reduce_bench", "echo $1 ranks")
        self.program("build/bin/trireme", TRAIN)
        self.program("path/compute-sanitizer", 'echo "$@"')

    def run_it(self, *arguments):
        environment = dict(os.environ, PATH=f"{self.root / 'path'}:{os.environ['PATH']}")
        return subprocess.run([SCRIPT, "--build", self.build, "--data-dir", self.root / "data", *arguments],
                              env=environment, capture_output=True, text=True, timeout=60)

    def summary(self):
        return (self.build / "device_check" / "summary.txt").read_text()

    def test_what_is_asked_wrongly_is_refused_in_one_line(self):
        for arguments, named in ((("--quick",), "--quick"), (("--minutes", "x"), "--minutes is 'x'"), (("--out",), "--out"),
                                 (("--build", "/nowhere"), "'/nowhere'")):
            ended = self.run_it(*arguments)
            self.assertEqual(ended.returncode, 2)
            self.assertIn(named, ended.stderr)
            self.assertEqual(ended.stderr.count("\n"), 1)

    def test_what_is_not_built_is_skipped_and_named(self):
        ended = self.run_it()
        self.assertEqual(ended.returncode, 0, ended.stdout)
        for name in TESTS:
            self.assertIn(f"test_{name} is not there", ended.stdout)
        self.assertNotIn("ok ", ended.stdout)
        self.assertEqual(ended.stdout, self.summary())

    def test_without_a_gpu_everything_is_skipped_with_the_reason(self):
        self.stand_in_for_all()
        self.program("build/bin/device_bench", "echo 'skipped: no NVIDIA driver: libcuda.so.1 cannot be loaded'")
        ended = self.run_it()
        self.assertEqual(ended.returncode, 0, ended.stdout)
        for line in ended.stdout.splitlines():
            self.assertTrue(line.startswith("skipped"), line)
        self.assertIn("tests: kernels_device: no NVIDIA driver", ended.stdout)

    def test_all_that_is_well_is_said_with_what_lies_below_the_copy(self):
        self.stand_in_for_all()
        ended = self.run_it()
        self.assertEqual(ended.returncode, 0, ended.stdout)
        for name in TESTS[:-1]:
            self.assertIn(f"ok        tests: {name} ", ended.stdout)
        self.assertIn("ok        MLP: the same weights, 0123456789abcdef", ended.stdout)
        self.assertIn("below 0.90 of the copy: cast/f32_to_bf16, 0.800", ended.stdout)
        self.assertIn("below 0.90 of the copy: adamw/f32, 0.715", ended.stdout)
        self.assertNotIn("copy: sgd", ended.stdout)
        self.assertIn("ok        racecheck: kernels that wait", ended.stdout)
        self.assertIn("skipped   PyTorch", ended.stdout)
        self.assertIn("--tool memcheck --error-exitcode 9", (self.build / "device_check/sanitizer.log").read_text())

    def test_a_failure_is_named_and_ends_in_1_after_all_the_rest(self):
        self.stand_in_for_all()
        self.program("build/tests/test_optim", "exit 3")
        self.program("build/bin/trireme", 'echo "result: weights_xxh3=$([[ $1 == run ]] && echo a || echo b)"')
        ended = self.run_it()
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertIn("FAILED    tests: optim: exit code 3", ended.stdout)
        self.assertIn("FAILED    MLP: the weights are b and a", ended.stdout)
        self.assertIn("ok        racecheck: kernels", ended.stdout)

    def test_jobs_that_end_well_without_telling_their_weights_have_failed(self):
        self.stand_in_for_all()
        self.program("build/bin/trireme", '[[ $1 == run ]] || echo result: weights_xxh3=a')
        ended = self.run_it()
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertIn("FAILED    MLP: of two result lines with weights_xxh3 there are 1, see ", ended.stdout)

    def test_what_takes_too_long_is_told_from_what_the_end_of_the_minutes_cut_off(self):
        self.stand_in_for_all()
        self.program("path/timeout", '[[ $3 != */test_optim ]] || exit 124\nexec "${@:3}"')
        ended = self.run_it()
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertIn("FAILED    tests: optim: not over after 150 s, see ", ended.stdout)
        ended = self.run_it("--minutes", "1")
        self.assertEqual(ended.returncode, 1, ended.stdout)
        self.assertRegex(ended.stdout, r"FAILED    tests: optim: cut off after \d+ s, as the 1 minutes are over, see ")

    def test_rows_of_pytorch_stand_beside_ours(self):
        self.stand_in_for_all()
        self.program("path/python3", r"""[[ $1 != -c ]] || exit 0
printf '| copy | 8.0 | 101.0 (99.0 to 101.0) | 4000 | 1.000 |\n| cast/f32_to_bf16 | 8.0 | 120.0 (1.0 to 2.0) | 3 | 0.9 |\n'
printf '| adamw/fused/f32 | 8.0 | 120.0 (1.0 to 2.0) | 3 | 0.9 |\n'""")
        ended = self.run_it()
        self.assertIn("SLOWER than PyTorch: cast/f32_to_bf16, 125.0 us and 120.0", ended.stdout)
        self.assertIn("faster than PyTorch: adamw/f32, 99.5 us and 120.0", ended.stdout)

    def test_the_list_of_what_is_run_is_of_files_of_the_build(self):
        ended = self.run_it("--list")
        self.assertEqual(ended.returncode, 0)
        for name in TESTS:
            self.assertIn(f"{self.build}/tests/test_{name}\n", ended.stdout)


if __name__ == "__main__":
    unittest.main()
