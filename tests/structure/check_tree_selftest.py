# SPDX-License-Identifier: Apache-2.0
"""scripts/check_tree accepts a sound tree and refuses one with a missing README, a forbidden trace or two types of one name."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_tree"

SOUND = {
    "include/trireme/base/error.hpp": "#pragma once\nnamespace trireme {\nstruct Error {};\n}  // namespace trireme\n",
    "src/base/README.md": "# base\n",
    "src/engines/mpi/engine.cpp": "int x;\n",
    "src/engines/mpi/README.md": "# MPI\n",
    "kernels/reduce/reduce.hpp": "#pragma once\n",
    "kernels/README.md": "# kernels, see https://example.org/root/page and base/home/x\n",
}


def run_on(check, changes):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**SOUND, **changes}.items():
            if text is None:
                continue
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, SCRIPT, "--root", folder, check], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


class CheckTree(unittest.TestCase):
    def refuses(self, check, changes, words):
        status, output = run_on(check, changes)
        self.assertEqual(status, 1, output)
        self.assertIn(words, output)

    def test_accepts_a_sound_tree(self):
        for check in ("readmes", "traces", "types"):
            status, output = run_on(check, {})
            self.assertEqual(status, 0, output)

    def test_refuses_a_room_without_a_readme(self):
        self.refuses("readmes", {"src/base/README.md": None}, "src/base: ")
        self.refuses("readmes", {"src/plan/ring.cpp": "int ring;\n"}, "src/plan: ")
        self.refuses("readmes", {"src/engines/mpi/README.md": None}, "src/engines/mpi: ")
        self.refuses("readmes", {"kernels/README.md": None}, "kernels: ")

    def test_refuses_home_folders(self):
        for home in ("root", "home"):
            self.refuses("traces", {"notes.md": f"one\nsee /{home}/somebody/notes\n"}, "notes.md:2: absolute path")

    def test_refuses_merge_markers(self):
        self.refuses("traces", {"src/base/x.cpp": "<" * 7 + " HEAD\n"}, "src/base/x.cpp:1: merge marker")
        self.refuses("traces", {"src/base/x.cpp": "int x;\n" + ">" * 7 + " other\n"}, "src/base/x.cpp:2: merge marker")

    def test_refuses_two_types_of_one_name_in_a_namespace(self):
        again = "namespace trireme {\nclass Error final : public Base {\n};\n}  // namespace trireme\n"
        self.refuses("types", {"src/base/again.cpp": again}, "trireme::Error is defined in")
        for own in ("namespace trireme {\nnamespace {\nstruct Error {};\n}  // namespace\n}  // namespace trireme\n",
                    "namespace trireme::base {\nstruct Error {};\n}  // namespace trireme::base\n",
                    "namespace trireme {\nstruct Error;\n}  // namespace trireme\n"):
            status, output = run_on("types", {"src/base/own.cpp": own})
            self.assertEqual(status, 0, output)


if __name__ == "__main__":
    unittest.main()
