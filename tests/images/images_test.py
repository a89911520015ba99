#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the images of docker/ and runs them as the platforms do. Needs root and podman; exit code 77 says that it could
not run, and why. Names of tests as arguments run only these: sagemaker_test.Training.test_…"""
import argparse
import sys
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.append(str(SOURCE / "tests" / "support"))

import containers  # noqa: E402
import enclosure  # noqa: E402
from laboratory import Laboratory, Scenario  # noqa: E402

MODULES = ("image_test", "limits_test", "sagemaker_test", "platforms_test", "moves_test", "mpi_image_test")
SKIPPED = 77


class TimedResult(unittest.TextTestResult):
    """Says of every test how long it took."""

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        self.stream.writeln(f"    {time.monotonic() - self.started:.1f} s")
        super().stopTest(test)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the built trireme")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the images; kept, so that the next run is faster")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    reason = containers.obstacle(arguments.work)
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    enclosure.enclose()
    began = time.monotonic()
    try:
        Scenario.lab = Laboratory(arguments.work.resolve(), SOURCE, arguments.program.resolve())
    except containers.NoBase as problem:
        print(f"skipped: {problem}")
        return SKIPPED
    try:
        Scenario.lab.build_all()
        built = time.monotonic()
        enclosure.leave_network()
        Scenario.lab.engine.network("job")
        suite = unittest.defaultTestLoader.loadTestsFromNames(arguments.names or MODULES)
        ended = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=TimedResult).run(suite)
        Scenario.lab.engine.remove_network("job")
        left = Scenario.lab.engine.containers() + Scenario.lab.engine.networks()
        if left:
            print(f"left behind: {left}")
    finally:
        Scenario.lab.engine.close()
    print(f"{time.monotonic() - began:.0f} s in all, {built - began:.0f} of them for the images")
    return 0 if ended.wasSuccessful() and not left else 1


if __name__ == "__main__":
    sys.exit(main())
